package payment_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/payment"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/wire"
)

const limit = 1_000_000_000

func eur(amount int64) wire.Money { return wire.Money{Amount: amount, Currency: "EUR"} }

// till is a payment service under test.
type till struct {
	t    *testing.T
	base string
}

func each(t *testing.T, run func(t *testing.T, p till)) {
	t.Helper()
	servicetest.Each(t, "payment", func(t *testing.T, base string) { run(t, till{t: t, base: base}) })
}

func (p till) authorize(key, token string, amount int64) string {
	p.t.Helper()
	return servicetest.Do[payment.Authorization](p.t, p.base+"/authorizations", key,
		payment.Authorize{Token: token, Amount: eur(amount)}).AuthorizationID
}

func (p till) capture(key, authorization string, amount int64) string {
	p.t.Helper()
	return servicetest.Do[payment.Captured](p.t, p.base+"/captures", key,
		payment.Capture{AuthorizationID: authorization, Amount: eur(amount)}).CaptureID
}

func (p till) refund(key, capture string, amount int64) {
	p.t.Helper()
	servicetest.Do[payment.Refunded](p.t, p.base+"/refunds", key, payment.Refund{CaptureID: capture, Amount: eur(amount)})
}

func (p till) figures() map[string]int64 {
	p.t.Helper()
	return servicetest.Audit(p.t, p.base).Figures
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		fencetest.Run(t, fencetest.Step{
			Name: "AuthorizePayment", URL: p.base + "/authorizations",
			Body: func(n int) any { return payment.Authorize{Token: "tok_mastercard", Amount: eur(int64(n))} },
		})
		require.Zero(t, p.figures()["open"])
		require.Zero(t, p.figures()["balance.card:tok_mastercard.EUR"])

		fencetest.Run(t, fencetest.Step{
			Name: "CapturePayment", URL: p.base + "/captures", Irreversible: true,
			Body: func(n int) any {
				key := fmt.Sprintf("captured-%d:AuthorizePayment", n)
				return payment.Capture{AuthorizationID: p.authorize(key, "tok_visa", 100), Amount: eur(100)}
			},
		})
		capture := p.capture("refunded:CapturePayment", p.authorize("refunded:AuthorizePayment", "tok_visa", limit/2), limit/2)
		fencetest.Run(t, fencetest.Step{
			Name: "RefundPayment", URL: p.base + "/refunds", Irreversible: true,
			Body: func(n int) any { return payment.Refund{CaptureID: capture, Amount: eur(int64(n))} },
		})
		p.figures()
	})
}

func TestVoidFreesTheLimit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		p.authorize("o1:AuthorizePayment", "tok_visa", limit)
		servicetest.Refused(t, p.base+"/authorizations", "o2:AuthorizePayment",
			payment.Authorize{Token: "tok_visa", Amount: eur(1)}, payment.CardDeclined)
		require.Equal(t, int64(limit), p.figures()["authorized.EUR"])

		servicetest.Undo(t, p.base+"/authorizations", "o1:AuthorizePayment")

		figures := p.figures()
		require.Zero(t, figures["open"])
		require.Zero(t, figures["balance.card:tok_visa.EUR"])
		require.Zero(t, figures["balance.holds.EUR"])
		p.authorize("o2:AuthorizePayment", "tok_visa", limit)
	})
}

func TestMoneyMovesByCaptureAndRefund(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		authorization := p.authorize("o1:AuthorizePayment", "tok_visa", 1000)
		capture := p.capture("o1:CapturePayment", authorization, 800)
		p.refund("r1:RefundPayment", capture, 300)

		figures := p.figures()
		require.Zero(t, figures["open"])
		require.Equal(t, int64(500), figures["balance.card:tok_visa.EUR"], "captured less refunded; the rest was freed")
		require.Equal(t, int64(-800), figures["balance.merchant.EUR"])
		require.Equal(t, int64(300), figures["balance.refunds.EUR"])
		require.Equal(t, int64(800), figures["captured.EUR"])
		require.Equal(t, int64(300), figures["refunded.EUR"])

		servicetest.Refused(t, p.base+"/refunds", "r2:RefundPayment",
			payment.Refund{CaptureID: capture, Amount: eur(501)}, payment.RefundTooLarge)
		p.refund("r2:RefundPayment", capture, 500)
		p.authorize("o2:AuthorizePayment", "tok_visa", limit)
	})
}

func TestNothingToPay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		capture := p.capture("o1:CapturePayment", p.authorize("o1:AuthorizePayment", "tok_visa", 0), 0)
		p.refund("r1:RefundPayment", capture, 0)
		require.Zero(t, p.figures()["open"])
	})
}

