package services_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	domain "github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/workflows"
)

// A shop is a system of real services, with something of everything that an order may name.
type shop struct {
	base     string
	skus     []string
	carriers []string
	vouchers []string
	tokens   []string
}

// The shop sells in currencies of every number of digits, and delivers everywhere.
var (
	shopCurrencies = []string{"EUR", "JPY", "KWD", "CLF"}
	shopCountries  = validCodes(2, domain.ValidCountry)
)

func validCodes(letters int, valid func(string) bool) []string {
	all := []string{""}
	for range letters {
		var longer []string
		for _, code := range all {
			for letter := 'A'; letter <= 'Z'; letter++ {
				longer = append(longer, code+string(letter))
			}
		}
		all = longer
	}
	return slices.DeleteFunc(all, func(code string) bool { return !valid(code) })
}

// having generates texts of the form, among them the longest and strangest.
func having(f domain.Form) *rapid.Generator[string] {
	strange := rapid.StringOfN(rapid.RuneFrom([]rune(`aZ0 '"\?%;<>&/:@+-_.#|~`+"`"+`éß茶🫖`)), 1, f.Max, -1)
	full := rapid.Map(rapid.SampledFrom([]rune("aé茶🫖&<7")), func(r rune) string {
		return string(slices.Repeat([]rune{r}, f.Max))
	})
	return rapid.OneOf(rapid.Just(f.Example), rapid.StringN(1, f.Max, -1), strange, full).Filter(f.Fits)
}

// different returns n texts of the form, each by a seed of its own.
func different(n int, f domain.Form) []string {
	var all []string
	for seed := 0; len(all) < n; seed++ {
		if s := having(f).Example(seed); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// longest returns n SKUs that take the most room possible in JSON: Go escapes each & with six bytes.
func longest(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Repeat("&", domain.SKUForm.Max-3) + fmt.Sprintf("%03d", i)
	}
	return all
}

func openShop(t *testing.T) shop {
	t.Helper()
	s := shop{
		skus: append(different(domain.MaxLines, domain.SKUForm), longest(domain.MaxLines)...), carriers: different(4, domain.CarrierForm),
		vouchers: different(40, domain.VoucherForm), tokens: different(len(shopCurrencies), domain.TokenForm),
	}
	one, many := int64(1), int64(1_000_000)
	var c services.Catalog
	for _, sku := range s.skus {
		a := services.Article{SKU: sku, Stock: []services.Stock{{Warehouse: "hamburg", Quantity: 1_000_000_000}}}
		for _, currency := range shopCurrencies {
			a.Prices = append(a.Prices, domain.Money{Amount: 1, Currency: currency})
		}
		c.Articles = append(c.Articles, a)
	}
	for _, carrier := range s.carriers {
		c.Carriers = append(c.Carriers, services.Carrier{
			Name: carrier, Price: &one, Capacity: &many, DeliversTo: shopCountries, ReturnsFrom: shopCountries,
		})
	}
	for i, code := range s.vouchers {
		c.Vouchers = append(c.Vouchers, services.Voucher{
			Code: code, Worth: domain.Money{Amount: 1, Currency: shopCurrencies[i%len(shopCurrencies)]}, ValidUntil: time.Now().Add(time.Hour),
		})
	}
	for i, token := range s.tokens {
		if token == "tok_visa" {
			token = "tok"
			s.tokens[i] = token
		}
		c.Cards = append(c.Cards, services.Card{Token: token, Limit: domain.Money{Amount: 1_000_000_000_000, Currency: shopCurrencies[i]}})
	}
	config := services.Config{Dir: t.TempDir(), Logger: quiet}
	_, err := services.Import(t.Context(), config, c, "the test")
	require.NoError(t, err)
	s.base = servicetest.Serve(t, config)
	return s
}

// order generates an order that Validate accepts, of the shop's articles.
func (s shop) order(t *rapid.T) domain.Order {
	text, maybe := having(domain.TextForm), func(f domain.Form, label string) string {
		if rapid.Bool().Draw(t, "with "+label) {
			return having(f).Draw(t, label)
		}
		return ""
	}
	n := rapid.IntRange(0, len(shopCurrencies)-1).Draw(t, "currency")
	o := domain.Order{
		ID:       domain.ID(strings.ReplaceAll(uuid.NewString(), "-", "_")), // a new one, also when rapid tries the same again
		Customer: domain.Customer{ID: maybe(domain.CustomerIDForm, "customer"), Name: text.Draw(t, "name"), Email: emails().Draw(t, "email")},
		Currency: shopCurrencies[n],
		Payment:  domain.Payment{Token: s.tokens[n]},
		ShipTo: domain.Address{
			Name: text.Draw(t, "recipient"), Company: maybe(domain.TextForm, "company"), Street: text.Draw(t, "street"), Street2: maybe(domain.TextForm, "street2"),
			PostalCode: maybe(domain.TextForm, "postal code"), City: maybe(domain.TextForm, "city"), Region: maybe(domain.TextForm, "region"),
			Country: rapid.SampledFrom(shopCountries).Draw(t, "country"), Phone: maybe(domain.PhoneForm, "phone"),
		},
		Carrier: rapid.SampledFrom(append([]string{""}, s.carriers...)).Draw(t, "carrier"),
		Voucher: rapid.SampledFrom(append([]string{"", ""}, s.vouchers...)).Draw(t, "voucher"),
		Points:  rapid.SampledFrom([]int64{0, 0, 0, 7, domain.MaxPoints}).Draw(t, "points"),
	}
	if o.Customer.Guest() {
		o.Points = 0
	}
	if o.ShipTo.PostalCode == "" && domain.NeedsPostalCode(o.ShipTo.Country) {
		o.ShipTo.PostalCode = text.Draw(t, "postal code that is needed")
	}
	if o.ShipTo.City == "" && domain.NeedsCity(o.ShipTo.Country) {
		o.ShipTo.City = text.Draw(t, "city that is needed")
	}
	first := rapid.SampledFrom([]int{0, len(s.skus) / 4, len(s.skus) / 2}).Draw(t, "first article")
	lines := rapid.SampledFrom([]int{1, 2, domain.MaxLines}).Draw(t, "lines")
	quantity := rapid.SampledFrom([]int64{1, 2, 97}).Draw(t, "quantity")
	for i := range lines {
		o.Lines = append(o.Lines, domain.Line{SKU: s.skus[(first+i)%len(s.skus)], Quantity: quantity})
	}
	return o
}

// emails generates addresses of any allowed length.
func emails() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Just("ada@example.com"),
		rapid.Just(strings.Repeat("a", 242)+"@example.com"),
		rapid.Just(strings.Repeat("é", 121)+"@example.com"),
		rapid.StringMatching(`[a-z0-9!#$%&'*+/=?^_{|}~-]{1,240}@[a-z]{1,8}\.example`),
		rapid.StringMatching(`[éßa-z]{1,120}@bücher\.example`),
	).Filter(domain.EmailForm.Fits)
}

