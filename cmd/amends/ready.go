package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/amends-dev/amends/internal/certificate"
)

// readyCommand is the health check of containers, whose image has no other program.
type readyCommand struct {
	OpsAddr string        `help:"Address where the process answers operators." required:"" env:"AMENDS_OPS_ADDR" placeholder:"HOST:PORT"`
	TLS     listenTLS     `embed:"" prefix:"ops-tls-" envprefix:"AMENDS_OPS_TLS_"`
	Timeout time.Duration `help:"How long the answer may take." default:"3s"`
}

func (c *readyCommand) Run(p *process) error {
	host, port, err := net.SplitHostPort(c.OpsAddr)
	if err != nil {
		return badUsage("--ops-addr %s: %w", c.OpsAddr, err)
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost" // it listens at every address
	}
	scheme, transport := "http", &http.Transport{DisableKeepAlives: true}
	if c.TLS.Cert != "" {
		scheme = "https"
		if transport.TLSClientConfig, err = certificate.Self(c.TLS.files()); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(p.ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport, Timeout: c.Timeout}).Do(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		_, err := fmt.Fprintln(p.stdout, "ready")
		return err
	}
	var problem struct{ Detail string }
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&problem); err != nil || problem.Detail == "" {
		return fmt.Errorf("not ready: %s", response.Status)
	}
	return errors.New("not ready: " + problem.Detail)
}
