package services

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Direction is the side of a step that a fault is in.
type Direction string

// The directions: the step itself (PUT), and its compensation (DELETE). Probes never fail.
const (
	Do   Direction = "do"
	Undo Direction = "undo"
)

// Fault is how calls of one step go wrong. What is set adds up: a call waits out the latency, then
// meets Refuse, then Down, then ErrorRate, and only if it passes both has its effect, now or late, and may lose
// its reply.
type Fault struct {
	// Step is the step's name; in a setting it is given by the path.
	Step string `json:"step,omitempty"`
	// On defaults to [Do].
	On Direction `json:"on"`
	// Match narrows the fault to keys that contain it; empty means all.
	Match string `json:"match"`
	// Times is how many more calls the fault meets; 0 means until it is cleared.
	Times int `json:"times"`
	// ErrorRate is the share of calls, 0 to 1, that are answered 500 without effect.
	ErrorRate float64 `json:"error_rate"`
	// LatencyMS is how long, in milliseconds, a call waits before anything else happens.
	LatencyMS int `json:"latency_ms"`
	// LateMS breaks the connection at once and lets the call arrive so many milliseconds later, as if it
	// had been held up in the network: whatever came before it then decides what it can still do. A call
	// that has not arrived when the host ends never does.
	LateMS int `json:"late_ms"`
	// LoseReply breaks the connection after the effect.
	LoseReply bool `json:"lose_reply"`
	// Refuse answers 422 without effect.
	Refuse bool `json:"refuse"`
	// Down answers 503 without effect.
	Down bool `json:"down"`
	// RetryAfterS is sent with a 500 or 503 of the fault, in seconds; 0 sends none.
	RetryAfterS int `json:"retry_after_s"`
}

func (f Fault) validate() error {
	switch {
	case f.On != Do && f.On != Undo:
		return fmt.Errorf(`on is %q: want "do" or "undo"`, f.On)
	case f.Times < 0 || f.LatencyMS < 0 || f.LateMS < 0 || f.RetryAfterS < 0:
		return errors.New("times, latency_ms, late_ms and retry_after_s are 0 or more")
	case f.ErrorRate < 0 || f.ErrorRate > 1:
		return errors.New("error_rate is from 0 to 1")
	case f.ErrorRate == 0 && f.LatencyMS == 0 && f.LateMS == 0 && !f.LoseReply && !f.Refuse && !f.Down:
		return errors.New("set at least one of error_rate, latency_ms, late_ms, lose_reply, refuse and down")
	}
	return nil
}

// faults are the settings of one service, at most one for each step, direction and match. They live in
// memory, so a restart clears them. Safe for concurrent use.
type faults struct {
	steps []string

	mu  sync.Mutex
	set []Fault
}

func newFaults(steps []string) *faults { return &faults{steps: steps} }

// put replaces the setting for the fault's step, direction and match.
func (f *faults) put(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = slices.DeleteFunc(f.set, func(s Fault) bool { return s.Step == fault.Step && s.On == fault.On && s.Match == fault.Match })
	f.set = append(f.set, fault)
}

// clear drops the settings for step, or all when it is empty.
func (f *faults) clear(step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = slices.DeleteFunc(f.set, func(s Fault) bool { return step == "" || s.Step == step })
}

// list is a copy of the settings, in order of step, direction and match.
func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := append([]Fault{}, f.set...)
	slices.SortFunc(out, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.Step, b.Step), cmp.Compare(a.On, b.On), strings.Compare(a.Match, b.Match))
	})
	return out
}

// meet is the fault that a call runs into, if any, and uses up one of its times. Of several that match, it is the one
// that was set first.
func (f *faults) meet(c call, on Direction) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.set, func(s Fault) bool {
		return s.Step == c.step && s.On == on && strings.Contains(c.key, s.Match)
	})
	if i < 0 {
		return Fault{}, false
	}
	met := f.set[i]
	switch met.Times {
	case 0: // stays until it is cleared
	case 1:
		f.set = slices.Delete(f.set, i, i+1)
	default:
		f.set[i].Times--
	}
	return met, true
}
