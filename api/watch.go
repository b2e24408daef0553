package api

import (
	"context"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/amends-dev/amends/compensation"
)

const (
	// lookTimeout bounds one look at a saga.
	lookTimeout = 5 * time.Second
	// quietFor is how long a saga in which nothing runs is left alone unless its history gets longer, and with that how late
	// it is noticed that Temporal does not answer.
	quietFor = 15 * time.Second
)

// snapshot is a saga at one moment, under the ID of its event.
type snapshot struct {
	view   *sagaView
	id     string
	status compensation.Status
	// resource is the saga as an order or return, once it has been requested.
	resource *shown
	// info says whose saga it is, and length how many events it had at least.
	info   *workflowpb.WorkflowExecutionInfo
	length int64
}

func (n snapshot) ended() bool { return n.view.EndedAt != nil }

// shown is a view that is made once for all who get it.
type shown struct {
	once sync.Once
	body any
	tag  string
	err  error
}

// resourceOf returns the snapshot as an order or return, with its ETag.
func resourceOf[B any](ctx context.Context, n snapshot, show func(context.Context, compensation.Status) (*B, error)) (*B, string, error) {
	n.resource.once.Do(func() {
		body, err := show(ctx, n.status)
		if err == nil {
			n.resource.tag, err = tagOf(body)
		}
		n.resource.body, n.resource.err = body, err
	})
	body, _ := n.resource.body.(*B)
	return body, n.resource.tag, n.resource.err
}

// moves tells whether an activity of the saga is open. Its tries leave no event that could be waited for.
func (n snapshot) moves() bool {
	for _, step := range n.view.Steps {
		if step.Do == string(compensation.DoRunning) || step.Undo == string(compensation.UndoRunning) {
			return true
		}
	}
	return false
}

// watches are the sagas that callers stream or wait for, by workflow ID.
type watches struct {
	mu   sync.Mutex
	open map[string]*watch
}

// watch looks at one saga for all who stream it or wait for news of it. Each of them checks what its caller may see.
type watch struct {
	// members is the number of members; the watches own it.
	members int
	stop    context.CancelFunc
	over    chan struct{}

	// asked has something in it when a look is wanted now.
	asked chan struct{}

	mu sync.Mutex
	// next is the look that has not begun, last the one that was over last; nil for none.
	next, last *look
	// looked is closed when there is another last.
	looked chan struct{}
}

// look is one look at a saga. Once it is over, the rest is there.
type look struct {
	over chan struct{}
	snapshot
	err error
}

// join begins to watch the saga, or joins those who do. Whoever joins has to leave; the last one to leave ends the watch.
func (s *server) join(ctx context.Context, c collection, id string) (_ *watch, leave func()) {
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	w, ok := s.watches.open[c.workflowID(id)]
	if !ok {
		// It goes on after the request that came first.
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		w = &watch{
			stop: stop, over: make(chan struct{}), asked: make(chan struct{}, 1),
			next: &look{over: make(chan struct{})}, looked: make(chan struct{}),
		}
		s.watches.open[c.workflowID(id)] = w
		go s.watch(watching, w, c, id)
	}
	w.members++
	return w, func() { s.leave(w, c, id) }
}

func (s *server) leave(w *watch, c collection, id string) {
	s.watches.mu.Lock()
	w.members--
	last := w.members == 0
	if last {
		delete(s.watches.open, c.workflowID(id))
	}
	s.watches.mu.Unlock()
	if last {
		w.stop()
		<-w.over
	}
}

// watch looks at the saga when a member requests it, and then whenever something may have changed, until ctx is done.
func (s *server) watch(ctx context.Context, w *watch, c collection, id string) {
	defer close(w.over)
	select {
	case <-w.asked:
	case <-ctx.Done():
	}
	for ctx.Err() == nil {
		l := w.begin()
		l.snapshot, l.err = s.snapshot(ctx, c, id)
		w.end(l)
		s.rest(ctx, w, l)
	}
}

// rest returns when the saga is to be looked at again.
func (s *server) rest(ctx context.Context, w *watch, l *look) {
	soon := time.NewTimer(lookEvery)
	defer soon.Stop()
	if l.err == nil && !l.moves() {
		polling, stop := context.WithTimeout(ctx, quietFor)
		defer stop()
		grown := make(chan struct{})
		go func() {
			defer close(grown)
			s.awaitEvent(polling, l.snapshot)
		}()
		select {
		case <-grown:
		case <-w.asked:
			stop()
			<-grown
			return
		}
	}
	select {
	case <-soon.C:
	case <-w.asked:
	case <-ctx.Done():
	}
}

// awaitEvent waits until the saga's history has more events than it had, or nobody can tell.
func (s *server) awaitEvent(ctx context.Context, n snapshot) {
	saga := n.info.GetExecution()
	events := s.temporal.GetWorkflowHistory(ctx, saga.GetWorkflowId(), saga.GetRunId(), true, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for range n.length + 1 {
		if !events.HasNext() {
			return
		}
		if _, err := events.Next(); err != nil {
			return // the next look fares no better, and is not for later
		}
	}
}

// snapshot looks at the saga, whosever it is.
func (s *server) snapshot(ctx context.Context, c collection, id string) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	d, err := s.lookFor(ctx, c, id)
	if err != nil {
		return snapshot{}, err
	}
	status, err := compensation.ReadDescribed(ctx, s.temporal, c.plan, d)
	if err != nil {
		return snapshot{}, err
	}
	v, err := s.sagaViewOf(ctx, c, id, status)
	if err != nil {
		return snapshot{}, err
	}
	tag, err := tagOf(v)
	info := d.GetWorkflowExecutionInfo()
	return snapshot{
		view: v, id: strings.Trim(tag, `"`), status: status, resource: new(shown), info: info, length: info.GetHistoryLength(),
	}, err
}

// begin takes the look that begins now. What was asked for until now is answered by it.
func (w *watch) begin() *look {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.asked:
	default:
	}
	l := w.next
	w.next = &look{over: make(chan struct{})}
	return l
}

func (w *watch) end(l *look) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = l
	close(l.over)
	close(w.looked)
	w.looked = make(chan struct{})
}

// now is the saga as a look finds it that begins no earlier than now.
func (w *watch) now(ctx context.Context) (snapshot, error) {
	w.mu.Lock()
	l := w.next
	select {
	case w.asked <- struct{}{}:
	default: // somebody asked for it already
	}
	w.mu.Unlock()
	select {
	case <-l.over:
		return l.snapshot, l.err
	case <-ctx.Done():
		return snapshot{}, ctx.Err()
	}
}

// latest is the saga as the last look found it, which is never older than what now has returned. The channel is closed
// when there is a later one.
func (w *watch) latest() (_ snapshot, later <-chan struct{}, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.snapshot, w.looked, w.last.err
}
