// Package api serves the sagas over REST: it starts, shows and steers them, and describes itself in OpenAPI 3.1.
//
// It keeps no state. What it answers comes from Temporal, so any number of processes may serve it, and they may come
// and go. It knows the sagas by their contract and the engine's status of them, and nothing of the step services.
package api

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/inbound"
)

// The examples are built into what describes itself after them.
//
//go:generate go test -run ^TestExamples$ -update .
//go:generate go test -run ^Test(OpenAPIDocument|ProblemsPage)$ -update .

// Options of the API. The zero value is what each field says.
type Options struct {
	// Access tells who calls. Default: nobody is known, and only what is open to everyone is answered.
	Access access.Authenticator
	// TrustedProxies are the proxies whose X-Forwarded-For tells where a request comes from. Default: none.
	TrustedProxies []netip.Prefix
	// WebUI is the base URL of the Temporal Web UI, for links to it. Default: no such links.
	WebUI string
	// Namespace is the client's namespace, for links. Default "default".
	Namespace string
	// ApprovalWithin is how long an order that fraud screening doubts waits for a person.
	// Default [workflows.DefaultApprovalWithin].
	ApprovalWithin time.Duration
	// GoodsWithin is how long the goods of a return may take. Default [workflows.DefaultGoodsWithin].
	GoodsWithin time.Duration
	// OrderDeadline and ReturnDeadline are how long after its start a saga should be done. One that is not turns back, or,
	// past its pivot, is parked. Default: no deadline.
	OrderDeadline, ReturnDeadline time.Duration
	// EagerStart asks Temporal to hand a saga's first task to a worker in this process at once, without a queue between.
	// It needs a worker of [workflows.TaskQueue] that was made from the same client and polls; without one, or with a
	// server that does not do it, it changes nothing. Not for workers with a deployment version: the saga would begin on
	// theirs, whichever is current.
	EagerStart bool
	// StreamsPerCaller is how many streams of events one caller may have open at this process. Default 20.
	StreamsPerCaller int
	// WaitsPerCaller limits the requests with Prefer: wait that one caller may have open at this process. Default 500.
	WaitsPerCaller int
	// Rate limits the requests a caller may make per second, over time; Burst limits those at once. Outside of /v1, where
	// callers are not asked to identify themselves, the address counts as the caller; /healthz is not counted. Default:
	// no limit; of Burst, twice the rate.
	Rate  float64
	Burst int
	// Origins are those of other sites whose scripts may use the API, such as https://console.example. Default: none.
	Origins []string
	// Stopping is closed when the process is about to stop: /readyz says so from then on, so that requests go elsewhere.
	// Default: it never is.
	Stopping <-chan struct{}
	// Meter makes the instruments of what the API counts (docs/metrics.md). Default: nothing is counted.
	Meter metric.Meter
	// Tracer makes the spans of requests, and TraceURL is where a trace is shown, with {trace_id} for its ID. Default: none.
	Tracer   trace.Tracer
	TraceURL string
	// Logger gets a line for each request, and the causes of answers that say only "internal". Default [slog.Default].
	Logger *slog.Logger
	// Audit takes a line for each act of a person on a saga; while it takes none, /readyz says so. Default: Logger, whatever its
	// level.
	Audit *AuditLog
	// Version is what the API calls itself in its description. Default "dev".
	Version string
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = client.DefaultNamespace
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Audit == nil {
		o.Audit = NewAuditLog(o.Logger.Handler())
	}
	if o.Meter == nil {
		o.Meter = noop.Meter{}
	}
	if o.Tracer == nil {
		o.Tracer = tracenoop.Tracer{}
	}
	if o.StreamsPerCaller == 0 {
		o.StreamsPerCaller = defaultStreams
	}
	if o.WaitsPerCaller == 0 {
		o.WaitsPerCaller = defaultWaits
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	if o.Burst == 0 {
		o.Burst = max(int(2*o.Rate), 1)
	}
	return o
}

const (
	// requestTimeout bounds what is done for one request after its body was read, besides what its caller prefers to wait.
	requestTimeout = 10 * time.Second
	// writeTimeout bounds the time from a request's headers to the end of its answer, besides such a wait.
	writeTimeout = 30 * time.Second
)

type server struct {
	temporal client.Client
	options  Options
	log      *slog.Logger
	meters   meters
	flights  flights
	// streams and waits are the streams and waiting answers that callers have open.
	streams, waits *perCaller
	watches        watches
	// overviews and durations are the last ones that were made.
	overviews kept[*overview]
	durations kept[durations]
	// readiness is the number of workers, and the reason if something is not ready.
	readiness inbound.Readiness[int]
	// rules are those of the routes, by method and pattern.
	rules map[string]rule
	// bodies are the schemas of request bodies, by pattern, and schemas those that they refer to.
	bodies  map[string]*huma.Schema
	schemas huma.Registry
	// seal is the seal of page tokens; nil until it is first needed.
	seal atomic.Pointer[pageSeal]
	// acts are the names in the audit log of the routes that it covers.
	acts map[string]string
}

// New returns the API's handler. It uses c until the last request is answered, and does not close it.
func New(c client.Client, o Options) http.Handler {
	o = o.withDefaults()
	s := &server{
		temporal: c, options: o, log: o.Logger, meters: newMeters(o.Meter), rules: map[string]rule{}, acts: map[string]string{}, bodies: map[string]*huma.Schema{},
		streams: newPerCaller(o.StreamsPerCaller), waits: newPerCaller(o.WaitsPerCaller), watches: watches{open: map[string]*watch{}},
	}
	s.watchOpen(o.Meter)

	router := chi.NewRouter()
	router.Use(s.identify, s.trace, s.clientIP(), s.logRequest, secure)
	if allow := crossOrigin(o.Origins); allow != nil {
		router.Use(allow)
	}
	router.Use(s.recognize)
	if o.Rate > 0 {
		router.Use(s.limitRate(newLimiter(o.Rate, o.Burst)))
	}
	router.Use(s.recoverPanic, middleware.GetHead)
	router.NotFound(s.notFound)
	router.MethodNotAllowed(s.methodNotAllowed(router))

	api := humachi.New(router.With(s.authorize, s.auditRefused, s.checkQuery, s.readKey, s.readBody, s.allowWait), config(o.Version))
	s.schemas = api.OpenAPI().Components.Schemas
	api.UseMiddleware(s.checkParameters)
	s.routeOrders(api)
	s.routeReturns(api)
	s.routeSagas(api)
	s.routeEvents(api)
	s.routeBatches(api)
	s.routeOverview(api)
	s.routePlans(api)
	s.routeCaller(api)
	s.routeHealth(api)
	describeExamples(api)
	router.Get("/openapi.json", document(api))
	s.routePage(router)
	return router
}

// NewServer returns a server for the handler with limits on how long a client may take. Its streams and waits end when it is shut
// down; their callers go on elsewhere.
func NewServer(addr string, h http.Handler) *http.Server {
	server := inbound.NewServer(addr, h)
	server.WriteTimeout = writeTimeout
	return server
}

func config(version string) huma.Config {
	c := huma.DefaultConfig("Amends", version)
	c.Info.Description = "Starts, shows and steers the sagas that place orders and take them back. " +
		"A saga ends with everything done or with everything undone. " +
		"Every error is an RFC 9457 problem whose `code` is for programs."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Tags = []*huma.Tag{
		{Name: "orders", Description: "Placing orders."},
		{Name: "returns", Description: "Taking orders back."},
		{Name: "sagas", Description: "Operating sagas, whatever they are about."},
		{Name: "batches", Description: "Operating many sagas at once."},
		{Name: "saga-types", Description: "What sagas do."},
		{Name: "service", Description: "The API itself."},
	}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{bearer: {
		Type: "http", Scheme: "bearer",
		Description: "An API key (`amends_…`, see `amends keys`), or a JWT of the OpenID Connect issuer that this system trusts.",
	}}
	c.RejectUnknownQueryParameters = true
	// document serves the description; schemas in answers and pages from elsewhere are not wanted.
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	return c
}

// document serves the API's description.
func document(api huma.API) http.HandlerFunc {
	// What describes a pattern is not a keyword of JSON Schema; huma has taken it into its messages by now.
	for _, schema := range api.OpenAPI().Components.Schemas.Map() {
		for _, field := range schema.Properties {
			field.PatternDescription = ""
		}
	}
	for _, path := range api.OpenAPI().Paths {
		if path.Get == nil {
			continue
		}
		for _, param := range path.Get.Parameters {
			param.Schema.PatternDescription = ""
		}
	}
	text, err := api.OpenAPI().MarshalJSON()
	if err != nil {
		panic("api: its own description: " + err.Error())
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text) // the client is gone
	}
}

