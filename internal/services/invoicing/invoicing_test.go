package invoicing_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/invoicing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/wire"
)

func eur(amount int64) wire.Money { return wire.Money{Amount: amount, Currency: "EUR"} }

var (
	ada  = invoicing.Customer{ID: "c-1001", Name: "Ada Lovelace", Email: "ada@example.com"}
	home = wire.Address{Name: "Ada Lovelace", Company: "Engines Ltd", Street2: "Flat 3", Region: "HH", Phone: "+49 40 1", Street: "Hauptstraße 1", PostalCode: "20095", City: "Hamburg", Country: "DE"}
)

// bill is the invoice of an order with lines, of whose total paid was paid in money.
func bill(order string, paid, points int64, lines ...invoicing.InvoiceLine) invoicing.Invoice {
	var total int64
	for _, l := range lines {
		total += l.Amount
	}
	return invoicing.Invoice{
		OrderID: order, Customer: ada, Lines: lines, Total: eur(total), Paid: eur(paid),
		CaptureID: "cap-" + order, PointsAwarded: points, ShipTo: home,
	}
}

func article(sku string, quantity, amount int64) invoicing.InvoiceLine {
	return invoicing.InvoiceLine{SKU: sku, Quantity: quantity, Amount: amount}
}

func back(order string, lines ...wire.Line) invoicing.ReturnRequest {
	return invoicing.ReturnRequest{OrderID: order, Lines: lines, Reason: "too small"}
}

// office is an invoicing service under test.
type office struct {
	t    *testing.T
	base string
}

func each(t *testing.T, run func(t *testing.T, o office)) {
	t.Helper()
	servicetest.Each(t, "invoicing", func(t *testing.T, base string) { run(t, office{t: t, base: base}) })
}

func (o office) invoice(in invoicing.Invoice) string {
	o.t.Helper()
	return servicetest.Do[invoicing.Issued](o.t, o.base+"/invoices", in.OrderID+":IssueInvoice", in).InvoiceNumber
}

func (o office) approve(key string, in invoicing.ReturnRequest) invoicing.Approval {
	o.t.Helper()
	return servicetest.Do[invoicing.Approval](o.t, o.base+"/return-approvals", key, in)
}

func (o office) refuse(in invoicing.ReturnRequest, code string) {
	o.t.Helper()
	servicetest.Refused(o.t, o.base+"/return-approvals", "refused:ApproveReturn", in, code)
}

func (o office) credit(key string, approval invoicing.Approval) string {
	o.t.Helper()
	return servicetest.Do[invoicing.Credited](o.t, o.base+"/credit-notes", key,
		invoicing.CreditNote{ApprovalID: approval.ApprovalID, RefundID: "ref-1", Amount: approval.Refund}).Number
}

func (o office) figures() map[string]int64 {
	o.t.Helper()
	return servicetest.Audit(o.t, o.base).Figures
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		fencetest.Run(t, fencetest.Step{
			Name: "IssueInvoice", URL: o.base + "/invoices", Irreversible: true,
			Body: func(n int) any { return bill(fmt.Sprintf("i%d", n), 100, 1, article("TEA-SENCHA", 1, 890)) },
		})
		invoiced := func(prefix string, n int) invoicing.ReturnRequest {
			order := fmt.Sprintf("%s%d", prefix, n)
			o.invoice(bill(order, 100, 1, article("TEA-SENCHA", 1, 890)))
			return back(order)
		}
		fencetest.Run(t, fencetest.Step{
			Name: "ApproveReturn", URL: o.base + "/return-approvals",
			Body: func(n int) any { return invoiced("a", n) },
		})
		require.Zero(t, o.figures()["open_approvals"])
		require.Zero(t, o.figures()["open_refund"])
		fencetest.Run(t, fencetest.Step{
			Name: "IssueCreditNote", URL: o.base + "/credit-notes", Irreversible: true,
			Body: func(n int) any {
				a := o.approve(fmt.Sprintf("r%d:ApproveReturn", n), invoiced("c", n))
				return invoicing.CreditNote{ApprovalID: a.ApprovalID, RefundID: "ref-1", Amount: a.Refund}
			},
		})
		o.figures()
	})
}

// Refused and concurrent invoices leave no gap in the numbers.
func TestNumbersAreConsecutive(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		const orders = 25
		tea := article("TEA-SENCHA", 1, 890)
		require.Equal(t, "INV-00000001", o.invoice(bill("first", 890, 8, tea)))
		numbers := make([]string, orders)
		var wg sync.WaitGroup
		for i := range orders {
			wg.Go(func() {
				again := servicetest.Call(t, http.MethodPut, servicetest.Resource(o.base+"/invoices", fmt.Sprintf("again-%d", i)), bill("first", 890, 8, tea))
				if again.Code != invoicing.AlreadyInvoiced {
					t.Errorf("an order invoiced twice: %d %s", again.Status, again.Body)
				}
			})
			wg.Go(func() {
				order := fmt.Sprintf("o%d", i)
				issued := servicetest.Call(t, http.MethodPut, servicetest.Resource(o.base+"/invoices", order), bill(order, 890, 8, tea))
				numbers[i] = string(issued.Body)
			})
		}
		wg.Wait()
		slices.Sort(numbers)
		for i, number := range numbers {
			require.JSONEq(t, fmt.Sprintf(`{"invoice_number": "INV-%08d"}`, i+2), number)
		}
		require.EqualValues(t, orders+1, o.figures()["invoices"])
	})
}

func TestOneInvoiceForAnOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		done := servicetest.AtOnce(t, 10, o.base+"/invoices", bill("o1", 890, 8, article("TEA-SENCHA", 1, 890)), invoicing.AlreadyInvoiced)
		require.Equal(t, 1, done)
		require.EqualValues(t, 1, o.figures()["invoices"])
	})
}

func TestInvoiceRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o office) {
		good := func() invoicing.Invoice { return bill("o1", 890, 8, article("TEA-SENCHA", 1, 890)) }
		for name, spoil := range map[string]func(*invoicing.Invoice){
			"no order":          func(in *invoicing.Invoice) { in.OrderID = "" },
			"no lines":          func(in *invoicing.Invoice) { in.Lines, in.Total, in.Paid = nil, eur(0), eur(0) },
			"line repeated":     func(in *invoicing.Invoice) { in.Lines = append(in.Lines, article("TEA-SENCHA", 1, 0)) },
			"nothing of it":     func(in *invoicing.Invoice) { in.Lines[0].Quantity = 0 },
			"negative amount":   func(in *invoicing.Invoice) { in.Lines[0].Amount = -890 },
			"total not the sum": func(in *invoicing.Invoice) { in.Total.Amount++ },
			"too large":         func(in *invoicing.Invoice) { in.Lines[0].Amount, in.Total.Amount = 1<<62, 1<<62 },
			"more paid":         func(in *invoicing.Invoice) { in.Paid.Amount = 891 },
			"other currency":    func(in *invoicing.Invoice) { in.Paid.Currency = "USD" },
			"no capture":        func(in *invoicing.Invoice) { in.CaptureID = "" },
			"negative points":   func(in *invoicing.Invoice) { in.PointsAwarded = -1 },
			"no street":         func(in *invoicing.Invoice) { in.ShipTo.Street = " " },
		} {
			in := good()
			spoil(&in)
			answer := servicetest.Call(t, http.MethodPut, servicetest.Resource(o.base+"/invoices", "o1:IssueInvoice"), in)
			require.Equal(t, wire.InvalidInput, answer.Code, "%s: %s", name, answer.Body)
		}
		require.Equal(t, "INV-00000001", o.invoice(good()))
	})
}
