package vouchers

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Voucher is a code that lowers the price of one order by its worth.
type Voucher struct {
	Code       string
	Worth      wire.Money
	ValidUntil time.Time
}

// Import adds the vouchers. A used voucher stays used, and its discount stands.
func Import(ctx context.Context, tx *sql.Tx, vouchers []Voucher) (store.Imported, error) {
	var made store.Imported
	for _, v := range vouchers {
		one, err := store.Put(ctx, tx, `INSERT INTO vouchers (code, amount, currency, valid_until) VALUES ($1, $2, $3, $4)`,
			`UPDATE vouchers SET amount = $2, currency = $3, valid_until = $4
				WHERE code = $1 AND (amount <> $2 OR currency <> $3 OR valid_until <> $4)`,
			v.Code, v.Worth.Amount, v.Worth.Currency, v.ValidUntil.UnixMilli())
		if err != nil {
			return made, fmt.Errorf("voucher %q: %w", v.Code, err)
		}
		made.Add(one)
	}
	return made, nil
}
