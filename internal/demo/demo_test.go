package demo

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/amends-dev/amends/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var out strings.Builder

	require.NoError(t, Run(t.Context(), s.options(&out)))

	require.Contains(t, out.String(), "40 orders to "+s.URL+", seed 7\n")
	require.Contains(t, out.String(), "40 of 40 ended, 24 completed, 16 compensated\n")
	require.Regexp(t, `(?m)^[0-9a-f-]{36}  canceled            compensated  canceled by the demo +1       1  1\.5 s$`, out.String())
	require.Contains(t, out.String(), "\nAll 40 orders ended as they should.\nOne that was undone: http://ui.example/")
	require.Contains(t, out.String(), "\nThe books of all 9 services balance, and nothing was left open")
	require.NotContains(t, out.String(), "\x1b")
	require.Equal(t, 7, s.met, "faults that met their order")
	require.Empty(t, s.faults, "faults that stay set")
	require.Len(t, s.orders, 40)
}

func TestRunOnATerminal(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var out strings.Builder
	o := s.options(&out)
	o.Width = func() int { return 70 }

	require.NoError(t, Run(t.Context(), o))

	require.Contains(t, out.String(), "\r\x1b[2K░░░░░░░")
	drawn, table, _ := strings.Cut(out.String(), "\n\nORDER")
	last := drawn[strings.LastIndex(drawn, "\x1b[2K"):]
	require.Regexp(t, `^\x1b\[2K█+  40/40  24 completed  16 compensated  \d+\.\d s$`, last)
	table, _, _ = strings.Cut(table, "\n\n")
	for line := range strings.SplitSeq(table, "\n") {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 70, line)
	}
}

func TestRunWithoutFaultSettings(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.noFaults = true
	var out strings.Builder

	require.NoError(t, Run(t.Context(), s.options(&out)))

	require.Contains(t, out.String(), "The services take no fault settings")
	require.NotContains(t, out.String(), "reply lost")
}

func TestRunWithServicesThatForgetFaults(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.forgetful = true
	var out strings.Builder

	require.NoError(t, Run(t.Context(), s.options(&out)))

	require.Equal(t, 6, strings.Count(out.String(), ") met no fault at "), out.String())
	require.Contains(t, out.String(), "\nAll 40 orders ended as they should.\n")
}

func TestRunWithoutAKey(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var out strings.Builder
	o := s.options(&out)
	o.API = s.client("", "")

	require.EqualError(t, Run(t.Context(), o),
		"the API at "+s.URL+" does not know the demo: give it a key with --api-key, or run it in the folder of make run")
	require.Empty(t, out.String())
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		set    func(*system, *Options)
		fails  string
		output string
	}{
		{
			"an order ends otherwise",
			func(s *system, _ *Options) {
				s.spoil = func(o client.OrderRequest, v *client.Order) {
					if o.Carrier == "bike" {
						v.State = client.Completed
					}
				}
			},
			`^1 of 40 orders did not end as their scenario says$`,
			`(?m)^[0-9a-f-]{36} \(no carrier\) is completed, not compensated: BookShipment refused: no_capacity$`,
		},
		{
			"an order does not end",
			func(s *system, o *Options) {
				o.Timeout = 2 * time.Second
				s.spoil = func(o client.OrderRequest, v *client.Order) {
					if o.Carrier == "bike" {
						v.State, v.EndedAt = client.Compensating, nil
					}
				}
			},
			`^1 of 40 orders did not end as their scenario says$`,
			`(?m)^[0-9a-f-]{36} \(no carrier\) did not end; it is compensating$`,
		},
		{
			"books do not balance",
			func(s *system, _ *Options) {
				s.figures = func(a *account) { a.Balanced, a.Findings = false, []string{"the sum of the journal: 1 is not 0"} }
			},
			`^the books do not balance$`,
			`(?m)^The books do NOT balance:\n  payment: the sum of the journal: 1 is not 0$`,
		},
		{
			"something is left open",
			func(s *system, _ *Options) { s.figures = func(a *account) { a.Figures["open"] = 1 } },
			`^the books do not balance$`,
			`(?m)^  payment: open went from 0 to 1, not to 0 \(`,
		},
		{
			"nothing is there",
			func(s *system, _ *Options) { s.Close() },
			`^nothing answers at http://127\.0\.0\.1:\d+: type "make run" in another terminal first, or "make up", or name a running system with --api and --services$`,
			`^$`,
		},
		{
			"no orders",
			func(_ *system, o *Options) { o.Orders = 0 },
			`^0 orders: place at least one$`,
			`^$`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			var out strings.Builder
			o := s.options(&out)
			tt.set(s, &o)

			err := Run(t.Context(), o)

			require.Error(t, err)
			require.Regexp(t, tt.fails, err.Error())
			require.Regexp(t, tt.output, out.String())
		})
	}
}

func TestInterruptClearsFaults(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s.spoil = func(_ client.OrderRequest, v *client.Order) {
		v.State, v.EndedAt = client.Running, nil
		if s.met == 7 {
			interrupt()
		}
	}
	var out strings.Builder

	err := Run(ctx, s.options(&out))

	require.ErrorContains(t, err, "interrupted: orders that were placed go on without the demo")
	require.Equal(t, 7, s.met)
	require.Empty(t, s.faults)
}

// While orders are watched the API may be restarted.
func TestAPIThatIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.failures = slices.Repeat([]int{http.StatusServiceUnavailable}, 10)
	var out strings.Builder

	require.NoError(t, Run(t.Context(), s.options(&out)))
	require.Empty(t, s.failures)
}

func TestOrderThatIsGoneEndsTheRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.failures = []int{http.StatusNotFound}
	var out strings.Builder

	require.ErrorContains(t, Run(t.Context(), s.options(&out)), ": 404: Not Found.")
	require.Empty(t, s.faults)
}

func TestAPIThatRefusesEndsTheRun(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	var out strings.Builder
	o := s.options(&out)
	o.API = s.client("/elsewhere", theKey)

	require.ErrorContains(t, Run(t.Context(), o), s.URL+"/elsewhere: GET /readyz: 404: Not Found.")
}
