package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/terminal"
)

// decision is what every act has.
type decision struct {
	By  string `help:"Who decides; it stays in the history." env:"AMENDS_BY,USER" required:"" placeholder:"NAME"`
	Yes bool   `help:"Don't ask before it is done." short:"y"`
}

// asks tells whether somebody is asked before it is done.
func (d decision) asks(p *process) bool { return p.interactive && !d.Yes }

var errNotConfirmed = errors.New("nothing was done")

// confirm returns nil if whoever sits at the terminal agrees.
func (d decision) confirm(p *process, what string) error {
	if !d.asks(p) {
		return nil
	}
	fmt.Fprintf(p.stderr, "\n%s, as %s? [y/N] ", terminal.Printable(what), terminal.Printable(d.By))
	answer, _ := bufio.NewReader(p.stdin).ReadString('\n') // the end of the input is no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errNotConfirmed
}

// tell gives a saga something to take on. Somebody who can be asked is shown the saga first.
func (d decision) tell(
	p *process, c *connection, what string, show func(*client.Client) error, tell func(*client.Client) (*client.Accepted, error),
) error {
	api, err := c.client(p)
	if err != nil {
		return err
	}
	if d.asks(p) {
		if err := show(api); err != nil {
			return err
		}
		if err := d.confirm(p, what); err != nil {
			return err
		}
	}
	a, err := tell(api)
	if err != nil {
		return err
	}
	return c.print(p, a, func() { accepted(p, a) })
}

// accepted tells what a saga took on.
func accepted(p *process, a *client.Accepted) {
	again := ""
	if a.Replayed {
		again = "  (taken before, with this key)"
	}
	if a.Undecided {
		again += "  (undecided: the saga finds out whether it can still turn back)"
	}
	fmt.Fprintf(p.stdout, "%s  %s%s\n", terminal.Printable(a.ID), terminal.Printable(string(a.State)), again)
	saga := lastPart(cmp.Or(a.Links.Saga, a.Links.Self))
	fmt.Fprintf(p.stdout, "\nWhat you can do next:\n  amends saga watch %s\n", terminal.Printable(saga))
}
