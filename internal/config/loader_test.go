package config_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/commandline"
	"github.com/amends-dev/amends/internal/config"
)

// grammar has a flag of every type that commands of ours have.
type grammar struct {
	Config string     `env:"AMENDS_CONFIG" type:"path"`
	Level  slog.Level `default:"info"`

	Serve struct {
		Addr    string            `default:":80" env:"AMENDS_SERVE_ADDRESS"`
		Within  time.Duration     `default:"1h"`
		Rate    float64           `default:"10"`
		Burst   int               `default:"2"`
		Seed    *uint64           ``
		Open    bool              ``
		Format  string            `enum:"text,json" default:"text"`
		Origins []string          `name:"origin"`
		Proxies []netip.Prefix    `name:"proxy"`
		URLs    map[string]string `name:"url"`
		Keys    string            `type:"path"`
		DSN     config.Secret     `name:"dsn"`
	} `cmd:""`
	Check struct{} `cmd:""`
	Saga  struct {
		List struct {
			Limit int `default:"50"`
		} `cmd:""`
	} `cmd:""`
}

// desk is a folder with a configuration file, which commands are run with.
type desk struct {
	t   *testing.T
	dir string
}

func newDesk(t *testing.T, file string) desk {
	t.Helper()
	d := desk{t, t.TempDir()}
	d.write("amends.toml", file)
	return d
}

func (d desk) write(name, content string) {
	d.t.Helper()
	require.NoError(d.t, os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600))
}

// run is what the flags are for that command line.
func (d desk) run(args ...string) (*grammar, *config.Loader, error) {
	var g grammar
	l := &config.Loader{Flag: "config", Default: filepath.Join(d.dir, "amends.toml"), Groups: map[string][]string{"profile": {"api"}}, Lenient: "check"}
	_, err := commandline.Parse(&g, "it", "", args, io.Discard, io.Discard, l.Options()...)
	return &g, l, err
}

func TestFile(t *testing.T) {
	t.Parallel()
	d := newDesk(t, `
level = "warn"

[serve]
addr = "127.0.0.1:1"
within = "90s"
rate = 1
burst = 3
seed = 4
open = true
format = "json"
origin = ["https://a,b", "https://c"]
proxy = ["10.0.0.0/8", "192.168.0.0/16"]
keys = "keys.toml"
dsn = "file:dsn"

[serve.url]
payment = "http://a;b"
vouchers = "http://c"

[saga.list]
limit = 5

[profile.prod]
api = "https://x"
`)
	d.write("dsn", " postgres://u:secret@h/db\n")
	g, l, err := d.run("serve")
	require.NoError(t, err)
	require.Equal(t, slog.LevelWarn, g.Level)
	s := g.Serve
	require.Equal(t, "127.0.0.1:1", s.Addr)
	require.Equal(t, 90*time.Second, s.Within)
	require.InDelta(t, 1, s.Rate, 0)
	require.Equal(t, 3, s.Burst)
	require.EqualValues(t, 4, *s.Seed)
	require.True(t, s.Open)
	require.Equal(t, "json", s.Format)
	require.Equal(t, []string{"https://a,b", "https://c"}, s.Origins)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.0.0/16")}, s.Proxies)
	require.Equal(t, map[string]string{"payment": "http://a;b", "vouchers": "http://c"}, s.URLs)
	require.Equal(t, filepath.Join(d.dir, "keys.toml"), s.Keys, "from the file's folder")
	require.Equal(t, "postgres://u:secret@h/db", s.DSN.Reveal())
	require.False(t, l.Bare())
	require.Equal(t, "https://x", l.File().Text("profile", "prod", "api"))

	g, _, err = d.run("saga", "list")
	require.NoError(t, err)
	require.Equal(t, 5, g.Saga.List.Limit)
}

// Not parallel: it sets variables of the process.
func TestPrecedence(t *testing.T) {
	d := newDesk(t, "[serve]\naddr = \"from the file\"\nburst = 3\n[saga.list]\nlimit = 5")
	addr := func(args ...string) string {
		t.Helper()
		g, _, err := d.run(append([]string{"serve"}, args...)...)
		require.NoError(t, err)
		return g.Serve.Addr
	}
	require.Equal(t, "from the file", addr())
	t.Setenv("AMENDS_SERVE_ADDRESS", "from the variable")
	require.Equal(t, "from the variable", addr())
	require.Equal(t, "from the flag", addr("--addr=from the flag"))

	// A flag that names no variable has one all the same.
	t.Setenv("AMENDS_SAGA_LIST_LIMIT", "6")
	g, _, err := d.run("saga", "list")
	require.NoError(t, err)
	require.Equal(t, 6, g.Saga.List.Limit)

	d.write("other.toml", "[serve]\nburst = 4")
	t.Setenv("AMENDS_CONFIG", filepath.Join(d.dir, "other.toml"))
	g, _, err = d.run("serve")
	require.NoError(t, err)
	require.Equal(t, 4, g.Serve.Burst)
	g, _, err = d.run("serve", "--config", filepath.Join(d.dir, "amends.toml"))
	require.NoError(t, err)
	require.Equal(t, 3, g.Serve.Burst)
}

