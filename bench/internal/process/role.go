package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// Serve is what a role does: with its configuration, until ctx ends. It calls ready once, with what whoever started it
// is to know.
type Serve[Config any] func(ctx context.Context, c Config, ready func(any) error) error

// Run is a role in the process that [Start] made for it. The role's context ends with ctx, and when stdin does.
func Run[Config any](ctx context.Context, stdin io.Reader, stdout io.Writer, serve Serve[Config]) error {
	var config Config
	if err := json.NewDecoder(stdin).Decode(&config); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin) // whatever ends it
	}()
	return serve(ctx, config, func(facts any) error { return json.NewEncoder(stdout).Encode(facts) })
}
