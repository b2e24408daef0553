package demo

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/services"
)

// ended is a demo of which one order was completed, one with a voucher too, and one undone.
func ended() *demo {
	return &demo{entries: []*entry{
		{view: client.Order{State: client.Completed}},
		{view: client.Order{State: client.Completed}, order: client.OrderRequest{Voucher: "SPRING-0042"}},
		{view: client.Order{State: client.Compensated}},
	}}
}

// The services may name their figures as they like; the demo must know.
func TestFiguresAreThoseOfTheServices(t *testing.T) {
	t.Parallel()
	host, err := services.Open(t.Context(), services.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	server := httptest.NewServer(host.Handler())
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, host.Close())
	})
	d := &demo{services: newStepServices(server.URL)}

	all, err := d.books(t.Context())

	require.NoError(t, err)
	require.Len(t, mainFigures, len(all))
	there := map[string]bool{}
	for _, a := range all {
		require.NotEmpty(t, mainFigures[a.Service], a.Service)
		for name := range a.Figures {
			there[a.Service+" "+name] = true
		}
		for _, name := range mainFigures[a.Service] {
			require.True(t, isSum(name) || there[a.Service+" "+name], "%s has no figure %s", a.Service, name)
		}
	}
	for name := range standing {
		require.Contains(t, there, name)
	}
}

func TestBooksThatBalance(t *testing.T) {
	t.Parallel()
	before := []account{
		{Service: "pricing", Balanced: true, Figures: map[string]int64{"standing_quotes": 3, "withdrawn": 1}},
		{Service: "vouchers", Balanced: true, Figures: map[string]int64{"standing_redemptions": 1, "used": 2}},
		{Service: "fraud", Balanced: true, Figures: map[string]int64{"standing_exposure": 100, "withdrawn": 1}},
		{Service: "payment", Balanced: true, Figures: map[string]int64{"captured.EUR": 1290}},
		{Service: "inventory", Balanced: true, Figures: map[string]int64{"open": 0, "on_hand": 100}},
	}
	after := []account{
		{Service: "pricing", Balanced: true, Figures: map[string]int64{"standing_quotes": 5, "withdrawn": 2, "quoted.EUR": -250}},
		{Service: "vouchers", Balanced: true, Figures: map[string]int64{"standing_redemptions": 2, "used": 3}},
		{Service: "fraud", Balanced: true, Figures: map[string]int64{"standing_exposure": 900, "withdrawn": 2}},
		{Service: "payment", Balanced: true, Figures: map[string]int64{"captured.EUR": 13890, "open": 0}},
		{Service: "inventory", Balanced: true, Figures: map[string]int64{"open": 0, "on_hand": 95}},
	}
	c := ended().compare(before, after)
	var out strings.Builder
	writeBooks(&out, 64, c)
	require.Equal(t, `The books of all 5 services balance, and nothing was left open (change in this run in parentheses):
  pricing       standing quotes 5 (+2), withdrawn 2 (+1),
                quoted EUR -2.50 (-2.50)
  vouchers      used 3 (+1)
  fraud         withdrawn 2 (+1)
  payment       authorized EUR 0.00,
                captured EUR 138.90 (+126.00), refunded EUR 0.00
  inventory     on hand 95 (-5)
`, out.String())
	out.Reset()
	writeBooks(&out, 0, c)
	require.Contains(t, out.String(), "  payment       authorized EUR 0.00, captured EUR 138.90 (+126.00), refunded EUR 0.00\n")
}

func TestBooksThatDoNot(t *testing.T) {
	t.Parallel()
	before := []account{{Service: "payment", Figures: map[string]int64{"open": 1}}, {Service: "pricing"}, {Service: "fraud", Balanced: true}}
	after := []account{
		{Service: "payment", Figures: map[string]int64{"open": 2}, Findings: []string{"the sum of the journal: 1 is not 0"}},
		{Service: "pricing", Figures: map[string]int64{"standing_quotes": 2}},
		{Service: "fraud", Balanced: true, Figures: map[string]int64{"standing_screenings": 3}},
	}
	d := ended()
	c := d.compare(before, after)
	require.Equal(t, []string{
		"payment: the sum of the journal: 1 is not 0",
		"payment: open went from 1 to 2, not to 1 (what others placed meanwhile counts too)",
		"pricing: it says that it does not balance",
		"fraud: standing screenings went from 0 to 3, not to 2 (what others placed meanwhile counts too)",
	}, c.findings)
	var out strings.Builder
	writeBooks(&out, 0, c)
	require.True(t, strings.HasPrefix(out.String(), "The books do NOT balance:\n  payment: the sum of the journal: 1 is not 0\n"), out.String())

	// What an order holds that has not ended says nothing.
	d.entries[0].view.State = client.Running
	c = d.compare(before, after)
	require.Len(t, c.findings, 2)
	c.findings = nil
	out.Reset()
	writeBooks(&out, 0, c)
	require.Contains(t, out.String(), "The books of all 3 services balance; what is open may be of orders that have not ended")
}
