package demo

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/services"
)

// system is an API and services that answer as the real ones do, without doing anything: an order ends as the
// example says that it was made from.
type system struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	orders map[string]*placed
	faults map[string]services.Fault // by service and step
	met    int
	// failures are the statuses with which the next looks at orders are answered.
	failures []int
	// spoil changes what the API tells of an order; figures, what the payment's audit does. noFaults takes the fault
	// settings away.
	spoil    func(client.OrderRequest, *client.Order)
	figures  func(*account)
	noFaults bool
	// forgetful services forget their faults at once.
	forgetful bool
}

type placed struct {
	order   client.OrderRequest
	example examples.Example
	fault   *services.Fault
	// decision is "approved", "rejected" or "canceled" once a person decided.
	decision string
}

func newSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, orders: map[string]*placed{}, faults: map[string]services.Fault{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, http.StatusOK, client.Readiness{Workers: 1}) })
	mux.HandleFunc("GET /v1/caller", s.caller)
	mux.HandleFunc("POST /v1/orders", s.place)
	mux.HandleFunc("GET /v1/orders/{id}", s.show)
	mux.HandleFunc("POST /v1/orders/{id}/{act}", s.decide)
	mux.HandleFunc("/{service}/faults", s.settings)
	mux.HandleFunc("/{service}/faults/{step}", s.settings)
	mux.HandleFunc("GET /{service}/audit", s.audit)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// client is a client of the system at that path, who has that key.
func (s *system) client(path, key string) *client.Client {
	s.t.Helper()
	c, err := client.New(s.URL+path, client.Options{Token: key, FirstPause: time.Millisecond, LongestPause: time.Millisecond})
	require.NoError(s.t, err)
	return c
}

func (s *system) options(out *strings.Builder) Options {
	return Options{
		API: s.client("/", theKey), Services: s.URL, Orders: 40, Seed: 7, Timeout: time.Minute, Poll: time.Millisecond, Out: out,
	}
}

func (s *system) answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.t.Error(err)
	}
}

// theKey is the key of the demo, theCaller the ID that it has by it.
const theKey, theCaller = "amends_demo_secret", "default/key:local"

func (s *system) caller(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+theKey {
		s.answer(w, http.StatusUnauthorized, nil)
		return
	}
	s.answer(w, http.StatusOK, map[string]string{"id": theCaller})
}

func (s *system) place(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &placed{}
	if err := json.NewDecoder(r.Body).Decode(&p.order); err != nil {
		s.t.Errorf("bad order: %v", err)
	}
	id := api.IDOf(theCaller, r.URL.Path, r.Header.Get("Idempotency-Key"))
	i := slices.IndexFunc(examples.Orders, func(e examples.Example) bool {
		o, err := examples.Request(e.Name)
		return err == nil && o.Customer == p.order.Customer && o.Lines[0] == p.order.Lines[0] && o.Payment == p.order.Payment
	})
	p.example = examples.Orders[i]
	for _, f := range s.faults {
		if strings.Contains("order-"+id+":"+f.Step, f.Match) {
			p.fault = &f
			s.met++
		}
	}
	s.orders[id] = p
	s.answer(w, http.StatusAccepted, map[string]any{"id": id})
}

func (s *system) show(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) > 0 {
		status := s.failures[0]
		s.failures = s.failures[1:]
		s.answer(w, status, map[string]any{})
		return
	}
	p := s.orders[r.PathValue("id")]
	v := p.view()
	v.Links.WebUI = "http://ui.example/" + r.PathValue("id")
	if s.spoil != nil {
		s.spoil(p.order, &v)
	}
	s.answer(w, http.StatusOK, v)
}

// view is the order's, with the one step that matters and its fault.
func (p *placed) view() client.Order {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ended := began.Add(1500 * time.Millisecond)
	v := client.Order{State: client.State(p.example.State), StartedAt: began, EndedAt: &ended}
	decided := client.Step{Name: "ScreenFraud", Do: client.DoDone, Undo: client.UndoNone, Attempts: 1}
	if p.example.Name == "fraud-review" {
		switch p.decision {
		case "":
			v.State, v.EndedAt = client.Running, nil
			v.Links.Approval = "/v1/orders/x/approval"
		case "rejected", "canceled":
			v.State, v.Cause = client.Compensated, p.decision+" by the demo"
		}
	}
	if v.State == client.Compensated {
		decided.Undo, decided.UndoAttempts = client.UndoDone, 1
	}
	v.Steps = []client.Step{decided}
	if p.example.RefusedBy != "" {
		v.Cause = p.example.RefusedBy + " refused: " + p.example.Code
		v.Steps = append(v.Steps, client.Step{Name: p.example.RefusedBy, Do: client.DoRefused, Undo: client.UndoNone, Attempts: 1})
	}
	if p.fault != nil {
		v.Steps = append(v.Steps, client.Step{
			Name: p.fault.Step, Do: client.DoDone, Undo: decided.Undo, Attempts: 1 + p.fault.Times, UndoAttempts: 1 + p.fault.Times,
		})
	}
	return v
}

func (s *system) decide(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.orders[r.PathValue("id")]
	var body struct {
		Approved bool   `json:"approved"`
		By       string `json:"by"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.By != person {
		s.t.Errorf("decided by %q: %v", body.By, err)
	}
	switch {
	case r.PathValue("act") == "cancel":
		p.decision = "canceled"
	case body.Approved:
		p.decision = "approved"
	default:
		p.decision = "rejected"
	}
	s.answer(w, http.StatusAccepted, map[string]any{})
}

func (s *system) settings(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := r.PathValue("service") + "/" + r.PathValue("step")
	switch {
	case s.noFaults:
		s.answer(w, http.StatusNotFound, map[string]any{})
	case r.Method == http.MethodGet:
		s.answer(w, http.StatusOK, []services.Fault{})
	case r.Method == http.MethodDelete:
		delete(s.faults, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		f := services.Fault{Step: r.PathValue("step")}
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil || f.Match == "" {
			s.t.Errorf("bad fault %+v: %v", f, err)
		}
		if !s.forgetful {
			s.faults[key] = f
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// audit has nothing to count but what completed orders leave.
func (s *system) audit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := account{Service: r.PathValue("service"), Balanced: true, Figures: map[string]int64{"open": 0}}
	for _, p := range s.orders {
		v := p.view()
		if s.spoil != nil {
			s.spoil(p.order, &v)
		}
		switch {
		case v.State != client.Completed:
		case a.Service == "pricing":
			a.Figures["standing_quotes"]++
		case a.Service == "fraud":
			a.Figures["standing_screenings"]++
		case a.Service == "vouchers" && p.order.Voucher != "":
			a.Figures["standing_redemptions"]++
		}
	}
	if a.Service == "payment" && s.figures != nil && len(s.orders) > 0 {
		s.figures(&a)
	}
	s.answer(w, http.StatusOK, a)
}
