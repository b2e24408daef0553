package fence_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence"
)

const declined = `"Pay refused: the card was declined";step=Pay;code=card_declined`

// undoBecause undoes a key for that reason.
func (s *service) undoBecause(t *testing.T, key, reason string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodDelete, "/tickets/"+key, nil)
	r.Header.Set("Undo-Reason", reason)
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	require.Equal(t, http.StatusNoContent, w.Code, w.Body)
}

// requireUndone requires that a do of the key is refused with the reason, "" for none.
func (s *service) requireUndone(t *testing.T, key, detail, reason string) {
	t.Helper()
	w := s.put(key, oneSeat)
	p := requireProblem(t, w, http.StatusGone, "undone")
	require.Equal(t, detail, p.Detail)
	var more struct {
		UndoReason string `json:"undo_reason"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &more))
	require.Equal(t, reason, more.UndoReason)
}

const (
	noReason   = "this key was undone; it cannot be done any more"
	forReason  = "this key was undone, because: Pay refused: the card was declined"
	noReminder = "this key was undone, because: no reminder"
)

// migrate adds the column for reasons.
func (s *service) migrate(t *testing.T) {
	t.Helper()
	_, err := s.db.ExecContext(t.Context(), fence.SchemaReason())
	require.NoError(t, err)
}

// TestReasons: a late do gets the reason for which its key was undone, whether or not it had been done. The first undo
// counts.
func TestReasons(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		s.migrate(t)
		s.undoBecause(t, "never-done", declined)
		s.requireUndone(t, "never-done", forReason, declined)

		require.Equal(t, http.StatusOK, s.put("done", oneSeat).Code)
		s.undoBecause(t, "done", declined)
		require.Zero(t, s.taken(t, "done"))
		s.requireUndone(t, "done", forReason, declined)

		s.undoBecause(t, "done", `"no reminder"`)
		s.requireUndone(t, "done", forReason, declined)
		require.Equal(t, http.StatusNoContent, s.delete("silent").Code)
		s.undoBecause(t, "silent", declined)
		s.requireUndone(t, "silent", noReason, "")
	})
}

// TestReasonsOfAnyForm: only a well-formed reason is kept; the undo is done in any case.
func TestReasonsOfAnyForm(t *testing.T) {
	t.Parallel()

	s := newService(t, sqlite(t, ""), nil)
	s.migrate(t)
	for key, tt := range map[string]struct{ reason, detail, kept string }{
		"plain":          {`"no reminder"`, noReminder, `"no reminder"`},
		"encoded":        {`"na%C3%AFve %22x%22 100%25"`, `this key was undone, because: naïve "x" 100%`, `"na%C3%AFve %22x%22 100%25"`},
		"with more":      {`"no reminder";of="somebody else"`, noReminder, `"no reminder";of="somebody else"`},
		"empty":          {`""`, noReason, ""},
		"no quotes":      {`no reminder`, noReason, ""},
		"open":           {`"no reminder`, noReason, ""},
		"half encoded":   {`"no%2"`, noReason, ""},
		"not UTF-8":      {`"no%FF"`, noReason, ""},
		"not ASCII":      {`"naïve"`, noReason, ""},
		"control":        {`"no%0Areminder"`, noReason, ""},
		"control, plain": {"\"no\treminder\"", noReason, ""},
		"as long as any": {`"` + strings.Repeat("a", 2046) + `"`, "this key was undone, because: " + strings.Repeat("a", 2046), `"` + strings.Repeat("a", 2046) + `"`},
		"longer":         {`"` + strings.Repeat("a", 2047) + `"`, noReason, ""},
	} {
		key = strings.ReplaceAll(key, " ", "-")
		s.undoBecause(t, key, tt.reason)
		s.requireUndone(t, key, tt.detail, tt.kept)
	}
}

// TestReasonsOfOlderLedgers: a ledger without the column works as before. With the column, its rows stay as they are.
func TestReasonsOfOlderLedgers(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		old := newService(t, d, nil)
		require.Equal(t, http.StatusOK, old.put("done", oneSeat).Code)
		require.Equal(t, http.StatusOK, old.put("undone", oneSeat).Code)
		old.undoBecause(t, "undone", declined)
		old.undoBecause(t, "never-done", declined)
		old.requireUndone(t, "undone", noReason, "")
		old.requireUndone(t, "never-done", noReason, "")

		old.migrate(t)
		s := newService(t, d, nil)
		s.requireUndone(t, "undone", noReason, "")
		s.requireUndone(t, "never-done", noReason, "")
		require.Equal(t, http.StatusOK, s.put("done", oneSeat).Code)
		require.Equal(t, 1, s.taken(t, "done"))
		s.undoBecause(t, "done", declined)
		s.requireUndone(t, "done", forReason, declined)
		old.requireUndone(t, "done", noReason, "") // a process of an older version goes on, and forgets them
		require.Equal(t, http.StatusOK, old.put("new", oneSeat).Code)
	})
}

// TestReasonsOnOneConnection: looking up whether reasons are kept takes no second connection.
func TestReasonsOnOneConnection(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		s.migrate(t)
		s.db.SetMaxOpenConns(1)
		s.undoBecause(t, "k", declined)
		s.requireUndone(t, "k", forReason, declined)
	})
}

// TestReasonsOfADatabaseAway: a ledger that cannot find out whether it keeps reasons does not answer that a key is
// undone.
func TestReasonsOfADatabaseAway(t *testing.T) {
	t.Parallel()

	each(t, func(t *testing.T, d database) {
		s := newService(t, d, nil)
		require.NoError(t, s.db.Close())
		r := httptest.NewRequest(http.MethodDelete, "/tickets/k", nil)
		r.Header.Set("Undo-Reason", declined)
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
	})
	t.Run("no table", func(t *testing.T) {
		t.Parallel()
		s := newService(t, sqlite(t, ""), nil)
		_, err := s.db.ExecContext(t.Context(), "DROP TABLE step_ledger")
		require.NoError(t, err)
		r := httptest.NewRequest(http.MethodDelete, "/tickets/k", nil)
		r.Header.Set("Undo-Reason", declined)
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		require.Equal(t, http.StatusInternalServerError, w.Code, w.Body)
	})
}
