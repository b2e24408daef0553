package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/amends-dev/amends/internal/commandline"
	"github.com/amends-dev/amends/internal/config"
)

//go:generate go test -run ^TestSettingsInDocs$ -update .

type configCommand struct {
	Check configCheck `cmd:"" help:"Report everything that is wrong with the configuration of processes, at once."`
	Show  configShow  `cmd:"" help:"Print what the flags of a command are set to, and where. Secrets are masked."`
}

// inspection is a command line that is looked at instead of being run.
type inspection struct {
	app *kong.Application
	// command is the command with its flags set as far as they can be.
	command  *kong.Node
	settings []config.Setting
	file     *config.File
	// wrong is what is wrong with the configuration file as such, and with the environment.
	wrong []error
}

func inspect(p *process, args []string) (*inspection, error) {
	if p.config != "" {
		args = append([]string{"--config", p.config}, args...)
	}
	loader := newLoader()
	trace, err := commandline.Trace(&cli{}, "amends", args, loader.Options()...)
	if err != nil {
		return nil, &usageError{err}
	}
	if trace.Selected() == nil {
		return nil, badUsage("which command? %s", strings.Join(processNames(trace.Model), ", "))
	}
	i := &inspection{app: trace.Model, command: processOf(trace.Selected())}
	i.wrong = append(loader.Read(trace), config.UnknownVariables(trace.Model)...)
	i.settings, i.file = loader.Settings(trace), loader.File()
	_, err = trace.Apply() // what is no flag
	return i, err
}

// processOf returns the command with the flags of the process: the parent, if the selected command is its default.
func processOf(command *kong.Node) *kong.Node {
	if above := command.Parent; above != nil && above.DefaultCmd == command {
		return above
	}
	return command
}

// processNames are the commands that run until they are told to end, and so are worth a check.
func processNames(app *kong.Application) (names []string) {
	for _, command := range app.Children {
		if _, ok := command.Target.Addr().Interface().(checker); ok {
			names = append(names, command.Name)
		}
	}
	return names
}

type configShow struct {
	Command []string `arg:"" optional:"" passthrough:"" help:"The command, and flags of it that are to count."`
}

func (c *configShow) Run(p *process) error {
	i, err := inspect(p, c.Command)
	if err != nil {
		return err
	}
	rows := [][]string{{"FLAG", "VALUE", "FROM"}}
	for _, s := range i.settings {
		value := s.Text
		if s.Err != nil {
			value = fmt.Sprintf("%s (wrong: %s)", value, s.Err)
		}
		rows = append(rows, []string{"--" + s.Flag.Name, cmp.Or(value, "–"), cmp.Or(s.From, "default")})
	}
	if err := writeRows(p.stdout, rows); err != nil {
		return err
	}
	return errors.Join(i.wrong...)
}

type configCheck struct {
	Connect bool     `help:"Also try what the process would connect to: Temporal, databases, step services."`
	Command []string `arg:"" optional:"" passthrough:"" help:"The command, and flags of it that are to count. Default: each process that has a table in the configuration file."`
}

func (c *configCheck) Run(p *process) error {
	lines := [][]string{c.Command}
	if len(c.Command) == 0 {
		var err error
		if lines, err = commandsInFile(p); err != nil {
			return err
		}
	}
	found := 0
	for n, line := range lines {
		i, err := inspect(p, line)
		if err != nil {
			return err
		}
		if names := processNames(i.app); !slices.Contains(names, i.command.Name) {
			return badUsage("%s is no process; there are %s", i.command.Name, strings.Join(names, ", "))
		}
		if n == 0 {
			all := &report{inspection: i}
			all.add("", errors.Join(i.wrong...))
			found += all.print(p.stdout, "configuration")
		}
		r := &report{ctx: p.ctx, connect: c.Connect, inspection: i}
		r.run()
		found += r.print(p.stdout, i.command.Name)
	}
	if found > 0 {
		return badUsage("problems: %d", found)
	}
	return nil
}

// commandsInFile are the processes that have a table in the configuration file.
func commandsInFile(p *process) (lines [][]string, err error) {
	i, err := inspect(p, []string{"version"})
	if err != nil {
		return nil, err
	}
	names := processNames(i.app)
	for _, name := range names {
		if i.file.Has(name) {
			lines = append(lines, []string{name})
		}
	}
	if len(lines) == 0 {
		return nil, errors.Join(append(i.wrong, badUsage("which process? %s", strings.Join(names, ", ")))...)
	}
	return lines, nil
}

// checker is a group of flags that knows what can be wrong with them beyond what their types say.
type checker interface{ check(r *report) }

// report is what is wrong with a command's configuration.
type report struct {
	ctx     context.Context //nolint:containedctx // what checks gets it with all the rest
	connect bool

	*inspection

	problems, warnings []string
}

// add tells of a problem with the flag of that name; "" for none in particular.
func (r *report) add(flag string, err error) {
	for _, err := range apart(err) {
		r.problems = append(r.problems, r.about(flag)+err.Error())
	}
}

// apart are the errors that were joined to err; only err if it is one that wraps several.
func apart(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(several.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, err := range several.Unwrap() {
		all = append(all, apart(err)...)
	}
	return all
}

// warn is add for what may be meant.
func (r *report) warn(flag, format string, args ...any) {
	r.warnings = append(r.warnings, r.about(flag)+fmt.Sprintf(format, args...))
}

// about says which flag is meant, how else it can be given, what it is set to, and where.
func (r *report) about(flag string) string {
	for _, s := range r.settings {
		if s.Flag.Name != flag {
			continue
		}
		about := fmt.Sprintf("--%s (%s, %s)", flag, s.Flag.Envs[0], s.Key)
		if s.Text != "" {
			about += fmt.Sprintf(" is %q by %s", s.Text, cmp.Or(s.From, "default"))
		}
		return about + ": "
	}
	return ""
}

func (r *report) run() {
	for _, s := range r.settings {
		r.add(s.Flag.Name, s.Err)
		r.checkReaders(s)
	}
	check := func(group any) {
		if v, ok := group.(interface{ Validate() error }); ok {
			r.add("", v.Validate())
		}
		if c, ok := group.(checker); ok {
			c.check(r)
		}
	}
	walk(r.app.Target, check)
	walk(r.command.Target, check)
}

// walk visits the flags of a command, and the groups of flags that are embedded in it.
func walk(v reflect.Value, visit func(group any)) {
	// What an anonymous field can do, the struct that it is in can, too.
	if v.CanInterface() {
		visit(v.Addr().Interface())
	}
	for i := range v.NumField() {
		if _, embedded := v.Type().Field(i).Tag.Lookup("embed"); embedded {
			walk(v.Field(i), visit)
		}
	}
}

// checkReaders warns of a secret that others may read.
func (r *report) checkReaders(s config.Setting) {
	path, ok := strings.CutPrefix(s.Text, "file:")
	if ok && s.Flag.Target.Type() == reflect.TypeFor[config.Secret]() && config.ReadByOthers(path) {
		r.warn(s.Flag.Name, "others may read %s: chmod 600 it", path)
	}
}

// print writes the report on what, and returns how many problems there are.
func (r *report) print(w io.Writer, what string) int {
	slices.Sort(r.problems)
	r.problems = slices.Compact(r.problems)
	for _, text := range r.problems {
		fmt.Fprintf(w, "%s: problem: %s\n", what, text)
	}
	for _, text := range r.warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", what, text)
	}
	if len(r.problems) == 0 {
		fmt.Fprintf(w, "%s: no problems\n", what)
	}
	return len(r.problems)
}
