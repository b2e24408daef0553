package pricing_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/pricing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/wire"
)

func each(t *testing.T, run func(t *testing.T, quotes, base string)) {
	t.Helper()
	servicetest.Each(t, "pricing", func(t *testing.T, base string) { run(t, base+"/quotes", base) })
}

func request(currency string, lines ...wire.Line) pricing.Request {
	return pricing.Request{Currency: currency, Lines: lines}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, quotes, base string) {
		fencetest.Run(t, fencetest.Step{
			Name: "PriceOrder", URL: quotes,
			Body: func(n int) any { return request("EUR", wire.Line{SKU: "TEA-SENCHA", Quantity: int64(n)}) },
		})
		require.Zero(t, servicetest.Audit(t, base).Figures["standing_quotes"])
	})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, quotes, base string) {
		quote := servicetest.Do[pricing.Quote](t, quotes, "o1:PriceOrder",
			request("EUR", wire.Line{SKU: "TEAPOT-IRON", Quantity: 2}, wire.Line{SKU: "CUP-PORCELAIN", Quantity: 6}))

		require.Equal(t, pricing.Quote{
			Lines: []pricing.PricedLine{
				{SKU: "TEAPOT-IRON", Quantity: 2, UnitPrice: 5900, Amount: 11800},
				{SKU: "CUP-PORCELAIN", Quantity: 6, UnitPrice: 1250, Amount: 7500},
			},
			Total: wire.Money{Amount: 19300, Currency: "EUR"},
		}, quote)
		figures := servicetest.Audit(t, base).Figures
		require.Equal(t, int64(1), figures["standing_quotes"])
		require.Equal(t, int64(19300), figures["quoted.EUR"])

		servicetest.Undo(t, quotes, "o1:PriceOrder")
		figures = servicetest.Audit(t, base).Figures
		require.Zero(t, figures["standing_quotes"])
		require.Zero(t, figures["quoted.EUR"])
		require.Equal(t, int64(1), figures["withdrawn"])
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tea := wire.Line{SKU: "TEA-SENCHA", Quantity: 1}
	each(t, func(t *testing.T, quotes, base string) {
		for i, tt := range []struct {
			body pricing.Request
			code string
		}{
			{request("EUR", tea, wire.Line{SKU: "COFFEE", Quantity: 1}), pricing.UnknownSKU},
			{request("EUR", wire.Line{SKU: "COFFEE", Quantity: 1}), pricing.UnknownSKU},
			{request("USD", tea), pricing.CurrencyNotSold},
			{request("EUR", wire.Line{SKU: "TEA-SENCHA", Quantity: math.MaxInt64}), pricing.AmountTooLarge},
			{request("EUR", wire.Line{SKU: "TEA-SENCHA", Quantity: 1_000_000_000_000 / 890},
				wire.Line{SKU: "TEAPOT-IRON", Quantity: 1}), pricing.AmountTooLarge},
			{request("EUR", wire.Line{SKU: "TEA-SENCHA"}), wire.InvalidInput},
			{request("EUR", tea, tea), wire.InvalidInput},
			{request("EUR"), wire.InvalidInput},
			{request("euro", tea), wire.InvalidInput},
		} {
			servicetest.Refused(t, quotes, fmt.Sprintf("refused-%d", i), tt.body, tt.code)
		}
		require.Zero(t, servicetest.Audit(t, base).Figures["standing_quotes"])
	})
}
