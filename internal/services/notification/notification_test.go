package notification_test

import (
	"fmt"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/notification"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

func message(to string) notification.Message {
	return notification.Message{To: to, Subject: "Grüße", Text: "Your order is on its way.\n"}
}

// post is a notification service under test, with its folder.
type post struct {
	t    *testing.T
	db   *store.DB
	svc  *notification.Service
	base string
	dir  string
}

func each(t *testing.T, run func(t *testing.T, p post)) {
	t.Helper()
	servicetest.EachDB(t, "notification", notification.Migrations, func(t *testing.T, db *store.DB) {
		p := post{t: t, db: db, dir: filepath.Join(t.TempDir(), "mails")}
		p.svc = notification.New(db, p.dir)
		p.base = servicetest.Routes(t, p.svc)
		run(t, p)
	})
}

func (p post) send(collection, key string) string {
	p.t.Helper()
	return servicetest.Do[notification.Sent](p.t, p.base+collection, key, message("ada@example.com")).MessageID
}

// mails names the files in the folder.
func (p post) mails() []string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "*"))
	require.NoError(p.t, err)
	for i, f := range files {
		files[i] = filepath.Base(f)
	}
	return files
}

func (p post) figures() map[string]int64 {
	p.t.Helper()
	report, err := p.svc.Audit(p.t.Context())
	require.NoError(p.t, err)
	require.Empty(p.t, report.Findings)
	return report.Figures
}

func TestConformance(t *testing.T) {
	t.Parallel()
	servicetest.Each(t, "notification", func(t *testing.T, baseURL string) {
		numbered := func(n int) any { return message(fmt.Sprintf("customer-%d@example.com", n)) }
		fencetest.Run(t, fencetest.Step{
			Name: "NotifyCustomer", URL: baseURL + "/messages", Body: numbered, Irreversible: true,
		})
		fencetest.Run(t, fencetest.Step{Name: "RemindCustomer", URL: baseURL + "/reminders", Body: numbered})
		figures := servicetest.Audit(t, baseURL).Figures
		require.Equal(t, figures["messages"]+figures["reminders"], figures["mails"])
		require.Zero(t, figures["open"])
	})
}

func TestOneMailForAKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		require.Empty(t, p.figures()["mails"], "the folder is not there yet")
		id := p.send("/messages", "o1:NotifyCustomer")
		require.Equal(t, id, p.send("/messages", "o1:NotifyCustomer"))
		require.Equal(t, []string{id + ".eml"}, p.mails())

		f, err := os.Open(filepath.Join(p.dir, id+".eml"))
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		m, err := mail.ReadMessage(f)
		require.NoError(t, err)
		require.Equal(t, "<ada@example.com>", m.Header.Get("To"))
		require.Equal(t, "<"+id+"@amends.example>", m.Header.Get("Message-Id"))

		require.NotEqual(t, id, p.send("/messages", "o2:NotifyCustomer"))
		require.NotEqual(t, id, p.send("/reminders", "o1:NotifyCustomer"), "a message and a reminder are two mails")
		require.EqualValues(t, 3, p.figures()["mails"])
	})
}

// A line break in a subject starts no header, nor does it reach the recipient as one.
func TestSubjectCannotForgeHeaders(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		in := message("ada@example.com")
		in.Subject = "Order 42\r\nBcc: eve@example.com\r\n\r\n<h1>\x00"
		id := servicetest.Do[notification.Sent](t, p.base+"/messages", "o1:NotifyCustomer", in).MessageID
		raw, err := os.ReadFile(filepath.Join(p.dir, id+".eml"))
		require.NoError(t, err)
		require.Contains(t, string(raw), "\r\nSubject: Order 42 Bcc: eve@example.com <h1>\r\n")
	})
}

func TestReminderThatWasSentStaysSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		sent := p.send("/reminders", "r1:RemindCustomer")
		servicetest.Undo(t, p.base+"/reminders", "r1:RemindCustomer")
		servicetest.Undo(t, p.base+"/reminders", "r2:RemindCustomer")
		late := servicetest.Call(t, http.MethodPut, servicetest.Resource(p.base+"/reminders", "r2:RemindCustomer"), message("ada@example.com"))
		require.Equal(t, http.StatusGone, late.Status)
		require.Equal(t, []string{sent + ".eml"}, p.mails())
		require.EqualValues(t, 1, p.figures()["reminders"])
	})
}

func TestBadAddressIsRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		for _, collection := range []string{"/messages", "/reminders"} {
			servicetest.Refused(t, p.base+collection, "o1", message("nobody"), notification.BadAddress)
			servicetest.Refused(t, p.base+collection, "o1", message("a@example.com\r\nBcc: eve@example.com"), notification.BadAddress)
		}
		require.Empty(t, p.mails())
	})
}

// A crash after the mail was written and before it was recorded leaves the mail; the repeat writes
// the same file again.
func TestRepeatAfterACrash(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		id := p.send("/messages", "o1:NotifyCustomer")
		for _, table := range []string{"messages", "step_ledger"} { // as if the transaction was not committed
			_, err := p.db.ExecContext(t.Context(), `DELETE FROM `+table)
			require.NoError(t, err)
		}
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, id+".eml.tmp"), []byte("half a ma"), 0o600))

		require.Equal(t, id, p.send("/messages", "o1:NotifyCustomer"))
		require.Equal(t, []string{id + ".eml"}, p.mails())
		require.EqualValues(t, 1, p.figures()["mails"])
	})
}

// A folder that cannot be written is no refusal: the outcome is unknown, and nothing is recorded.
func TestFolderAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		require.NoError(t, os.WriteFile(p.dir, nil, 0o600))
		answer := servicetest.Call(t, http.MethodPut, servicetest.Resource(p.base+"/messages", "o1:NotifyCustomer"), message("ada@example.com"))
		require.GreaterOrEqual(t, answer.Status, 500)
		require.NoError(t, os.Remove(p.dir))
		require.Zero(t, p.figures()["messages"])
		p.send("/messages", "o1:NotifyCustomer")
		require.EqualValues(t, 1, p.figures()["mails"])
	})
}

func TestAuditFindsLostAndUnknownMails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p post) {
		lost := p.send("/messages", "o1:NotifyCustomer")
		p.figures()
		require.NoError(t, os.Rename(filepath.Join(p.dir, lost+".eml"), filepath.Join(p.dir, "forged.eml")))
		report, err := p.svc.Audit(t.Context())
		require.NoError(t, err)
		require.False(t, report.Balanced)
		require.Equal(t, []string{
			"sent, but not in the mail folder: " + lost,
			"in the mail folder, but not recorded as sent: forged",
		}, report.Findings)
	})
}
