package loyalty_test

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/fence/fencetest"
	"github.com/amends-dev/amends/internal/services/loyalty"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

const opening = 1_000_000 // points of c-1001 to c-1009

func eur(amount int64) wire.Money { return wire.Money{Amount: amount, Currency: "EUR"} }

// program is a loyalty service under test.
type program struct {
	t    *testing.T
	base string
}

func each(t *testing.T, run func(t *testing.T, p program)) {
	t.Helper()
	servicetest.Each(t, "loyalty", func(t *testing.T, base string) { run(t, program{t: t, base: base}) })
}

func (p program) hold(key, customer string, points int64) loyalty.Held {
	p.t.Helper()
	return servicetest.Do[loyalty.Held](p.t, p.base+"/holds", key,
		loyalty.Hold{CustomerID: customer, Points: points, Currency: "EUR"})
}

func (p program) award(key, customer, hold string, paid int64) loyalty.Change {
	p.t.Helper()
	return servicetest.Do[loyalty.Change](p.t, p.base+"/awards", key,
		loyalty.Award{CustomerID: customer, HoldID: hold, Amount: eur(paid)})
}

func (p program) takeBack(key, customer string, points int64) loyalty.Change {
	p.t.Helper()
	return servicetest.Do[loyalty.Change](p.t, p.base+"/takebacks", key,
		loyalty.TakeBack{CustomerID: customer, Points: points})
}

func (p program) figures() map[string]int64 {
	p.t.Helper()
	return servicetest.Audit(p.t, p.base).Figures
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		fencetest.Run(t, fencetest.Step{
			Name: "HoldPoints", URL: p.base + "/holds",
			Body: func(n int) any { return loyalty.Hold{CustomerID: "c-1001", Points: int64(n), Currency: "EUR"} },
		})
		require.Zero(t, p.figures()["open_holds"])
		require.EqualValues(t, 9*opening, p.figures()["balance"])
		fencetest.Run(t, fencetest.Step{
			Name: "AwardPoints", URL: p.base + "/awards", Irreversible: true,
			Body: func(n int) any {
				held := p.hold(fmt.Sprintf("o%d:HoldPoints", n), "c-1002", 1)
				return loyalty.Award{CustomerID: "c-1002", HoldID: held.HoldID, Amount: eur(1000)}
			},
		})
		fencetest.Run(t, fencetest.Step{
			Name: "TakeBackPoints", URL: p.base + "/takebacks", Irreversible: true,
			Body: func(n int) any { return loyalty.TakeBack{CustomerID: "c-1003", Points: int64(n)} },
		})
		p.figures()
	})
}

func TestHeldPointsAreSpentOrReleased(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		spent := p.hold("o1:HoldPoints", "c-1001", 300)
		require.EqualValues(t, 300, spent.Points)
		require.Equal(t, eur(300), spent.Value)
		p.hold("o2:HoldPoints", "c-1001", 200)
		require.EqualValues(t, 500, p.figures()["open_points"])

		require.Equal(t, loyalty.Change{Points: 12, Balance: opening - 500 + 12}, p.award("o1:AwardPoints", "c-1001", spent.HoldID, 1299))
		servicetest.Undo(t, p.base+"/holds", "o2:HoldPoints")

		figures := p.figures()
		require.Zero(t, figures["open_holds"])
		require.EqualValues(t, 300, figures["spent"])
		require.EqualValues(t, 12, figures["awarded"])
		require.EqualValues(t, 9*opening-300+12, figures["balance"])
		servicetest.Irreversible(t, p.base+"/holds", "o1:HoldPoints")
		require.EqualValues(t, 9*opening-300+12, p.figures()["balance"], "spent points do not come back")
	})
}

func TestNewCustomerStartsAtZero(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		servicetest.Refused(t, p.base+"/holds", "o1:HoldPoints",
			loyalty.Hold{CustomerID: "c-new", Points: 1, Currency: "EUR"}, loyalty.NotEnoughPoints)
		require.EqualValues(t, 9, p.figures()["accounts"], "a refusal opens no account")
		require.Equal(t, loyalty.Change{Points: 0, Balance: 0}, p.award("o1:AwardPoints", "c-new", "", 99))
		require.Equal(t, loyalty.Change{Points: 1, Balance: 1}, p.award("o2:AwardPoints", "c-new", "", 100))
		p.hold("o3:HoldPoints", "c-new", 1)
	})
}

