package pricing

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Price is the price of a piece of an article.
type Price struct {
	SKU   string
	Price wire.Money
}

// Import adds the prices to the list. Quotes keep the prices that they were made with.
func Import(ctx context.Context, tx *sql.Tx, prices []Price) (store.Imported, error) {
	var made store.Imported
	for _, p := range prices {
		one, err := store.Put(ctx, tx, `INSERT INTO prices (sku, currency, unit_price) VALUES ($1, $2, $3)`,
			`UPDATE prices SET unit_price = $3 WHERE sku = $1 AND currency = $2 AND unit_price <> $3`,
			p.SKU, p.Price.Currency, p.Price.Amount)
		if err != nil {
			return made, fmt.Errorf("price of %q: %w", p.SKU, err)
		}
		made.Add(one)
	}
	return made, nil
}
