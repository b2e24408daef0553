package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/amends-dev/amends/internal/deployment"
	"github.com/amends-dev/amends/internal/terminal"
	"github.com/amends-dev/amends/workflows"
)

type deployCommand struct {
	Name string `help:"The deployment: what its workers have as --deployment-name." name:"deployment-name" env:"AMENDS_DEPLOYMENT_NAME" required:"" placeholder:"NAME"`

	Status   deployStatusCommand   `cmd:"" help:"Show the versions: who polls, which gets the sagas that start, how many sagas each still has."`
	Ramp     deployRampCommand     `cmd:"" help:"Send a share of the sagas that start to a version."`
	Promote  deployPromoteCommand  `cmd:"" help:"Send all sagas that start to a version."`
	Rollback deployRollbackCommand `cmd:"" help:"Take back the last step: end a ramp, or make the version current that was so before."`
	Move     deployMoveCommand     `cmd:"" help:"Move sagas that run to another version: off one that is broken, or that has to go. Whether that one would go on with them, amends replay finds out."`
}

// with calls f with the deployment.
func (c *deployCommand) with(p *process, f func(*deployment.Deployment) error) error {
	if err := deployment.CheckName(c.Name); err != nil {
		return badUsage("%w", err)
	}
	temporal, namespace, err := dial(p, nil)
	if err != nil {
		return err
	}
	defer temporal.Close()
	return f(deployment.Of(temporal, namespace, c.Name, workflows.TaskQueue))
}

type deployOutput struct {
	Output string `help:"text or json." enum:"text,json" default:"text" placeholder:"FORMAT"`
}

type deployStatusCommand struct{ deployOutput }

func (c *deployStatusCommand) Run(p *process, deploy *deployCommand) error {
	return deploy.with(p, func(d *deployment.Deployment) error {
		s, err := d.Status(p.ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return writeJSON(p.stdout, s)
		}
		rows := [][]string{{"BUILD ID", "STATE", "SINCE", "WORKERS", "SAGAS PINNED"}}
		for _, v := range s.Versions {
			state := string(v.State)
			if v.State == deployment.Ramping {
				state += " " + percent(v.Percent)
			}
			rows = append(rows, []string{
				v.BuildID, state, v.Since.Format(time.RFC3339), strconv.Itoa(v.Workers), strconv.FormatInt(v.Pinned, 10),
			})
		}
		return writeRows(p.stdout, rows)
	})
}

// pollFlag is how long a version's workers are waited for.
type pollFlag struct {
	Wait time.Duration `help:"How long to wait for a worker of the version to poll." default:"0s" placeholder:"DURATION"`
}

type deployRampCommand struct {
	pollFlag

	BuildID string  `arg:"" help:"The version."`
	Percent float32 `help:"How many percent of the sagas that start." required:""`
}

// Validate implements kong's interface.
func (c *deployRampCommand) Validate() error {
	if !(c.Percent >= 0 && c.Percent <= 100) {
		return fmt.Errorf("--percent %v: must be from 0 to 100", c.Percent)
	}
	return nil
}

func (c *deployRampCommand) Run(p *process, deploy *deployCommand) error {
	return deploy.with(p, func(d *deployment.Deployment) error {
		if err := d.Ramp(p.ctx, c.BuildID, c.Percent, c.Wait); err != nil {
			return err
		}
		_, err := fmt.Fprintf(p.stdout, "%s of the sagas that start go to %s.\n", percent(c.Percent), c.BuildID)
		return err
	})
}

type deployPromoteCommand struct {
	pollFlag

	BuildID string `arg:"" help:"The version."`
	First   bool   `help:"Do nothing if they go to some version already: for what prepares a deployment each time it starts."`
}

func (c *deployPromoteCommand) Run(p *process, deploy *deployCommand) error {
	return deploy.with(p, func(d *deployment.Deployment) (err error) {
		current := c.BuildID
		if c.First {
			current, err = d.PromoteFirst(p.ctx, c.BuildID, c.Wait)
		} else {
			err = d.Promote(p.ctx, c.BuildID, c.Wait)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "All sagas that start go to %s.\n", terminal.Printable(current))
		return err
	})
}

