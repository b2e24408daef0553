package main

import (
	"cmp"
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/payload"
	"github.com/amends-dev/amends/internal/telemetry"
	"github.com/amends-dev/amends/workflows"
)

// dial connects to Temporal by TEMPORAL_* variables and profiles.
func dial(p *process, s *shown) (client.Client, string, error) {
	options, err := temporalOptions()
	if err != nil {
		return nil, "", err
	}
	options.Logger = telemetry.SDKLogger(p.logger, workflows.Plans()...)
	if err := s.instrument(&options); err != nil {
		return nil, "", err
	}
	codec, err := payload.Open(p.ctx, p.payloads.config(p.logger))
	if err != nil {
		return nil, "", err
	}
	if options, err = connect.Encoded(options, codec); err != nil {
		return nil, "", err
	}
	c, err := connect.Dial(p.ctx, options)
	if err != nil {
		return nil, "", fmt.Errorf("connect to Temporal at %s (set TEMPORAL_ADDRESS for another): %w", options.HostPort, err)
	}
	return c, options.Namespace, nil
}

// temporalOptions returns the options from TEMPORAL_* variables and profiles, with Temporal's defaults.
func temporalOptions() (client.Options, error) {
	options, err := envconfig.LoadDefaultClientOptions()
	if err != nil {
		return client.Options{}, fmt.Errorf("configuration of Temporal: %w", err)
	}
	options.HostPort = cmp.Or(options.HostPort, client.DefaultHostPort)
	options.Namespace = cmp.Or(options.Namespace, client.DefaultNamespace)
	return options, nil
}
