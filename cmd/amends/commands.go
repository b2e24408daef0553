package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/inbound"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/worker"
)

type apiCommand struct {
	apiFlags `embed:""`

	Ops opsFlags `embed:""`
}

type apiFlags struct {
	Addr           string         `help:"Address to listen at." default:"127.0.0.1:8080" env:"AMENDS_API_ADDR"`
	WebUI          string         `help:"Base URL of the Temporal Web UI, for links." name:"web-ui" env:"AMENDS_WEB_UI"`
	ApprovalWithin time.Duration  `help:"How long an order waits for a person's approval." default:"24h" env:"AMENDS_APPROVAL_WITHIN"`
	GoodsWithin    time.Duration  `help:"How long a return waits for its goods." default:"336h" env:"AMENDS_GOODS_WITHIN"`
	OrderDeadline  time.Duration  `help:"When an order that is not done turns back, or waits for an operator once its payment is captured; 0 is never. Leave room for --approval-within." default:"72h" env:"AMENDS_ORDER_DEADLINE"`
	ReturnDeadline time.Duration  `help:"The same of a return. Leave room for --goods-within." default:"720h" env:"AMENDS_RETURN_DEADLINE"`
	CallerStreams  int            `help:"How many streams of events one caller may have open." name:"streams-per-caller" default:"20" env:"AMENDS_STREAMS_PER_CALLER"`
	CallerWaits    int            `help:"How many requests with Prefer: wait one caller may have open." name:"waits-per-caller" default:"500" env:"AMENDS_WAITS_PER_CALLER"`
	Rate           float64        `help:"How many requests a second each caller may make over time, or outside of /v1 each address; 0 is any number." default:"1000" env:"AMENDS_RATE"`
	Burst          int            `help:"How many of them at once; 0 is twice the rate." default:"0" env:"AMENDS_BURST"`
	TraceURL       string         `help:"Where a trace is shown, for links, such as http://127.0.0.1:16686/trace/{trace_id}." name:"trace-url" env:"AMENDS_TRACE_URL" placeholder:"URL"`
	Origins        []string       `help:"Another site whose scripts may use the API, such as https://console.example; can be given more than once." name:"cors-origin" env:"AMENDS_CORS_ORIGINS"`
	TrustedProxy   []netip.Prefix `help:"Network of proxies whose X-Forwarded-For tells where a request comes from, such as 10.0.0.0/8. Can be repeated." env:"AMENDS_TRUSTED_PROXY" placeholder:"CIDR"`

	AuditLog   string        `help:"File that what people do to sagas is appended to, as lines of JSON. Default: the process's own log, whatever its level." env:"AMENDS_AUDIT_LOG" type:"path" placeholder:"FILE"`
	DrainDelay time.Duration `help:"How long to answer on after /readyz says that the process stops, for whoever sends requests here to notice." default:"0s" env:"AMENDS_DRAIN_DELAY"`

	Access accessFlags `embed:""`
	TLS    listenTLS   `embed:"" prefix:"tls-" envprefix:"AMENDS_TLS_"`
}

// maxRate is more than any process can do.
const maxRate = 1_000_000

// Validate implements kong's interface.
func (c *apiFlags) Validate() error {
	var errs []error
	if !(c.Rate >= 0 && c.Rate <= maxRate) || c.Burst < 0 || c.Burst > maxRate {
		errs = append(errs, fmt.Errorf("--rate and --burst: must be from 0 to %d", maxRate))
	}
	if c.CallerStreams < 0 || c.CallerWaits < 0 {
		errs = append(errs, errors.New("--streams-per-caller and --waits-per-caller: must not be negative"))
	}
	for _, limit := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"--approval-within", c.ApprovalWithin, time.Second},
		{"--goods-within", c.GoodsWithin, time.Second},
		{"--order-deadline", c.OrderDeadline, 0},
		{"--return-deadline", c.ReturnDeadline, 0},
	} {
		if limit.value < limit.least || limit.value > compensation.MaxWait {
			errs = append(errs, fmt.Errorf("%s %s: must be from %s to %s, the longest that Temporal keeps",
				limit.flag, limit.value, limit.least, compensation.MaxWait))
		}
	}
	if c.DrainDelay < 0 {
		errs = append(errs, fmt.Errorf("--drain-delay %s: must not be negative", c.DrainDelay))
	}
	if c.TraceURL != "" && !strings.Contains(c.TraceURL, "{trace_id}") {
		errs = append(errs, fmt.Errorf("--trace-url %s: says nowhere {trace_id}", c.TraceURL))
	}
	return errors.Join(append(errs, checkOrigins(c.Origins))...)
}

