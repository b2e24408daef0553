package inventory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/inventory"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"a piece stolen", `UPDATE stock SET on_hand = on_hand - 1 WHERE sku = 'CUP-PORCELAIN'`, "CUP-PORCELAIN in hamburg: on hand"},
		{"a reservation forgotten", `UPDATE stock SET reserved = reserved - 1, on_hand = on_hand + 1 WHERE sku = 'TEA-SENCHA'`, "reserved against the lines"},
		{"a reservation that grew", `UPDATE reservation_lines SET quantity = quantity + 1`, "reserved against the lines"},
		{"lines lost", `DELETE FROM reservation_lines`, "has no lines"},
		{"an article of no shelf", `UPDATE reservation_lines SET sku = 'COFFEE'`, "not kept there"},
		{"a restock invented", `UPDATE inspections SET state = 'restocked'`, "received and restocked"},
		{"a receipt invented", `UPDATE receipts SET quantity = quantity + 1`, "received and restocked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "inventory", inventory.Migrations, func(t *testing.T, db *store.DB) {
				svc := inventory.New(db)
				d := depot{t: t, base: servicetest.Routes(t, svc)}
				d.reserve("o1:ReserveStock", line("TEA-SENCHA", 5))
				d.commit("o2:CommitStock", d.reserve("o2:ReserveStock", line("TEA-SENCHA", 5)))
				d.inspect("r2:InspectGoods", "rs-2", line("TEA-SENCHA", 5))
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}
