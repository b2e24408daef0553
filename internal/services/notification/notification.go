// Package notification writes to customers. It knows whom it wrote to, and puts each mail as a file
// into a folder, from which a mail system takes it; it does not know what the mails are about.
package notification

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// Migrations make the tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// BadAddress is the refusal code of a message that cannot be addressed.
const BadAddress = "bad_address"

// Service writes mails. It is safe for concurrent use.
type Service struct {
	db  *store.DB
	dir string
	now func() time.Time
}

// New is a Service on db, whose schema is that of [Migrations]. Mails become files in mailDir, which
// is created with the first; processes that share the database must share the folder too.
func New(db *store.DB, mailDir string) *Service {
	return &Service{db: db, dir: mailDir, now: time.Now}
}

// Steps names the steps that Routes serves.
func (s *Service) Steps() []string { return []string{"NotifyCustomer", "RemindCustomer"} }

// Routes serves the steps.
func (s *Service) Routes(mux *http.ServeMux) {
	fence.Handle(mux, s.db.Ledger, "/messages/{key}", fence.Step[Message, Sent]{
		Name: "NotifyCustomer", Do: s.notify,
	})
	fence.Handle(mux, s.db.Ledger, "/reminders/{key}", fence.Step[Message, Sent]{
		Name: "RemindCustomer", Do: s.remind, Undo: s.drop,
	})
}

// Message is what to write to whom.
type Message struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// Sent names a mail: the left side of its Message-ID and, with .eml, its file.
type Sent struct {
	MessageID string `json:"message_id"`
}

func (s *Service) notify(ctx context.Context, tx *sql.Tx, key string, in Message) (Sent, error) {
	return s.send(ctx, tx, "message", key, in)
}

func (s *Service) remind(ctx context.Context, tx *sql.Tx, key string, in Message) (Sent, error) {
	return s.send(ctx, tx, "reminder", key, in)
}

// drop has nothing to do: a reminder that was sent stays sent, and fence makes sure that one that
// was not never will be.
func (s *Service) drop(context.Context, *sql.Tx, string, Message, Sent) error { return nil }

// send writes the row, then the file. If the transaction fails after that, the file is there and the
// step is not done; a repeat gives the same file its final content, so the customer sees one mail.
func (s *Service) send(ctx context.Context, tx *sql.Tx, kind, key string, in Message) (Sent, error) {
	to, err := recipient(in.To)
	if err != nil {
		return Sent{}, err
	}
	now := s.now()
	out := Sent{MessageID: wire.ID(kind, key)}
	subject := oneLine(in.Subject)
	_, err = tx.ExecContext(ctx, `INSERT INTO messages (message_id, kind, recipient, subject, sent_at)
		VALUES ($1, $2, $3, $4, $5)`, out.MessageID, kind, to.Address, subject, now.UnixMilli())
	if err != nil {
		return Sent{}, fmt.Errorf("record mail: %w", err)
	}
	content := compose(letter{id: out.MessageID, to: to, subject: subject, text: in.Text, date: now})
	// A caller who has gone has also ended the transaction: then the mail must not go out.
	if err := ctx.Err(); err != nil {
		return Sent{}, err
	}
	if err := deliver(s.dir, out.MessageID+extension, content); err != nil {
		return Sent{}, fmt.Errorf("deliver mail: %w", err)
	}
	return out, nil
}