// checkOrigins refuses origins that no browser sends, since they would never match.
func checkOrigins(origins []string) error {
	var errs []error
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || origin != u.Scheme+"://"+strings.ToLower(u.Host) ||
			strings.Contains(u.Host, "*") {
			errs = append(errs, fmt.Errorf("--cors-origin %s: must be an origin as browsers send it, such as https://console.example", origin))
		}
	}
	return errors.Join(errs...)
}

// plainText is said of an API that is open to a network as it is.
const plainText = "keys and orders cross the network in plain text: use --tls-cert and --tls-key, or name the proxy before it that has a certificate with --trusted-proxy"

func (c *apiFlags) inPlainText() bool {
	return c.TLS.Cert == "" && !isLoopback(c.Addr) && len(c.TrustedProxy) == 0
}

func (c *apiCommand) Run(p *process) error {
	callers, err := c.Access.authenticator(p, c.Addr)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	shown, err := c.Ops.show(p, "amends-api")
	if err != nil {
		return err
	}
	defer shown.stop()
	temporal, namespace, err := dial(p, shown)
	if err != nil {
		return err
	}
	defer temporal.Close()
	return c.serve(p, temporal, api.Options{Access: callers, Namespace: namespace}, shown, nil)
}

// serve answers requests, and operators', until the process is told to end or a worker beside it has failed (nil: there
// is none).
func (c *apiFlags) serve(p *process, temporal client.Client, options api.Options, s *shown, failed <-chan error) (err error) {
	if options.Audit, err = c.auditLog(p); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	health, err := s.serve(func(ctx context.Context) error {
		_, err := api.Ready(ctx, temporal, options.Namespace)
		return errors.Join(err, options.Audit.Ready(ctx))
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, health.Stop(context.WithoutCancel(p.ctx))) }()
	secure, err := c.TLS.config(p)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	if c.inPlainText() {
		p.logger.Warn(plainText, "addr", c.Addr)
	}
	stopping := make(chan struct{})
	options.Stopping, options.Meter, options.Tracer = stopping, s.Meter(), s.Tracer()
	server := c.server(p, temporal, options)
	server.TLSConfig = secure
	return serve(p, "api", server, ending{
		failed: failed, delay: c.DrainDelay, drain: func() {
			close(stopping)
			health.Drain()
		},
	})
}

// server is the API as the flags say; options has what they don't.
func (c *apiFlags) server(p *process, temporal client.Client, options api.Options) *http.Server {
	options.WebUI, options.ApprovalWithin, options.GoodsWithin = c.WebUI, c.ApprovalWithin, c.GoodsWithin
	options.TraceURL = c.TraceURL
	options.OrderDeadline, options.ReturnDeadline = c.OrderDeadline, c.ReturnDeadline
	options.StreamsPerCaller, options.WaitsPerCaller, options.Origins = c.CallerStreams, c.CallerWaits, c.Origins
	options.Rate, options.Burst = c.Rate, c.Burst
	options.TrustedProxies = c.TrustedProxy
	options.Logger, options.Version = p.logger, version()
	handler := api.New(temporal, options)
	if c.Access.NoAuth {
		handler = inbound.OnlyLocalNames(c.Addr, handler)
	}
	return api.NewServer(c.Addr, handler)
}

type workerCommand struct {
	workerFlags `embed:""`

	StopWhenDrained bool `help:"End when the version gets no sagas any more and has none left. For process managers that do not restart what ends well." env:"AMENDS_STOP_WHEN_DRAINED"`

	Ops opsFlags `embed:""`
}

type workerFlags struct {
	ServicesURL string            `help:"Where the step services are." default:"http://127.0.0.1:8090" env:"AMENDS_SERVICES_URL"`
	ServiceURLs map[string]string `help:"URL of a single service, such as payment=http://payment:8090/payment." name:"service-url" env:"AMENDS_SERVICE_URLS"`
	Tasks       int               `help:"How many sagas to drive at the same time. More where services are slow, fewer where they are overloaded." default:"50" env:"AMENDS_WORKER_TASKS"`
	ServicesTLS callTLS           `embed:"" prefix:"services-" envprefix:"AMENDS_SERVICES_"`
	StopTimeout time.Duration     `help:"How long what runs may take to finish at the end; the rest is handed to other workers." default:"5s" env:"AMENDS_WORKER_STOP_TIMEOUT"`
	Deployment  string            `help:"Name of the deployment that the worker is a version of; sagas stay with the version that began them. Default: none, and any worker goes on with any saga." name:"deployment-name" env:"AMENDS_DEPLOYMENT_NAME" placeholder:"NAME"`
	BuildID     string            `help:"The worker's version. Default: what amends version prints." name:"build-id" env:"AMENDS_BUILD_ID" placeholder:"ID"`
}

