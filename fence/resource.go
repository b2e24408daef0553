package fence

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
)

// resource serves the keys of one step.
type resource[In, Out any] struct {
	ledger *Ledger
	step   Step[In, Out]
}

func (s resource[In, Out]) put(w http.ResponseWriter, r *http.Request) {
	key, err := keyOf(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var in In
	body, err := readRequest(w, r, &in)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	result, err := s.ledger.do(r.Context(), s.step.Name, key, body, func(tx *sql.Tx) ([]byte, error) {
		return s.do(r, tx, key, in)
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, r, http.StatusOK, "application/json", result)
}

func (s resource[In, Out]) do(r *http.Request, tx *sql.Tx, key string, in In) (result []byte, err error) {
	defer catch(&err)
	out, err := s.step.Do(r.Context(), tx, key, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

func (s resource[In, Out]) delete(w http.ResponseWriter, r *http.Request) {
	key, err := keyOf(r)
	if err == nil {
		err = s.ledger.undo(r.Context(), s.step.Name, key, reasonOf(r), func(tx *sql.Tx, body, result []byte) error {
			return s.undo(r, tx, key, body, result)
		})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	nameKey(w, r)
	w.WriteHeader(http.StatusNoContent)
}

func (s resource[In, Out]) undo(r *http.Request, tx *sql.Tx, key string, body, result []byte) (err error) {
	defer catch(&err)
	if s.step.Undo == nil {
		return errIrreversible
	}
	var in In
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("decode the kept body: %w", err)
	}
	var out Out
	if err := json.Unmarshal(result, &out); err != nil {
		return fmt.Errorf("decode the kept result: %w", err)
	}
	err = s.step.Undo(r.Context(), tx, key, in, out)
	if refusal, ok := errors.AsType[*problem](err); ok {
		return newProblem(http.StatusConflict, errIrreversible.Code, "%s", refusal.Detail)
	}
	return err
}

func (s resource[In, Out]) get(w http.ResponseWriter, r *http.Request) {
	key, err := keyOf(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	row, err := s.ledger.probe(r.Context(), s.step.Name, key)
	if errors.Is(err, sql.ErrNoRows) {
		s.fail(w, r, newProblem(http.StatusNotFound, "not_found", "nothing is known of this key"))
		return
	}
	if err != nil {
		s.fail(w, r, fmt.Errorf("probe: %w", err))
		return
	}
	body, err := json.Marshal(struct {
		Key    string          `json:"key"`
		Step   string          `json:"step"`
		State  state           `json:"state"`
		Result json.RawMessage `json:"result,omitempty"`
	}{key, s.step.Name, row.state, json.RawMessage(row.result.String)})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, r, http.StatusOK, "application/json", body)
}

// fail answers r with what became of it and logs what the answer does not say.
func (s resource[In, Out]) fail(w http.ResponseWriter, r *http.Request, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = newProblem(http.StatusInternalServerError, "internal", "the outcome is unknown; the cause is in the service's log")
		level := slog.LevelError
		if away(err) {
			p = newProblem(http.StatusServiceUnavailable, "unavailable", "the database is away or busy; try again")
			level = slog.LevelWarn
		}
		s.ledger.logger().LogAttrs(r.Context(), level, "step not answered",
			slog.String("step", s.step.Name),
			slog.String("method", r.Method),
			slog.String("key", r.PathValue("key")),
			slog.String("saga", r.Header.Get("Saga-Id")),
			slog.String("attempt", r.Header.Get("Saga-Attempt")),
			slog.String("trace_id", traceID(r)),
			slog.Any("error", err))
	}
	sent := *p
	sent.TraceID = traceID(r)
	body, err := json.Marshal(sent)
	if err != nil {
		panic(err) // strings and an int
	}
	if p == errInProgress || p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	answer(w, r, p.Status, "application/problem+json", body)
}

// nameKey names the key of the answer, which distinguishes it from an answer of something in between.
func nameKey(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(HeaderKey, url.PathEscape(r.PathValue("key")))
}

func answer(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	nameKey(w, r)
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // nobody is left to tell
}

// traceID returns the trace ID of the request's W3C traceparent header, or "".
func traceID(r *http.Request) string {
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}

// catch turns a panic of a step into an error, so that its transaction is rolled back and its caller
// gets an answer. A handler that is aborted on purpose stays so.
func catch(err *error) {
	switch v := recover(); v {
	case nil:
	case http.ErrAbortHandler:
		panic(v)
	default:
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}
