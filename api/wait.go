package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"go.temporal.io/sdk/temporal"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/inbound"
)

const (
	// maxWait is the longest wait that a caller may prefer.
	maxWait = 60 * time.Second
	// defaultWaits is the default limit of waiting answers per caller. A frontend of Temporal takes 1,200 open calls of a
	// kind.
	defaultWaits = 500
)

// waitOf is how long a Prefer header asks to wait (RFC 7240); 0 if it does not. Preferences that cannot be read are
// ignored, as the RFC has it; of several waits the first counts.
func waitOf(prefer string) time.Duration {
	for preference := range strings.SplitSeq(prefer, ",") {
		preference, _, _ = strings.Cut(preference, ";") // parameters
		name, value, _ := strings.Cut(preference, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0
		}
		return min(time.Duration(seconds)*time.Second, maxWait)
	}
	return 0
}

// appliedOf is the Preference-Applied header: how long an answer waits at most.
func appliedOf(prefer string) string {
	wait := waitOf(prefer)
	if wait == 0 {
		return ""
	}
	return fmt.Sprintf("wait=%d", int(wait.Seconds()))
}

// allowWait gives an answer that waits so much longer.
func (s *server) allowWait(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait := waitOf(r.Header.Get("Prefer")); wait > 0 {
			connection := http.NewResponseController(w)
			_ = connection.SetWriteDeadline(time.Now().Add(wait + writeTimeout)) // only connections of tests have no deadlines
		}
		next.ServeHTTP(w, r)
	})
}

// waiter is the input of an operation whose answer may wait.
type waiter interface{ wait() time.Duration }

// waits reports whether the request asks for an answer that waits.
func waits(r *http.Request) bool {
	return waitOf(r.Header.Get("Prefer")) > 0 && (r.Method == http.MethodPost || r.Header.Get("If-None-Match") != "")
}

// limitWaits refuses an answer that waits to a caller with too many of them.
func (s *server) limitWaits(answer huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(answer)
	if !waits(r) {
		next(answer)
		return
	}
	caller := accountOf(r.Context())
	if !s.waits.enter(caller) {
		writeProblem(w, s.problem(r.Context(), &failure{
			code:   codeTooManyWaits,
			detail: fmt.Sprintf("You wait for %d answers, which is the most. Ask without Prefer: wait, or later. This request had no effect.", s.waits.most),
		}))
		return
	}
	defer s.waits.leave(caller)
	next(answer)
}

// startedOutput is the answer to a start: the saga as it was taken on, or as it ended while the caller waited.
type startedOutput struct {
	Status             int
	Location           string `header:"Location" doc:"The saga."`
	PreferenceApplied  string `header:"Preference-Applied" doc:"How long was waited at most."`
	IdempotentReplayed string `header:"Idempotent-Replayed" enum:"true" doc:"The request was taken before, and this is its answer again."`
	Body               any
}

// startResponses describe the bodies of a [startedOutput]; view is that of a saga that ended.
func startResponses(api huma.API, view reflect.Type) map[string]*huma.Response {
	describe := func(text string, body reflect.Type) *huma.Response {
		return &huma.Response{
			Description: text,
			Headers: map[string]*huma.Param{
				"Location":            {Description: "The saga.", Schema: &huma.Schema{Type: huma.TypeString}},
				"Preference-Applied":  {Description: "How long was waited at most.", Schema: &huma.Schema{Type: huma.TypeString}},
				"Idempotent-Replayed": replayedParameter(),
			},
			Content: map[string]*huma.MediaType{"application/json": {Schema: api.OpenAPI().Components.Schemas.Schema(body, true, "")}},
		}
	}
	return map[string]*huma.Response{
		"201": describe("The saga has ended while the caller waited: completed, or with everything undone.", view),
		"202": describe("The saga runs.", reflect.TypeFor[accepted]()),
	}
}

// started answers a start. If the caller waits and the saga ends meanwhile, the answer is what show says of it.
func (s *server) started(ctx context.Context, c collection, t taken, prefer string, show func(compensation.Status) (any, error)) (*startedOutput, error) {
	out := &startedOutput{
		Status: http.StatusAccepted, Location: t.Links.Self, PreferenceApplied: appliedOf(prefer), IdempotentReplayed: replayed(t.before),
		Body: t.accepted,
	}
	wait := waitOf(prefer)
	waiting, stop := inbound.UntilStop(ctx)
	defer stop()
	// A caller who may no longer see it has started it all the same, and learns nothing else.
	if wait == 0 || !s.awaitEnd(waiting, c.workflowID(t.ID), t.runID, wait) || s.stillProved(ctx) != nil {
		return out, nil
	}
	status, err := compensation.ReadEndedStatus(ctx, s.temporal, c.plan, c.workflowID(t.ID), t.runID)
	if err != nil {
		return nil, err
	}
	ended, err := show(status)
	if err != nil {
		return nil, err
	}
	out.Status, out.Body = http.StatusCreated, ended
	return out, nil
}

// awaitEnd tells whether the saga ended within that time.
func (s *server) awaitEnd(ctx context.Context, workflowID, runID string, wait time.Duration) bool {
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	err := s.temporal.GetWorkflow(ctx, workflowID, runID).Get(ctx, nil)
	var ended *temporal.WorkflowExecutionError
	return err == nil || errors.As(err, &ended)
}

// showInput asks for an order or a return, or for news of it.
type showInput struct {
	ID string `path:"id" doc:"The ID that it was started with." example:"42"`
	News
}

