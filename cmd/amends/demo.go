package main

import (
	"math/rand/v2"
	"time"

	"github.com/amends-dev/amends/internal/config"
	"github.com/amends-dev/amends/internal/demo"
	"github.com/amends-dev/amends/internal/terminal"
)

type demoCommand struct {
	API      string        `help:"Base URL of the API." name:"api" default:"http://127.0.0.1:8080" env:"AMENDS_API"`
	Services string        `help:"Base URL of the step services." default:"http://127.0.0.1:8090" env:"AMENDS_SERVICES_URL"`
	Key      config.Secret `help:"API key of an admin. Default: the one that make run keeps in .amends/api-key." name:"api-key" env:"AMENDS_API_KEY"`
	Orders   int           `help:"How many orders to place." default:"40" env:"AMENDS_DEMO_ORDERS"`
	Seed     *uint64       `help:"Decides the mix of orders. Default: at random." env:"AMENDS_DEMO_SEED"`
	Timeout  time.Duration `help:"How long the orders may take to end." default:"5m" env:"AMENDS_DEMO_TIMEOUT"`
}

func (c *demoCommand) Run(p *process) error {
	// Short enough to type again.
	seed := rand.Uint64N(1_000_000) //nolint:gosec // a mix need not be unpredictable
	if c.Seed != nil {
		seed = *c.Seed
	}
	key := c.Key.Reveal()
	if key == "" {
		local, err := readLocalKey()
		if err != nil {
			return err
		}
		key = local
	}
	return demo.Run(p.ctx, demo.Options{
		API: c.API, Services: c.Services, Key: key, Orders: c.Orders, Seed: seed, Timeout: c.Timeout,
		Out: p.stdout, Width: terminal.Width(p.stdout),
	})
}
