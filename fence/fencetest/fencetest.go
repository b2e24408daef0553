// Package fencetest is the conformance suite of the step contract: it tells whether a step of a
// service, written in any language, may be used by a saga.
//
// It knows the contract, which it speaks over HTTP. It knows neither how a service keeps its word
// nor what its steps do, so a service's own tests still have to show that its books agree.
package fencetest

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// Step is a step to test, served by a service that is running.
type Step struct {
	// Name is what the service calls the step, such as "ReserveStock".
	Name string

	// URL is the step's collection, such as http://127.0.0.1:1234/inventory/reservations.
	// Keys are appended to it.
	URL string

	// Body returns a body that the service accepts and can do, something that JSON writes as an
	// object; for different n, different bodies.
	// n counts up from 1 and stays below 30. Each body is for one key, so it may use up
	// something that exists once, such as voucher n. Body is never called twice at the same time.
	Body func(n int) any

	// Irreversible says that what was done cannot be undone: DELETE then answers 409 irreversible.
	Irreversible bool
}

// Run tests s in parallel subtests and returns when they have ended. Keys are new in each run. What
// was done is undone at the end of each subtest, unless s is irreversible.
func Run(t *testing.T, s Step) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	c := &checker{step: s, client: &http.Client{Transport: transport, Timeout: patience}}
	t.Run(s.Name, func(t *testing.T) {
		for _, rule := range []struct {
			name  string
			check func(*checker, *testing.T)
		}{
			{"done once, same answer on repeat", (*checker).repeat},
			{"another body for the same key", (*checker).keyReused},
			{"same body written differently", (*checker).sameBody},
			{"undone before done, late do is refused", (*checker).undoFirst},
			{"undone", (*checker).undo},
			{"undone twice", (*checker).undoTwice},
			{"undone, then done again", (*checker).doAfterUndo},
			{"ten at once get the one answer", (*checker).tenAtOnce},
			{"done and undone at once", (*checker).doWhileUndo},
			{"probed", (*checker).probe},
			{"malformed body", (*checker).malformed},
			{"key with escaped characters", (*checker).escapedKey},
			{"undone with a reason", (*checker).reason},
			{"longest key", (*checker).longestKey},
			{"crash between do and answer", (*checker).lostAnswer},
		} {
			t.Run(rule.name, func(t *testing.T) {
				t.Parallel()
				rule.check(c, t)
			})
		}
	})
}

// patience is how long an outcome may stay unknown, which it is while the service is busy.
const patience = 30 * time.Second

// checker holds what the rules share.
type checker struct {
	step   Step
	client *http.Client

	mu   sync.Mutex
	next int
}

// body returns the next body.
func (c *checker) body() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next++
	return c.step.Body(c.next)
}
