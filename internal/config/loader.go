// Package config gives flags their values: from the command line, else from a variable, else from the configuration file,
// else by default. It reads all there is to know from kong's model of the commands, so it knows nothing of any one flag.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Prefix begins every variable of ours.
const Prefix = "AMENDS_"

// Loader finds what the flags are set to.
type Loader struct {
	// Flag is the flag with the configuration file's path. Required.
	Flag string
	// Default is the configuration file where nobody names one; it need not be there. "" for none.
	Default string
	// Groups are tables that hold named sets of settings, as [profile.NAME] does, and the settings that there can be.
	Groups map[string][]string
	// Lenient is a command that gets along with a configuration that is wrong, as one that checks it has to.
	Lenient string

	file *File
	bare bool
}

// Bare tells whether a secret that was asked for stands in the configuration file itself.
func (l *Loader) Bare() bool { return l.bare }

// File is the configuration file that was read; nil if there is none.
func (l *Loader) File() *File { return l.file }

// Options make kong ask this loader.
func (l *Loader) Options() []kong.Option {
	return []kong.Option{
		kong.PostBuild(func(k *kong.Kong) error {
			nameVariables(k.Model.Node)
			return nil
		}),
		kong.WithBeforeResolve(func(ctx *kong.Context) error {
			if selected := ctx.Selected(); selected != nil && tableOf(selected)[0] == l.Lenient {
				return nil
			}
			return l.load(ctx)
		}),
		kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
			v, err := l.find(tableOf(parent.Node()), flag)
			switch {
			case v == nil:
				return nil, nil
			case err != nil:
				return nil, fmt.Errorf("%s: %w", v.from, err)
			}
			return v.text, nil
		})),
	}
}

// nameVariables gives every flag that names no variable one: the prefix, the commands that lead to it, and its own name. It
// takes variables that are empty out of the environment.
func nameVariables(node *kong.Node) {
	for _, flag := range node.Flags {
		if flag.Name != "help" && len(flag.Envs) == 0 {
			name := Prefix + strings.ToUpper(strings.ReplaceAll(strings.Join(append(tableOf(node), flag.Name), "_"), "-", "_"))
			flag.Envs, flag.Tag.Envs = []string{name}, []string{name}
		}
		// A variable that is empty says nothing, as what starts containers sets it. Kong would take it for a value, and for a path
		// the working directory, and offers no other way to keep it from that.
		for _, name := range flag.Envs {
			if value, set := os.LookupEnv(name); set && value == "" {
				_ = os.Unsetenv(name) // fails for names that cannot be set
			}
		}
	}
	for _, child := range node.Children {
		nameVariables(child)
	}
}

// tableOf is the command's table in the file: the names of the commands that lead to it.
func tableOf(node *kong.Node) []string {
	if node == nil || node.Parent == nil {
		return []string{}
	}
	return append(tableOf(node.Parent), node.Name)
}

// load reads the file that the command line names, and looks at what concerns its command.
func (l *Loader) load(ctx *kong.Context) error {
	if err := l.read(ctx); err != nil {
		return err
	}
	for _, problem := range l.misfits(ctx.Model.Node, ctx.Path) {
		return problem
	}
	return nil
}

// read reads the file that the command line or its variable names.
func (l *Loader) read(ctx *kong.Context) (err error) {
	path := l.Default
	named := false
	for _, flag := range ctx.Model.Flags {
		if flag.Name == l.Flag {
			if text, _ := ctx.FlagValue(flag).(string); text != "" {
				path, named = text, true
			}
		}
	}
	if path == "" {
		return nil
	}
	l.file, err = Load(path)
	if !named && errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// value is what a flag is set to, as text that its type reads.
type value struct {
	text string
	// from says where it is set, for people.
	from string
}

// find looks for the flag in its variables and in the table of its command. It returns nil if the flag is set in neither,
// and with the value the error why the flag cannot be that.
func (l *Loader) find(table []string, flag *kong.Flag) (*value, error) {
	if name := variableOf(flag); name != "" {
		return checked(flag, &value{os.Getenv(name), name})
	}
	if isSecret(flag) {
		for _, name := range flag.Envs {
			if path := os.Getenv(name + fileSuffix); path != "" {
				return checked(flag, &value{reference + path, name + fileSuffix})
			}
		}
	}
	key := append(slices.Clone(table), flag.Name)
	raw := l.file.get(key)
	if raw == nil {
		return nil, nil //nolint:nilnil // not to be set is no error
	}
	where := l.file.where(key...)
	l.bare = l.bare || isSecret(flag) && l.file.Bare(key...)
	text, err := textOf(flag, raw)
	if err != nil {
		return &value{fmt.Sprint(raw), where}, err
	}
	return checked(flag, &value{l.file.resolved(flag, text), where})
}

// fileSuffix ends the variable with the path of a file that has the secret, as containers are given them.
const fileSuffix = "_FILE"

// variableOf is the variable that sets the flag; "" if none does.
func variableOf(flag *kong.Flag) string {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return name
		}
	}
	return ""
}

func isSecret(flag *kong.Flag) bool { return flag.Target.Type() == reflect.TypeFor[Secret]() }

// resolved makes the paths in a setting of the file those from the file's folder.
func (f *File) resolved(flag *kong.Flag, text string) string {
	if path, ok := strings.CutPrefix(text, reference); ok && isSecret(flag) {
		return reference + f.beside(path)
	}
	if flag.Tag.Type == "path" && flag.Target.Kind() == reflect.String {
		return f.beside(text)
	}
	return text
}

func checked(flag *kong.Flag, v *value) (*value, error) {
	_, err := decode(flag, v.text)
	return v, err
}

// decode reads text as kong does.
func decode(flag *kong.Flag, text string) (reflect.Value, error) {
	target := reflect.New(flag.Target.Type()).Elem()
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
	}
	err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: kong.ScanAsType(kong.FlagValueToken, text)}, target)
	if err == nil && flag.Enum != "" && !flag.EnumMap()[text] {
		err = fmt.Errorf("must be one of %s but is %q", strings.Join(flag.EnumSlice(), ", "), text)
	}
	return target, err
}
