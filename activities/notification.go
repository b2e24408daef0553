package activities

import (
	"context"

	"github.com/amends-dev/amends/compensation"
)

// Notification sends mail.
type Notification struct{ participant }

// Mail is what to tell whom.
type Mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// SentMail is the result of NotifyCustomer and RemindCustomer.
type SentMail struct {
	ID string `json:"message_id"`
}

func (m SentMail) check() error { return given("message_id", m.ID) }

// NotifyCustomer sends the mail.
func (a *Notification) NotifyCustomer(ctx context.Context, key compensation.Key, in Mail) (SentMail, error) {
	return do(ctx, a.participant, "messages", key, in, SentMail.check)
}

// RemindCustomer sends a reminder.
func (a *Notification) RemindCustomer(ctx context.Context, key compensation.Key, in Mail) (SentMail, error) {
	return do(ctx, a.participant, "reminders", key, in, SentMail.check)
}

// DropReminder makes sure that the reminder is not sent later. One that was sent stays sent.
func (a *Notification) DropReminder(ctx context.Context, key compensation.Key) error {
	return a.undo(ctx, "reminders", key)
}
