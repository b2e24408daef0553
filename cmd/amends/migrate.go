package main

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/internal/config"
	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/terminal"
	"github.com/amends-dev/amends/workflows"
)

type migrateCommand struct {
	servicesStore `embed:""`
	serviceNames  `embed:""`

	Check              bool          `help:"Change nothing: say what is missing, and exit with 1 if something is."`
	NamespaceRetention time.Duration `help:"How long Temporal keeps ended sagas, in a namespace that is made here. Returns need their order's." default:"840h" env:"AMENDS_NAMESPACE_RETENTION"`
	Wait               time.Duration `help:"How long Temporal may take to answer, where it starts at the same time." default:"0s"`
	GrantTo            string        `help:"Role of PostgreSQL that the step services run as: it gets the right to use the tables, and none to change them." env:"AMENDS_SERVICES_ROLE" placeholder:"ROLE"`
}

// servicesStore is where the step services keep their state.
type servicesStore struct {
	DSN  config.Secret `help:"PostgreSQL to keep the state in, one schema for each service. Default: SQLite files." name:"dsn" env:"AMENDS_SERVICES_DSN"`
	Data string        `help:"Folder of the SQLite files and the mails." default:".amends/services" env:"AMENDS_SERVICES_DATA" type:"path"`
}

// serviceNames are the services that a command is about.
type serviceNames struct {
	Names []string `arg:"" optional:"" help:"Services; all of them if none is named." complete:"service"`
}

func (s *servicesStore) config(p *process, names ...string) services.Config {
	return services.Config{DSN: s.DSN.Reveal(), Dir: s.Data, Names: names, Logger: p.logger}
}

func (c *migrateCommand) config(p *process) services.Config {
	store := c.servicesStore.config(p, c.Names...)
	store.GrantTo = c.GrantTo
	return store
}

// Validate implements kong's interface. Temporal refuses less than a day, in words that name no flag.
func (c *migrateCommand) Validate() error {
	if c.NamespaceRetention < 24*time.Hour {
		return fmt.Errorf("--namespace-retention %s: must be a day at least", c.NamespaceRetention)
	}
	if c.GrantTo != "" && c.DSN.Reveal() == "" {
		return errors.New("--grant-to: only PostgreSQL has roles, name one with --dsn")
	}
	return nil
}

// dial connects to a Temporal that may still start: its port is open some seconds before it answers.
func (c *migrateCommand) dial(p *process) (client.Client, string, error) {
	patience := time.After(c.Wait)
	for {
		temporal, name, err := dial(p, nil)
		if err == nil {
			return temporal, name, nil
		}
		select {
		case <-p.ctx.Done():
			return nil, "", err
		case <-patience:
			return nil, "", err
		case <-time.After(time.Second):
			p.logger.Info("waiting for Temporal", "err", err)
		}
	}
}

// Run makes the databases first: a worker that finds its namespace then finds services that work.
func (c *migrateCommand) Run(p *process) error {
	temporal, name, err := c.dial(p)
	if err != nil {
		return err
	}
	defer temporal.Close()
	namespace := connect.Namespace{Name: name, Retention: c.NamespaceRetention, SearchAttributes: workflows.SearchAttributes()}
	if c.Check {
		return c.check(p, temporal, namespace)
	}
	host, err := services.Open(p.ctx, c.config(p))
	if err != nil {
		return err
	}
	changes := host.Changes()
	if err := host.Close(); err != nil {
		return err
	}
	tell(p, "made", changes)
	made, err := namespace.Prepare(p.ctx, temporal)
	if err != nil {
		return err
	}
	tell(p, "made", made)
	if len(changes)+len(made) == 0 {
		fmt.Fprintln(p.stdout, "nothing to do")
	}
	return nil
}

func (c *migrateCommand) check(p *process, temporal client.Client, namespace connect.Namespace) error {
	changes, err := services.Pending(p.ctx, c.config(p))
	if err != nil {
		return err
	}
	pending, err := namespace.Pending(p.ctx, temporal)
	if err != nil {
		return err
	}
	tell(p, "missing", changes)
	tell(p, "missing", pending)
	if len(changes)+len(pending) > 0 {
		return errors.New("not all is there: amends migrate makes it")
	}
	fmt.Fprintln(p.stdout, "nothing is missing")
	return nil
}

func tell[T any](p *process, what string, things []T) {
	for _, thing := range things {
		fmt.Fprintf(p.stdout, "%s: %s\n", what, terminal.Printable(fmt.Sprint(thing)))
	}
}