// TestRefusalHasNoBalance: a caller who names somebody else's account learns only that its balance is too low.
func TestRefusalHasNoBalance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		p.hold("o1:HoldPoints", "c-1001", opening-123)
		answer := servicetest.Call(t, http.MethodPut, servicetest.Resource(p.base+"/holds", "o2:HoldPoints"),
			loyalty.Hold{CustomerID: "c-1001", Points: 124, Currency: "EUR"})
		require.Equal(t, loyalty.NotEnoughPoints, answer.Code)
		require.NotContains(t, string(answer.Body), "123")
		require.Contains(t, string(answer.Body), "customer c-1001 has fewer than 124 points")
	})
}

func TestTakesAtMostTheBalance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		p.hold("o1:HoldPoints", "c-1001", opening-100)
		require.Equal(t, loyalty.Change{Points: 70, Balance: 30}, p.takeBack("r1:TakeBackPoints", "c-1001", 70))
		require.Equal(t, loyalty.Change{Points: 30, Balance: 0}, p.takeBack("r2:TakeBackPoints", "c-1001", 70), "held points stay")
		require.Equal(t, loyalty.Change{}, p.takeBack("r3:TakeBackPoints", "c-1001", 0))
		require.EqualValues(t, 100, p.figures()["taken_back"])
		servicetest.Undo(t, p.base+"/holds", "o1:HoldPoints")
		require.EqualValues(t, 9*opening-100, p.figures()["balance"])
	})
}

func TestLargestAmounts(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		const most = 1_000_000_000_000
		require.Equal(t, loyalty.Change{Points: most, Balance: most}, p.award("o1:AwardPoints", "c-rich", "", math.MaxInt64))
		p.hold("o2:HoldPoints", "c-rich", 10)
		require.Equal(t, loyalty.Change{Points: 10, Balance: most}, p.award("o2:AwardPoints", "c-rich", "", math.MaxInt64))
		servicetest.Undo(t, p.base+"/holds", "o2:HoldPoints")
		require.Equal(t, loyalty.Change{Points: 0, Balance: most + 10}, p.award("o3:AwardPoints", "c-rich", "", math.MaxInt64))
		require.Equal(t, loyalty.Change{Points: most + 10}, p.takeBack("r1:TakeBackPoints", "c-rich", math.MaxInt64))
		p.figures()
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		of1001 := p.hold("o1:HoldPoints", "c-1001", 5).HoldID
		released := p.hold("o2:HoldPoints", "c-1002", 5).HoldID
		servicetest.Undo(t, p.base+"/holds", "o2:HoldPoints")
		spent := p.hold("o3:HoldPoints", "c-1003", 5).HoldID
		p.award("o3:AwardPoints", "c-1003", spent, 0)
		before := p.figures()

		for _, tt := range []struct {
			collection string
			body       any
			code       string
		}{
			{"/holds", loyalty.Hold{CustomerID: "c-1001", Points: opening - 4, Currency: "EUR"}, loyalty.NotEnoughPoints},
			{"/holds", loyalty.Hold{CustomerID: "c-1001", Points: math.MaxInt64, Currency: "EUR"}, loyalty.NotEnoughPoints},
			{"/holds", loyalty.Hold{CustomerID: "c-1001", Points: -5, Currency: "EUR"}, wire.InvalidInput},
			{"/awards", loyalty.Award{CustomerID: "c-1002", HoldID: of1001, Amount: eur(100)}, loyalty.HoldUnknown},
			{"/awards", loyalty.Award{CustomerID: "c-1002", HoldID: released, Amount: eur(100)}, loyalty.HoldUnknown},
			{"/awards", loyalty.Award{CustomerID: "c-1003", HoldID: spent, Amount: eur(100)}, loyalty.HoldUnknown},
			{"/awards", loyalty.Award{CustomerID: "c-1003", HoldID: "hold-none", Amount: eur(100)}, loyalty.HoldUnknown},
			{"/awards", loyalty.Award{CustomerID: "c-1003", Amount: eur(-100)}, wire.InvalidInput},
			{"/takebacks", loyalty.TakeBack{CustomerID: "c-1001", Points: -1}, wire.InvalidInput},
		} {
			servicetest.Refused(t, p.base+tt.collection, "refused", tt.body, tt.code)
		}
		require.Equal(t, before, p.figures(), "what was refused had no effect")
	})
}

func TestConcurrentHoldsStayWithinTheBalance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		done := servicetest.AtOnce(t, 20, p.base+"/holds",
			loyalty.Hold{CustomerID: "c-1001", Points: opening / 7, Currency: "EUR"}, loyalty.NotEnoughPoints)
		require.Equal(t, 7, done)
		require.EqualValues(t, 7*(opening/7), p.figures()["open_points"])
	})
}

