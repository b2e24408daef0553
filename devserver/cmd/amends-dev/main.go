// Command amends-dev runs all of Amends in one process for development: a Temporal
// server with its Web UI, the step services, the worker and the API. It needs
// nothing installed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/amends-dev/amends/internal/commandline"
	"github.com/amends-dev/amends/internal/terminal"
)

func main() {
	ctx := commandline.UntilInterrupted(context.Background())
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr); err != nil {
		// Some errors, such as those of a database connection, have several lines.
		fmt.Fprintln(os.Stderr, "amends-dev:", terminal.Printable(strings.Join(strings.Fields(err.Error()), " ")))
		os.Exit(1)
	}
}

// flags are the command line.
type flags struct {
	Data         string     `default:".amends" placeholder:"DIR" help:"Folder of the databases and mails, kept from run to run."`
	Ephemeral    bool       `xor:"store" help:"Keep nothing: Temporal in memory, the rest in a folder that is removed at the end."`
	Postgres     string     `xor:"store" placeholder:"DSN" help:"Keep the databases in this PostgreSQL database, in schemas that are created and upgraded. The mails stay in --data."`
	APIAddr      string     `name:"api-addr" default:"127.0.0.1:8080" help:"Address of the API."`
	TemporalPort int        `default:"7233" help:"Port of the Temporal server (gRPC)."`
	UIPort       int        `name:"ui-port" default:"8233" help:"Port of the Temporal Web UI."`
	ServicesAddr string     `default:"127.0.0.1:8090" help:"Address of the step services."`
	OpsAddr      string     `placeholder:"HOST:PORT" help:"Address where operators ask: /healthz, /readyz and /metrics. Default: none."`
	TemporalOnly bool       `help:"Start only Temporal and its Web UI, to run worker, services and API in a debugger."`
	PayloadKeys  string     `placeholder:"FILE" help:"Encrypt what sagas carry with the keys in this file, which amends payload-keys makes."`
	LogLevel     slog.Level `default:"warn" help:"Least level to log: debug, info, warn or error. The Temporal server has more to say only at debug."`
}

const description = `Runs Temporal with its Web UI, the step services, the worker and the API in one process, until Ctrl-C.

A port of 0 picks a free one. A flag can also be given in the environment, as AMENDS_ and its name: AMENDS_TEMPORAL_PORT=7234.`

// run is the program: arguments in, error out. It ends in good order when ctx does.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	f, err := parse(args, getenv, stdout, stderr)
	if err != nil || f == nil {
		return err
	}
	s := newSystem(f, stdout, stderr)
	err = s.start(ctx)
	if err == nil {
		err = s.wait(ctx)
	} else if ctx.Err() != nil {
		err = nil // asked to end before it was ready
	}
	return errors.Join(err, s.stop(context.WithoutCancel(ctx)))
}

// parse returns nil without an error where the arguments only asked for help.
func parse(args []string, getenv func(string) string, stdout, stderr io.Writer) (*flags, error) {
	environment := kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		name := "AMENDS_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		if value := getenv(name); value != "" {
			return value, nil
		}
		return nil, nil
	})
	f := &flags{}
	parsed, err := commandline.Parse(f, "amends-dev", description, args, stdout, stderr, kong.Resolvers(environment))
	if err != nil || parsed == nil {
		return nil, err
	}
	return f, nil
}
