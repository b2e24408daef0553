package main

import (
	"io"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/completion"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/workflows"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (c *completionCommand) Run(p *process) error {
	script, err := completion.Script(c.Shell)
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.stdout, script)
	return err
}

// completeCommand is what the shells' scripts call.
type completeCommand struct {
	Words []string `arg:"" optional:"" help:"The words after the program's name, up to the cursor."`
}

func (c *completeCommand) Run(p *process, line *kong.Context) error {
	return completionValues().Complete(line.Model, c.Words).Write(p.stdout)
}

// completionValues are the words behind the tag complete of the commands' fields.
func completionValues() completion.Values {
	known := completion.Values{"service": services.Names, "log-level": {"debug", "info", "warn", "error"}}
	for _, plan := range workflows.Plans() {
		known["saga-type"] = append(known["saga-type"], plan.Name())
		for _, step := range plan.Steps() {
			if !slices.Contains(known["step"], step.Name) {
				known["step"] = append(known["step"], step.Name)
			}
		}
	}
	for _, state := range []client.State{
		client.Running, client.Compensating, client.Parked, client.Completed, client.Compensated, client.CompensatedWithExceptions, client.Terminated,
	} {
		known["state"] = append(known["state"], string(state))
	}
	for _, role := range access.Roles() {
		known["role"] = append(known["role"], string(role))
	}
	return known
}