func TestCapturedCannotBeUndone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		capture := p.capture("o1:CapturePayment", p.authorize("o1:AuthorizePayment", "tok_visa", 100), 100)
		p.refund("r1:RefundPayment", capture, 100)

		servicetest.Irreversible(t, p.base+"/captures", "o1:CapturePayment")
		servicetest.Irreversible(t, p.base+"/authorizations", "o1:AuthorizePayment")
		servicetest.Irreversible(t, p.base+"/refunds", "r1:RefundPayment")
		p.figures()
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		open := p.authorize("open:AuthorizePayment", "tok_visa", 100)
		void := p.authorize("void:AuthorizePayment", "tok_visa", 100)
		servicetest.Undo(t, p.base+"/authorizations", "void:AuthorizePayment")
		taken := p.authorize("taken:AuthorizePayment", "tok_visa", 100)
		capture := p.capture("taken:CapturePayment", taken, 100)
		blocked := p.authorize("blocked:AuthorizePayment", "tok_blocked_later", 100)
		closed := p.capture("closed:CapturePayment", p.authorize("closed:AuthorizePayment", "tok_closed_later", 100), 100)
		usd := wire.Money{Amount: 100, Currency: "USD"}

		for i, tt := range []struct {
			collection string
			body       any
			code       string
		}{
			{"authorizations", payment.Authorize{Token: "tok_declined", Amount: eur(1)}, payment.CardDeclined},
			{"authorizations", payment.Authorize{Token: "tok_none", Amount: eur(1)}, payment.CardUnknown},
			{"authorizations", payment.Authorize{Token: "tok_visa", Amount: usd}, payment.CardDeclined},
			{"authorizations", payment.Authorize{Token: "tok_visa", Amount: eur(-1)}, wire.InvalidInput},
			{"authorizations", payment.Authorize{Amount: eur(1)}, wire.InvalidInput},
			{"captures", payment.Capture{AuthorizationID: "auth-none", Amount: eur(1)}, payment.AuthorizationUnknown},
			{"captures", payment.Capture{AuthorizationID: void, Amount: eur(1)}, payment.AuthorizationVoid},
			{"captures", payment.Capture{AuthorizationID: taken, Amount: eur(1)}, payment.AuthorizationCaptured},
			{"captures", payment.Capture{AuthorizationID: blocked, Amount: eur(100)}, payment.CaptureDeclined},
			{"captures", payment.Capture{AuthorizationID: open, Amount: eur(101)}, payment.AmountTooLarge},
			{"captures", payment.Capture{AuthorizationID: open, Amount: usd}, payment.CurrencyMismatch},
			{"captures", payment.Capture{AuthorizationID: open, Amount: eur(-1)}, wire.InvalidInput},
			{"refunds", payment.Refund{CaptureID: "cap-none", Amount: eur(1)}, payment.CaptureUnknown},
			{"refunds", payment.Refund{CaptureID: capture, Amount: eur(101)}, payment.RefundTooLarge},
			{"refunds", payment.Refund{CaptureID: capture, Amount: usd}, payment.CurrencyMismatch},
			{"refunds", payment.Refund{CaptureID: capture, Amount: eur(-1)}, wire.InvalidInput},
			{"refunds", payment.Refund{CaptureID: closed, Amount: eur(1)}, payment.RefundDeclined},
		} {
			servicetest.Refused(t, p.base+"/"+tt.collection, fmt.Sprintf("refused-%d", i), tt.body, tt.code)
		}

		figures := p.figures()
		require.Equal(t, int64(2), figures["open"], "what was refused had no effect")
		require.Equal(t, int64(200), figures["captured.EUR"])
		require.Zero(t, figures["refunded.EUR"])
	})
}

func TestConcurrentCallsShareOneLimit(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		done := servicetest.AtOnce(t, 30, p.base+"/authorizations",
			payment.Authorize{Token: "tok_visa", Amount: eur(limit / 10)}, payment.CardDeclined)
		require.Equal(t, 10, done)
		require.Equal(t, int64(limit), p.figures()["authorized.EUR"])
	})
}

func TestConcurrentCapturesTakeOneAuthorizationOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		authorization := p.authorize("o1:AuthorizePayment", "tok_visa", 1000)
		done := servicetest.AtOnce(t, 10, p.base+"/captures",
			payment.Capture{AuthorizationID: authorization, Amount: eur(1000)}, payment.AuthorizationCaptured)
		require.Equal(t, 1, done)
		require.Equal(t, int64(1000), p.figures()["captured.EUR"])
	})
}

func TestConcurrentRefundsStayWithinTheCapture(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		capture := p.capture("o1:CapturePayment", p.authorize("o1:AuthorizePayment", "tok_visa", 1000), 1000)
		done := servicetest.AtOnce(t, 20, p.base+"/refunds",
			payment.Refund{CaptureID: capture, Amount: eur(300)}, payment.RefundTooLarge)
		require.Equal(t, 3, done)
		require.Equal(t, int64(900), p.figures()["refunded.EUR"])
	})
}

// A capture and a void of one authorization race: one of them wins, and the books say which.
func TestCaptureAndVoidRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p till) {
		for i := range 20 {
			saga := fmt.Sprintf("o%d", i)
			authorization := p.authorize(saga+":AuthorizePayment", "tok_visa", 100)
			var captured, voided servicetest.Answer
			var wg sync.WaitGroup
			wg.Go(func() {
				captured = servicetest.Call(t, http.MethodPut, servicetest.Resource(p.base+"/captures", saga+":CapturePayment"),
					payment.Capture{AuthorizationID: authorization, Amount: eur(100)})
			})
			wg.Go(func() {
				voided = servicetest.Call(t, http.MethodDelete,
					servicetest.Resource(p.base+"/authorizations", saga+":AuthorizePayment"), nil)
			})
			wg.Wait()
			switch captured.Status {
			case http.StatusOK:
				require.Equal(t, http.StatusConflict, voided.Status, "%s", voided.Body)
			default:
				require.Equal(t, payment.AuthorizationVoid, captured.Code, "%s", captured.Body)
				require.Equal(t, http.StatusNoContent, voided.Status, "%s", voided.Body)
			}
		}
		require.Zero(t, p.figures()["open"])
	})
}
