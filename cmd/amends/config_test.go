package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/config"
)

// model is every command with its flags.
func model(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&cli{}, newLoader().Options()...)
	require.NoError(t, err)
	return parser.Model
}

// flagsOf are the flags of the command and of those that lead to it, by name.
func flagsOf(node *kong.Node) map[string]*kong.Flag {
	flags := map[string]*kong.Flag{}
	for n := node; n != nil; n = n.Parent {
		for _, flag := range n.Flags {
			if flag.Name != "help" {
				flags[flag.Name] = flag
			}
		}
	}
	return flags
}

func TestEveryFlagHasAVariable(t *testing.T) {
	t.Parallel()
	types := map[string]reflect.Type{}
	secrets := map[string]bool{}
	for _, command := range model(t).Leaves(false) {
		for name, flag := range flagsOf(command) {
			require.NotEmpty(t, flag.Envs, "%s --%s", command.Path(), name)
			variable := flag.Envs[0]
			require.Regexp(t, "^AMENDS_[A-Z0-9_]+$", variable)
			if known, ok := types[variable]; ok {
				require.Equal(t, known, flag.Target.Type(), "%s means one thing in all commands", variable)
			}
			types[variable] = flag.Target.Type()
			secrets[variable] = flag.Target.Type() == reflect.TypeFor[config.Secret]()
		}
	}
	for variable, secret := range secrets {
		if secret {
			require.NotContains(t, types, variable+"_FILE", "is the file with the secret")
		}
	}
}

// What is set for an API and a worker holds when one process is both.
func TestServeReadsTheVariablesOfBoth(t *testing.T) {
	t.Parallel()
	apart := map[string]*kong.Flag{}
	commands := map[string]*kong.Node{}
	for _, command := range model(t).Leaves(false) {
		commands[command.Name] = command
	}
	for _, name := range []string{"api", "worker"} {
		for flag, f := range flagsOf(commands[name]) {
			apart[flag] = f
		}
	}
	delete(apart, "stop-when-drained") // an API needs its worker whatever version that is of
	together := flagsOf(commands["serve"])
	require.Len(t, together, len(apart))
	for name, flag := range together {
		require.Contains(t, apart, name)
		require.Equal(t, apart[name].Envs, flag.Envs, "--%s", name)
	}
}

var secretName = regexp.MustCompile(`(^|-)(dsn|password|secret|token|api-key|access-key)$`)

func TestSecretsAreSecrets(t *testing.T) {
	t.Parallel()
	for _, command := range model(t).Leaves(false) {
		for name, flag := range flagsOf(command) {
			if secretName.MatchString(name) {
				require.Equal(t, reflect.TypeFor[config.Secret](), flag.Target.Type(), "%s --%s would be shown", command.Path(), name)
			}
		}
	}
}

func TestFileOfProcesses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	run := func(file string, command ...string) string {
		d.write(file)
		_, complaints, code := d.runAt(append(command, "--config", d.config)...)
		require.NotZero(t, code)
		return complaints
	}
	require.Contains(t, run("[api]\naddr = \"127.0.0.1:0\"\nno-auth = true\nkeys-file = \"k\"", "api"), "which one is meant?")
	require.Contains(t, run("[api]\nrate = -1", "api"), "--rate and --burst: must be from 0 to")
	require.Contains(t, run("[services]\ndsn = \"postgres://u:hidden@h h/x\"\n", "services"), "the DSN is no connection string")
	complaints := run("[services]\ndata = \"config.toml\"\n", "services")
	require.Contains(t, complaints, "not a directory")
	require.NotContains(t, complaints, "others may read it")
}

// A secret of a process in a file that others may read is warned of.
func TestWarningOfReadersOfAProcess(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	d.write("[services]\ndsn = \"postgres://h h/x\"\n")
	d.readableByAll()
	_, complaints, _ := d.runAt("services", "--config", d.config)
	require.Contains(t, complaints, "has a secret in it and others may read it")
	require.NotContains(t, strings.ToLower(complaints), "h h")
}

var settingsBlock = regexp.MustCompile(`(?s)(<!-- settings: (\w+) -->\n)(.*?)(<!-- /settings -->\n)`)

// The documentation lists the flags that there are.
func TestSettingsInDocs(t *testing.T) {
	t.Parallel()
	const file = "../../docs/configuration.md"
	recorded, err := os.ReadFile(file)
	require.NoError(t, err)
	app := model(t)
	var found []string
	current := settingsBlock.ReplaceAllStringFunc(string(recorded), func(block string) string {
		part := settingsBlock.FindStringSubmatch(block)
		found = append(found, part[2])
		node := app.Node
		if i := slices.IndexFunc(app.Children, func(n *kong.Node) bool { return n.Name == part[2] }); i >= 0 {
			node = app.Children[i]
		}
		return part[1] + settingsTable(node) + part[4]
	})
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(current), 0o644)) //nolint:gosec // a document
		return
	}
	require.Equal(t, current, string(recorded), "make generate")
	require.Subset(t, append(found, "serve"), processNames(app), "%s has no table of it", file)
}

// settingsTable lists the command's own flags.
func settingsTable(node *kong.Node) string {
	var table strings.Builder
	table.WriteString("\n| flag | variable | in the file | default | |\n|---|---|---|---|---|\n")
	for _, flag := range node.Flags {
		if flag.Name == "help" {
			continue
		}
		key := flag.Name
		if node.Parent != nil {
			key = node.Name + "." + key
		}
		variable := "`" + flag.Envs[0] + "`"
		if flag.Target.Type() == reflect.TypeFor[config.Secret]() {
			variable += " or `" + flag.Envs[0] + "_FILE`"
		}
		byDefault := flag.Default
		if byDefault != "" {
			byDefault = "`" + byDefault + "`"
		}
		if key == "config" {
			key = ""
		} else {
			key = "`" + key + "`"
		}
		help := strings.ReplaceAll(flag.Help, "|", "\\|")
		fmt.Fprintf(&table, "| `--%s` | %s | %s | %s | %s |\n", flag.Name, variable, key, byDefault, help)
	}
	return table.String() + "\n"
}
