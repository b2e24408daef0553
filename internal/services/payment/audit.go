package payment

import (
	"context"
	"database/sql"

	"github.com/amends-dev/amends/internal/services/audit"
)

// Audit compares the journal with itself, with the authorizations, captures and refunds, and with
// the cards. Sums carry their currency, as in "captured.EUR"; "balance.<account>.<currency>" is
// debits less credits.
func (s *Service) Audit(ctx context.Context) (report audit.Report, err error) {
	err = s.db.Snapshot(ctx, func(tx *sql.Tx) error {
		b := audit.Open(tx, "payment")
		b.Count(ctx, "open", `SELECT COUNT(*) FROM authorizations WHERE state = 'open'`)
		b.Count(ctx, "captures", `SELECT COUNT(*) FROM captures`)
		b.Count(ctx, "refunds", `SELECT COUNT(*) FROM refunds`)
		auditJournal(ctx, b)
		auditCards(ctx, b)
		auditCaptures(ctx, b)
		report, err = b.Report()
		return err
	})
	return report, err
}

// auditJournal checks that every posting balances, and that the accounts agree with the tables.
func auditJournal(ctx context.Context, b *audit.Books) {
	sum := b.Count(ctx, "journal", `SELECT CAST(COALESCE(SUM(debit - credit), 0) AS BIGINT) FROM journal`)
	b.Equal("the sum of the journal", sum, 0)
	b.Each(ctx, "a posting does not balance",
		`SELECT posting FROM journal GROUP BY posting, currency HAVING SUM(debit) <> SUM(credit)`)

	balances := b.Counts(ctx, "balance.", `SELECT account || '.' || currency, CAST(SUM(debit - credit) AS BIGINT)
		FROM journal GROUP BY account, currency`)
	for _, kind := range []struct {
		figure, account, query string
		sign                   int64
	}{
		{"authorized", holds, `SELECT currency, CAST(SUM(amount) AS BIGINT) FROM authorizations
			WHERE state = 'open' GROUP BY currency`, -1},
		{"captured", merchant, `SELECT currency, CAST(SUM(amount) AS BIGINT) FROM captures GROUP BY currency`, -1},
		{"refunded", refunds, `SELECT currency, CAST(SUM(amount) AS BIGINT) FROM refunds GROUP BY currency`, 1},
	} {
		sums := b.Counts(ctx, kind.figure+".", kind.query)
		b.Each(ctx, "a currency of account "+kind.account+" is not among the sums "+kind.figure,
			`SELECT currency FROM journal WHERE account = $1 GROUP BY currency HAVING SUM(debit) <> SUM(credit)
			EXCEPT SELECT currency FROM (`+kind.query+`) AS sums`, kind.account)
		for currency, sum := range sums {
			b.Equal(kind.figure+" "+currency+" by the table and by the journal",
				sum, kind.sign*balances[kind.account+"."+currency])
		}
	}
}

// auditCards checks what each card owes against what it was charged with.
func auditCards(ctx context.Context, b *audit.Books) {
	b.Each(ctx, "a card's open amount is not that of its authorizations", `SELECT c.token FROM cards c
		LEFT JOIN (SELECT token, SUM(amount) AS amount FROM authorizations WHERE state = 'open' GROUP BY token) a
			ON a.token = c.token
		WHERE c.open_amount <> COALESCE(a.amount, 0)`)
	b.Each(ctx, "a card's captured amount is not that of its captures less refunds", `SELECT c.token FROM cards c
		LEFT JOIN (SELECT token, SUM(amount - refunded) AS amount FROM captures GROUP BY token) p
			ON p.token = c.token
		WHERE c.captured_amount <> COALESCE(p.amount, 0)`)
	b.Each(ctx, "a card owes another amount by the journal", `SELECT c.token FROM cards c
		LEFT JOIN (SELECT account, currency, SUM(debit - credit) AS amount FROM journal GROUP BY account, currency) j
			ON j.account = $1 || c.token AND j.currency = c.currency
		WHERE c.open_amount + c.captured_amount <> COALESCE(j.amount, 0)`, cardPrefix)
	b.Each(ctx, "a card is over its limit or below zero", `SELECT token FROM cards
		WHERE open_amount + captured_amount > credit_limit OR open_amount < 0 OR captured_amount < 0`)
}

// auditCaptures checks each capture against its authorization and its refunds.
func auditCaptures(ctx context.Context, b *audit.Books) {
	b.Each(ctx, "an authorization is captured without a capture", `SELECT authorization_id FROM authorizations a
		WHERE state = 'captured' AND NOT EXISTS
			(SELECT 1 FROM captures p WHERE p.authorization_id = a.authorization_id)`)
	b.Each(ctx, "a capture does not fit its authorization", `SELECT capture_id FROM captures p
		JOIN authorizations a ON a.authorization_id = p.authorization_id
		WHERE a.state <> 'captured' OR a.amount < p.amount OR a.currency <> p.currency OR a.token <> p.token`)
	b.Each(ctx, "a capture's refunds are not those of the table", `SELECT capture_id FROM captures p
		WHERE refunded <> (SELECT COALESCE(SUM(amount), 0) FROM refunds r WHERE r.capture_id = p.capture_id)
			OR refunded > amount`)
}
