package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/amends-dev/amends/internal/demo"
)

type demoCommand struct {
	API      string        `help:"Base URL of the API." name:"api" default:"http://127.0.0.1:8080" env:"AMENDS_API_URL"`
	Services string        `help:"Base URL of the step services." default:"http://127.0.0.1:8090" env:"AMENDS_SERVICES_URL"`
	Key      string        `help:"API key of an admin. Default: the one that make run keeps in .amends/api-key." env:"AMENDS_API_KEY"`
	Orders   int           `help:"How many orders to place." default:"40" env:"AMENDS_DEMO_ORDERS"`
	Seed     *uint64       `help:"Decides the mix of orders. Default: at random." env:"AMENDS_DEMO_SEED"`
	Timeout  time.Duration `help:"How long the orders may take to end." default:"5m" env:"AMENDS_DEMO_TIMEOUT"`
}

// localKey is where make run keeps a key.
const localKey = ".amends/api-key"

func (c *demoCommand) Run(p *process) error {
	// Short enough to type again.
	seed := rand.Uint64N(1_000_000) //nolint:gosec // a mix need not be unpredictable
	if c.Seed != nil {
		seed = *c.Seed
	}
	key := c.Key
	if key == "" {
		local, err := os.ReadFile(localKey)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("api key: %w", err)
		}
		key = strings.TrimSpace(string(local))
	}
	return demo.Run(p.ctx, demo.Options{
		API: c.API, Services: c.Services, Key: key, Orders: c.Orders, Seed: seed, Timeout: c.Timeout,
		Out: p.stdout, Width: terminalWidth(p.stdout),
	})
}

// terminalWidth tells how wide the terminal is at the moment; it is nil for what is no terminal, or one that cannot
// move its cursor.
func terminalWidth(w io.Writer) func() int {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return func() int {
		width, _, err := term.GetSize(int(file.Fd()))
		if err != nil || width < 1 {
			return 80
		}
		return width
	}
}