type deployRollbackCommand struct{ pollFlag }

func (c *deployRollbackCommand) Run(p *process, deploy *deployCommand) error {
	return deploy.with(p, func(d *deployment.Deployment) error {
		from, to, err := d.Rollback(p.ctx, c.Wait)
		if err != nil {
			return err
		}
		if to == "" {
			to = "workers without a version"
		}
		_, err = fmt.Fprintf(p.stdout, "All sagas that start go to %s. Those that began on %s stay with it.\n",
			terminal.Printable(to), terminal.Printable(from))
		return err
	})
}

type deployMoveCommand struct {
	pollFlag
	deployOutput

	BuildID  string   `arg:"" optional:"" help:"The version that they go to. Default: the current one."`
	From     string   `help:"Those that are on this version." placeholder:"BUILD-ID"`
	Query    string   `help:"Those that match this visibility query; with --from, of those." placeholder:"QUERY"`
	DryRun   bool     `help:"Only count them."`
	Decision decision `embed:""`
}

// Validate implements kong's interface.
func (c *deployMoveCommand) Validate() error {
	switch {
	case c.From == "" && c.Query == "":
		return errors.New("which sagas? Give --from, --query or both")
	case c.From != "" && c.From == c.BuildID:
		return fmt.Errorf("--from %s: they are there", c.From)
	}
	return nil
}

func (c *deployMoveCommand) Run(p *process, deploy *deployCommand) error {
	return deploy.with(p, func(d *deployment.Deployment) error {
		move, err := d.NewMove(p.ctx, deployment.Selection{From: c.From, Query: c.Query}, c.BuildID, c.Wait)
		if err != nil {
			return err
		}
		found, err := move.Count(p.ctx)
		if err != nil {
			return err
		}
		if c.DryRun {
			return c.tell(p, move, found)
		}
		if found > 0 {
			if err := c.Decision.confirm(p, fmt.Sprintf("Move %s to %s", sagas(found), move.To)); err != nil {
				return err
			}
		}
		return c.move(p, move)
	})
}

// tell says what would be moved, and how to find out whether it should be.
func (c *deployMoveCommand) tell(p *process, move *deployment.Move, found int64) error {
	if c.Output == "json" {
		return writeJSON(p.stdout, map[string]any{"to": move.To, "found": found, "query": move.Query})
	}
	_, err := fmt.Fprintf(p.stdout, "%s would go to %s. Whether it goes on with them, its binary tells:\n  amends replay --from-cluster --query %q --against BINARY\n",
		sagas(found), move.To, move.Query)
	return err
}

func (c *deployMoveCommand) move(p *process, move *deployment.Move) error {
	stop := terminal.Repeat(2*time.Second, func() {
		if moved, found := move.Progress(); found > 0 {
			fmt.Fprintf(p.stderr, "%d of %d moved\n", moved, found)
		}
	})
	moved, err := move.Run(p.ctx, c.Decision.By)
	stop()
	return errors.Join(err, c.report(p, moved))
}

// report tells what became of the move; its error says that some sagas stayed.
func (c *deployMoveCommand) report(p *process, moved deployment.Moved) error {
	if c.Output == "json" {
		if err := writeJSON(p.stdout, moved); err != nil {
			return err
		}
	} else {
		for _, s := range moved.Stayed {
			fmt.Fprintf(p.stdout, "%s: %s\n", terminal.Printable(s.ID), terminal.Printable(s.Error))
		}
		fmt.Fprintf(p.stdout, "%s moved to %s; %d ended before.\n", sagas(moved.Moved), moved.To, moved.Ended)
	}
	if len(moved.Stayed) > 0 {
		return fmt.Errorf("%s could not be moved", sagas(len(moved.Stayed)))
	}
	return nil
}

// sagas is a number of them.
func sagas[N int | int64](n N) string {
	if n == 1 {
		return "1 saga"
	}
	return fmt.Sprintf("%d sagas", n)
}

func percent(p float32) string { return strconv.FormatFloat(float64(p), 'g', -1, 32) + " %" }
