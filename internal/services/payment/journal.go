package payment

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/amends-dev/amends/internal/services/store"
)

// The accounts beside one for each card. A card's balance is what its holder owes: authorized or
// captured, and not refunded. Holds has, as a credit, what is authorized and not captured; merchant,
// as a credit, what was ever captured; refunds, as a debit, what was given back of it.
const (
	holds    = "holds"
	merchant = "merchant"
	refunds  = "refunds"
)

// cardPrefix comes before the token in the name of a card's account.
const cardPrefix = "card:"

func cardAccount(token string) string { return cardPrefix + token }

// posting is what lines of the journal belong to. Its id says what was posted, and for what, so the
// same cannot be posted twice.
type posting struct {
	id       string
	currency string
	at       int64
}

// entry is a line of a posting: a debit or a credit.
type entry struct {
	account       string
	debit, credit int64
}

func debit(account string, amount int64) entry  { return entry{account: account, debit: amount} }
func credit(account string, amount int64) entry { return entry{account: account, credit: amount} }

// post writes the entries, without those of amount 0. It refuses a posting that does not balance:
// that is a mistake of the caller, and nothing of its transaction may stand.
func post(ctx context.Context, tx *sql.Tx, p posting, entries ...entry) error {
	const columns = 7
	var args []any
	var sum int64
	for _, e := range entries {
		sum += e.debit - e.credit
		if e.debit != 0 || e.credit != 0 {
			args = append(args, p.id, len(args)/columns+1, e.account, p.currency, e.debit, e.credit, p.at)
		}
	}
	if sum != 0 {
		return fmt.Errorf("posting %s does not balance: debits less credits are %d", p.id, sum)
	}
	if len(args) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO journal (posting, line, account, currency, debit, credit, posted_at)
		VALUES `+store.Placeholders(len(args)/columns, columns), args...)
	if err != nil {
		return fmt.Errorf("post %s: %w", p.id, err)
	}
	return nil
}
