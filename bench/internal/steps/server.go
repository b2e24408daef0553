package steps

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/amends-dev/amends/fence"
)

// The states of a key, as GET tells them.
const (
	stateDone   = "done"
	stateUndone = "undone"
)

// server is the ledger of all steps. It is in memory: what steps cost must not hide what engines cost.
type server struct {
	mu      sync.Mutex
	entries map[name]entry
}

// name is what the ledger calls an effect: the step's part of the URL and the key.
type name struct{ step, key string }

type entry struct {
	state  string
	in     Input
	result Result
}

// NewHandler makes a step server: PUT, DELETE and GET of /step1/{key} to /step10/{key}. GET /books answers [Books], and
// DELETE /books forgets every key.
func NewHandler() http.Handler {
	s := &server{entries: make(map[name]entry)}
	mux := http.NewServeMux()
	for n := range Count {
		step := segment(Name(n + 1))
		on := func(method string, handle func(http.ResponseWriter, *http.Request, name)) {
			mux.HandleFunc(method+" /"+step+"/{key}", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set(fence.HeaderKey, url.PathEscape(r.PathValue("key")))
				handle(w, r, name{step, r.PathValue("key")})
			})
		}
		on(http.MethodPut, s.do)
		on(http.MethodDelete, s.undo)
		on(http.MethodGet, s.probe)
	}
	mux.HandleFunc("GET /books", s.books)
	mux.HandleFunc("DELETE /books", s.forget)
	return mux
}

func (s *server) do(w http.ResponseWriter, r *http.Request, n name) {
	var in Input
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		problem(w, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	s.mu.Lock()
	e, seen := s.entries[n]
	if !seen && !in.Refuse {
		e = entry{stateDone, in, Result{Reference: n.step + " of " + in.Order}}
		s.entries[n] = e
	}
	s.mu.Unlock()
	switch {
	case e.state == stateUndone:
		problem(w, http.StatusGone, "undone", "the key was undone")
	case seen && e.in != in:
		problem(w, http.StatusConflict, "key_reused", "the key is done, with another body")
	case !seen && in.Refuse:
		problem(w, http.StatusUnprocessableEntity, codeRefused, "the order asks this step to refuse")
	default:
		answer(w, http.StatusOK, "application/json", e.result)
	}
}

func (s *server) undo(w http.ResponseWriter, _ *http.Request, n name) {
	s.mu.Lock()
	irreversible := s.entries[n].state == stateDone && n.step == segment(Pivot)
	if !irreversible {
		s.entries[n] = entry{state: stateUndone}
	}
	s.mu.Unlock()
	if irreversible {
		problem(w, http.StatusConflict, codeIrreversible, "the last step stays done")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) probe(w http.ResponseWriter, _ *http.Request, n name) {
	s.mu.Lock()
	e, seen := s.entries[n]
	s.mu.Unlock()
	if !seen {
		problem(w, http.StatusNotFound, "not_found", "the key was never seen")
		return
	}
	found := map[string]any{"key": n.key, "step": n.step, "state": e.state}
	if e.state == stateDone {
		found["result"] = e.result
	}
	answer(w, http.StatusOK, "application/json", found)
}

func (s *server) books(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	var b Books
	for _, e := range s.entries {
		if e.state == stateDone {
			b.Done++
		} else {
			b.Undone++
		}
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, "application/json", b)
}

func (s *server) forget(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	clear(s.entries)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// problem answers with an RFC 9457 problem.
func problem(w http.ResponseWriter, status int, code, detail string) {
	answer(w, status, "application/problem+json", map[string]any{"status": status, "code": code, "detail": detail})
}

func answer(w http.ResponseWriter, status int, mediaType string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("steps: answer: %v", err)) // our own types can be written
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the caller is gone if it fails
}
