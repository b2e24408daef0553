package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/audit"
)

// stepServices are the reference step services, asked for what the API does not tell: their faults and their books.
type stepServices struct {
	base string // without a slash at the end
	http *http.Client
}

const (
	requestTimeout = 15 * time.Second
	maxAnswer      = 4 << 20 // bytes
)

func newStepServices(base string) *stepServices {
	return &stepServices{base: strings.TrimRight(base, "/"), http: &http.Client{Timeout: requestTimeout}}
}

// refusal is an answer that is none of success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// ready returns nil if the services can work.
func (s *stepServices) ready(ctx context.Context) error {
	return s.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

// takeFaults tells whether the services take fault settings.
func (s *stepServices) takeFaults(ctx context.Context) (bool, error) {
	err := s.call(ctx, http.MethodGet, "/payment/faults", nil, nil)
	if r, ok := errors.AsType[*refusal](err); ok && r.status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

func (s *stepServices) setFault(ctx context.Context, f fault) error {
	if f.On == "" {
		f.On = services.Do
	}
	return s.call(ctx, http.MethodPut, f.path(), f.Fault, nil)
}

func (s *stepServices) clearFault(ctx context.Context, f fault) error {
	return s.call(ctx, http.MethodDelete, f.path(), nil, nil)
}

func (f fault) path() string { return "/" + f.service + "/faults/" + url.PathEscape(f.Step) }

func (s *stepServices) audit(ctx context.Context, service string) (r audit.Report, err error) {
	err = s.call(ctx, http.MethodGet, "/"+service+"/audit", nil, &r)
	return r, err
}

// call sends in and reads the answer into out; either may be nil. An answer without success is a [*refusal].
func (s *stepServices) call(ctx context.Context, method, path string, in, out any) error {
	target := s.base + path
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
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, target, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &refusal{status: resp.StatusCode, text: fmt.Sprintf("%s %s: %s: %s", method, target, resp.Status, bytes.TrimSpace(content))}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(content, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, target, err)
	}
	return nil
}