// An award and a release of one hold race: the points are spent or given back, never both.
func TestSpendAndReleaseRace(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		const races = 20
		var spent int64
		for i := range races {
			saga := fmt.Sprintf("o%d", i)
			hold := p.hold(saga+":HoldPoints", "c-1001", 10).HoldID
			var awarded, released servicetest.Answer
			var wg sync.WaitGroup
			wg.Go(func() {
				awarded = servicetest.Call(t, http.MethodPut, servicetest.Resource(p.base+"/awards", saga+":AwardPoints"),
					loyalty.Award{CustomerID: "c-1001", HoldID: hold, Amount: eur(0)})
			})
			wg.Go(func() {
				released = servicetest.Call(t, http.MethodDelete, servicetest.Resource(p.base+"/holds", saga+":HoldPoints"), nil)
			})
			wg.Wait()
			switch awarded.Status {
			case http.StatusOK:
				spent += 10
				require.Equal(t, "irreversible", released.Code)
			default:
				require.Equal(t, loyalty.HoldUnknown, awarded.Code)
				require.Equal(t, http.StatusNoContent, released.Status)
			}
		}
		figures := p.figures()
		require.Zero(t, figures["open_holds"])
		require.Equal(t, spent, figures["spent"])
		require.Equal(t, 9*opening-spent, figures["balance"])
	})
}

// A point's cost and its worth follow the currency's minor units.
func TestPointsInOtherCurrencies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		for i, tt := range []struct {
			paid   wire.Money
			earned int64
		}{
			{wire.Money{Amount: 1_290, Currency: "EUR"}, 12},
			{wire.Money{Amount: 1_290, Currency: "JPY"}, 1_290},
			{wire.Money{Amount: 1_290, Currency: "KWD"}, 1},
			{wire.Money{Amount: 999, Currency: "KWD"}, 0},
		} {
			got := servicetest.Do[loyalty.Change](t, p.base+"/awards", fmt.Sprintf("o%d:AwardPoints", i),
				loyalty.Award{CustomerID: "gid://shopify/Customer/7", Amount: tt.paid})
			require.Equal(t, tt.earned, got.Points, tt.paid)
		}
		for i, want := range []wire.Money{{Amount: 200, Currency: "EUR"}, {Amount: 2, Currency: "JPY"}, {Amount: 2_000, Currency: "KWD"}} {
			got := servicetest.Do[loyalty.Held](t, p.base+"/holds", fmt.Sprintf("h%d:HoldPoints", i),
				loyalty.Hold{CustomerID: "c-1001", Points: 200, Currency: want.Currency})
			require.Equal(t, want, got.Value)
		}
		servicetest.Refused(t, p.base+"/holds", "h9:HoldPoints", loyalty.Hold{CustomerID: "c-1001", Points: 250, Currency: "JPY"}, loyalty.PointsUneven)
	})
}

// Guests share no account.
func TestGuests(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p program) {
		for _, guest := range []string{"", "0"} {
			require.Equal(t, loyalty.Change{}, p.award("a"+guest, guest, "", 100_000))
			require.Equal(t, loyalty.Change{}, p.takeBack("t"+guest, guest, 5))
			servicetest.Refused(t, p.base+"/holds", "h"+guest, loyalty.Hold{CustomerID: guest, Points: 1, Currency: "EUR"}, loyalty.NoAccount)
		}
	})
}

// An order of a customer 0 that held points before guests were recognized comes to its end.
func TestGuestWithAHoldOfBefore(t *testing.T) {
	t.Parallel()
	servicetest.EachDB(t, "loyalty", loyalty.Migrations, func(t *testing.T, db *store.DB) {
		for _, statement := range []string{
			`INSERT INTO accounts (customer_id, balance) VALUES ('0', 0)`,
			`INSERT INTO postings (kind, key, customer_id, points, posted_at) VALUES ('opening', '0', '0', 5, 0), ('hold', 'o1', '0', -5, 0)`,
			`INSERT INTO holds (hold_id, customer_id, points, currency, state) VALUES ('hold-1', '0', 5, 'EUR', 'open')`,
		} {
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		svc := loyalty.New(db)
		base := servicetest.Routes(t, svc)
		got := servicetest.Do[loyalty.Change](t, base+"/awards", "o1:AwardPoints", loyalty.Award{CustomerID: "0", HoldID: "hold-1", Amount: eur(5_000)})
		require.Zero(t, got.Points)
		report, err := svc.Audit(t.Context())
		require.NoError(t, err)
		require.True(t, report.Balanced, report.Findings)
	})
}
