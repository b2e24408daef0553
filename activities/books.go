package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"
)

// Books asks the step services for their audits.
type Books struct{ participants []participant }

// BooksState is what is known of a service's books.
type BooksState string

const (
	// BooksBalanced: everything fits.
	BooksBalanced BooksState = "balanced"
	// BooksUnbalanced: something does not; see Findings.
	BooksUnbalanced BooksState = "unbalanced"
	// BooksUnknown: the service did not say; see Error.
	BooksUnknown BooksState = "unknown"
)

// ServiceBooks are one service's books.
type ServiceBooks struct {
	Service string     `json:"service" example:"payment"`
	State   BooksState `json:"state" enum:"balanced,unbalanced,unknown"`
	// Findings say what does not fit.
	Findings []string `json:"findings,omitempty" doc:"What does not fit, a sentence each; the first 20."`
	// Error is why the service did not say.
	Error string `json:"error,omitempty" doc:"Why the service did not say."`
}

// maxFindings bounds what of a service's findings is kept: they stand in a history. The service has all of them.
const maxFindings = 20

// MetricBooksAudits counts audits, by service and state. It is no gauge, since audits go from worker to worker: each would
// go on telling what it found last.
const MetricBooksAudits = "amends_books_audits"

// AuditBooks asks every service that keeps books whether they balance. Those without an audit are left out; one that does
// not answer is no error of the activity.
func (b *Books) AuditBooks(ctx context.Context) ([]ServiceBooks, error) {
	asked := make([]*ServiceBooks, len(b.participants))
	var g errgroup.Group
	for i, p := range b.participants {
		g.Go(func() error {
			asked[i] = p.books(ctx)
			return nil
		})
	}
	_ = g.Wait() // no one fails
	all := []ServiceBooks{}
	metrics := activity.GetMetricsHandler(ctx)
	for _, books := range asked {
		if books == nil {
			continue
		}
		all = append(all, *books)
		for _, state := range []BooksState{BooksBalanced, BooksUnbalanced, BooksUnknown} {
			var found int64
			if state == books.State {
				found = 1
			}
			// Also by 0: a counter that begins with 1 has not increased yet.
			metrics.WithTags(map[string]string{"service": books.Service, "state": string(state)}).Counter(MetricBooksAudits).Inc(found)
		}
	}
	return all, ctx.Err()
}

// books are the participant's; nil if it keeps none.
func (p participant) books(ctx context.Context) *ServiceBooks {
	books := &ServiceBooks{Service: p.name, State: BooksUnknown}
	report, err := p.audit(ctx)
	switch {
	case errors.Is(err, errNoAudit):
		return nil
	case err != nil:
		books.Error = err.Error()
	case *report.Balanced:
		books.State = BooksBalanced
	default:
		books.State, books.Findings = BooksUnbalanced, report.Findings[:min(len(report.Findings), maxFindings)]
	}
	return books
}

// auditReport is what is read of the answer to GET /audit (docs/step-contract.md).
type auditReport struct {
	Balanced *bool    `json:"balanced"`
	Findings []string `json:"findings"`
}

var errNoAudit = errors.New("no audit")

func (p participant) audit(ctx context.Context) (report auditReport, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+"/audit", http.NoBody)
	if err != nil {
		return report, err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return report, errNoAudit
	default:
		return report, fmt.Errorf("GET %s/audit: status %d", p.base, resp.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAudit)).Decode(&report); err != nil {
		return report, fmt.Errorf("GET %s/audit: %w", p.base, err)
	}
	if report.Balanced == nil {
		return report, fmt.Errorf("GET %s/audit: the answer does not say whether the books balance", p.base)
	}
	return report, nil
}

// maxAudit bounds what is read of an audit, in bytes: one with a finding for every saga is too long for anybody.
const maxAudit = 4 << 20