// News says what the caller has, and how long to wait for what it has not. It is exported for huma, which looks into embedded
// structs only then.
type News struct {
	Prefer      string `header:"Prefer" maxLength:"200" doc:"wait=N, with an If-None-Match that still matches, waits up to N seconds, at most 60, for news." example:"wait=30"`
	IfNoneMatch string `header:"If-None-Match" maxLength:"1000" doc:"The ETag of what the caller has. If nothing has changed, the answer is 304 and has no body." example:"\"0Kc9bRkDVnhdWvyh\""`
}

func (in *News) wait() time.Duration { return waitOf(in.Prefer) }

// matches tells whether a list of ETags has this one (RFC 9110, section 13.1).
func matches(list, tag string) bool {
	for known := range strings.SplitSeq(list, ",") {
		if known = strings.TrimSpace(known); known == "*" || strings.TrimPrefix(known, "W/") == tag {
			return true
		}
	}
	return false
}

// matchesStrongly reports whether a list of ETags has this one, by the strong comparison of If-Match: a weak one never
// matches (RFC 9110, section 8.8.3.2).
func matchesStrongly(list, tag string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(known string) bool { return strings.TrimSpace(known) == tag })
}

// showOutput is a saga, without a body for a caller who has it.
type showOutput[B any] struct {
	Status            int
	ETag              string `header:"ETag" doc:"Stands for the saga as it is now."`
	PreferenceApplied string `header:"Preference-Applied" doc:"How long was waited at most."`
	CacheControl      string `header:"Cache-Control" doc:"It may be kept, but has to be asked for with its ETag each time."`
	Body              *B
}

// revalidate is the Cache-Control of what has an ETag.
const revalidate = "private, no-cache"

// notModified describes the answer to a caller who has what there is.
func notModified() map[string]*huma.Response {
	return map[string]*huma.Response{"304": {
		Description: "The caller has the saga as it is.",
		Headers: map[string]*huma.Param{
			"ETag":               {Description: "Stands for the saga as it is now.", Schema: &huma.Schema{Type: huma.TypeString}},
			"Preference-Applied": {Description: "How long was waited at most.", Schema: &huma.Schema{Type: huma.TypeString}},
			"Cache-Control":      {Description: "It may be kept, but has to be asked for with its ETag each time.", Schema: &huma.Schema{Type: huma.TypeString}},
		},
	}}
}

// lookEvery is the interval of looks at a saga for callers who wait for news of it. The tries of a step leave no event in
// Temporal to wait for.
const lookEvery = 500 * time.Millisecond

// views shows a saga as a kind of resource: from its status, and, with its ETag, from a shared look. Without the latter,
// show is called once for all who share it.
type views[B any] struct {
	show   func(context.Context, compensation.Status) (*B, error)
	shared func(snapshot) (*B, string, error)
}

func (v views[B]) of(ctx context.Context, n snapshot) (*B, string, error) {
	if v.shared != nil {
		return v.shared(n)
	}
	return resourceOf(ctx, n, v.show)
}

// news answers with the saga as it is: at once, or when the caller's copy is out of date. A saga that has ended does not
// change. Callers who wait for one saga share the cost of looking at it.
func news[B any](ctx context.Context, s *server, c collection, id string, in *News, v views[B]) (*showOutput[B], error) {
	waiting, forget := inbound.UntilStop(ctx)
	defer forget()
	waiting, over := context.WithTimeout(waiting, in.wait())
	defer over()
	status, err := s.status(ctx, c, id)
	if err != nil {
		return nil, err
	}
	body, err := v.show(ctx, status)
	if err != nil {
		return nil, err
	}
	tag, err := tagOf(body)
	if err != nil {
		return nil, err
	}
	if matches(in.IfNoneMatch, tag) && status.EndedAt.IsZero() && in.wait() > 0 {
		body, tag, err = awaitNews(waiting, s, c, id, in, v, tag)
		if err == nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if unproved := s.stillProved(ctx); unproved != nil {
			err = refusedCaller(unproved)
		}
		if err != nil {
			return nil, err
		}
	}
	out := &showOutput[B]{
		Status: http.StatusNotModified, ETag: tag, PreferenceApplied: appliedOf(in.Prefer), CacheControl: revalidate,
	}
	if !matches(in.IfNoneMatch, tag) {
		out.Status, out.Body = http.StatusOK, body
	}
	return out, nil
}

// awaitNews returns the saga and its tag once the caller's copy is out of date or the saga has ended. When ctx is done,
// it returns the tag of the caller's copy.
func awaitNews[B any](ctx context.Context, s *server, c collection, id string, in *News, v views[B], tag string) (*B, string, error) {
	watch, leave := s.join(ctx, c, id)
	defer leave()
	// After that the last look is no older than the caller's copy.
	_, _ = watch.now(ctx) // latest returns the error of the last look
	for {
		now, later, err := watch.latest()
		switch {
		case ctx.Err() != nil:
			return nil, tag, nil
		case err != nil:
			return nil, "", err
		}
		if err := seen(ctx, c, id, now.info); err != nil {
			return nil, "", err
		}
		body, newer, err := v.of(ctx, now)
		if err != nil || !matches(in.IfNoneMatch, newer) || now.ended() {
			return body, newer, err
		}
		tag = newer
		select {
		case <-later:
		case <-ctx.Done():
		}
	}
}

// tagOf is the ETag of a body: the same for equal ones.
func tagOf(body any) (string, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("etag: %w", err)
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, nil
}
