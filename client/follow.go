package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/tmaxmax/go-sse"
)

const (
	// silence is how long a stream may say nothing. The API sends a comment after 15 seconds.
	silence = 45 * time.Second
	// reconnectAfter is the longest pause before a stream that broke off goes on; a random part of it is waited.
	reconnectAfter = time.Second
	// eventEnded names a stream's last event.
	eventEnded = "ended"
)

// Follow tells of a saga, by its workflow ID: as it is now, and whenever it has changed, until it has ended. Changes
// that come fast may be told together. A stream that breaks off goes on where it was, also at another process of the
// API; the sequence ends after the saga's end or with an error, such as a [*Problem] or that of ctx.
func (c *Client) Follow(ctx context.Context, id string) iter.Seq2[*Saga, error] {
	return func(yield func(*Saga, error) bool) {
		last := ""
		for {
			r := request{method: http.MethodGet, path: sagasPath + "/" + url.PathEscape(id) + "/events", stream: true}
			if last != "" {
				r.set("Last-Event-ID", last)
			}
			a, err := c.send(ctx, r)
			if err != nil {
				yield(nil, err)
				return
			}
			if a.status == http.StatusNoContent { // it has ended, and the caller knows
				return
			}
			if !readEvents(a.stream, &last, yield) {
				return
			}
			if err := sleep(ctx, randomPart(reconnectAfter)); err != nil {
				yield(nil, fmt.Errorf("follow %s: %w", id, err))
				return
			}
		}
	}
}

// readEvents yields the sagas of a stream and notes the ID of the last event. It returns whether there is more to come
// on another stream.
func readEvents(stream io.ReadCloser, last *string, yield func(*Saga, error) bool) bool {
	defer stream.Close()
	for e, err := range sse.Read(stream, &sse.ReadConfig{MaxEventSize: maxAnswer}) {
		if err != nil {
			return true // it broke off
		}
		v := &Saga{}
		if err := json.Unmarshal([]byte(e.Data), v); err != nil {
			yield(nil, fmt.Errorf("read event %s: %w", e.LastEventID, err))
			return false
		}
		*last = e.LastEventID
		v.ETag = `"` + e.LastEventID + `"`
		if !yield(v, nil) || e.Type == eventEnded {
			return false
		}
	}
	return true
}

// streamBody is the body of a stream, which its watchdog ends after too long a silence.
type streamBody struct {
	io.ReadCloser
	watchdog *time.Timer
	end      func()
}

func (b *streamBody) Read(p []byte) (int, error) {
	b.watchdog.Reset(silence)
	return b.ReadCloser.Read(p)
}

func (b *streamBody) Close() error {
	b.end()
	return b.ReadCloser.Close()
}
