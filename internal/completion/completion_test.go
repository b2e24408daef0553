package completion_test

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/completion"
)

type grammar struct {
	Level string `help:"How much to say." enum:"much,little" default:"little"`
	Old   bool   `hidden:""`

	Fetch struct {
		Verbose bool     `help:"Say more." short:"v"`
		Color   string   `help:"In which color." short:"c" complete:"color"`
		Config  string   `help:"Where from." type:"path"`
		From    string   `help:"What." complete:"file"`
		What    string   `arg:"" complete:"color"`
		Others  []string `arg:"" enum:"one,two" optional:""`
	} `cmd:"" help:"Fetch something."`
	Forget struct {
		All struct{} `cmd:"" help:"Forget everything."`
		One struct {
			Name string `arg:""`
		} `cmd:"" help:"Forget one."`
	} `cmd:"" help:"Forget something."`
	Secret struct{} `cmd:"" hidden:""`
}

func TestComplete(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&grammar{})
	require.NoError(t, err)
	known := completion.Values{"color": {"red", "green", "gray"}}

	for line, want := range map[string]string{
		"":                            "fetch\tFetch something. | forget\tForget something.",
		"fo":                          "forget\tForget something.",
		"sec":                         "",
		"xyz":                         "",
		"--":                          "--help\tShow context-sensitive help. | --level\tHow much to say.",
		"--l":                         "--level\tHow much to say.",
		"--level ":                    "much | little",
		"--level m":                   "much",
		"--level=":                    "--level=much | --level=little",
		"--level=l":                   "--level=little",
		"--nothing=l":                 "",
		"--level much f":              "fetch\tFetch something. | forget\tForget something.",
		"--level=much fe":             "fetch\tFetch something.",
		"forget ":                     "all\tForget everything. | one\tForget one.",
		"forget one ":                 "",
		"fetch --":                    "--verbose\tSay more. | --color\tIn which color. | --config\tWhere from. | --from\tWhat. | --help\tShow context-sensitive help. | --level\tHow much to say.",
		"fetch -":                     "--verbose\tSay more. | --color\tIn which color. | --config\tWhere from. | --from\tWhat. | --help\tShow context-sensitive help. | --level\tHow much to say.",
		"fetch ":                      "red | green | gray",
		"fetch -v g":                  "green | gray",
		"fetch -c g":                  "green | gray",
		"fetch --color=gre":           "--color=green",
		"fetch --color red g":         "green | gray",
		"fetch --color=red g":         "green | gray",
		"fetch --config a":            ":files",
		"fetch --config=":             ":files",
		"fetch --from ":               ":files",
		"fetch red ":                  "one | two",
		"fetch red one t":             "two",
		"fetch -- -":                  "",
		"fetch red -- --verbose t":    "two",
		"fetch --verbose --level mu":  "much",
		"fetch --level little re":     "red",
		"forget unknown a":            "",
		"forget one name --level=":    "--level=much | --level=little",
		"forget one --level=much --l": "--level\tHow much to say.",
	} {
		var out strings.Builder
		require.NoError(t, known.Complete(parser.Model, strings.Split(line, " ")).Write(&out))
		require.Equal(t, want, strings.ReplaceAll(strings.TrimSuffix(out.String(), "\n"), "\n", " | "), line)
	}
	require.Equal(t, known.Complete(parser.Model, []string{""}), known.Complete(parser.Model, nil))
}

func TestScript(t *testing.T) {
	t.Parallel()
	for _, shell := range completion.Shells() {
		script, err := completion.Script(shell)
		require.NoError(t, err)
		require.Contains(t, script, "complete -- ")
	}
	_, err := completion.Script("csh")
	require.EqualError(t, err, "there is no completion for csh; there is for bash, zsh, fish")
}
