package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/audit"
)

// client talks to a running system as any client would: over HTTP.
type client struct {
	api, services string // base URLs, without a slash at the end
	// key is what the API knows the demo by; empty for one that asks nobody.
	key  string
	http *http.Client
	// slots bounds the requests at once, so that watching does not slow down what is watched.
	slots chan struct{}
}

const (
	requestsAtOnce = 4
	requestTimeout = 15 * time.Second
	maxAnswer      = 4 << 20 // bytes
)

func newClient(api, services, key string) *client {
	return &client{
		api: strings.TrimRight(api, "/"), services: strings.TrimRight(services, "/"), key: key,
		http:  &http.Client{Timeout: requestTimeout},
		slots: make(chan struct{}, requestsAtOnce),
	}
}

// view is what the API tells of an order, as far as the demo needs it.
type view struct {
	State     compensation.State `json:"state"`
	Cause     string             `json:"cause"`
	Steps     []step             `json:"steps"`
	StartedAt time.Time          `json:"started_at"`
	EndedAt   time.Time          `json:"ended_at"`
	Links     struct {
		WebUI string `json:"web_ui"`
		// Approval is there while the order waits for a person.
		Approval string `json:"approval"`
	} `json:"links"`
}

type step struct {
	Name         string                 `json:"name"`
	Kind         string                 `json:"kind"`
	Do           compensation.DoState   `json:"do"`
	Undo         compensation.UndoState `json:"undo"`
	Attempts     int                    `json:"attempts"`
	UndoAttempts int                    `json:"undo_attempts"`
	Error        string                 `json:"error"`
}

// ended tells whether nothing more will happen to the order.
func (v view) ended() bool { return v.State.Ended() }

// problem is an answer that is none of success.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// away tells whether err says nothing of the request, only that it could not be served just now.
func away(err error) bool {
	var p *problem
	return !errors.As(err, &p) || p.status >= http.StatusInternalServerError
}

const ordersPath = "/v1/orders"

// place places the order. The same key is the same order, and decides its ID.
func (c *client) place(ctx context.Context, key string, o order.Order) error {
	o.ID = ""
	return c.post(ctx, c.api+ordersPath, key, o)
}

func (c *client) order(ctx context.Context, id order.ID) (v view, err error) {
	err = c.call(ctx, http.MethodGet, c.orderURL(id), nil, &v)
	return v, err
}

func (c *client) orderURL(id order.ID) string { return c.api + ordersPath + "/" + string(id) }

// person is who decides in the demo's name.
const person = "the demo"

func (c *client) decide(ctx context.Context, id order.ID, approved bool) error {
	return c.post(ctx, c.orderURL(id)+"/approval", rand.Text(), map[string]any{"approved": approved, "by": person})
}

func (c *client) cancel(ctx context.Context, id order.ID) error {
	return c.post(ctx, c.orderURL(id)+"/cancel", rand.Text(), map[string]any{"by": person})
}

func (c *client) setFault(ctx context.Context, f fault) error {
	target := c.services + "/" + f.service + "/faults/" + url.PathEscape(f.Step)
	if f.On == "" {
		f.On = services.Do
	}
	return c.call(ctx, http.MethodPut, target, f.Fault, nil)
}

func (c *client) clearFault(ctx context.Context, f fault) error {
	return c.call(ctx, http.MethodDelete, c.services+"/"+f.service+"/faults/"+url.PathEscape(f.Step), nil, nil)
}

// ready tells whether the API and the services answer, and can work.
func (c *client) ready(ctx context.Context) error {
	for _, base := range []string{c.api, c.services} {
		err := c.call(ctx, http.MethodGet, base+"/readyz", nil, nil)
		var p *problem
		switch {
		case errors.As(err, &p):
			return p
		case err != nil:
			return fmt.Errorf("nothing answers at %s: type \"make run\" in another terminal first, or name a running system with --api and --services", base)
		}
	}
	return nil
}

// caller is the ID under which the API knows the demo.
func (c *client) caller(ctx context.Context) (string, error) {
	var told struct{ ID string }
	err := c.call(ctx, http.MethodGet, c.api+"/v1/caller", nil, &told)
	var p *problem
	if errors.As(err, &p) && p.status == http.StatusUnauthorized {
		return "", fmt.Errorf("the API at %s does not know the demo: give it a key with --api-key, or run it in the folder of make run", c.api)
	}
	return told.ID, err
}

// faults tells whether the services take fault settings.
func (c *client) faults(ctx context.Context) (bool, error) {
	err := c.call(ctx, http.MethodGet, c.services+"/payment/faults", nil, nil)
	var p *problem
	if errors.As(err, &p) && p.status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

func (c *client) audit(ctx context.Context, service string) (r audit.Report, err error) {
	err = c.call(ctx, http.MethodGet, c.services+"/"+service+"/audit", nil, &r)
	return r, err
}

// post sends in, as the request that the key names.
func (c *client) post(ctx context.Context, target, key string, in any) error {
	return c.send(ctx, http.MethodPost, target, http.Header{"Idempotency-Key": {key}}, in, nil)
}

// call sends in and reads the answer into out; either may be nil. An answer without success is a [*problem].
func (c *client) call(ctx context.Context, method, target string, in, out any) error {
	return c.send(ctx, method, target, http.Header{}, in, out)
}

func (c *client) send(ctx context.Context, method, target string, header http.Header, in, out any) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var body io.Reader
	if in != nil {
		content, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: encode: %w", method, target, err)
		}
		body = bytes.NewReader(content)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return err
	}
	req.Header = header
	if c.key != "" && strings.HasPrefix(target, c.api+"/") {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, target, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return problemOf(method+" "+target, resp, content)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, target, err)
	}
	return nil
}

func problemOf(request string, resp *http.Response, content []byte) *problem {
	var told struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "application/problem+json" {
		_ = json.Unmarshal(content, &told) // then the status alone has to do
	}
	p := &problem{status: resp.StatusCode, text: request + ": " + resp.Status}
	for _, text := range []string{told.Title, told.Detail} {
		if text != "" {
			p.text += ": " + strings.TrimSuffix(text, ".")
		}
	}
	return p
}
