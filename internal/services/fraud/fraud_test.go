package fraud_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/fraud"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/wire"
)

// each runs run on both databases with the URL of the screenings and a way to read the figures.
func each(t *testing.T, run func(t *testing.T, screenings string, figures func() map[string]int64)) {
	t.Helper()
	servicetest.Each(t, "fraud", func(t *testing.T, baseURL string) {
		run(t, baseURL+"/screenings", func() map[string]int64 { return servicetest.Audit(t, baseURL).Figures })
	})
}

func order(customer string, amount int64) fraud.Screening {
	return fraud.Screening{
		CustomerID: customer, Email: "ada@example.com", Country: "DE",
		Amount: wire.Money{Amount: amount, Currency: "EUR"},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, figures func() map[string]int64) {
		fencetest.Run(t, fencetest.Step{
			Name: "ScreenFraud", URL: screenings,
			Body: func(n int) any { return order("c-1001", int64(n)) },
		})
		require.Zero(t, figures()["standing_screenings"])
		require.Zero(t, figures()["standing_exposure"])
	})
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, _ func() map[string]int64) {
		for i, tt := range []struct {
			customer string
			amount   int64
			verdict  fraud.Verdict
			score    int64
			reasons  int
		}{
			{"c-small", 99_999, fraud.Accept, 0, 0},
			{"c-large", 100_000, fraud.Review, 40, 1},
			{"c-very-large", 100_000_000, fraud.Review, 60, 2},
			{"c-watched", 1, fraud.Review, 50, 1},
			{"c-watched", 100_000, fraud.Review, 90, 2},
		} {
			got := servicetest.Do[fraud.Judgment](t, screenings, fmt.Sprintf("o%d:ScreenFraud", i), order(tt.customer, tt.amount))
			require.Equal(t, tt.verdict, got.Verdict, tt)
			require.Equal(t, tt.score, got.Score, tt)
			require.Len(t, got.Reasons, tt.reasons, tt)
			require.NotNil(t, got.Reasons, "no reasons are an empty list")
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, figures func() map[string]int64) {
		const key = "o:ScreenFraud"
		servicetest.Refused(t, screenings, key, order("c-blocked", 1), fraud.FraudSuspected)
		servicetest.Refused(t, screenings, key, order("c-watched", 100_000_000), fraud.FraudSuspected)
		servicetest.Refused(t, screenings, key, order("c-1", 1<<62), fraud.FraudSuspected)
		servicetest.Refused(t, screenings, key, order("c-1", -1), wire.InvalidInput)
		servicetest.Refused(t, screenings, key, order("c\x00", 1), wire.InvalidInput)
		require.Zero(t, figures()["standing_screenings"])
		require.Zero(t, figures()["standing_exposure"], "a refused order is not under way")
	})
}

func TestLargestAmounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, figures func() map[string]int64) {
		const largest = 10_000_000_000_000
		servicetest.Do[fraud.Judgment](t, screenings, "o1:ScreenFraud", order("c-1", largest))
		servicetest.Refused(t, screenings, "o2:ScreenFraud", order("c-1", 1), fraud.FraudSuspected)
		require.EqualValues(t, largest, figures()["standing_exposure"])
	})
}

// What a customer has under way weighs on the next order until it is withdrawn.
func TestExposure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, figures func() map[string]int64) {
		servicetest.Do[fraud.Judgment](t, screenings, "o1:ScreenFraud", order("c-watched", 99_899_999))
		servicetest.Refused(t, screenings, "o2:ScreenFraud", order("c-watched", 100_001), fraud.FraudSuspected)
		require.EqualValues(t, 99_899_999, figures()["standing_exposure"])

		servicetest.Undo(t, screenings, "o1:ScreenFraud")
		got := servicetest.Do[fraud.Judgment](t, screenings, "o2:ScreenFraud", order("c-watched", 100_001))
		require.EqualValues(t, 90, got.Score)
		require.EqualValues(t, 100_001, figures()["standing_exposure"])
	})
}

// Of concurrent orders that together are too much, only as many pass as would one by one.
func TestConcurrentExposure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, figures func() map[string]int64) {
		const amount = 30_000_000 // the fourth reaches 1,000,000.00, too much for who is watched
		require.Equal(t, 3, servicetest.AtOnce(t, 12, screenings, order("c-watched", amount), fraud.FraudSuspected))
		require.EqualValues(t, 3, figures()["standing_screenings"])
		require.EqualValues(t, 3*amount, figures()["standing_exposure"])
	})
}

// A large amount is counted in units of the currency, not in its minor units.
func TestVerdictInOtherCurrencies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, _ func() map[string]int64) {
		for i, tt := range []struct {
			amount  wire.Money
			verdict fraud.Verdict
			reasons []string
		}{
			{wire.Money{Amount: 999, Currency: "JPY"}, fraud.Accept, []string{}},
			{wire.Money{Amount: 1_000, Currency: "JPY"}, fraud.Review, []string{"the amount is JPY 1000 or more"}},
			{wire.Money{Amount: 999_999, Currency: "KWD"}, fraud.Accept, []string{}},
			{wire.Money{Amount: 1_000_000, Currency: "KWD"}, fraud.Review, []string{"the amount is KWD 1000.000 or more"}},
		} {
			got := servicetest.Do[fraud.Judgment](t, screenings, fmt.Sprintf("o%d:ScreenFraud", i),
				fraud.Screening{CustomerID: "c-1", Email: "ada@example.com", Country: "DE", Amount: tt.amount})
			require.Equal(t, tt.verdict, got.Verdict, tt.amount)
			require.Equal(t, tt.reasons, got.Reasons)
		}
	})
}

// One guest's orders mean nothing for another.
func TestGuestsAreKnownByTheirAddress(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, screenings string, figures func() map[string]int64) {
		guest := func(key, id, email string) fraud.Judgment {
			in := order(id, 99_999_000)
			in.Email = email
			return servicetest.Do[fraud.Judgment](t, screenings, key, in)
		}
		require.EqualValues(t, 40, guest("o1", "0", "ada@example.com").Score)
		require.EqualValues(t, 40, guest("o2", "", "grace@example.com").Score, "another guest")
		require.EqualValues(t, 60, guest("o3", "", "ADA@example.com").Score, "the same one, who has much under way")
		servicetest.Undo(t, screenings, "o3")
		require.EqualValues(t, 2, figures()["standing_screenings"])
	})
}
