package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Setting is what a flag of a command is set to.
type Setting struct {
	Flag *kong.Flag
	// Key is its place in the configuration file, such as api.addr.
	Key string
	// Text is its value as it would be given on the command line. Of a secret it says only that there is one, or where.
	Text string
	// From says where it is set, for people; "" for a default.
	From string
	// Err is why it cannot be that.
	Err error
}

// Settings are all flags of the command that was traced, set as far as they can be, in the order of the help.
func (l *Loader) Settings(trace *kong.Context) []Setting {
	var all []Setting
	for _, path := range trace.Path {
		for _, flag := range path.Flags {
			if flag.Name != "help" {
				all = append(all, l.setting(trace, tableOf(path.Node()), flag))
			}
		}
	}
	return all
}

// setting finds what the flag is set to, and sets it.
func (l *Loader) setting(trace *kong.Context, table []string, flag *kong.Flag) Setting {
	s := Setting{Flag: flag, Key: strings.Join(append(slices.Clone(table), flag.Name), ".")}
	if slices.ContainsFunc(trace.Path, func(p *kong.Path) bool { return p.Flag == flag }) {
		given := reflect.ValueOf(trace.FlagValue(flag))
		flag.Target.Set(given)
		s.From, s.Text = "--"+flag.Name, fmt.Sprint(reflect.Indirect(given))
		return s
	}
	v, err := l.find(table, flag)
	switch {
	case v != nil:
		s.From, s.Text, s.Err = v.from, v.text, err
	case flag.HasDefault:
		s.Text = flag.Default
	case flag.Required:
		s.Err = errors.New("is required")
	}
	if s.Err == nil && (v != nil || flag.HasDefault) {
		if value, err := decode(flag, s.Text); err == nil {
			flag.Target.Set(value)
		}
	}
	if isSecret(flag) && s.Text != "" && !strings.HasPrefix(s.Text, reference) {
		s.Text = masked
	}
	return s
}

// Read reads the configuration file of the command that was traced. The errors are all that is wrong with the file as such:
// names that there are not, in any table.
func (l *Loader) Read(trace *kong.Context) []error {
	// Its path may be in a variable, which nothing has read yet.
	for _, flag := range trace.Model.Flags {
		if flag.Name == l.Flag {
			if s := l.setting(trace, nil, flag); s.Err != nil {
				return []error{s.Err}
			}
		}
	}
	if err := l.read(trace); err != nil {
		return []error{err}
	}
	return l.misfits(trace.Model.Node, nil)
}

// serviceLink matches variables that Kubernetes sets for a service of the namespace which is called amends-something.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// UnknownVariables are errors about variables of ours that no flag reads.
func UnknownVariables(app *kong.Application) (unknown []error) {
	var names []string
	for _, node := range append(app.Leaves(false), app.Node) {
		for n := node; n != nil; n = n.Parent {
			for _, flag := range n.Flags {
				names = append(names, flag.Envs...)
				for _, name := range flag.Envs {
					if isSecret(flag) {
						names = append(names, name+fileSuffix)
					}
				}
			}
		}
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, Prefix) || slices.Contains(names, name) || serviceLink.MatchString(name) {
			continue
		}
		hint := "docs/configuration.md lists them"
		if near := nearest(name, names); near != "" {
			hint = "did you mean " + near + "?"
		}
		unknown = append(unknown, fmt.Errorf("%s: no flag has this variable; %s", name, hint))
	}
	return unknown
}
