package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/internal/load"
	"github.com/amends-dev/amends/internal/terminal"
)

type loadCommand struct {
	Connection endpoint `embed:""`

	Rate     float64        `help:"How many orders to start in a second, whatever becomes of those before." default:"20"`
	Duration time.Duration  `help:"How long to start orders." default:"1m"`
	Settle   time.Duration  `help:"How long to wait for the ends after that." default:"1m"`
	Mix      map[string]int `help:"Orders of examples/ and their shares, such as good=9;card-declined=1." default:"good=1"`
}

// Validate implements kong's interface.
func (c *loadCommand) Validate() error {
	parts := 0
	for name, share := range c.Mix {
		if share < 0 {
			return fmt.Errorf("--mix %s=%d: a share is 0 or more", name, share)
		}
		parts += share
	}
	switch {
	case parts == 0:
		return errors.New("--mix: nothing is in it")
	case c.Rate < 0.01 || c.Rate > 100_000:
		return errors.New("--rate: from 0.01 to 100000")
	}
	return nil
}

func (c *loadCommand) Run(p *process) error {
	var mix []load.Share
	for name, parts := range c.Mix {
		order, err := examples.Request(name)
		if err != nil {
			return badUsage("--mix: there is no example %s: %w", name, err)
		}
		mix = append(mix, load.Share{Order: order, Parts: parts})
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxIdleConns = 1000, 0 // each order that is followed has one
	api, err := c.Connection.clientOver(p, transport, repeats)
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	return load.Run(p.ctx, api, load.Options{
		Rate: c.Rate, Duration: c.Duration, Settle: c.Settle, Mix: mix, Out: p.stdout, Width: terminal.Width(p.stdout),
	})
}
