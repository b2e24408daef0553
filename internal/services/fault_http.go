package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/strictjson"
)

// middleware makes calls of step routes meet the faults.
func (f *faults) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		on, ok := map[string]Direction{http.MethodPut: Do, http.MethodDelete: Undo}[r.Method]
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		fault, ok := f.meet(callOf(r), on)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		fault.strike(w, r, next)
	})
}

// strike serves one call as the fault has it.
func (f Fault) strike(w http.ResponseWriter, r *http.Request, next http.Handler) {
	wait(r.Context(), f.LatencyMS)
	w.Header().Set(fence.HeaderKey, url.PathEscape(callOf(r).key))
	if f.Refuse {
		writeProblem(w, http.StatusUnprocessableEntity, "refused", "a fault is set for %s", f.Step)
		return
	}
	if f.Down || rand.Float64() < f.ErrorRate {
		status, code := http.StatusInternalServerError, "internal"
		if f.Down {
			status, code = http.StatusServiceUnavailable, "unavailable"
		}
		if f.RetryAfterS > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfterS))
		}
		writeProblem(w, status, code, "a fault is set for %s", f.Step)
		return
	}
	if f.LateMS > 0 {
		r = detach(w, r)
		wait(r.Context(), f.LateMS)
	}
	if f.LateMS > 0 || f.LoseReply {
		next.ServeHTTP(discard{header: make(http.Header)}, r)
		panic(http.ErrAbortHandler)
	}
	next.ServeHTTP(w, r)
}

// wait returns after so many milliseconds. If the caller leaves before, it gives up the call.
func wait(ctx context.Context, ms int) {
	if ms == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// maxLateBody is more than any step takes, so that the step itself refuses what is too large.
const maxLateBody = 2 << 20

// detach breaks the connection and returns the request without it, which nobody can take back.
func detach(w http.ResponseWriter, r *http.Request) *http.Request {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLateBody))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(fmt.Errorf("a call can be late on HTTP/1 only: %w", err))
	}
	_ = conn.Close() // nobody is left to tell
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}

// discard is the answer that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) WriteHeader(int)             {}
func (discard) Write(b []byte) (int, error) { return len(b), nil }

// routes registers the settings under prefix.
func (f *faults) routes(mux *http.ServeMux, prefix string) {
	mux.HandleFunc("GET "+prefix, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, f.list())
	})
	mux.HandleFunc("DELETE "+prefix, func(w http.ResponseWriter, _ *http.Request) {
		f.clear("")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+prefix+"/{step}", f.known(func(w http.ResponseWriter, r *http.Request) {
		f.clear(r.PathValue("step"))
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("PUT "+prefix+"/{step}", f.known(func(w http.ResponseWriter, r *http.Request) {
		fault, err := readFault(w, r)
		if err != nil {
			writeProblem(w, http.StatusBadRequest, "malformed", "%s", err)
			return
		}
		f.put(fault)
		w.WriteHeader(http.StatusNoContent)
	}))
}

// known answers 404 for a step that the service does not have.
func (f *faults) known(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(f.steps, r.PathValue("step")) {
			writeProblem(w, http.StatusNotFound, "unknown_step", "there is no step %q; the steps are: %s",
				r.PathValue("step"), strings.Join(f.steps, ", "))
			return
		}
		next(w, r)
	}
}

func readFault(w http.ResponseWriter, r *http.Request) (Fault, error) {
	fault := Fault{On: Do}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil {
		return Fault{}, err
	}
	if err := strictjson.Unmarshal(body, &fault); err != nil {
		return Fault{}, err
	}
	if step := r.PathValue("step"); fault.Step != "" && fault.Step != step {
		return Fault{}, errors.New("the step is given by the path")
	}
	fault.Step = r.PathValue("step")
	return fault, fault.validate()
}
