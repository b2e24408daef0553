package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// NewHandler makes the door through which an engine's process is told what to run: POST /load runs a [Load] and answers
// its [Outcome], POST /history takes saga IDs and answers their mean [History].
func NewHandler(e Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /load", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(ctx context.Context, l Load) (Outcome, error) { return run(ctx, e, l) })
	})
	mux.HandleFunc("POST /history", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r, func(ctx context.Context, ids []string) (History, error) { return meanHistory(ctx, e, ids) })
	})
	return mux
}

// failed is the answer when what was asked for did not go well.
type failed struct {
	Detail string `json:"detail"`
}

func serve[In, Out any](w http.ResponseWriter, r *http.Request, f func(context.Context, In) (Out, error)) {
	var in In
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answer(w, http.StatusBadRequest, failed{err.Error()})
		return
	}
	out, err := f(r.Context(), in)
	if err != nil {
		answer(w, http.StatusInternalServerError, failed{err.Error()})
		return
	}
	answer(w, http.StatusOK, out)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller is gone if it fails
}

// Client tells an engine's process what to run.
type Client struct {
	// URL is that of the process's [NewHandler], without a slash at its end.
	URL string
}

// Run runs a load and waits for its end. A load whose ctx ends is given up.
func (c Client) Run(ctx context.Context, l Load) (Outcome, error) {
	return post[Outcome](ctx, c.URL+"/load", l)
}

// History is the mean of the histories of these sagas.
func (c Client) History(ctx context.Context, ids []string) (History, error) {
	return post[History](ctx, c.URL+"/history", ids)
}

func post[Out any](ctx context.Context, url string, in any) (out Out, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return out, err
	}
	if resp.StatusCode != http.StatusOK {
		var f failed
		if err := json.Unmarshal(text, &f); err != nil {
			return out, fmt.Errorf("status %d: %w", resp.StatusCode, err)
		}
		return out, errors.New(f.Detail)
	}
	err = json.Unmarshal(text, &out)
	return out, err
}

// Clients tell the processes that share an engine's sagas what to run. There is at least one.
type Clients []Client

// Run runs a load with as many of its clients in each process, and waits for its end.
func (all Clients) Run(ctx context.Context, l Load) (Outcome, error) {
	parts := make([]Outcome, len(all))
	running, ctx := errgroup.WithContext(ctx)
	for i, c := range all {
		part := l
		part.Prefix = fmt.Sprintf("%s-%d", l.Prefix, i)
		part.Clients = (l.Clients + i) / len(all)
		if part.Clients == 0 {
			continue
		}
		running.Go(func() (err error) {
			parts[i], err = c.Run(ctx, part)
			return err
		})
	}
	if err := running.Wait(); err != nil {
		return Outcome{}, err
	}
	var out Outcome
	for _, part := range parts {
		out.PerSecond += part.PerSecond
		out.Latencies = append(out.Latencies, part.Latencies...)
		out.Sample = append(out.Sample, part.Sample...)
	}
	out.Sample = out.Sample[:min(len(out.Sample), maxSample)]
	return out, nil
}

// History is the mean of the histories of these sagas.
func (all Clients) History(ctx context.Context, ids []string) (History, error) {
	return all[0].History(ctx, ids)
}