// deployment is the version as the flags say.
func (c *workerFlags) deployment() (worker.Deployment, error) {
	d := worker.Deployment{Name: c.Deployment, BuildID: c.BuildID}
	if d.Name == "" {
		if d.BuildID != "" {
			return d, badUsage("--build-id is of a deployment: name it with --deployment-name")
		}
		return d, nil
	}
	if d.BuildID == "" {
		d.BuildID = version()
	}
	if d.BuildID == "(devel)" || d.BuildID == "unknown" {
		return d, badUsage("this build has no version of its own: give it one with --build-id")
	}
	return d, nil
}

func (c *workerCommand) Run(p *process) (err error) {
	shown, err := c.Ops.show(p, "amends-worker")
	if err != nil {
		return err
	}
	defer shown.stop()
	temporal, namespace, err := dial(p, shown)
	if err != nil {
		return err
	}
	defer temporal.Close()
	options, err := c.options(p, namespace)
	if err != nil {
		return err
	}
	options.Deployment.StopWhenDrained = c.StopWhenDrained && options.Deployment.Name != ""
	w, err := worker.New(temporal, options)
	if err != nil {
		return err
	}
	health, err := shown.serve(w.Ready)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, health.Stop(context.WithoutCancel(p.ctx))) }()
	return w.Run(p.ctx)
}

func (c *workerFlags) options(p *process, namespace string) (worker.Options, error) {
	d, err := c.deployment()
	if err != nil {
		return worker.Options{}, err
	}
	secure, err := c.ServicesTLS.config(p.logger)
	if err != nil {
		return worker.Options{}, fmt.Errorf("worker: step services: %w", err)
	}
	return worker.Options{
		ServicesURL: c.ServicesURL, ServiceURLs: c.ServiceURLs, ServicesTLS: secure, Namespace: namespace,
		Tasks: c.Tasks, StopTimeout: c.StopTimeout, Deployment: d, Logger: p.logger,
	}, nil
}

type serveCommand struct {
	API    apiFlags    `embed:""`
	Worker workerFlags `embed:""`
	Ops    opsFlags    `embed:""`
}

// Run starts the worker first and stops it last, so that whoever gets an answer from the API has a worker.
func (c *serveCommand) Run(p *process) error {
	callers, err := c.API.Access.authenticator(p, c.API.Addr)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	shown, err := c.Ops.show(p, "amends")
	if err != nil {
		return err
	}
	defer shown.stop()
	temporal, namespace, err := dial(p, shown)
	if err != nil {
		return err
	}
	defer temporal.Close()
	options, err := c.Worker.options(p, namespace)
	if err != nil {
		return err
	}
	// With a version, Temporal decides on whose worker a saga begins.
	options.EagerStart = options.Deployment.Name == ""
	w, err := worker.New(temporal, options)
	if err != nil {
		return err
	}
	if err := w.Start(p.ctx); err != nil {
		return err
	}
	defer w.Stop()
	return c.API.serve(p, temporal, api.Options{Access: callers, Namespace: namespace, EagerStart: options.EagerStart}, shown, w.Failed())
}

type servicesCommand struct {
	servicesStore `embed:""`

	Addr   string `help:"Address to listen at." default:"127.0.0.1:8090" env:"AMENDS_SERVICES_ADDR"`
	Faults bool   `help:"Serve the fault settings, with which a service can be made slow, flaky or lose replies. For demos and tests." env:"AMENDS_SERVICES_FAULTS"`

	TLS listenTLS `embed:"" prefix:"tls-" envprefix:"AMENDS_TLS_"`
	Ops opsFlags  `embed:""`

	Host   servicesHost   `cmd:"" default:"withargs" help:"Host them, which is what happens without a command."`
	Import servicesImport `cmd:"" help:"Load a shop's own data: articles, prices, stock, carriers and what they serve, vouchers, cards."`
}

// servicesHost is the default command. The flags are those of the command above, and so is their table in the file.
type servicesHost struct {
	serviceNames `embed:""`
}

// Run hosts the services.
func (h *servicesHost) Run(p *process, c *servicesCommand) (err error) {
	secure, err := c.TLS.config(p)
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}
	shown, err := c.Ops.show(p, "amends-services")
	if err != nil {
		return err
	}
	defer shown.stop()
	store := c.config(p, h.Names...)
	store.Faults, store.Meter, store.Tracer = c.Faults, shown.Meter(), shown.Tracer()
	host, err := services.Open(p.ctx, store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	health, err := shown.serve(host.Ready)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, health.Stop(context.WithoutCancel(p.ctx))) }()
	server := inbound.NewServer(c.Addr, inbound.LimitAnswers(inbound.OnlyLocalNames(c.Addr, host.Handler())))
	server.TLSConfig = secure
	return serve(p, "services", server, ending{drain: health.Drain})
}

type versionCommand struct{}

func (versionCommand) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, "amends", version())
	return err
}

// release is set by the linker where a build has no version control to ask: in the image.
var release string

// version is the release, the module's version, or the commit that was built.
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return s.Value
		}
	}
	return info.Main.Version
}
