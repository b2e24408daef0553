package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Card is a card of this stand-in for a payment provider, by its token. A card is charged in the currency of its limit.
type Card struct {
	Token string
	Limit wire.Money
}

// Import adds the cards. A card's debt keeps its currency, and has to stay within its limit.
func Import(ctx context.Context, tx *sql.Tx, cards []Card) (store.Imported, error) {
	var made store.Imported
	for _, c := range cards {
		var owed int64
		var currency string
		err := tx.QueryRowContext(ctx, `SELECT open_amount + captured_amount, currency FROM cards WHERE token = $1`, c.Token).Scan(&owed, &currency)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return made, fmt.Errorf("card %q: %w", c.Token, err)
		case currency != c.Limit.Currency:
			return made, fmt.Errorf("card %q: is in %s, and not in %s: name another token", c.Token, currency, c.Limit.Currency)
		case owed > c.Limit.Amount:
			return made, fmt.Errorf("card %q: a limit of %s is less than the %s that it owes", c.Token, c.Limit, wire.Money{Amount: owed, Currency: currency})
		}
		one, err := store.Put(ctx, tx, `INSERT INTO cards (token, currency, credit_limit) VALUES ($1, $2, $3)`,
			`UPDATE cards SET credit_limit = $3 WHERE token = $1 AND currency = $2 AND credit_limit <> $3`, c.Token, c.Limit.Currency, c.Limit.Amount)
		if err != nil {
			return made, fmt.Errorf("card %q: %w", c.Token, err)
		}
		made.Add(one)
	}
	return made, nil
}
