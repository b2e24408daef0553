package inventory

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/amends-dev/amends/internal/services/store"
)

// Warehouse keeps stock.
type Warehouse struct {
	Warehouse    string
	TakesReturns bool
}

// Receipt is goods that came into a warehouse. It is booked once: the same receipt again brings nothing. A receipt of 0
// pieces means that the warehouse keeps the article.
type Receipt struct {
	Receipt   string
	SKU       string
	Warehouse string
	Quantity  int64
}

// Import adds the warehouses and books the receipts.
func Import(ctx context.Context, tx *sql.Tx, warehouses []Warehouse, receipts []Receipt) (store.Imported, error) {
	var made store.Imported
	for _, w := range warehouses {
		takes := 0
		if w.TakesReturns {
			takes = 1
		}
		one, err := store.Put(ctx, tx, `INSERT INTO warehouses (warehouse, takes_returns) VALUES ($1, $2)`,
			`UPDATE warehouses SET takes_returns = $2 WHERE warehouse = $1 AND takes_returns <> $2`, w.Warehouse, takes)
		if err != nil {
			return made, fmt.Errorf("warehouse %q: %w", w.Warehouse, err)
		}
		made.Add(one)
	}
	for _, r := range receipts {
		one, err := r.book(ctx, tx)
		if err != nil {
			return made, fmt.Errorf("stock of %q in %q: %w", r.SKU, r.Warehouse, err)
		}
		made.Add(one)
	}
	return made, nil
}

func (r Receipt) book(ctx context.Context, tx *sql.Tx) (store.Imported, error) {
	var kept bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM warehouses WHERE warehouse = $1)`, r.Warehouse).Scan(&kept); err != nil {
		return store.Imported{}, err
	}
	if !kept {
		return store.Imported{}, fmt.Errorf("there is no such warehouse: name it among the warehouses")
	}
	listed, err := store.Changed(ctx, tx, `INSERT INTO stock (sku, warehouse, on_hand) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING`, r.SKU, r.Warehouse)
	if err != nil {
		return store.Imported{}, err
	}
	made := store.Imported{Same: 1}
	if listed {
		made = store.Imported{Added: 1}
	}
	if r.Quantity == 0 {
		return made, nil
	}
	id := r.Receipt + " of " + r.SKU + " in " + r.Warehouse
	booked, err := store.Changed(ctx, tx, `INSERT INTO receipts (receipt_id, sku, warehouse, quantity) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, id, r.SKU, r.Warehouse, r.Quantity)
	if err != nil {
		return store.Imported{}, err
	}
	if !booked {
		var before int64
		if err := tx.QueryRowContext(ctx, `SELECT quantity FROM receipts WHERE receipt_id = $1`, id).Scan(&before); err != nil {
			return store.Imported{}, err
		}
		if before != r.Quantity {
			return store.Imported{}, fmt.Errorf("receipt %q was booked with %d pieces, and not %d: what came later has a receipt of its own",
				r.Receipt, before, r.Quantity)
		}
		return made, nil
	}
	return store.Imported{Added: 1}, move(ctx, tx, r.Warehouse, r.SKU, r.Quantity, 0)
}
