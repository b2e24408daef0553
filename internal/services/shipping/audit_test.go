package shipping_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/shipping"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"room given away", `UPDATE carriers SET used = used + 1 WHERE carrier = 'express'`, "number of shipments: express"},
		{"room not counted", `UPDATE carriers SET used = 0`, "number of shipments: parcel"},
		{"shipment lost", `DELETE FROM shipments`, "number of shipments: parcel"},
		{"canceled, room kept", `UPDATE shipments SET state = 'canceled'`, "number of shipments: parcel"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "shipping", shipping.Migrations, func(t *testing.T, db *store.DB) {
				svc := shipping.New(db)
				desk{t: t, base: servicetest.Routes(t, svc)}.book("o1:BookShipment", "", "DE")
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}

// Room goes to the cheapest carrier first, then to the next, and is never given twice.
func TestCapacity(t *testing.T) {
	t.Parallel()
	servicetest.EachDB(t, "shipping", shipping.Migrations, func(t *testing.T, db *store.DB) {
		_, err := db.ExecContext(t.Context(), `UPDATE carriers SET capacity = CASE carrier WHEN 'bike' THEN 2 ELSE 3 END`)
		require.NoError(t, err)
		svc := shipping.New(db)
		d := desk{t: t, base: servicetest.Routes(t, svc)}

		first := d.book("o1:BookShipment", "", "DE")
		require.Equal(t, "bike", first.Carrier)
		done := servicetest.AtOnce(t, 20, d.base+"/shipments", shipment("", "DE"), shipping.NoCapacity)
		require.Equal(t, 7, done)
		servicetest.Refused(t, d.base+"/returns", "r1:BookReturn",
			shipping.Return{ShipFrom: address("FR"), Lines: lines}, shipping.NoCapacity)
		servicetest.Refused(t, d.base+"/shipments", "o2:BookShipment", shipment("express", "DE"), shipping.NoCapacity)

		servicetest.Undo(t, d.base+"/shipments", "o1:BookShipment")
		require.Equal(t, "bike", d.book("o3:BookShipment", "", "DE").Carrier, "room that was freed is given again")
		report, err := svc.Audit(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Findings)
		require.EqualValues(t, 8, report.Figures["open_shipments"])
	})
}
