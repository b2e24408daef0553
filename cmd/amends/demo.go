package main

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/amends-dev/amends/internal/demo"
	"github.com/amends-dev/amends/internal/terminal"
)

type demoCommand struct {
	Connection endpoint `embed:""`

	Services string        `help:"Base URL of the step services." default:"http://127.0.0.1:8090" env:"AMENDS_SERVICES_URL"`
	Orders   int           `help:"How many orders to place." default:"40" env:"AMENDS_DEMO_ORDERS"`
	Seed     *uint64       `help:"Decides the mix of orders. Default: at random." env:"AMENDS_DEMO_SEED"`
	Timeout  time.Duration `help:"How long the orders may take to end." default:"5m" env:"AMENDS_DEMO_TIMEOUT"`
}

// demoRepeats take about fifteen seconds, in which the API may be started again while orders are watched.
const demoRepeats = 10

func (c *demoCommand) Run(p *process) error {
	// Short enough to type again.
	seed := rand.Uint64N(1_000_000) //nolint:gosec // a mix need not be unpredictable
	if c.Seed != nil {
		seed = *c.Seed
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost = 4 // watching must not slow down what is watched
	api, err := c.Connection.clientOver(p, transport, demoRepeats)
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	return demo.Run(p.ctx, demo.Options{
		API: api, Services: c.Services, Orders: c.Orders, Seed: seed, Timeout: c.Timeout,
		Out: p.stdout, Width: terminal.Width(p.stdout),
	})
}
