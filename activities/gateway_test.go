package activities_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services"
)

// A gateway stands between the activities and real services. It passes each call on, and answers some of them itself,
// after the service has done its part.
type gateway struct {
	*httptest.Server
	mu sync.Mutex
	// spoils are the numbers of calls, by method and step, that wrong still answers.
	spoils map[string]int
	wrong  http.HandlerFunc
	calls  map[string]int
	// mute workers give no reason for an undo.
	mute   bool
	parked []compensation.ParkedStep
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	host, err := services.Open(t.Context(), services.Config{
		Dir: t.TempDir(), Names: []string{"inventory", "payment"}, Wait: 20 * time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	behind := httptest.NewServer(host.Handler())
	target, err := url.Parse(behind.URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	g := &gateway{spoils: map[string]int{}, calls: map[string]int{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, step, _ := strings.Cut(r.URL.Path, ":")
		call := r.Method + " " + step
		g.mu.Lock()
		g.calls[call]++
		spoil := g.spoils[call] > 0
		if spoil {
			g.spoils[call]--
		}
		g.mu.Unlock()
		if !spoil {
			proxy.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		g.wrong(w, r)
	}))
	t.Cleanup(func() {
		g.Close()
		behind.Close()
		require.NoError(t, host.Close())
	})
	return g
}

// run runs a saga behind the gateway: stock is reserved, a card authorized, then captured, then the stock committed.
// With declined, the capture is of more than was authorized.
func (g *gateway) run(t *testing.T, declined bool) error {
	t.Helper()
	set, err := activities.New(activities.Options{ServicesURL: g.URL})
	require.NoError(t, err)
	reserve := compensation.Step[activities.ReserveStock, activities.Reservation]{
		Name: "ReserveStock", Do: set.Inventory.ReserveStock, Undo: set.Inventory.ReleaseStock,
	}
	pay := compensation.Step[activities.AuthorizePayment, activities.Authorization]{
		Name: "AuthorizePayment", Do: set.Payment.AuthorizePayment, Undo: set.Payment.VoidAuthorization,
	}
	capture := compensation.Step[activities.CapturePayment, activities.Capture]{
		Name: "CapturePayment", Kind: compensation.Pivot, Do: set.Payment.CapturePayment, Undo: set.Payment.PreventCapture,
	}
	commit := compensation.Step[activities.CommitStock, activities.Commitment]{
		Name: "CommitStock", Kind: compensation.Retriable, Do: set.Inventory.CommitStock,
	}
	plan := compensation.MustPlan("Gateway", reserve, pay, capture, commit)
	amount := order.Money{Amount: 1290, Currency: "EUR"}
	saga := func(ctx workflow.Context) (string, error) {
		return compensation.Run(ctx, plan, func(ctx workflow.Context) (string, error) {
			stock, err := reserve.Run(ctx, activities.ReserveStock{Lines: []order.Line{{SKU: "TEA-SENCHA", Quantity: 1}}})
			if err != nil {
				return "", err
			}
			hold, err := pay.Run(ctx, activities.AuthorizePayment{Token: "tok_visa", Amount: amount})
			if err != nil {
				return "", err
			}
			take := activities.CapturePayment{AuthorizationID: hold.ID, Amount: amount}
			if declined {
				take.Amount.Amount++
			}
			if _, err := capture.Run(ctx, take); err != nil {
				return "", err
			}
			c, err := commit.Run(ctx, activities.CommitStock{ReservationID: stock.ID})
			return c.ID, err
		})
	}
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(slog.New(slog.DiscardHandler))
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	options := worker.Options{Plugins: []worker.Plugin{compensation.NewPlugin()}}
	if !g.mute {
		options.Interceptors = []interceptor.WorkerInterceptor{compensation.CarryReasons(nil)}
	}
	env.SetWorkerOptions(options)
	env.RegisterWorkflowWithOptions(saga, workflow.RegisterOptions{Name: "Gateway"})
	for _, participant := range set.All() {
		env.RegisterActivity(participant)
	}
	env.OnUpsertMemo(mock.MatchedBy(func(memo map[string]any) bool {
		if parked, ok := memo[compensation.MemoParked].([]compensation.ParkedStep); ok {
			g.parked = append(g.parked, parked...)
		}
		return true
	})).Return(nil).Maybe()
	env.ExecuteWorkflow("Gateway")
	require.True(t, env.IsWorkflowCompleted())
	return env.GetWorkflowError()
}

// requireBooks requires that the services' books balance, and that the steps all stand or are all undone.
func (g *gateway) requireBooks(t *testing.T, captured bool) {
	t.Helper()
	for _, service := range []string{"inventory", "payment"} {
		requireAudit(t, g.URL+"/"+service+"/audit")
	}
	for step, collection := range map[string]string{
		"ReserveStock": "/inventory/reservations/", "AuthorizePayment": "/payment/authorizations/", "CapturePayment": "/payment/captures/",
	} {
		want := "undone"
		if captured {
			want = "done"
		}
		require.Equal(t, want, g.state(t, collection+"default-test-workflow-id:"+step), step)
	}
}

// state probes a key.
func (g *gateway) state(t *testing.T, path string) string {
	t.Helper()
	var probe struct{ State string }
	getJSON(t, g.URL+path, &probe)
	return probe.State
}

func requireAudit(t *testing.T, address string) {
	t.Helper()
	var audit struct {
		Balanced bool
		Findings []string
	}
	getJSON(t, address, &audit)
	require.True(t, audit.Balanced, "%v", audit.Findings)
}

func getJSON(t *testing.T, address string, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode, address)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(out))
}

// forever is more than the calls that a saga makes.
const forever = 1 << 20

// wrongAnswers are answers from between a worker and its services, although the service has done its part.
var wrongAnswers = map[string]http.HandlerFunc{
	"page, 400":           asGiven(400, page, "Content-Type", html),
	"page, 401":           asGiven(401, page, "Content-Type", html, "WWW-Authenticate", "Basic"),
	"page, 403":           asGiven(403, page, "Content-Type", html),
	"page, 404":           asGiven(404, page, "Content-Type", html),
	"page, 410":           asGiven(410, page, "Content-Type", html),
	"page, 200":           asGiven(200, page, "Content-Type", html),
	"a gateway's problem": asGiven(403, declined, "Content-Type", problems),
	"redirect":            asGiven(302, page, "Location", "/login"),
	"accepted":            asGiven(202, `{}`, "Content-Type", "application/json"),
	"cut off":             cutOff(403, declined, "Content-Type", problems),
}

// TestGatewayAnswersStep: something in between answers that a step is not done which the service has done. The saga asks
// again, and if it never gets a better answer, it undoes the step.
func TestGatewayAnswersStep(t *testing.T) {
	t.Parallel()

	for name, wrong := range wrongAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			t.Run("once", func(t *testing.T) {
				t.Parallel()

				g := newGateway(t)
				g.wrong, g.spoils["PUT AuthorizePayment"] = wrong, 1
				require.NoError(t, g.run(t, false))
				require.Empty(t, g.parked)
				g.requireBooks(t, true)
			})
			t.Run("always", func(t *testing.T) {
				t.Parallel()

				g := newGateway(t)
				g.wrong, g.spoils["PUT AuthorizePayment"] = wrong, forever
				err := g.run(t, false)
				var failure *temporal.ApplicationError
				require.ErrorAs(t, err, &failure)
				require.Equal(t, compensation.ErrTypeUnknown, failure.Type(), "%v", err)
				require.Empty(t, g.parked)
				g.requireBooks(t, false)
			})
		})
	}
}