// register adds an operation. Its handler's errors become problems here, and nowhere else; codes are those that it may
// answer besides the ones that any operation may.
func register[I, O any](s *server, api huma.API, op huma.Operation, codes []Code, handle func(context.Context, *I) (*O, error)) {
	codes = s.guard(&op, append(codes, codeInternal, codeBadParameter, codeBodyTimeout, codeBodyTooLarge, codeStopping))
	if op.Path != livePath {
		codes = append(codes, codeTooManyRequests)
	}
	if op.Method == http.MethodPost {
		codes = append(codes, commandCodes...)
		op.Parameters = append(op.Parameters, keyParameter())
	}
	if _, ok := any(new(I)).(waiter); ok {
		codes = append(codes, codeTooManyWaits)
		op.Middlewares = append(op.Middlewares, s.limitWaits)
	}
	responses := problemResponses(api, codes)
	maps.Copy(responses, op.Responses)
	op.Responses = responses
	// readBody has read the body, with limits and all.
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		timeout := requestTimeout
		if w, ok := any(in).(waiter); ok {
			timeout += w.wait()
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
	if body := api.OpenAPI().Paths[op.Path].Post; op.Method == http.MethodPost && body.RequestBody != nil {
		s.bodies[op.Path] = body.RequestBody.Content["application/json"].Schema
	}
	describeRate(op)
}
