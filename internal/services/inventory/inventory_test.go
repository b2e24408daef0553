package inventory_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/inventory"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/wire"
)

const (
	stocked  = 1_000_000 // of each article but one
	received = 5 * stocked
)

func line(sku string, quantity int64) wire.Line { return wire.Line{SKU: sku, Quantity: quantity} }

func reserve(lines ...wire.Line) inventory.Reserve { return inventory.Reserve{Lines: lines} }

// depot is an inventory service under test.
type depot struct {
	t    *testing.T
	base string
}

func each(t *testing.T, run func(t *testing.T, d depot)) {
	t.Helper()
	servicetest.Each(t, "inventory", func(t *testing.T, base string) { run(t, depot{t: t, base: base}) })
}

func (d depot) reserve(key string, lines ...wire.Line) string {
	d.t.Helper()
	r := servicetest.Do[inventory.Reservation](d.t, d.base+"/reservations", key, reserve(lines...))
	require.Equal(d.t, "hamburg", r.Warehouse)
	return r.ReservationID
}

func (d depot) commit(key, reservation string) {
	d.t.Helper()
	servicetest.Do[inventory.Commitment](d.t, d.base+"/commitments", key, inventory.Commit{ReservationID: reservation})
}

func (d depot) inspect(key, shipment string, lines ...wire.Line) string {
	d.t.Helper()
	return servicetest.Do[inventory.Inspection](d.t, d.base+"/inspections", key,
		inventory.Inspect{ReturnShipmentID: shipment, Lines: lines, Condition: inventory.Resalable}).InspectionID
}

func (d depot) restock(key, inspection string) {
	d.t.Helper()
	servicetest.Do[inventory.Restocked](d.t, d.base+"/restocks", key, inventory.Restock{InspectionID: inspection})
}

// figures requires that the books balance, and which figures are not 0.
func (d depot) figures(want map[string]int64) {
	d.t.Helper()
	got := servicetest.Audit(d.t, d.base).Figures
	for name, value := range got {
		if value == 0 {
			delete(got, name)
		}
	}
	want["received"] = received
	require.Equal(d.t, want, got)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		fencetest.Run(t, fencetest.Step{
			Name: "ReserveStock", URL: d.base + "/reservations",
			Body: func(n int) any {
				return inventory.Reserve{Lines: []wire.Line{line("TEA-SENCHA", int64(n)), line("CUP-PORCELAIN", 1)}}
			},
		})
		fencetest.Run(t, fencetest.Step{
			Name: "InspectGoods", URL: d.base + "/inspections",
			Body: func(n int) any {
				return inventory.Inspect{
					ReturnShipmentID: fmt.Sprintf("rs-%d", n),
					Lines:            []wire.Line{line("TEA-SENCHA", 1)}, Condition: inventory.Resalable,
				}
			},
		})
		d.figures(map[string]int64{"on_hand": received})

		fencetest.Run(t, fencetest.Step{
			Name: "CommitStock", URL: d.base + "/commitments", Irreversible: true,
			Body: func(n int) any {
				return inventory.Commit{ReservationID: d.reserve(fmt.Sprintf("committed-%d:ReserveStock", n), line("TEA-SENCHA", 1))}
			},
		})
		fencetest.Run(t, fencetest.Step{
			Name: "RestockGoods", URL: d.base + "/restocks", Irreversible: true,
			Body: func(n int) any {
				saga := fmt.Sprintf("restocked-%d", n)
				return inventory.Restock{InspectionID: d.inspect(saga+":InspectGoods", saga, line("TEA-SENCHA", 1))}
			},
		})
		servicetest.Audit(t, d.base)
	})
}

func TestReleasePutsEverythingBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		d.reserve("o1:ReserveStock", line("TEAPOT-IRON", 2), line("CUP-PORCELAIN", 6))
		d.figures(map[string]int64{"open": 1, "reserved": 8, "on_hand": received - 8})

		servicetest.Undo(t, d.base+"/reservations", "o1:ReserveStock")
		d.figures(map[string]int64{"on_hand": received})
	})
}

func TestFromReservationToRestock(t *testing.T) {
	t.Parallel()
	each(t, func(_ *testing.T, d depot) {
		d.commit("o1:CommitStock", d.reserve("o1:ReserveStock", line("TEA-SENCHA", 5)))
		d.figures(map[string]int64{"committed": 5, "on_hand": received - 5})

		inspection := d.inspect("r1:InspectGoods", "rs-1", line("TEA-SENCHA", 3))
		d.figures(map[string]int64{"committed": 5, "on_hand": received - 5, "open_inspections": 1})

		d.restock("r1:RestockGoods", inspection)
		d.figures(map[string]int64{"committed": 5, "restocked": 3, "on_hand": received - 2})
	})
}

func TestWithdrawnInspectionMayBeRepeated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		d.inspect("r1:InspectGoods", "rs-1", line("TEA-SENCHA", 3))
		servicetest.Undo(t, d.base+"/inspections", "r1:InspectGoods")
		d.figures(map[string]int64{"on_hand": received})
		d.restock("r2:RestockGoods", d.inspect("r2:InspectGoods", "rs-1", line("TEA-SENCHA", 3)))
	})
}