// environment runs sagas with the real activities, which call the shop's services.
func (s shop) environment(t require.TestingT, id string) *testsuite.TestWorkflowEnvironment {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id, TaskQueue: workflows.TaskQueue})
	env.SetWorkerOptions(worker.Options{Plugins: []worker.Plugin{compensation.NewPlugin()}})
	env.SetTestTimeout(patience)
	workflows.Register(env)
	set, err := activities.New(activities.Options{ServicesURL: s.base})
	require.NoError(t, err)
	for _, a := range set.All() {
		env.RegisterActivityWithOptions(a, activity.RegisterOptions{})
	}
	return env
}

// update sends the saga an update, if it has not ended by then.
func update(env *testsuite.TestWorkflowEnvironment, after time.Duration, name string, arg any) {
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflow(name, name, &testsuite.TestUpdateCallback{
			OnAccept: func() {}, OnReject: func(err error) { panic(err) }, OnComplete: func(any, error) {},
		}, arg)
	}, after)
}

// silent logs nothing.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

// Refusals for other reasons than the form of a text.
var business = []string{"not_enough_points", "points_uneven", "voucher_used", "voucher_currency"}

// No step refuses, or fails on, the form of anything that the domain lets in, and with it the API: neither on the way of
// the order nor on that of its return.
func TestWhatIsLetInIsCarriedOut(t *testing.T) {
	t.Parallel()

	s := openShop(t)
	completed := 0
	rapid.Check(t, func(t *rapid.T) {
		o := s.order(t)
		require.NoError(t, o.Validate())
		env := s.environment(t, workflows.OrderWorkflowID(o.ID))
		update(env, time.Hour, workflows.UpdateApproval, workflows.Approval{Approved: true, By: "grace"}) // of a large one
		env.ExecuteWorkflow(workflows.TypePlaceOrder, workflows.PlaceOrderInput{Order: o, Revision: workflows.Revision})
		require.True(t, env.IsWorkflowCompleted())
		if err := env.GetWorkflowError(); err != nil {
			var failure *temporal.ApplicationError
			require.ErrorAs(t, err, &failure)
			if failure.Type() != workflows.ErrTypeOverpaid {
				require.Contains(t, business, compensation.RefusalCode(err), "%v", err)
			}
			return
		}
		completed++
		r := domain.Return{ID: domain.ReturnID(o.ID), OrderID: o.ID, Reason: having(domain.TextForm).Draw(t, "reason")}
		if rapid.Bool().Draw(t, "part") {
			r.Lines = o.Lines[:1]
		}
		require.NoError(t, r.Validate())
		env = s.environment(t, workflows.ReturnWorkflowID(r.ID))
		// After the second reminder.
		update(env, workflows.DefaultGoodsWithin*5/8, workflows.UpdateGoodsArrived, workflows.Arrival{Condition: domain.Resalable, By: "dock 4"})
		env.ExecuteWorkflow(workflows.TypeReturnOrder, workflows.ReturnOrderInput{Return: r, Revision: workflows.Revision})
		require.True(t, env.IsWorkflowCompleted())
		require.NoError(t, env.GetWorkflowError())
	})
	require.Positive(t, completed)
	for _, name := range services.Names {
		servicetest.Audit(t, s.base+"/"+name)
	}
}
