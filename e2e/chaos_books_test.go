package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// ledger is what all the sagas together must have brought about.
type ledger struct {
	ends map[string]int
	// orders, returns and vouchers count what completed sagas have done.
	orders, returns, vouchers int64
	// astray has a line for each saga that did not end as it should.
	astray []string
}

// examine asks the API and the services what became of each saga.
func (c *chaos) examine(ctx context.Context) (*ledger, error) {
	l := &ledger{ends: map[string]int{}}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, o := range c.outcomes {
		g.Go(func() error {
			var v saga
			if err := c.call(ctx, http.MethodGet, c.s.apiURL+o.path(), nil, &v, http.StatusOK); err != nil {
				return err
			}
			faults, err := c.standing(ctx, o, v)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			l.enter(o, v, append(o.astray(v), faults...))
			return nil
		})
	}
	return l, g.Wait()
}

// enter counts the saga.
func (l *ledger) enter(o *outcome, v saga, astray []string) {
	l.ends[v.State]++
	if v.State == "completed" {
		switch {
		case o.collection == "returns":
			l.returns++
		case o.request.fields["voucher"] != nil:
			l.vouchers++
			l.orders++
		default:
			l.orders++
		}
	}
	if len(astray) > 0 {
		l.astray = append(l.astray, fmt.Sprintf("%s %s\n  canceled %v, faults %+v\n  shown as %+v\n  but %s",
			workflowID(o.path()), o.file, o.cancels, o.faults, v, strings.Join(astray, "\n  but ")))
	}
}

// astray says what is wrong with the end of the saga.
func (o *outcome) astray(v saga) []string {
	switch {
	case v.State == "completed" && o.told.Load():
		return []string{"a cancel of it was taken"}
	case v.State == "completed" || v.State == "compensated":
		if o.errand.end != "" && o.errand.end != v.State && !o.canceled.Load() {
			return []string{"nothing but a cancel should have kept it from being " + o.errand.end}
		}
		return nil
	case v.State == "parked":
		return []string{"nothing that happened here is a reason to ask a person"}
	case o.end.IsZero():
		return []string{fmt.Sprintf("it did not end within %s of the last fault", endWithin)}
	}
	return []string{"that is no end of such a saga"}
}

// standing asks the service of each step what it knows of the saga's key, and says what does not fit the saga's end:
// everything is done, or nothing is.
func (c *chaos) standing(ctx context.Context, o *outcome, v saga) ([]string, error) {
	var astray []string
	for _, p := range participants[o.collection] {
		state, result, err := c.s.probe(ctx, c.client, p, o.key(p.step))
		if err != nil {
			return nil, err
		}
		want := v.State == "completed" && o.uses(p.step)
		if (state == "done") != want {
			astray = append(astray, fmt.Sprintf("%s is %s", p.step, state))
		}
		if p.step == "CapturePayment" && want {
			var receipt, capture struct {
				CaptureID string `json:"capture_id"`
			}
			if err := json.Unmarshal(v.Result, &receipt); err != nil {
				return nil, err
			}
			if err := json.Unmarshal(result, &capture); err != nil {
				return nil, err
			}
			if receipt != capture {
				astray = append(astray, fmt.Sprintf("the receipt is of capture %q, not of %q", receipt.CaptureID, capture.CaptureID))
			}
		}
	}
	return astray, nil
}

// probe is the state of a step's key, "done", "undone" or "unknown", and the result of what was done.
func (s *system) probe(ctx context.Context, client *http.Client, p participant, key string) (string, json.RawMessage, error) {
	target := s.servicesURL + "/" + p.service + "/" + p.collection + "/" + url.PathEscape(key)
	status, body, err := exchange(ctx, client, http.MethodGet, target, "", nil)
	switch {
	case err != nil:
		return "", nil, err
	case status == http.StatusNotFound:
		return "unknown", nil, nil
	case status != http.StatusOK:
		return "", nil, fmt.Errorf("GET %s: %d %s", target, status, body)
	}
	var answer struct {
		State  string          `json:"state"`
		Result json.RawMessage `json:"result"`
	}
	err = json.Unmarshal(body, &answer)
	return answer.State, answer.Result, err
}
