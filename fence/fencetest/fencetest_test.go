package fencetest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
)

// theater is a step service in memory. Its fault, unless it is "", breaks one rule.
type theater struct {
	fault        string
	irreversible bool

	mu    sync.Mutex
	calls int
	rows  map[string]*row
}

type row struct {
	undone bool
	reason string
	body   map[string]any
	result int
}

func (s *theater) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	key := r.PathValue("key")
	s.name(w, r)
	if s.fault == "key not unescaped" {
		key = strings.TrimPrefix(r.URL.EscapedPath(), "/seats/")
	}
	if s.fault == "" && s.calls%5 == 0 {
		w.Header().Set("Retry-After", "0")
		problem(w, http.StatusServiceUnavailable, "unavailable") // which is allowed at any time
		return
	}
	if s.fault == "long keys refused" && len(key) > 500 {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	switch r.Method {
	case http.MethodPut:
		s.put(w, r, key)
	case http.MethodDelete:
		s.delete(w, key, r.Header.Get("Undo-Reason"))
	case http.MethodGet:
		s.get(w, key)
	}
}

// name names the key in the answer, as it came; a service in another language may do so.
func (s *theater) name(w http.ResponseWriter, r *http.Request) {
	named := strings.TrimPrefix(r.URL.EscapedPath(), "/seats/")
	switch {
	case s.fault == "key named in undos only" && r.Method != http.MethodDelete, s.fault == "key not named":
		return
	case s.fault == "another key named":
		named = "order-1:TakeSeats"
	}
	w.Header().Set("Saga-Key", named)
}

func (s *theater) put(w http.ResponseWriter, r *http.Request, key string) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil && s.fault != "malformed bodies accepted" {
		problem(w, http.StatusBadRequest, "malformed")
		return
	}
	known := s.rows[key]
	switch {
	case known != nil && known.undone && s.fault != "late do accepted":
		reason := known.reason
		if s.fault == "reason changed" {
			reason = strings.ToUpper(reason)
		}
		answer(w, http.StatusGone, "application/problem+json",
			map[string]any{"status": http.StatusGone, "code": "undone", "detail": "it was undone", "undo_reason": reason})
		return
	case known != nil && !known.undone && !reflect.DeepEqual(known.body, body) && s.fault != "key reused":
		problem(w, http.StatusConflict, "key_reused")
		return
	case known == nil || known.undone || s.fault == "done again":
		known = &row{body: body, result: s.calls}
		s.rows[key] = known
	}
	if s.fault == "text" {
		w.Header().Set("Content-Type", "text/plain")
	}
	answer(w, http.StatusCreated, "application/json", known.result)
}

func (s *theater) delete(w http.ResponseWriter, key, reason string) {
	known := s.rows[key]
	switch {
	case s.fault == "undo answered 200":
		s.rows[key] = &row{undone: true}
		answer(w, http.StatusOK, "application/json", "undone")
		return
	case known == nil && s.fault == "unseen key not found":
		problem(w, http.StatusNotFound, "not_found")
		return
	case known == nil && s.fault != "unseen key not fenced":
		s.rows[key] = &row{undone: true, reason: reason}
	case known != nil && known.undone && s.fault == "undone once only":
		problem(w, http.StatusNotFound, "not_found")
		return
	case known != nil && !known.undone && s.irreversible:
		problem(w, http.StatusConflict, "irreversible")
		return
	case known != nil && s.fault != "not undone":
		known.undone = true
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *theater) get(w http.ResponseWriter, key string) {
	known := s.rows[key]
	if known == nil {
		problem(w, http.StatusNotFound, "not_found")
		return
	}
	state := "done"
	if known.undone {
		state = "undone"
	}
	result := known.result
	if s.fault == "probe without result" {
		result = 0
	}
	answer(w, http.StatusOK, "application/json", map[string]any{"key": key, "state": state, "result": result})
}

func problem(w http.ResponseWriter, status int, code string) {
	answer(w, status, "application/problem+json", map[string]any{"status": status, "code": code, "detail": "what " + code + " means"})
}

func answer(w http.ResponseWriter, status int, contentType string, body any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}

// run runs the suite on a theater.
func run(t *testing.T, s *theater) {
	t.Helper()
	s.rows = map[string]*row{}
	mux := http.NewServeMux()
	mux.Handle("/seats/{key}", s)
	srv := httptest.NewServer(mux)
	defer srv.Close() // Run waits for its subtests
	fencetest.Run(t, fencetest.Step{
		Name: "TakeSeats", URL: srv.URL + "/seats/", Irreversible: s.irreversible,
		Body: func(n int) any {
			return struct {
				Show  string `json:"show"`
				Count int    `json:"count"`
			}{"Hamlet", n}
		},
	})
}

func TestRun(t *testing.T) {
	t.Parallel()

	t.Run("reversible", func(t *testing.T) {
		t.Parallel()
		run(t, &theater{})
	})
	t.Run("irreversible", func(t *testing.T) {
		t.Parallel()
		run(t, &theater{irreversible: true})
	})
}

const faultEnv = "FENCETEST_FAULT"

// TestRunFindsFaults runs the suite on services that break a rule, in processes of their own since a
// test that fails cannot be taken back.
func TestRunFindsFaults(t *testing.T) {
	t.Parallel()

	self, err := os.Executable()
	require.NoError(t, err)
	for fault, rules := range map[string][]string{
		"done again": {
			"done_once,_same_answer_on_repeat", "another_body_for_the_same_key", "same_body_written_differently",
			"ten_at_once_get_the_one_answer", "key_with_escaped_characters", "crash_between_do_and_answer",
		},
		"key reused":                {"another_body_for_the_same_key"},
		"late do accepted":          {"undone_before_done,_late_do_is_refused", "undone,_then_done_again", "done_and_undone_at_once"},
		"unseen key not fenced":     {"undone_before_done,_late_do_is_refused"},
		"unseen key not found":      {"undone_before_done,_late_do_is_refused"},
		"not undone":                {"undone", "undone,_then_done_again", "done_and_undone_at_once"},
		"undone once only":          {"undone_twice"},
		"probe without result":      {"probed"},
		"malformed bodies accepted": {"malformed_body"},
		"key not unescaped":         {"key_with_escaped_characters"},
		"text":                      {"done_once,_same_answer_on_repeat"},
		"reason changed":            {"undone_with_a_reason"},
		"long keys refused":         {"longest_key"},
		"key not named":             {"done_once,_same_answer_on_repeat", "undone_before_done,_late_do_is_refused"},
		"key named in undos only":   {"undone_before_done,_late_do_is_refused", "probed"},
		"another key named":         {"done_once,_same_answer_on_repeat", "undone"},
		"undo answered 200":         {"undone", "undone_before_done,_late_do_is_refused"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFault$", "-test.v")
			cmd.Env = append(os.Environ(), faultEnv+"="+fault)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite passes")
			for _, rule := range rules {
				require.Contains(t, string(out), "--- FAIL: TestFault/TakeSeats/"+rule)
			}
		})
	}
}

// TestFault is no test of its own: TestRunFindsFaults runs it.
func TestFault(t *testing.T) {
	t.Parallel()

	if fault := os.Getenv(faultEnv); fault != "" {
		run(t, &theater{fault: fault})
	}
}
