// Package client talks to the REST API of Amends: it starts, watches, follows and steers sagas.
//
// A call that has an effect carries an Idempotency-Key, so the client repeats what got no answer, or was turned away
// for the moment, without risk of doing it twice. What the API refuses is a [*Problem] and is never repeated. The
// package imports nothing else of Amends; a test holds it against docs/openapi.json.
package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options of a client. The zero value is what each field says.
type Options struct {
	// Token is sent as the bearer token of each request: an API key, or a token of an OpenID provider. Default: none.
	Token string
	// TokenSource gives the token anew for each request that is sent, such as one that runs out. It is used instead of Token.
	TokenSource func(context.Context) (string, error)
	// HTTP sends the requests. It needs no timeout of its own, which would cut off waits and streams.
	// Default [http.DefaultClient].
	HTTP *http.Client
	// UserAgent names the program. Default "amends-client".
	UserAgent string
	// Repeats is how often one request is sent again at most. Default 10, which takes about 15 seconds; negative: never.
	Repeats int
	// FirstPause bounds the pause before the first repeat; it doubles with each one up to LongestPause. The pause is a
	// random part of that, so that many clients don't come back at once. An answer's Retry-After is kept in full, and
	// extended by up to a quarter, unless it is longer than LongestPause: then the problem is returned. Defaults 200 ms
	// and 5 s.
	FirstPause, LongestPause time.Duration
	// AnswerWithin bounds one try, besides what the API is asked to wait. Default 30 s.
	AnswerWithin time.Duration
}

func (o Options) withDefaults() Options {
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if o.UserAgent == "" {
		o.UserAgent = "amends-client"
	}
	if o.Repeats == 0 {
		o.Repeats = 10
	}
	if o.FirstPause == 0 {
		o.FirstPause = 200 * time.Millisecond
	}
	if o.LongestPause == 0 {
		o.LongestPause = 5 * time.Second
	}
	if o.AnswerWithin == 0 {
		o.AnswerWithin = 30 * time.Second
	}
	return o
}

// Client is a client of one API. It may be used by many goroutines at once.
type Client struct {
	base    string // without a slash at the end
	options Options
}

// ErrUnreachable is within every error of a request that got no answer of the API.
var ErrUnreachable = errors.New("the API cannot be reached")

// New returns a client of the API at the base URL, such as https://amends.example. It connects with the first call.
func New(baseURL string, o Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("URL of the API: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("URL of the API: %q is none such as https://amends.example", baseURL)
	}
	return &Client{base: strings.TrimRight(baseURL, "/"), options: o.withDefaults()}, nil
}

// URL is the address of a link that the API gave, which may be relative to it.
func (c *Client) URL(link string) string {
	if strings.HasPrefix(link, "/") {
		return c.base + link
	}
	return link
}
