package steps

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	codeRefused      = "refused"
	codeIrreversible = "irreversible"
)

// ErrIrreversible says that what was done cannot be undone.
var ErrIrreversible = errors.New("irreversible")

// Refusal is the error of a step that definitely has no effect. It has a type of its own so that every engine can store
// it as what it is.
type Refusal struct {
	Step, Detail string
}

func (r *Refusal) Error() string { return r.Step + " refused: " + r.Detail }

// Client calls a step server. Any other error than this package's own means that the outcome is unknown.
type Client struct {
	base string
	http *http.Client
}

// NewClient makes a client of the server at base, a URL without a slash at its end. It keeps its connections.
func NewClient(base string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0 // no limit
	transport.MaxIdleConnsPerHost = 256
	return &Client{base: base, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// Do does a step once, however often it is called with one key.
func (c *Client) Do(ctx context.Context, step, key string, in Input) (Result, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return Result{}, err
	}
	var result Result
	err = c.call(ctx, http.MethodPut, step, key, body, &result)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		refusal.Step = step
		return Result{}, refusal
	}
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", step, err)
	}
	return result, nil
}

// Undo takes a step back, whether or not it was done, and makes a Do that comes later fail.
func (c *Client) Undo(ctx context.Context, step, key string) error {
	if err := c.call(ctx, http.MethodDelete, step, key, nil, nil); err != nil {
		return fmt.Errorf("undo %s: %w", step, err)
	}
	return nil
}

// Books reads the server's books.
func (c *Client) Books(ctx context.Context) (Books, error) {
	var b Books
	err := c.send(ctx, http.MethodGet, c.base+"/books", nil, &b)
	return b, err
}

// Forget empties the server's ledger.
func (c *Client) Forget(ctx context.Context) error {
	return c.send(ctx, http.MethodDelete, c.base+"/books", nil, nil)
}

func (c *Client) call(ctx context.Context, method, step, key string, body []byte, out any) error {
	return c.send(ctx, method, c.base+"/"+segment(step)+"/"+url.PathEscape(key), body, out)
}

func (c *Client) send(ctx context.Context, method, target string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return failure(resp.StatusCode, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// failure is the error of an answer by the contract's tables.
func failure(status int, text []byte) error {
	var p struct{ Code, Detail string }
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("status %d: %w", status, err)
	}
	switch {
	case status == http.StatusUnprocessableEntity, status == http.StatusGone:
		return &Refusal{Detail: p.Detail}
	case p.Code == codeIrreversible:
		return fmt.Errorf("%w: %s", ErrIrreversible, p.Detail)
	default:
		return fmt.Errorf("status %d %s: %s", status, p.Code, p.Detail)
	}
}
