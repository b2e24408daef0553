package wire_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services/wire"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	home := wire.Address{Name: "Ada", Street: "Hauptstraße 1", PostalCode: "20095", City: "Hamburg", Country: "DE"}
	nowhere := home
	nowhere.PostalCode = ""
	line := wire.Line{SKU: "TEA-SENCHA", Quantity: 1}
	none := wire.Line{SKU: "TEA-SENCHA", Quantity: 0}
	for _, tt := range []struct {
		name  string
		check func(c *wire.Check)
		fault string // empty: accepted
	}{
		{"text", func(c *wire.Check) { c.Text("name", "Zoë") }, ""},
		{"longest text", func(c *wire.Check) { c.Text("name", strings.Repeat("ß", order.MaxText)) }, ""},
		{"no text", func(c *wire.Check) { c.Text("name", "") }, "name must be 1 to 200"},
		{"blank text", func(c *wire.Check) { c.Text("name", " \u00a0") }, "name must be 1 to 200"},
		{"too long a text", func(c *wire.Check) { c.Text("name", strings.Repeat("a", order.MaxText+1)) }, "name must be 1 to 200"},
		{"NUL, which PostgreSQL does not store", func(c *wire.Check) { c.Text("name", "a\x00") }, "name must be 1 to 200"},
		{"not UTF-8", func(c *wire.Check) { c.Text("name", "\xff") }, "name must be 1 to 200"},
		{"money", func(c *wire.Check) { c.Money("paid", wire.Money{Amount: math.MaxInt64, Currency: "EUR"}) }, ""},
		{"no money", func(c *wire.Check) { c.Money("paid", wire.Money{Currency: "EUR"}) }, ""},
		{"negative money", func(c *wire.Check) { c.Money("paid", wire.Money{Amount: -1, Currency: "EUR"}) }, "paid.amount must not be negative"},
		{"lower case currency", func(c *wire.Check) { c.Currency("currency", "eur") }, "currency must be an ISO 4217 code"},
		{"currency and more", func(c *wire.Check) { c.Currency("currency", "EUR\n") }, "currency must be an ISO 4217 code"},
		{"country", func(c *wire.Check) { c.Country("country", "DE") }, ""},
		{"long country", func(c *wire.Check) { c.Country("country", "DEU") }, "country must be an ISO 3166-1"},
		{"address", func(c *wire.Check) { c.Address("ship_to", home) }, ""},
		{"part of an address", func(c *wire.Check) { c.Address("ship_to", nowhere) }, "ship_to.postal_code must be"},
		{"lines", func(c *wire.Check) { c.Lines("lines", []wire.Line{line, {SKU: "TEAPOT-IRON", Quantity: 2}}, 1) }, ""},
		{"lines may be left out", func(c *wire.Check) { c.Lines("lines", nil, 0) }, ""},
		{"no lines", func(c *wire.Check) { c.Lines("lines", nil, 1) }, "lines must be 1 to 100 lines"},
		{"too many lines", func(c *wire.Check) { c.Lines("lines", make([]wire.Line, order.MaxLines+1), 1) }, "lines must be 1 to 100 lines"},
		{"line of nothing", func(c *wire.Check) { c.Lines("lines", []wire.Line{none}, 1) }, "lines[0].quantity must be 1 or more"},
		{"line repeated", func(c *wire.Check) { c.Lines("lines", []wire.Line{line, line}, 1) }, "lines[1].sku repeats"},
		{"the first fault counts", func(c *wire.Check) {
			c.That(false, "first", "is wrong")
			c.That(false, "second", "is wrong")
		}, "first is wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c wire.Check
			tt.check(&c)
			if tt.fault == "" {
				require.NoError(t, c.Err())
				return
			}
			require.ErrorContains(t, c.Err(), wire.InvalidInput+": "+tt.fault)
		})
	}
}

func TestIDIsAFunctionOfTheKey(t *testing.T) {
	t.Parallel()
	require.Equal(t, wire.ID("hold", "o1:HoldPoints"), wire.ID("hold", "o1:HoldPoints"))
	require.NotEqual(t, wire.ID("hold", "o1:HoldPoints"), wire.ID("hold", "o2:HoldPoints"))
	require.NotEqual(t, wire.ID("hold", "o1"), wire.ID("award", "o1"))
	require.Regexp(t, `^hold-[0-9a-f]{24}$`, wire.ID("hold", "anything / at all \x00"))
}