// What starts containers sets variables that are empty where nothing is configured.
//
// Not parallel: it sets variables of the process.
func TestEmptyVariables(t *testing.T) {
	d := newDesk(t, "[serve]\nwithin = \"2h\"")
	t.Setenv("AMENDS_CONFIG", "")
	t.Setenv("AMENDS_SERVE_ADDRESS", "")
	t.Setenv("AMENDS_SERVE_WITHIN", "")
	t.Setenv("AMENDS_SERVE_BURST", "")
	t.Setenv("AMENDS_SERVE_KEYS", "")
	t.Setenv("AMENDS_SERVE_FORMAT", "")

	g, _, err := d.run("serve")
	require.NoError(t, err)
	require.Equal(t, ":80", g.Serve.Addr)
	require.Equal(t, 2*time.Hour, g.Serve.Within, "the file counts")
	require.Equal(t, 2, g.Serve.Burst)
	require.Empty(t, g.Serve.Keys, "not the working directory")
	require.Equal(t, "text", g.Serve.Format)
}

// Not parallel: it sets variables of the process.
func TestSecretFromTheFileOfAVariable(t *testing.T) {
	d := newDesk(t, "[serve]\ndsn = \"from the configuration\"")
	d.write("dsn", "from a file\n")
	d.write("empty", "\n")
	_, l, err := d.run("serve")
	require.NoError(t, err)
	require.True(t, l.Bare())

	t.Setenv("AMENDS_SERVE_DSN_FILE", filepath.Join(d.dir, "dsn"))
	g, l, err := d.run("serve")
	require.NoError(t, err)
	require.Equal(t, "from a file", g.Serve.DSN.Reveal())
	require.False(t, l.Bare())

	g, _, err = d.run("serve", "--dsn=file:"+filepath.Join(d.dir, "dsn"))
	require.NoError(t, err)
	require.Equal(t, "from a file", g.Serve.DSN.Reveal())

	t.Setenv("AMENDS_SERVE_DSN_FILE", filepath.Join(d.dir, "empty"))
	_, _, err = d.run("serve")
	require.ErrorContains(t, err, "--dsn: AMENDS_SERVE_DSN_FILE: "+filepath.Join(d.dir, "empty")+" is empty")

	t.Setenv("AMENDS_SERVE_DSN", "from the variable")
	g, _, err = d.run("serve")
	require.NoError(t, err)
	require.Equal(t, "from the variable", g.Serve.DSN.Reveal())
}

func TestFileThatCannotBe(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"[serve]\naddr = ":               "amends.toml, line 2: ",
		"\n[serv]\naddr = \"a\"":         "amends.toml, line 2: there is no table [serv]; did you mean serve?",
		"[worker]":                       "line 1: there is no table [worker]; there are check, profile, saga, serve",
		"[serve]\nadr = \"a\"":           "line 2: there is no setting serve.adr; did you mean addr?",
		"burst = 1":                      "line 1: there is no setting burst; there are level",
		"config = \"a\"":                 "line 1: there is no setting config; there are level",
		"[saga.lst]":                     "line 1: there is no table [saga.lst]; did you mean list?",
		"[serve]\nrate = \"fast\"":       "--rate: DIR/amends.toml, line 2: must be a number but is text",
		"[serve]\n\nburst = 1.5":         "line 3: must be a whole number but is a fraction",
		"[serve]\nwithin = 90":           "line 2: must be text in quotes but is a whole number",
		"[serve]\nwithin = \"long\"":     "line 2: expected duration but got \"long\"",
		"[serve]\nopen = \"yes\"":        "line 2: must be true or false but is text",
		"[serve]\nformat = \"xml\"":      "line 2: must be one of text, json but is \"xml\"",
		"[serve]\norigin = \"a\"":        "line 2: must be a list, such as [text in quotes], but is text",
		"[serve]\norigin = [\"a\", 1]":   "line 2: element 2 must be text in quotes but is a whole number",
		"[serve]\nproxy = [\"10/8\"]":    "line 2: ",
		"[serve]\nurl = \"a=b\"":         "line 2: must be a table but is text",
		"[serve]\nurl = { a = 1 }":       "line 2: a must be text in quotes but is a whole number",
		"[serve]\naddr = 2026-01-01":     "line 2: must be text in quotes but is a time",
		"[serve]\ndsn = \"file:none\"":   "line 2: open DIR/none: no such file",
		"[[serve]]\naddr = \"a\"":        "line 1: there is no setting serve; ",
		"[profile.p]\nkey = 1":           "line 2: there is no setting profile.p.key; there are api",
		"[profile]\np = 1":               "line 2: profile.p must be a table",
		"[profile.\"a.b\"]\napi = false": "line 2: profile.a.b.api must be text in quotes but is a boolean",
	} {
		d := newDesk(t, file)
		_, _, err := d.run("serve")
		require.ErrorContains(t, err, strings.ReplaceAll(want, "DIR", d.dir), file)
		_, _, err = d.run("check")
		require.NoError(t, err)
	}
	// What is wrong in another command's table is that command's.
	d := newDesk(t, "[serve]\nadr = 1\nrate = \"fast\"\n[saga.list]\nlimit = 1")
	_, _, err := d.run("saga", "list")
	require.NoError(t, err)
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	d := desk{t, t.TempDir()}
	_, l, err := d.run("serve")
	require.NoError(t, err)
	require.Empty(t, l.File().Path())
	require.Empty(t, l.File().Text("profile", "prod", "api"))
	_, _, err = d.run("serve", "--config=/nowhere.toml")
	require.ErrorContains(t, err, "configuration: open /nowhere.toml: no such file")
}

func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	s := config.NewSecret("hidden")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("started", "dsn", s, "all", []any{s})
	for _, shown := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%+v %#v", struct{ S config.Secret }{s}, &struct{ S config.Secret }{s}),
		log.String(),
	} {
		require.NotContains(t, shown, "hidden")
		require.Contains(t, shown, "***")
	}
	require.Equal(t, "hidden", s.Reveal())
	require.Empty(t, config.Secret{}.String())
}
