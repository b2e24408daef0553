package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/amends-dev/amends/internal/access"
)

// localKey is the API key that a person on this machine uses: an admin's, kept from run to run.
type localKey struct {
	// path is the file that has it, and nothing else.
	path    string
	callers access.Authenticator
	// made is the key itself, if this run has made it.
	made string
}

// startKeys opens the API's keys, and makes the local one when there is none that is good.
func (s *system) startKeys(ctx context.Context) error {
	dir := s.flags.Data
	if s.flags.Ephemeral {
		dir = s.dir // it is removed at the end
	}
	keys := filepath.Join(dir, "keys.toml")
	s.key.path = filepath.Join(dir, "api-key")

	text, err := os.ReadFile(s.key.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("api key: %w", err)
	}
	if ring, err := access.OpenKeyRing(ctx, keys, s.logger); err == nil {
		s.key.callers = access.New(ring, nil)
		if _, err := s.key.callers.Authenticate(ctx, "Bearer "+strings.TrimSpace(string(text))); err == nil {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	_, made, err := access.CreateKey(ctx, keys, access.Key{Name: "local", Tenant: access.DefaultTenant, Role: access.Admin})
	if err != nil {
		return err
	}
	s.key.made = made
	if err := os.WriteFile(s.key.path, []byte(made+"\n"), 0o600); err != nil {
		return fmt.Errorf("api key: %w", err)
	}
	ring, err := access.OpenKeyRing(ctx, keys, s.logger)
	if err != nil {
		return err
	}
	s.key.callers = access.New(ring, nil)
	return nil
}
