package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// authorize holds the amount if the card's limit has room for it. The condition stands in the UPDATE
// itself, so concurrent authorizations of one card cannot both take the last of its limit.
func (s *Service) authorize(ctx context.Context, tx *sql.Tx, key string, in Authorize) (Authorization, error) {
	var check wire.Check
	check.Form("token", order.TokenForm, in.Token)
	check.Money("amount", in.Amount)
	if err := check.Err(); err != nil {
		return Authorization{}, err
	}
	held, err := store.Changed(ctx, tx, `UPDATE cards SET open_amount = open_amount + $1
		WHERE token = $2 AND currency = $3 AND $1 <= credit_limit - open_amount - captured_amount`,
		in.Amount.Amount, in.Token, in.Amount.Currency)
	if err != nil {
		return Authorization{}, fmt.Errorf("hold on the card: %w", err)
	}
	if !held {
		return Authorization{}, whyDeclined(ctx, tx, in)
	}
	out := Authorization{AuthorizationID: wire.ID("auth", key), Amount: in.Amount}
	now := s.now().UnixMilli()
	if _, err := tx.ExecContext(ctx, `INSERT INTO authorizations
		(authorization_id, token, amount, currency, state, authorized_at) VALUES ($1, $2, $3, $4, 'open', $5)`,
		out.AuthorizationID, in.Token, in.Amount.Amount, in.Amount.Currency, now); err != nil {
		return Authorization{}, fmt.Errorf("write the authorization: %w", err)
	}
	err = post(ctx, tx, posting{id: "authorize:" + out.AuthorizationID, currency: in.Amount.Currency, at: now},
		debit(cardAccount(in.Token), in.Amount.Amount),
		credit(holds, in.Amount.Amount))
	return out, err
}

// whyDeclined is the refusal for a card that could not be charged.
func whyDeclined(ctx context.Context, tx *sql.Tx, in Authorize) error {
	var currency string
	err := tx.QueryRowContext(ctx, `SELECT currency FROM cards WHERE token = $1`, in.Token).Scan(&currency)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fence.Refuse(CardUnknown, "there is no card for token %q", in.Token)
	case err != nil:
		return fmt.Errorf("look up the card: %w", err)
	case currency != in.Amount.Currency:
		return fence.Refuse(CardDeclined, "the card is charged in %s, not in %s", currency, in.Amount.Currency)
	}
	return fence.Refuse(CardDeclined, "the card's limit has no room for the amount")
}

// void gives the held amount back to the card's limit. What was captured cannot be voided.
func (s *Service) void(ctx context.Context, tx *sql.Tx, _ string, in Authorize, out Authorization) error {
	voided, err := store.Changed(ctx, tx, `UPDATE authorizations SET state = 'void'
		WHERE authorization_id = $1 AND state = 'open'`, out.AuthorizationID)
	if err != nil {
		return fmt.Errorf("void the authorization: %w", err)
	}
	if !voided {
		return fence.Refuse(AuthorizationCaptured, "authorization %s was captured", out.AuthorizationID)
	}
	err = post(ctx, tx,
		posting{id: "void:" + out.AuthorizationID, currency: out.Amount.Currency, at: s.now().UnixMilli()},
		debit(holds, out.Amount.Amount),
		credit(cardAccount(in.Token), out.Amount.Amount))
	if err != nil {
		return err
	}
	return moveOnCard(ctx, tx, in.Token, -out.Amount.Amount, 0)
}

// moveOnCard changes what a card owes. It is the last write of a step: many sagas charge one card,
// and they wait for each other from here to the commit.
func moveOnCard(ctx context.Context, tx *sql.Tx, token string, open, captured int64) error {
	moved, err := store.Changed(ctx, tx, `UPDATE cards
		SET open_amount = open_amount + $1, captured_amount = captured_amount + $2 WHERE token = $3`,
		open, captured, token)
	if err == nil && !moved {
		err = errors.New("the card is gone")
	}
	if err != nil {
		return fmt.Errorf("change what the card owes: %w", err)
	}
	return nil
}