func TestFinalStepsCannotBeUndone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		d.commit("o1:CommitStock", d.reserve("o1:ReserveStock", line("TEA-SENCHA", 1)))
		d.restock("r1:RestockGoods", d.inspect("r1:InspectGoods", "rs-1", line("TEA-SENCHA", 1)))

		servicetest.Irreversible(t, d.base+"/commitments", "o1:CommitStock")
		servicetest.Irreversible(t, d.base+"/reservations", "o1:ReserveStock")
		servicetest.Irreversible(t, d.base+"/restocks", "r1:RestockGoods")
		servicetest.Irreversible(t, d.base+"/inspections", "r1:InspectGoods")
		d.figures(map[string]int64{"committed": 1, "restocked": 1, "on_hand": received})
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		released := d.reserve("released:ReserveStock", line("TEA-SENCHA", 1))
		servicetest.Undo(t, d.base+"/reservations", "released:ReserveStock")
		committed := d.reserve("committed:ReserveStock", line("TEA-SENCHA", 1))
		d.commit("committed:CommitStock", committed)
		withdrawn := d.inspect("withdrawn:InspectGoods", "rs-1", line("TEA-SENCHA", 1))
		servicetest.Undo(t, d.base+"/inspections", "withdrawn:InspectGoods")
		restocked := d.inspect("restocked:InspectGoods", "rs-2", line("TEA-SENCHA", 1))
		d.restock("restocked:RestockGoods", restocked)

		inspect := func(shipment, sku string, c inventory.Condition) inventory.Inspect {
			return inventory.Inspect{ReturnShipmentID: shipment, Lines: []wire.Line{line(sku, 1)}, Condition: c}
		}
		for i, tt := range []struct {
			collection string
			body       any
			code       string
		}{
			{"reservations", reserve(line("LIMITED-EDITION", 1)), inventory.OutOfStock},
			{"reservations", reserve(line("TEA-SENCHA", stocked+1)), inventory.OutOfStock},
			{"reservations", reserve(line("CUP-PORCELAIN", 1), line("LIMITED-EDITION", 1)), inventory.OutOfStock},
			{"reservations", reserve(line("COFFEE", 1)), inventory.UnknownSKU},
			{"reservations", reserve(line("TEA-SENCHA", 0)), wire.InvalidInput},
			{"reservations", inventory.Reserve{}, wire.InvalidInput},
			{"commitments", inventory.Commit{ReservationID: "res-none"}, inventory.ReservationUnknown},
			{"commitments", inventory.Commit{ReservationID: released}, inventory.ReservationReleased},
			{"commitments", inventory.Commit{ReservationID: committed}, inventory.ReservationCommitted},
			{"inspections", inspect("rs-3", "TEA-SENCHA", inventory.Damaged), inventory.GoodsDamaged},
			{"inspections", inspect("rs-3", "COFFEE", inventory.Resalable), inventory.UnknownSKU},
			{"inspections", inspect("rs-2", "TEA-SENCHA", inventory.Resalable), inventory.AlreadyInspected},
			{"inspections", inspect("rs-3", "TEA-SENCHA", "wet"), wire.InvalidInput},
			{"restocks", inventory.Restock{InspectionID: "insp-none"}, inventory.InspectionUnknown},
			{"restocks", inventory.Restock{InspectionID: withdrawn}, inventory.InspectionWithdrawn},
			{"restocks", inventory.Restock{InspectionID: restocked}, inventory.AlreadyRestocked},
		} {
			servicetest.Refused(t, d.base+"/"+tt.collection, fmt.Sprintf("refused-%d", i), tt.body, tt.code)
		}
		d.figures(map[string]int64{"committed": 1, "restocked": 1, "on_hand": received})
	})
}

func TestConcurrentReservationsNeverTakeMoreThanThereIs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		d.reserve("first:ReserveStock", line("TEAPOT-IRON", stocked-10))

		done := servicetest.AtOnce(t, 50, d.base+"/reservations",
			reserve(line("TEAPOT-IRON", 1)), inventory.OutOfStock)

		require.Equal(t, 10, done)
		d.figures(map[string]int64{"open": 11, "reserved": stocked, "on_hand": received - stocked})
	})
}

// Reservations that name the same articles in opposite orders would wait for each other in a circle
// if they took them in the order given: PostgreSQL ends such a circle with an error.
func TestOppositeOrdersDoNotDeadlock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d depot) {
		lines := []wire.Line{line("CUP-PORCELAIN", 1), line("KETTLE-COPPER", 1), line("TEA-SENCHA", 1), line("TEAPOT-IRON", 1)}
		backward := []wire.Line{lines[3], lines[2], lines[1], lines[0]}
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				body := inventory.Reserve{Lines: lines}
				if i%2 == 1 {
					body.Lines = backward
				}
				answer := servicetest.Call(t, http.MethodPut, servicetest.Resource(d.base+"/reservations", fmt.Sprintf("o%d", i)), body)
				if answer.Status != http.StatusOK {
					t.Errorf("%d %s", answer.Status, answer.Body)
				}
			})
		}
		wg.Wait()
		d.figures(map[string]int64{"open": 40, "reserved": 160, "on_hand": received - 160})
	})
}
