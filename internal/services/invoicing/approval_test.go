package invoicing_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/services/invoicing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

func piece(sku string, quantity int64) wire.Line { return wire.Line{SKU: sku, Quantity: quantity} }

func TestApproveEverything(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 6_290, 62, article("TEA-SENCHA", 2, 1_780), article("TEAPOT-IRON", 1, 5_900)))
		got := o.approve("r1:ApproveReturn", back("o1"))
		require.NotEmpty(t, got.ApprovalID)
		got.ApprovalID = ""
		require.Equal(t, invoicing.Approval{
			Customer: ada, Lines: []wire.Line{piece("TEA-SENCHA", 2), piece("TEAPOT-IRON", 1)},
			Refund: eur(6_290), CaptureID: "cap-o1", PointsToTakeBack: 62, ShipFrom: home,
		}, got)
		o.refuse(back("o1"), invoicing.NothingToReturn)
		o.refuse(back("o1", piece("TEA-SENCHA", 1)), invoicing.AlreadyReturned)
	})
}

// Partial returns get their share, rounded down, and the last one what is left.
func TestPartialReturns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 1_000, 10, article("CUP-PORCELAIN", 3, 3_000), article("TEA-SENCHA", 1, 890)))
		for i, tt := range []struct {
			lines          []wire.Line
			refund, points int64
		}{
			{[]wire.Line{piece("CUP-PORCELAIN", 1)}, 257, 2}, // 1000 × 1000 / 3890 = 257.07
			{[]wire.Line{piece("TEA-SENCHA", 1)}, 228, 2},    // 1000 × 890 / 3890 = 228.79
			{nil, 515, 6}, // all that is left
		} {
			got := o.approve(fmt.Sprintf("r%d:ApproveReturn", i), back("o1", tt.lines...))
			require.Equal(t, eur(tt.refund), got.Refund)
			require.Equal(t, tt.points, got.PointsToTakeBack)
		}
		require.EqualValues(t, 1_000, o.figures()["open_refund"])
	})
}

// A line's price need not be a whole number for each piece.
func TestShareOfAnUnevenLine(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 100, 0, article("THREE-FOR-A-EURO", 3, 100)))
		for i, want := range []int64{33, 33, 34} {
			got := o.approve(fmt.Sprintf("r%d:ApproveReturn", i), back("o1", piece("THREE-FOR-A-EURO", 1)))
			require.Equal(t, want, got.Refund.Amount)
		}
	})
}

func TestLargestAmounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		const most = 1_000_000_000_000_000
		o.invoice(bill("o1", most, 1<<62, article("PALACE", 3, most-1), article("NAIL", 1, 1)))
		got := o.approve("r1:ApproveReturn", back("o1", piece("PALACE", 2)))
		require.EqualValues(t, 2*(most-1)/3, got.Refund.Amount)
		require.EqualValues(t, 3_074_457_345_618_255_528, got.PointsToTakeBack) // ⌊2⁶² × 2 × (10¹⁵ − 1) / 3 / 10¹⁵⌋
		got = o.approve("r2:ApproveReturn", back("o1", piece("NAIL", 1)))
		require.EqualValues(t, 1, got.Refund.Amount)
		got = o.approve("r3:ApproveReturn", back("o1"))
		require.EqualValues(t, most-1-2*(most-1)/3, got.Refund.Amount)
	})
}

func TestNothingWasPaid(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("points", 0, 0, article("CUP-PORCELAIN", 2, 2_500)))
		o.invoice(bill("free", 0, 0, article("SAMPLE", 2, 0)))
		require.Zero(t, o.approve("r1:ApproveReturn", back("points", piece("CUP-PORCELAIN", 1))).Refund.Amount)
		require.Zero(t, o.approve("r2:ApproveReturn", back("free", piece("SAMPLE", 1))).Refund.Amount)
		o.credit("r2:IssueCreditNote", o.approve("r3:ApproveReturn", back("free")))
		require.Zero(t, o.figures()["credited"])
	})
}

func TestWithdrawnLinesAreReturnableAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 100, 10, article("CUP-PORCELAIN", 3, 3_000)))
		one := back("o1", piece("CUP-PORCELAIN", 1))
		require.Equal(t, eur(33), o.approve("r1:ApproveReturn", one).Refund)
		require.Equal(t, eur(67), o.approve("r2:ApproveReturn", back("o1")).Refund)
		o.refuse(one, invoicing.AlreadyReturned)

		servicetest.Undo(t, o.base+"/return-approvals", "r1:ApproveReturn")
		require.EqualValues(t, 67, o.figures()["open_refund"])
		last := o.approve("r3:ApproveReturn", one)
		require.Equal(t, eur(33), last.Refund, "with the last piece comes the rest")
		require.EqualValues(t, 3, last.PointsToTakeBack)

		servicetest.Undo(t, o.base+"/return-approvals", "r2:ApproveReturn")
		servicetest.Undo(t, o.base+"/return-approvals", "r3:ApproveReturn")
		figures := o.figures()
		require.Zero(t, figures["open_approvals"])
		require.Zero(t, figures["open_refund"])
		require.EqualValues(t, 3, figures["withdrawn"])
	})
}

func TestReturnRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 100, 10, article("CUP-PORCELAIN", 3, 3_000), article("TEA-SENCHA", 1, 890)))
		o.approve("r1:ApproveReturn", back("o1", piece("CUP-PORCELAIN", 2)))
		before := o.figures()
		o.refuse(back("o2"), invoicing.InvoiceUnknown)
		o.refuse(back("o1", piece("TEAPOT-IRON", 1)), invoicing.NotOrdered)
		o.refuse(back("o1", piece("CUP-PORCELAIN", 4)), invoicing.NotOrdered)
		o.refuse(back("o1", piece("TEA-SENCHA", 1), piece("CUP-PORCELAIN", 2)), invoicing.AlreadyReturned)
		o.refuse(back("o1", piece("TEA-SENCHA", 1), piece("TEA-SENCHA", 1)), wire.InvalidInput)
		o.refuse(back("o1", piece("TEA-SENCHA", -1)), wire.InvalidInput)
		o.refuse(invoicing.ReturnRequest{OrderID: "o1"}, wire.InvalidInput)
		require.Equal(t, before, o.figures(), "what was refused had no effect")
	})
}

func TestReturnWindow(t *testing.T) {
	t.Parallel()
	servicetest.EachDB(t, "invoicing", invoicing.Migrations, func(t *testing.T, db *store.DB) {
		o := office{t: t, base: servicetest.Routes(t, invoicing.New(db))}
		o.invoice(bill("o1", 890, 8, article("TEA-SENCHA", 2, 1_780)))
		issued := func(ago time.Duration) {
			_, err := db.ExecContext(t.Context(), `UPDATE invoices SET issued_at = $1`, time.Now().Add(-ago).UnixMilli())
			require.NoError(t, err)
		}
		issued(30*24*time.Hour + time.Second)
		o.refuse(back("o1"), invoicing.ReturnWindowClosed)
		issued(30*24*time.Hour - time.Minute)
		o.approve("r1:ApproveReturn", back("o1"))
	})
}

func TestConcurrentApprovalsReturnNothingTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 100, 10, article("CUP-PORCELAIN", 7, 7_000)))
		done := servicetest.AtOnce(t, 12, o.base+"/return-approvals", back("o1", piece("CUP-PORCELAIN", 1)), invoicing.AlreadyReturned)
		require.Equal(t, 7, done)
		require.EqualValues(t, 100, o.figures()["open_refund"], "the last one got the rest, whichever it was")
	})
}

func TestCreditNote(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		o.invoice(bill("o1", 100, 10, article("CUP-PORCELAIN", 3, 3_000)))
		one := back("o1", piece("CUP-PORCELAIN", 1))
		a := o.approve("r1:ApproveReturn", one)
		withdrawn := o.approve("r2:ApproveReturn", one)
		servicetest.Undo(t, o.base+"/return-approvals", "r2:ApproveReturn")
		open := o.approve("r3:ApproveReturn", one)

		require.Equal(t, "CN-00000001", o.credit("r1:IssueCreditNote", a))
		for _, tt := range []struct {
			in   invoicing.CreditNote
			code string
		}{
			{invoicing.CreditNote{ApprovalID: a.ApprovalID, RefundID: "ref-2", Amount: a.Refund}, invoicing.AlreadyCredited},
			{invoicing.CreditNote{ApprovalID: withdrawn.ApprovalID, RefundID: "ref-2", Amount: a.Refund}, invoicing.ApprovalUnknown},
			{invoicing.CreditNote{ApprovalID: "approval-none", RefundID: "ref-2", Amount: a.Refund}, invoicing.ApprovalUnknown},
			{invoicing.CreditNote{ApprovalID: open.ApprovalID, RefundID: "ref-2", Amount: eur(34)}, invoicing.AmountMismatch},
			{invoicing.CreditNote{ApprovalID: open.ApprovalID, RefundID: "ref-2", Amount: wire.Money{Amount: 33, Currency: "USD"}}, invoicing.AmountMismatch},
			{invoicing.CreditNote{ApprovalID: open.ApprovalID, Amount: open.Refund}, wire.InvalidInput},
		} {
			servicetest.Refused(t, o.base+"/credit-notes", "refused:IssueCreditNote", tt.in, tt.code)
		}
		servicetest.Irreversible(t, o.base+"/return-approvals", "r1:ApproveReturn")
		require.Equal(t, "CN-00000002", o.credit("r3:IssueCreditNote", open))
		figures := o.figures()
		require.EqualValues(t, 66, figures["credited"])
		require.Zero(t, figures["open_approvals"])
	})
}

// A credit note and a withdrawal of one approval race: one of them wins.
func TestCreditAndWithdrawRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		var credited int64
		for i := range 20 {
			saga := fmt.Sprintf("o%d", i)
			o.invoice(bill(saga, 100, 10, article("CUP-PORCELAIN", 1, 1_000)))
			a := o.approve(saga+":ApproveReturn", back(saga))
			var credit, withdrawn servicetest.Answer
			var wg sync.WaitGroup
			wg.Go(func() {
				credit = servicetest.Call(t, http.MethodPut, servicetest.Resource(o.base+"/credit-notes", saga+":IssueCreditNote"),
					invoicing.CreditNote{ApprovalID: a.ApprovalID, RefundID: "ref-1", Amount: a.Refund})
			})
			wg.Go(func() {
				withdrawn = servicetest.Call(t, http.MethodDelete, servicetest.Resource(o.base+"/return-approvals", saga+":ApproveReturn"), nil)
			})
			wg.Wait()
			switch credit.Status {
			case http.StatusOK:
				credited++
				require.Equal(t, "irreversible", withdrawn.Code)
			default:
				require.Equal(t, invoicing.ApprovalUnknown, credit.Code)
				require.Equal(t, http.StatusNoContent, withdrawn.Status)
			}
		}
		figures := o.figures()
		require.Zero(t, figures["open_approvals"])
		require.Equal(t, credited, figures["credit_notes"])
		require.Equal(t, 100*credited, figures["credited"])
	})
}
