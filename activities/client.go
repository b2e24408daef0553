// Package activities knows the participants: for each, the steps it does and undoes as Temporal activities, called over
// HTTP by the step contract (docs/step-contract.md). It knows nothing of the order in which sagas call them.
package activities

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/propagation"
	"go.temporal.io/sdk/activity"

	"github.com/amends-dev/amends/compensation"
)

// maxAnswer bounds what is read of an answer, in bytes. Results go into the saga's history, so they are small.
const maxAnswer = 64 << 10

// participant is the client of one step service.
type participant struct {
	name string
	// base is the service's URL, with its path and without a slash at the end.
	base string
	http *http.Client
}

// do asks the participant for the effect named by key and returns its result, if check finds that it makes sense.
// Errors are made by failure.go.
func do[Out any](ctx context.Context, p participant, collection string, key compensation.Key, in any, check func(Out) error) (Out, error) {
	var out Out
	body, err := json.Marshal(in)
	if err != nil {
		return out, fmt.Errorf("%s: encode: %w", key.Step, err)
	}
	r, err := p.call(ctx, http.MethodPut, collection, key, body)
	if err != nil {
		return out, unanswered(key, err)
	}
	if !r.isSuccess() {
		return out, doFailure(ctx, key, r)
	}
	// The effect may stand, but its result can't be used: the same key is tried again, and undone in the end.
	if err := r.result(&out); err != nil {
		return out, unusable(key, r, err)
	}
	if err := check(out); err != nil {
		return out, unusable(key, r, err)
	}
	return out, nil
}

// undo takes back the effect named by key, whether or not it happened.
func (p participant) undo(ctx context.Context, collection string, key compensation.Key) error {
	r, err := p.call(ctx, http.MethodDelete, collection, key, nil)
	if err != nil {
		return unanswered(key, err)
	}
	if r.status != http.StatusNoContent {
		return undoFailure(key, r)
	}
	if err := r.checkKey(false); err != nil {
		return unusable(key, r, err)
	}
	return nil
}

func (p participant) call(ctx context.Context, method, collection string, key compensation.Key, body []byte) (reply, error) {
	target := p.base + "/" + collection + "/" + url.PathEscape(key.String())
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if body == nil {
		req.Body = http.NoBody
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	// Temporal retries, and counts the tries. A second try by the transport would go uncounted, and a refusal of it
	// would be taken for the answer to the first.
	req.GetBody = nil
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("Saga-Id", key.Saga)
	req.Header.Set("Saga-Step", key.Step)
	req.Header.Set("Saga-Attempt", strconv.Itoa(int(activity.GetInfo(ctx).Attempt)))
	if reason := writeReason(compensation.UndoReason(ctx)); reason != "" {
		req.Header.Set(headerReason, reason)
	}
	propagate(ctx, req.Header, key.Saga)

	resp, err := p.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK { // the rest of the connection has another protocol, and has no end
		return reply{key: key, status: resp.StatusCode, header: resp.Header}, nil
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return reply{}, err
	}
	if len(content) > maxAnswer {
		return reply{}, fmt.Errorf("%s %s: status %d with an answer of more than %d bytes", method, target, resp.StatusCode, maxAnswer)
	}
	return reply{key: key, status: resp.StatusCode, header: resp.Header, body: content}, nil
}

// propagate tells the participant the trace that it is part of. Without one, all calls of a saga have a trace ID that follows
// from the saga's, so that the services' logs can be put together.
func propagate(ctx context.Context, header http.Header, saga string) {
	(propagation.TraceContext{}).Inject(ctx, propagation.HeaderCarrier(header))
	if header.Get("Traceparent") != "" {
		return
	}
	trace := sha256.Sum256([]byte(saga))
	var parent [8]byte
	_, _ = rand.Read(parent[:]) // never fails (crypto/rand)
	header.Set("Traceparent", fmt.Sprintf("00-%x-%x-00", trace[:16], parent))
}
