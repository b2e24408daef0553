package payment_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/payment"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"one side of a posting", `UPDATE journal SET debit = debit + 1 WHERE posting LIKE 'capture:%' AND debit > 0`, "does not balance"},
		{"two postings that cancel out", `UPDATE journal SET debit = debit + CASE WHEN posting LIKE 'capture:%' THEN 1 ELSE -1 END
			WHERE debit > 0 AND (posting LIKE 'capture:%' OR posting LIKE 'refund:%')`, "a posting does not balance"},
		{"an authorization without a posting", `UPDATE authorizations SET amount = amount + 1 WHERE state = 'open'`, "authorized EUR"},
		{"a vanished posting", `DELETE FROM journal WHERE posting LIKE 'refund:%'`, "refunded EUR"},
		{"a card that owes less", `UPDATE cards SET captured_amount = captured_amount - 1 WHERE captured_amount > 0`, "captured amount is not"},
		{"a card with a forgotten hold", `UPDATE cards SET open_amount = open_amount + 1 WHERE token = 'tok_mastercard'`, "open amount is not"},
		{"a capture reopened", `UPDATE authorizations SET state = 'open' WHERE state = 'captured'`, "does not fit its authorization"},
		{"a capture invented", `UPDATE authorizations SET state = 'captured' WHERE state = 'open'`, "without a capture"},
		{"a refund forgotten", `UPDATE captures SET refunded = 0`, "refunds are not those"},
		{"an open authorization gone", `UPDATE authorizations SET state = 'void' WHERE state = 'open'`, "account holds is not among"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "payment", payment.Migrations, func(t *testing.T, db *store.DB) {
				svc := payment.New(db)
				p := till{t: t, base: servicetest.Routes(t, svc)}
				p.authorize("o1:AuthorizePayment", "tok_visa", 1000)
				p.refund("r2:RefundPayment",
					p.capture("o2:CapturePayment", p.authorize("o2:AuthorizePayment", "tok_visa", 1000), 800), 300)
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}
