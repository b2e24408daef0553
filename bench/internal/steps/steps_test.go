package steps_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/steps"
)

// bundle is a step server and its client.
type bundle struct {
	*steps.Client

	url string
}

func newBundle(t *testing.T) bundle {
	t.Helper()

	server := httptest.NewServer(steps.NewHandler())
	t.Cleanup(server.Close)
	return bundle{steps.NewClient(server.URL), server.URL}
}

// answer is the status of a call, and what it said.
func (b bundle) answer(t *testing.T, method, path, body string) (int, string) {
	t.Helper()

	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func (b bundle) requireBooks(t *testing.T, want steps.Books) {
	t.Helper()

	got, err := b.Books(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func requireRefusal(t *testing.T, err error) {
	t.Helper()

	var refusal *steps.Refusal
	require.ErrorAs(t, err, &refusal)
}

const key = "saga-1:Step1"

func TestDoOnce(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	in := steps.Input{Order: "saga-1", Amount: 5}
	first, err := b.Do(t.Context(), "Step1", key, in)
	require.NoError(t, err)
	require.NotEmpty(t, first.Reference)
	again, err := b.Do(t.Context(), "Step1", key, in)
	require.NoError(t, err)

	require.Equal(t, first, again)
	b.requireBooks(t, steps.Books{Done: 1})
}

func TestKeyReused(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	_, err := b.Do(t.Context(), "Step1", key, steps.Input{Order: "saga-1"})
	require.NoError(t, err)
	_, err = b.Do(t.Context(), "Step1", key, steps.Input{Order: "saga-1", Refuse: true})

	require.ErrorContains(t, err, "status 409 key_reused")
}

func TestUndoFencesTheKey(t *testing.T) {
	t.Parallel()

	for state, before := range map[string]func(*testing.T, bundle){
		"never seen": func(*testing.T, bundle) {},
		"done": func(t *testing.T, b bundle) {
			_, err := b.Do(t.Context(), "Step1", key, steps.Input{})
			require.NoError(t, err)
		},
		"undone": func(t *testing.T, b bundle) { require.NoError(t, b.Undo(t.Context(), "Step1", key)) },
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()

			b := newBundle(t)
			before(t, b)
			require.NoError(t, b.Undo(t.Context(), "Step1", key))

			_, err := b.Do(t.Context(), "Step1", key, steps.Input{})
			requireRefusal(t, err)
			status, _ := b.answer(t, http.MethodPut, "/step1/"+key, "{}")
			require.Equal(t, http.StatusGone, status)
			b.requireBooks(t, steps.Books{Undone: 1})
		})
	}
}

func TestPivotIsIrreversibleOnceDone(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	_, err := b.Do(t.Context(), steps.Pivot, "done", steps.Input{})
	require.NoError(t, err)

	require.ErrorIs(t, b.Undo(t.Context(), steps.Pivot, "done"), steps.ErrIrreversible)
	require.NoError(t, b.Undo(t.Context(), steps.Pivot, "never seen"))
	b.requireBooks(t, steps.Books{Done: 1, Undone: 1})
}

func TestRefusalLeavesNothing(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	_, err := b.Do(t.Context(), steps.Pivot, key, steps.Input{Refuse: true})
	requireRefusal(t, err)
	b.requireBooks(t, steps.Books{})

	_, err = b.Do(t.Context(), steps.Pivot, key, steps.Input{})
	require.NoError(t, err, "a refusal need not be remembered")
}

func TestProbe(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	status, _ := b.answer(t, http.MethodGet, "/step1/"+key, "")
	require.Equal(t, http.StatusNotFound, status)

	_, err := b.Do(t.Context(), "Step1", key, steps.Input{Order: "saga-1"})
	require.NoError(t, err)
	status, text := b.answer(t, http.MethodGet, "/step1/"+key, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"key":"saga-1:Step1","step":"step1","state":"done","result":{"reference":"step1 of saga-1"}}`, text)

	require.NoError(t, b.Undo(t.Context(), "Step1", key))
	_, text = b.answer(t, http.MethodGet, "/step1/"+key, "")
	require.JSONEq(t, `{"key":"saga-1:Step1","step":"step1","state":"undone"}`, text)
}

func TestStepsDoNotShareKeys(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	for n := range steps.Count {
		_, err := b.Do(t.Context(), steps.Name(n+1), "a/b?c", steps.Input{})
		require.NoError(t, err)
	}
	b.requireBooks(t, steps.Books{Done: steps.Count})

	require.NoError(t, b.Forget(t.Context()))
	b.requireBooks(t, steps.Books{})
}

func TestUnknownStepAndBody(t *testing.T) {
	t.Parallel()

	b := newBundle(t)
	status, _ := b.answer(t, http.MethodPut, "/step11/"+key, "{}")
	require.Equal(t, http.StatusNotFound, status)
	status, _ = b.answer(t, http.MethodPut, "/step1/"+key, "no JSON")
	require.Equal(t, http.StatusBadRequest, status)
}

func TestBooksTellWhatIsLeftHalfDone(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		books   steps.Books
		failing bool
		right   bool
	}{
		"all done":                {steps.Books{Done: 20}, false, true},
		"one missing":             {steps.Books{Done: 19}, false, false},
		"one undone":              {steps.Books{Done: 20, Undone: 1}, false, false},
		"nine undone each":        {steps.Books{Undone: 18}, true, true},
		"and the pivot fenced":    {steps.Books{Undone: 20}, true, true},
		"one undo missing":        {steps.Books{Undone: 17}, true, false},
		"an effect stands":        {steps.Books{Done: 1, Undone: 18}, true, false},
		"undone by another saga":  {steps.Books{Undone: 21}, true, false},
		"nothing happened at all": {steps.Books{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := tt.books.Check(2, tt.failing)
			if tt.right {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "2 ")
			}
		})
	}
}
