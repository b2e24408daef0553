package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/amends-dev/amends/activities"
	"github.com/amends-dev/amends/internal/config"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/payload"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/workflows"
)

// connectTimeout is how long a check tries each connection.
const connectTimeout = 5 * time.Second

func (c *apiFlags) check(r *report) {
	r.listen("addr", c.Addr)
	if c.inPlainText() {
		r.warn("addr", "%s", plainText)
	}
	if c.WebUI != "" {
		r.add("web-ui", checkURL(c.WebUI))
	}
	_, err := c.Access.authenticator(&process{ctx: r.ctx, logger: slog.New(slog.DiscardHandler)}, c.Addr)
	r.add("", err)
	if c.AuditLog != "" {
		r.add("audit-log", checkAppend(c.AuditLog))
	}
	if c.OrderDeadline > 0 && c.OrderDeadline <= c.ApprovalWithin {
		r.warn("order-deadline", "an order that waits for a person's approval, for %s, has no time left after that", c.ApprovalWithin)
	}
	if c.ReturnDeadline > 0 && c.ReturnDeadline <= c.GoodsWithin {
		r.warn("return-deadline", "a return that waits for its goods, for %s, has no time left after that", c.GoodsWithin)
	}
}

func (c *workerFlags) check(r *report) {
	wrong := len(r.problems)
	r.add("services-url", checkURL(c.ServicesURL))
	for name, base := range c.ServiceURLs {
		if err := checkURL(base); err != nil {
			r.add("service-url", fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(r.problems) > wrong {
		return
	}
	_, err := activities.New(activities.Options{ServicesURL: c.ServicesURL, URLs: c.ServiceURLs})
	r.add("service-url", err)
	if err != nil || !r.connect {
		return
	}
	if len(c.ServiceURLs) < len(services.Names) {
		r.add("services-url", r.reach(c.ServicesURL, &c.ServicesTLS))
	}
	for _, base := range c.ServiceURLs {
		r.add("service-url", r.reach(base, &c.ServicesTLS))
	}
}

func (f opsFlags) check(r *report) {
	if f.Addr != "" {
		r.listen("ops-addr", f.Addr)
	}
}

func (c *apiCommand) check(r *report) {
	c.apiFlags.check(r)
	r.temporal()
}

func (c *workerCommand) check(r *report) {
	c.workerFlags.check(r)
	r.temporal()
}

func (*serveCommand) check(r *report) { r.temporal() }

func (c *codecCommand) check(r *report) {
	r.listen("addr", c.Addr)
	_, err := c.Access.authenticator(&process{ctx: r.ctx, logger: slog.New(slog.DiscardHandler)}, c.Addr)
	r.add("", err)
}

func (f *payloadFlags) check(r *report) {
	c := f.config(slog.New(slog.DiscardHandler))
	if !r.connect {
		c.Store = "" // to open a folder is to make it
	}
	_, err := payload.Open(r.ctx, c)
	r.add("", err)
}

func (c *servicesCommand) check(r *report) {
	r.listen("addr", c.Addr)
	for _, name := range c.Host.Names {
		if !slices.Contains(services.Names, name) {
			r.add("", fmt.Errorf("there is no service %q; there are %s", name, strings.Join(services.Names, ", ")))
		}
	}
	if c.DSN.Reveal() == "" {
		r.add("data", checkFolder(c.Data))
		return
	}
	err := store.CheckDSN(c.DSN.Reveal())
	if err == nil && r.connect {
		err = store.Ping(r.ctx, c.DSN.Reveal())
	}
	r.add("dsn", err)
}

// listen tries the address.
func (r *report) listen(flag, addr string) {
	listener, err := (&net.ListenConfig{}).Listen(r.ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		r.warn(flag, "somebody listens there, if not this process")
	case err != nil:
		r.add(flag, fmt.Errorf("%w; host:port of this machine, such as 127.0.0.1:8080, or :8080 for all its addresses", err))
	default:
		listener.Close()
	}
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("must be a URL with http or https and a host")
	}
	return nil
}

// checkFolder finds out whether the folder is there or can be made.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path:
		return checkFolder(filepath.Dir(path))
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no folder", path)
	}
	return nil
}

// reach tries to get any answer from there.
func (r *report) reach(base string, call *callTLS) (err error) {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, base, http.NoBody)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if transport.TLSClientConfig, err = call.config(slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport, Timeout: connectTimeout}).Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// temporal looks at what TEMPORAL_* variables and profiles say, and tries it if asked to.
func (r *report) temporal() {
	if path := os.Getenv("TEMPORAL_CONFIG_FILE"); path != "" {
		if _, err := os.Stat(path); err != nil {
			r.add("", fmt.Errorf("TEMPORAL_CONFIG_FILE: %w", err)) // the SDK would do without it, silently
		}
	}
	profile, err := envconfig.LoadClientConfigProfile(envconfig.LoadClientConfigProfileOptions{ConfigFileStrict: true})
	if err != nil {
		r.add("", fmt.Errorf("configuration of Temporal: %w", err))
		return
	}
	if profile.TLS != nil && config.ReadByOthers(profile.TLS.ClientKeyPath) {
		r.warn("", "configuration of Temporal: others may read %s: chmod 600 it", profile.TLS.ClientKeyPath)
	}
	options, err := temporalOptions()
	if err != nil {
		r.add("", err)
		return
	}
	if _, _, err := net.SplitHostPort(options.HostPort); err != nil {
		r.add("", fmt.Errorf("TEMPORAL_ADDRESS: %w; host:port, such as temporal.example:7233", err))
		return
	}
	if !r.connect {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, connectTimeout)
	defer cancel()
	c, err := connect.Dial(ctx, options)
	if err != nil {
		r.add("", fmt.Errorf("connect to Temporal at %s: %w", options.HostPort, err))
		return
	}
	defer c.Close()
	if err := connect.CheckSearchAttributes(ctx, c, options.Namespace, workflows.SearchAttributes()); err != nil {
		r.add("", fmt.Errorf("temporal at %s: %w", options.HostPort, err))
	}
}
