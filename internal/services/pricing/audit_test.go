package pricing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/pricing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"a total", `UPDATE quotes SET total = total + 1`, "do not add up"},
		{"a line lost", `DELETE FROM quote_lines`, "do not add up"},
		{"a price", `UPDATE quote_lines SET unit_price = unit_price + 1`, "quantity times its price"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "pricing", pricing.Migrations, func(t *testing.T, db *store.DB) {
				svc := pricing.New(db)
				servicetest.Do[pricing.Quote](t, servicetest.Routes(t, svc)+"/quotes", "o1:PriceOrder",
					request("EUR", wire.Line{SKU: "TEA-SENCHA", Quantity: 2}))
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}
