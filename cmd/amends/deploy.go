package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/amends-dev/amends/internal/deployment"
	"github.com/amends-dev/amends/workflows"
)

type deployCommand struct {
	Name string `help:"The deployment: what its workers have as --deployment-name." name:"deployment-name" env:"AMENDS_DEPLOYMENT_NAME" required:"" placeholder:"NAME"`

	Status   deployStatusCommand   `cmd:"" help:"Show the versions: who polls, which gets the sagas that start, how many sagas each still has."`
	Ramp     deployRampCommand     `cmd:"" help:"Send a share of the sagas that start to a version."`
	Promote  deployPromoteCommand  `cmd:"" help:"Send all sagas that start to a version."`
	Rollback deployRollbackCommand `cmd:"" help:"Take back the last step: end a ramp, or make the version current that was so before."`
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

type deployStatusCommand struct {
	Output string `help:"text or json." enum:"text,json" default:"text" placeholder:"FORMAT"`
}

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
		_, err = fmt.Fprintf(p.stdout, "All sagas that start go to %s.\n", current)
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
		_, err = fmt.Fprintf(p.stdout, "All sagas that start go to %s. Those that began on %s stay with it.\n", to, from)
		return err
	})
}

func percent(p float32) string { return strconv.FormatFloat(float64(p), 'g', -1, 32) + " %" }
