package vouchers_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/vouchers"
	"github.com/amends-dev/amends/internal/services/wire"
)

// each runs run on both databases with the URL of the redemptions and a way to read the figures.
func each(t *testing.T, run func(t *testing.T, redemptions string, figures func() map[string]int64)) {
	t.Helper()
	servicetest.Each(t, "vouchers", func(t *testing.T, baseURL string) {
		run(t, baseURL+"/redemptions", func() map[string]int64 { return servicetest.Audit(t, baseURL).Figures })
	})
}

func redeem(code string, amount int64, currency string) vouchers.Redemption {
	return vouchers.Redemption{Code: code, CustomerID: "c-1001", Amount: wire.Money{Amount: amount, Currency: currency}}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, redemptions string, figures func() map[string]int64) {
		fencetest.Run(t, fencetest.Step{
			Name: "RedeemVoucher", URL: redemptions,
			Body: func(n int) any { return redeem(fmt.Sprintf("SPRING-%04d", n), 1000, "EUR") },
		})
		require.Zero(t, figures()["standing_redemptions"])
	})
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, redemptions string, figures func() map[string]int64) {
		require.Equal(t, map[string]int64{"vouchers": 10_001, "used": 1, "standing_redemptions": 0, "restored": 0}, figures())
		for _, code := range []string{"SPRING-0001", "SPRING-0999", "SPRING-9999"} {
			got := servicetest.Do[vouchers.Discount](t, redemptions, code, redeem(code, 1000, "EUR"))
			require.Equal(t, vouchers.Discount{Code: code, Discount: wire.Money{Amount: 500, Currency: "EUR"}}, got)
		}
	})
}

func TestDiscountIsNeverAboveTheAmount(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, redemptions string, _ func() map[string]int64) {
		for i, tt := range []struct{ amount, discount int64 }{{0, 0}, {499, 499}, {500, 500}, {1 << 62, 500}} {
			code := fmt.Sprintf("SPRING-%04d", i+1)
			got := servicetest.Do[vouchers.Discount](t, redemptions, code, redeem(code, tt.amount, "EUR"))
			require.Equal(t, tt.discount, got.Discount.Amount)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, redemptions string, figures func() map[string]int64) {
		for _, tt := range []struct {
			body vouchers.Redemption
			code string
		}{
			{redeem("SPRING-10000", 1000, "EUR"), vouchers.VoucherUnknown},
			{redeem("SPRING-USED", 1000, "EUR"), vouchers.VoucherUsed},
			{redeem("SPRING-EXPIRED", 1000, "EUR"), vouchers.VoucherExpired},
			{redeem("SPRING-0001", 1000, "USD"), vouchers.VoucherCurrency},
			{redeem("SPRING-0001", -1, "EUR"), wire.InvalidInput},
			{redeem("", 1000, "EUR"), wire.InvalidInput},
		} {
			servicetest.Refused(t, redemptions, "o1:RedeemVoucher", tt.body, tt.code)
		}
		require.EqualValues(t, 1, figures()["used"], "a refused voucher is not used")
	})
}

func TestRestoredIsUsableAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, redemptions string, figures func() map[string]int64) {
		body := redeem("SPRING-0001", 1000, "EUR")
		servicetest.Do[vouchers.Discount](t, redemptions, "o1:RedeemVoucher", body)
		servicetest.Refused(t, redemptions, "o2:RedeemVoucher", body, vouchers.VoucherUsed)
		require.EqualValues(t, 1, figures()["standing_redemptions"])

		servicetest.Undo(t, redemptions, "o1:RedeemVoucher")
		require.Zero(t, figures()["standing_redemptions"])
		servicetest.Do[vouchers.Discount](t, redemptions, "o2:RedeemVoucher", body)
		require.EqualValues(t, 2, figures()["used"])
	})
}

func TestUsedOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, redemptions string, figures func() map[string]int64) {
		require.Equal(t, 1, servicetest.AtOnce(t, 20, redemptions, redeem("SPRING-0001", 1000, "EUR"), vouchers.VoucherUsed))
		require.EqualValues(t, 1, figures()["standing_redemptions"])
	})
}
