package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/amends-dev/amends/internal/inbound"
)

const (
	// heartbeatEvery is how long a stream is silent at most, so that nothing on the way takes it for dead.
	heartbeatEvery = 15 * time.Second
	// reconnectAfter is how long a caller waits before it connects again.
	reconnectAfter = time.Second
	// eventTimeout is how long a caller may take to read what was sent.
	eventTimeout = 10 * time.Second
	// blindFor is how long a stream goes on while its saga cannot be looked at. Then its caller may find a process that can.
	blindFor = time.Minute
	// defaultStreams is how many streams a caller may have, unless the options say otherwise.
	defaultStreams = 20
)

func (s *server) routeEvents(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "follow-saga", Method: http.MethodGet, Path: sagasPath + "/{id}/events", Tags: []string{"sagas"},
		Summary: "Follow a saga as it goes",
		Description: "Server-sent events: the saga as it is now, and again whenever it has changed, until it has ended. " +
			"Several changes within half a second may be one event. A stream that broke off goes on from its `Last-Event-ID`, at any process of the API.",
		Responses:   eventResponses(api),
		Middlewares: huma.Middlewares{s.limitStreams},
	}, []Code{codeNotFound, codeTooManyStreams, codeUnavailable}, s.followSaga)
}

// The events of a stream.
const (
	eventSaga  = "saga"
	eventEnded = "ended"
)

// eventResponses describe a stream by its events, which have the fields of the text/event-stream format.
func eventResponses(api huma.API) map[string]*huma.Response {
	event := &huma.Schema{
		Type: huma.TypeObject,
		Properties: map[string]*huma.Schema{
			"id":    {Type: huma.TypeString, Description: "Stands for the saga as it is now: its ETag, without the quotes."},
			"event": {Type: huma.TypeString, Enum: []any{eventSaga, eventEnded}, Description: "ended: the saga has ended, and this is the last event."},
			"data":  api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[sagaView](), true, ""),
		},
		Required:             []string{"id", "event", "data"},
		AdditionalProperties: false,
	}
	return map[string]*huma.Response{
		"200": {
			Description: "The stream. Between its events are comments, so that it is never silent for long.",
			Content: map[string]*huma.MediaType{"text/event-stream": {
				Schema: &huma.Schema{Type: huma.TypeArray, Items: event, Description: "The events, one after the other; `data` is JSON."},
			}},
		},
		"204": {Description: "The saga has ended, and the caller has its last event. An EventSource does not connect again."},
	}
}

type eventsInput struct {
	ID          string `path:"id" doc:"The saga." example:"order-42"`
	LastEventID string `header:"Last-Event-ID" maxLength:"1000" doc:"The id of the last event that the caller has. It is not sent again." example:"0Kc9bRkDVnhdWvyh"`
}

// followSaga streams what [server.getSaga] answers to who asks for news in a loop. No process remembers what it sent, so
// any of them can go on where another one stopped.
func (s *server) followSaga(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	c, id, err := findSaga(in.ID)
	if err != nil {
		return nil, err
	}
	// Refusing a saga that the caller does not see takes no longer than refusing one that does not exist.
	if _, err := s.look(ctx, c, id); err != nil {
		return nil, err
	}
	watch, leave := s.join(ctx, c, id)
	now, err := watch.now(ctx)
	if err == nil {
		err = seen(ctx, c, id, now.info)
	}
	if err != nil {
		leave()
		return nil, err
	}
	if now.id == in.LastEventID && now.ended() {
		leave()
		return &huma.StreamResponse{Body: func(answer huma.Context) { answer.SetStatus(http.StatusNoContent) }}, nil
	}
	return &huma.StreamResponse{Body: func(answer huma.Context) {
		defer leave()
		answer.SetHeader("Content-Type", "text/event-stream")
		answer.SetHeader("Cache-Control", "no-store")
		answer.SetHeader("X-Accel-Buffering", "no") // nginx would wait for more
		answer.SetStatus(http.StatusOK)
		if answer.Method() == http.MethodHead {
			return
		}
		ctx, cancel := inbound.UntilStop(answer.Context())
		defer cancel()
		_, w := humachi.Unwrap(answer)
		st := stream{out: w, connection: http.NewResponseController(w), log: s.log.With("saga", in.ID, "request_id", requestID(ctx))}
		st.follow(ctx, in.LastEventID, now, func(ctx context.Context) (snapshot, <-chan struct{}, error) {
			latest, later, err := watch.latest()
			if err == nil {
				err = seen(ctx, c, id, latest.info)
			}
			if unproved := s.stillProved(ctx); unproved != nil {
				err = refusedCaller(unproved)
			}
			return latest, later, err
		})
	}}, nil
}

// stream is an answer that goes on.
type stream struct {
	out        io.Writer
	connection *http.ResponseController
	log        *slog.Logger
	// spoke is when something was sent last.
	spoke time.Time
}

// follow sends the saga, which is now as given, whenever it is not what the caller has. It returns once the saga has
// ended, ctx is done, the caller does not read, or the saga could not be looked at for too long. What look returns besides
// the saga tells when to look again before it is time for that anyway.
func (st *stream) follow(
	ctx context.Context, has string, now snapshot, look func(context.Context) (_ snapshot, later <-chan struct{}, _ error),
) {
	defer st.allowWrite() // for the last writes of net/http
	if st.send(fmt.Sprintf("retry: %d\n\n", reconnectAfter.Milliseconds())) != nil {
		return
	}
	seen, blind := time.Now(), false
	var later <-chan struct{}
	for {
		if now.id != has {
			if st.sendSaga(now) != nil {
				return
			}
			has = now.id
		}
		if now.ended() {
			return
		}
		select {
		case <-time.After(min(lookEvery, heartbeatEvery-time.Since(st.spoke))):
		case <-later:
		case <-ctx.Done():
			return
		}
		if time.Since(st.spoke) >= heartbeatEvery && st.send(": heartbeat\n\n") != nil {
			return
		}
		var next snapshot
		var err error
		next, later, err = look(ctx)
		switch {
		case err == nil:
			now, seen, blind = next, time.Now(), false
		case ctx.Err() != nil:
			return
		case time.Since(seen) >= blindFor:
			st.log.WarnContext(ctx, "stream given up", "error", err)
			return
		case !blind:
			st.log.WarnContext(ctx, "a stream waits until its saga can be looked at", "error", err)
			blind = true
		}
	}
}

func (st *stream) sendSaga(n snapshot) error {
	data, err := json.Marshal(n.view)
	if err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	name := eventSaga
	if n.ended() {
		name = eventEnded
	}
	return st.send(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", n.id, name, data))
}

// send sends the text at once.
func (st *stream) send(text string) error {
	st.allowWrite()
	if _, err := io.WriteString(st.out, text); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	st.spoke = time.Now()
	if err := st.connection.Flush(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// allowWrite gives the caller time to read, whatever the server's limit of a whole answer.
func (st *stream) allowWrite() {
	_ = st.connection.SetWriteDeadline(time.Now().Add(eventTimeout)) // connections without deadlines are those of tests
}

// limitStreams refuses a stream to a caller who has too many.
func (s *server) limitStreams(answer huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(answer)
	caller := accountOf(r.Context())
	if !s.streams.enter(caller) {
		writeProblem(w, s.problem(r.Context(), &failure{
			code:   codeTooManyStreams,
			detail: fmt.Sprintf("You have %d streams open, which is the most. End one, or wait for the end of one.", s.streams.most),
		}))
		return
	}
	defer s.streams.leave(caller)
	next(answer)
}
