package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// profile starts to take CPU profiles of the row, if the plan wants them; of several processes of an engine, the first. What it returns waits for them.
func (s *system) profile(ctx context.Context, r row, p plan) (wait func() error) {
	if p.Profile == "" || r.round != p.Rounds-1 {
		return func() error { return nil }
	}
	var (
		pending sync.WaitGroup
		errs    [2]error
	)
	e := s.engines[r.label]
	name := func(part string) string {
		file := fmt.Sprintf("%s-%s-%d-%s.prof", strings.NewReplacer(" ", "_", "/", "_").Replace(r.label), r.c, r.concurrency, part)
		return filepath.Join(p.Profile, file)
	}
	query := fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(p.Window.Seconds())))
	pending.Go(func() { errs[0] = download(ctx, e.debugURL+query, name("temporal")) })
	pending.Go(func() { errs[1] = download(ctx, e.Clients[0].URL+query, name("engine")) })
	return func() error {
		pending.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		return nil
	}
}

func download(ctx context.Context, url, file string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.Copy(f, resp.Body)
	return err
}