// TestGatewayAnswersUndo: an undo is tried again if something in between answers it, and so is a step after the pivot.
// Neither needs a person.
func TestGatewayAnswersUndo(t *testing.T) {
	t.Parallel()

	for name, wrong := range wrongAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			g := newGateway(t)
			g.wrong = wrong
			for _, call := range []string{"DELETE CapturePayment", "DELETE AuthorizePayment", "DELETE ReserveStock"} {
				g.spoils[call] = 5
			}
			require.ErrorContains(t, g.run(t, true), "EUR 12.90 were authorized, less than EUR 12.91")
			require.Empty(t, g.parked)
			g.requireBooks(t, false)
			require.Equal(t, 6, g.calls["DELETE AuthorizePayment"])

			g = newGateway(t)
			g.wrong, g.spoils["PUT CapturePayment"], g.spoils["PUT CommitStock"] = wrong, 1, 5
			require.NoError(t, g.run(t, false))
			require.Empty(t, g.parked)
			g.requireBooks(t, true)
		})
	}
}

// TestCauseSurvives: a try of the saga turns back and is lost with its record. The next one finds its first step undone,
// and still reports why the saga turned back.
func TestCauseSurvives(t *testing.T) {
	t.Parallel()

	const declined = "CapturePayment refused: EUR 12.90 were authorized, less than EUR 12.91"
	for name, tt := range map[string]struct {
		mute bool
		want string
		code string
	}{
		"reasons are carried":     {false, declined, "amount_too_large"},
		"reasons are not carried": {true, "ReserveStock refused: this key was undone; it cannot be done any more", "undone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			g := newGateway(t)
			g.mute = tt.mute
			lost := g.run(t, true)
			var failure *temporal.ApplicationError
			require.ErrorAs(t, lost, &failure)
			require.Equal(t, declined, failure.Message())
			for range 2 { // the next may be lost, too
				err := g.run(t, true)
				require.ErrorAs(t, err, &failure)
				require.Equal(t, tt.want, failure.Message())
				require.Equal(t, compensation.ErrTypeRefused, failure.Type())
				require.Equal(t, tt.code, compensation.RefusalCode(err))
			}
			require.Equal(t, tt.mute, compensation.RefusalCode(lost) != tt.code)
			g.requireBooks(t, false)
		})
	}
}

// TestLongestKey: services take the longest keys that sagas have.
func TestLongestKey(t *testing.T) {
	t.Parallel()

	g := newGateway(t)
	set, err := activities.New(activities.Options{ServicesURL: g.URL})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(set.Payment)
	for more, wants := range map[int]string{0: "", 1: "the key is longer than 512 bytes"} {
		key := compensation.Key{Step: "AuthorizePayment"}
		key.Saga = strings.Repeat("s", compensation.MaxKeyLength+more-len(key.String()))
		_, err := env.ExecuteActivity(set.Payment.AuthorizePayment, key, authorize)
		if wants == "" {
			require.NoError(t, err)
			continue
		}
		requireFailure(t, err, compensation.ErrTypeRefused, wants, true, 0)
	}
}
