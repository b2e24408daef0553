package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// authorizationRow is an authorization with what its card says to a capture.
type authorizationRow struct {
	token           string
	amount          wire.Money
	state           string
	declinesCapture bool
}

func readAuthorization(ctx context.Context, tx *sql.Tx, id string) (authorizationRow, error) {
	var a authorizationRow
	err := tx.QueryRowContext(ctx, `SELECT a.token, a.amount, a.currency, a.state, c.declines_capture
		FROM authorizations a JOIN cards c ON c.token = a.token WHERE a.authorization_id = $1`, id).
		Scan(&a.token, &a.amount.Amount, &a.amount.Currency, &a.state, &a.declinesCapture)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return a, fence.Refuse(AuthorizationUnknown, "there is no authorization %q", id)
	case err != nil:
		return a, fmt.Errorf("look up the authorization: %w", err)
	}
	return a, nil
}

// refusal is why in cannot be captured from a, or nil.
func (a authorizationRow) refusal(in Capture) error {
	switch {
	case a.state == "void":
		return fence.Refuse(AuthorizationVoid, "authorization %s was voided", in.AuthorizationID)
	case a.state == "captured":
		return fence.Refuse(AuthorizationCaptured, "authorization %s was captured before", in.AuthorizationID)
	case a.amount.Currency != in.Amount.Currency:
		return fence.Refuse(CurrencyMismatch, "the authorization is in %s, not in %s", a.amount.Currency, in.Amount.Currency)
	case in.Amount.Amount > a.amount.Amount:
		return fence.Refuse(AmountTooLarge, "%s were authorized, less than %s", a.amount, in.Amount)
	case a.declinesCapture:
		return fence.Refuse(CaptureDeclined, "the card's bank declined the capture")
	}
	return nil
}

// capture moves money from the card to the merchant and frees what was authorized beyond it.
func (s *Service) capture(ctx context.Context, tx *sql.Tx, key string, in Capture) (Captured, error) {
	var check wire.Check
	check.Text("authorization_id", in.AuthorizationID)
	check.Money("amount", in.Amount)
	if err := check.Err(); err != nil {
		return Captured{}, err
	}
	auth, err := s.take(ctx, tx, in)
	if err != nil {
		return Captured{}, err
	}
	out := Captured{CaptureID: wire.ID("cap", key), Amount: in.Amount}
	now := s.now().UnixMilli()
	if _, err := tx.ExecContext(ctx, `INSERT INTO captures
		(capture_id, authorization_id, token, amount, currency, captured_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		out.CaptureID, in.AuthorizationID, auth.token, in.Amount.Amount, in.Amount.Currency, now); err != nil {
		return Captured{}, fmt.Errorf("write the capture: %w", err)
	}
	err = post(ctx, tx, posting{id: "capture:" + out.CaptureID, currency: in.Amount.Currency, at: now},
		debit(holds, auth.amount.Amount),
		credit(merchant, in.Amount.Amount),
		credit(cardAccount(auth.token), auth.amount.Amount-in.Amount.Amount))
	if err != nil {
		return Captured{}, err
	}
	return out, moveOnCard(ctx, tx, auth.token, -auth.amount.Amount, in.Amount.Amount)
}

// take turns the authorization from open to captured, or says why not.
func (s *Service) take(ctx context.Context, tx *sql.Tx, in Capture) (authorizationRow, error) {
	auth, err := readAuthorization(ctx, tx, in.AuthorizationID)
	if err != nil {
		return auth, err
	}
	if err := auth.refusal(in); err != nil {
		return auth, err
	}
	taken, err := store.Changed(ctx, tx, `UPDATE authorizations SET state = 'captured'
		WHERE authorization_id = $1 AND state = 'open'`, in.AuthorizationID)
	if err != nil {
		return auth, fmt.Errorf("take the authorization: %w", err)
	}
	if taken {
		return auth, nil
	}
	// Another call was first since the row was read; the row now says which.
	if auth, err = readAuthorization(ctx, tx, in.AuthorizationID); err != nil {
		return auth, err
	}
	if err := auth.refusal(in); err != nil {
		return auth, err
	}
	return auth, errors.New("take the authorization: it is open and cannot be taken")
}
