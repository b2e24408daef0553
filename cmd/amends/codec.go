package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/codecserver"
	"github.com/amends-dev/amends/internal/inbound"
	"github.com/amends-dev/amends/internal/payload"
)

type codecCommand struct {
	Addr    string      `help:"Address to listen at." default:"127.0.0.1:8234" env:"AMENDS_CODEC_ADDR"`
	Role    access.Role `help:"The least role for which payloads are decrypted, of whatever tenant they are." default:"admin" env:"AMENDS_CODEC_ROLE"`
	Origins []string    `help:"Site whose scripts may ask: the Temporal Web UI's, such as https://temporal.example; can be given more than once." name:"cors-origin" env:"AMENDS_CODEC_CORS_ORIGINS"`

	Access accessFlags `embed:""`
	TLS    listenTLS   `embed:"" prefix:"tls-" envprefix:"AMENDS_TLS_"`
	Ops    opsFlags    `embed:""`
}

// Validate implements kong's interface.
func (c *codecCommand) Validate() error { return checkOrigins(c.Origins) }

func (c *codecCommand) Run(p *process) (err error) {
	callers, err := c.Access.authenticator(p, c.Addr)
	if err != nil {
		return fmt.Errorf("codec: %w", err)
	}
	codec, err := payload.Open(p.ctx, p.payloads.config(p.logger))
	if err != nil {
		return err
	}
	if codec == nil {
		return errors.New("codec: with which keys? Name their file with --payload-keys, or a --payload-store")
	}
	secure, err := c.TLS.config(p)
	if err != nil {
		return fmt.Errorf("codec: %w", err)
	}
	shown, err := c.Ops.show(p, "amends-codec")
	if err != nil {
		return err
	}
	defer shown.stop()
	health, err := shown.serve(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, health.Stop(context.WithoutCancel(p.ctx))) }()
	handler := codecserver.New(codec, codecserver.Options{Access: callers, Role: c.Role, Origins: c.Origins, Logger: p.logger})
	if c.Access.NoAuth {
		handler = inbound.OnlyLocalNames(c.Addr, handler)
	}
	server := inbound.NewServer(c.Addr, inbound.LimitAnswers(handler))
	server.TLSConfig = secure
	return serve(p, "codec", server, ending{drain: health.Drain})
}
