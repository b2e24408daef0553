package inventory_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services/inventory"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

// expand opens two more warehouses with the stock given as rows of SQL.
func expand(t *testing.T, db *store.DB, stock string) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO warehouses (warehouse, takes_returns) VALUES ('antwerp', 0), ('tilburg', 1)`,
		`INSERT INTO stock (sku, warehouse, on_hand) VALUES ` + stock,
		`INSERT INTO receipts (receipt_id, sku, warehouse, quantity)
			SELECT sku || warehouse, sku, warehouse, on_hand FROM stock WHERE warehouse <> 'hamburg'`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// Goods are set aside in one warehouse, the first by name that has all of them.
func TestWarehouses(t *testing.T) {
	t.Parallel()
	servicetest.EachDB(t, "inventory", inventory.Migrations, func(t *testing.T, db *store.DB) {
		expand(t, db, `('TEA-SENCHA', 'antwerp', 5), ('CUP-PORCELAIN', 'antwerp', 1), ('LIMITED-EDITION', 'tilburg', 3)`)
		svc := inventory.New(db)
		base := servicetest.Routes(t, svc)
		for _, tt := range []struct {
			key, warehouse string
			body           inventory.Reserve
		}{
			{"o1", "antwerp", reserve(line("TEA-SENCHA", 5), line("CUP-PORCELAIN", 1))},
			{"o2", "hamburg", reserve(line("TEA-SENCHA", 1), line("CUP-PORCELAIN", 1))},
			{"o3", "tilburg", reserve(line("LIMITED-EDITION", 3))},
		} {
			got := servicetest.Do[inventory.Reservation](t, base+"/reservations", tt.key, tt.body)
			require.Equal(t, tt.warehouse, got.Warehouse, tt.key)
		}
		servicetest.Refused(t, base+"/reservations", "o4", reserve(line("LIMITED-EDITION", 1), line("TEA-SENCHA", 1)), inventory.OutOfStock)
		servicetest.Undo(t, base+"/reservations", "o3")
		servicetest.Refused(t, base+"/reservations", "o5", reserve(line("LIMITED-EDITION", 3), line("TEA-SENCHA", 1)), inventory.OutOfStock)

		report, err := svc.Audit(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Findings)
	})
}

// A reservation that loses the race for the last pieces of one warehouse goes on to the next, and
// keeps nothing of the first.
func TestLosersOfARaceTryTheNextWarehouse(t *testing.T) {
	t.Parallel()
	servicetest.EachDB(t, "inventory", inventory.Migrations, func(t *testing.T, db *store.DB) {
		expand(t, db, `('CUP-PORCELAIN', 'antwerp', 1000), ('TEA-SENCHA', 'antwerp', 10)`)
		svc := inventory.New(db)
		base := servicetest.Routes(t, svc)
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				answer := servicetest.Call(t, http.MethodPut, servicetest.Resource(base+"/reservations", fmt.Sprintf("o%d", i)),
					reserve(line("CUP-PORCELAIN", 1), line("TEA-SENCHA", 1)))
				if answer.Status != http.StatusOK {
					t.Errorf("%d %s", answer.Status, answer.Body)
				}
			})
		}
		wg.Wait()
		var left int
		require.NoError(t, db.QueryRowContext(t.Context(),
			`SELECT on_hand FROM stock WHERE warehouse = 'antwerp' AND sku = 'CUP-PORCELAIN'`).Scan(&left))
		require.Equal(t, 990, left)
		report, err := svc.Audit(t.Context())
		require.NoError(t, err)
		require.Empty(t, report.Findings)
	})
}

// Reservations that all saw the last pieces, and then wait for one row lock, must look again when
// they get it. SQLite has no such moment: it lets one writer in at a time.
func TestReservationsLookAgainAfterWaiting(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Config{DSN: pgtest.DSN(t)}, "inventory", inventory.Migrations)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.Ledger.Wait = time.Minute
	svc := inventory.New(db)
	d := depot{t: t, base: servicetest.Routes(t, svc)}
	d.reserve("first:ReserveStock", line("TEAPOT-IRON", stocked-2))

	holder, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = holder.ExecContext(t.Context(), `UPDATE stock SET on_hand = on_hand WHERE sku = 'TEAPOT-IRON'`)
	require.NoError(t, err)
	const callers = 4
	done := make(chan int, 1)
	go func() {
		done <- servicetest.AtOnce(t, callers, d.base+"/reservations", reserve(line("TEAPOT-IRON", 1)), inventory.OutOfStock)
	}()
	require.Eventually(t, func() bool {
		var waiting int
		err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == callers
	}, time.Minute, 10*time.Millisecond, "all wait for the row")
	require.NoError(t, holder.Commit())

	require.Equal(t, 2, <-done)
	report, err := svc.Audit(t.Context())
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	require.Equal(t, int64(3), report.Figures["open"])
}
