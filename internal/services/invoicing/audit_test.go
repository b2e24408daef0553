package invoicing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/invoicing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
)

func TestAuditFindsCookedBooks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, tamper, finding string }{
		{"gap", `UPDATE invoices SET number = 7 WHERE order_id = 'o2'`, "the highest number of invoices"},
		{"number lost", `UPDATE counters SET value = value + 1 WHERE name = 'invoice'`, "the counter of invoices"},
		{"number of no invoice", `UPDATE invoices SET number = -1 WHERE order_id = 'o1'`, "different numbers of invoices"},
		{"credit note number", `UPDATE credit_notes SET number = 2`, "the highest number of credit_notes"},
		{"dearer", `UPDATE invoices SET total = total + 1 WHERE order_id = 'o1'`, "sum of the lines: o1"},
		{"more credited", `UPDATE credit_notes SET amount = 891`, "more credited than paid: o1"},
		{"other amount credited", `UPDATE credit_notes SET amount = amount - 1`, "approval and credit note disagree"},
		{"credit note lost", `DELETE FROM credit_notes`, "approval and credit note disagree"},
		{"approval forgotten", `UPDATE approvals SET state = 'withdrawn' WHERE state = 'open'`, "that stand: o2"},
		{"money promised", `UPDATE invoices SET refund_approved = 1 WHERE order_id = 'o2'`, "that stand: o2"},
		{"pieces lost", `UPDATE approval_lines SET quantity = quantity + 1`, "that stand: o1, TEA-SENCHA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			servicetest.EachDB(t, "invoicing", invoicing.Migrations, func(t *testing.T, db *store.DB) {
				svc := invoicing.New(db)
				o := office{t: t, base: servicetest.Routes(t, svc)}
				o.invoice(bill("o1", 890, 8, article("TEA-SENCHA", 1, 890)))
				o.invoice(bill("o2", 890, 8, article("TEA-SENCHA", 1, 890)))
				o.credit("r1:IssueCreditNote", o.approve("r1:ApproveReturn", back("o1")))
				o.approve("r2:ApproveReturn", back("o2"))
				report, err := svc.Audit(t.Context())
				require.NoError(t, err)
				require.True(t, report.Balanced, "%v", report.Findings)

				servicetest.Finds(t, db, svc, tt.tamper, tt.finding)
			})
		})
	}
}
