// Command amends runs the processes of Amends: the API, the worker and the step services.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"github.com/amends-dev/amends/internal/commandline"
	"github.com/amends-dev/amends/internal/config"
	"github.com/amends-dev/amends/internal/telemetry"
	"github.com/amends-dev/amends/internal/terminal"
)

func main() {
	ctx := commandline.UntilInterrupted(context.Background())
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "amends:", errorText(err))
		os.Exit(exitCode(err))
	}
}

// errorText returns an error for printing: a server's text may be part of it.
func errorText(err error) string { return terminal.PrintableLines(err.Error()) }

// cli is the command line. Every flag can be given by the environment variable that the help names, and in the configuration
// file, in the table of its command.
type cli struct {
	File     string     `name:"config" help:"Configuration file. Default: amends/config.toml in the user's folder of configurations, if it is there." env:"AMENDS_CONFIG" type:"path" placeholder:"FILE"`
	LogLevel slog.Level `help:"Least level to log: debug, info, warn or error." default:"info" env:"AMENDS_LOG_LEVEL" complete:"log-level"`
	LogJSON  bool       `help:"Log JSON instead of text." env:"AMENDS_LOG_JSON"`

	Payloads payloadFlags `embed:"" prefix:"payload-" envprefix:"AMENDS_PAYLOAD_"`

	API      apiCommand      `cmd:"" name:"api" help:"Serve the REST API."`
	Worker   workerCommand   `cmd:"" help:"Run the sagas and their activities."`
	Serve    serveCommand    `cmd:"" help:"Serve the REST API and run the sagas in one process, which is faster than two."`
	Services servicesCommand `cmd:"" help:"Host the reference step services."`
	Deploy   deployCommand   `cmd:"" help:"Show and route the versions of the workers."`
	Migrate  migrateCommand  `cmd:"" help:"Make what the processes need: the step services' tables, Temporal's namespace and its search attributes."`
	Ready    readyCommand    `cmd:"" help:"Ask a process on this machine whether it is ready: the health check of containers."`
	Demo     demoCommand     `cmd:"" help:"Place a mix of orders against a running system and show what became of them."`
	Keys     keysCommand     `cmd:"" help:"Make, list and revoke the API keys that callers prove themselves with."`
	Order    orderCommand    `cmd:"" help:"Place, show, cancel and decide orders."`
	Saga     sagaCommand     `cmd:"" help:"Find, show, follow and operate sagas."`
	Load     loadCommand     `cmd:"" help:"Place orders of the examples at a rate, follow them to their end, and measure."`
	Plan     planCommand     `cmd:"" help:"Show a saga's steps, and what it does when one of them is refused."`
	Replay   replayCommand   `cmd:"" help:"Replay the histories of sagas, to find out whether this build or another would go on with them."`
	Config   configCommand   `cmd:"" help:"Check and show the configuration."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	Codec       codecCommand       `cmd:"" help:"Decrypt payloads for the Temporal Web UI and command line."`
	PayloadKeys payloadKeysCommand `cmd:"" name:"payload-keys" help:"Make, exchange and retire the keys that payloads are encrypted with."`
	Completion  completionCommand  `cmd:"" help:"Print what a shell has to run to complete the command lines of amends."`
	Complete    completeCommand    `cmd:"" hidden:"" help:"Tell the shell what fits."`
}

// process is what every command gets.
type process struct {
	ctx            context.Context //nolint:containedctx // kong passes one value to a command's Run
	stdin          io.Reader
	stdout, stderr io.Writer
	// interactive: somebody sits at a terminal and can be asked.
	interactive bool
	payloads    payloadFlags
	logger      *slog.Logger
	// file is the configuration file; nil if there is none. config is its path if one was named.
	file   *config.File
	config string
}

const description = `Durable order sagas on Temporal.

The connection to Temporal is configured as for every Temporal tool: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, the other TEMPORAL_* variables, or a profile.`

// run is the program: arguments in, error out. It ends when ctx does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	p := &process{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr}
	if file, ok := stdin.(*os.File); ok {
		p.interactive = term.IsTerminal(int(file.Fd())) && terminal.Width(stderr) != nil
	}
	return p.run(args)
}

func (p *process) run(args []string) error {
	var c cli
	loader := newLoader()
	command, err := commandline.Parse(&c, "amends", description, args, p.stdout, p.stderr, loader.Options()...)
	if err != nil || command == nil {
		return err
	}
	p.logger, p.payloads = c.logger(p.stderr), c.Payloads
	p.file, p.config = loader.File(), c.File
	if loader.Bare() {
		warnOfReaders(p)
	}
	return command.Run(p)
}

// newLoader finds what the flags are set to.
func newLoader() *config.Loader {
	l := &config.Loader{Flag: "config", Groups: map[string][]string{profileTable: profileSettings}, Lenient: "config"}
	if dir, err := os.UserConfigDir(); err == nil { // a user without a home has no configuration
		l.Default = filepath.Join(dir, "amends", "config.toml")
	}
	return l
}

func (c *cli) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(telemetry.LogHandler(slog.NewJSONHandler(w, options)))
	}
	return slog.New(telemetry.LogHandler(slog.NewTextHandler(w, options)))
}
