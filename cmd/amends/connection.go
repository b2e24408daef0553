package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/amends-dev/amends/client"
)

const (
	defaultAPI = "http://127.0.0.1:8080"
	// repeats take about five seconds: longer than a process of the API takes to start, and no longer than people wait.
	repeats = 6
)

// connection is how a command gets to the API, and shows its answers.
type connection struct {
	endpoint

	Output output `help:"text for people, json for programs: what the API answered." enum:"text,json" default:"text" env:"AMENDS_OUTPUT"`
}

// endpoint is where the API is. What no flag and no variable says is in the configuration file.
type endpoint struct {
	API     string `help:"Base URL of the API. Default: the configuration's, or http://127.0.0.1:8080." name:"api" env:"AMENDS_API" placeholder:"URL"`
	APIKey  string `help:"API key, or token of an OpenID provider. Default: the configuration's, or the one that make run keeps in .amends/api-key. Better in the variable or a file: a command line can be seen by others." name:"api-key" env:"AMENDS_API_KEY" placeholder:"KEY"`
	Config  string `help:"Configuration file. Default: amends/config.toml in the user's folder of configurations." env:"AMENDS_CONFIG" type:"path" placeholder:"FILE"`
	Profile string `help:"Profile of the configuration file." env:"AMENDS_PROFILE" placeholder:"NAME"`
}

type output string

const outputJSON output = "json"

// client is the API's client, as flags, variables and the configuration say, in this order.
func (c *endpoint) client(p *process) (*client.Client, error) { return c.clientOver(p, nil) }

// clientOver is client with connections of its own; nil for those of all.
func (c *endpoint) clientOver(p *process, connections *http.Client) (*client.Client, error) {
	settings, err := c.settings(p)
	if err != nil {
		return nil, err
	}
	url := cmp.Or(c.API, settings.API, defaultAPI)
	key := c.APIKey
	// A key is for the API that it is configured with, and goes to no other one.
	if key == "" && url == cmp.Or(settings.API, defaultAPI) {
		if key, err = settings.key(); err != nil {
			return nil, err
		}
	}
	if key == "" && url == defaultAPI {
		if key, err = readLocalKey(); err != nil {
			return nil, err
		}
	}
	api, err := client.New(url, client.Options{Token: key, HTTP: connections, UserAgent: "amends/" + version(), Repeats: repeats})
	if err != nil {
		return nil, &usageError{err}
	}
	return api, nil
}

// localKey is where make run keeps the key of the API that it runs.
const localKey = ".amends/api-key"

// readLocalKey is that key; empty in other folders.
func readLocalKey() (string, error) {
	content, err := os.ReadFile(localKey)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("api key: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// config is the configuration file. What stands before its profiles is for whoever names none.
type config struct {
	settings
	Profiles map[string]settings `toml:"profile"`
}

type settings struct {
	API        string `toml:"api"`
	APIKey     string `toml:"api_key"`
	APIKeyFile string `toml:"api_key_file"`

	// dir is where the file lies.
	dir string
}

// settings are those of the chosen profile; none if there is no file and nobody asked for one.
func (c *endpoint) settings(p *process) (settings, error) {
	path := c.Config
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return settings{}, nil //nolint:nilerr // a user without a home has no configuration
		}
		path = filepath.Join(dir, "amends", "config.toml")
	}
	var file config
	known, err := toml.DecodeFile(path, &file)
	var broken toml.ParseError
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Config == "" && c.Profile == "":
		return settings{}, nil
	case errors.As(err, &broken):
		return settings{}, badUsage("%s, line %d: %s", path, broken.Position.Line, broken.Message)
	case err != nil:
		return settings{}, badUsage("configuration: %w", err)
	}
	if unknown := known.Undecoded(); len(unknown) > 0 {
		return settings{}, badUsage("%s, line %d: there is no setting %s", path, lineOf(path, unknown[0]), unknown[0])
	}
	chosen, ok := file.settings, true
	if c.Profile != "" {
		chosen, ok = file.Profiles[c.Profile]
	}
	if !ok {
		return settings{}, badUsage("%s has no [profile.%s]", path, c.Profile)
	}
	chosen.dir = filepath.Dir(path)
	if file.hasKey() {
		warnOfReaders(p, path)
	}
	return chosen, nil
}

// hasKey tells whether a key stands in the file itself.
func (c config) hasKey() bool {
	for _, s := range c.Profiles {
		if s.APIKey != "" {
			return true
		}
	}
	return c.APIKey != ""
}

// key is the API key; empty for none.
func (s settings) key() (string, error) {
	if s.APIKeyFile == "" || s.APIKey != "" {
		return s.APIKey, nil
	}
	path := s.APIKeyFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", badUsage("api_key_file: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// warnOfReaders warns of a file with a key that others may read.
func warnOfReaders(p *process, path string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		fmt.Fprintf(p.stderr, "amends: %s has a key in it and others may read it: chmod 600 %s\n", path, path)
	}
}

// lineOf is the line of the file on which the setting is, from 1; 0 if it is not found. The parser tells lines of what is
// malformed only.
func lineOf(path string, setting toml.Key) int {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	table := ""
	for i, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			if table = strings.TrimSuffix(name, "]"); table == setting.String() {
				return i + 1
			}
			table += "."
			continue
		}
		if name, _, ok := strings.Cut(line, "="); ok && table+strings.TrimSpace(name) == setting.String() {
			return i + 1
		}
	}
	return 0
}

// print writes an answer: as it is, or as text does it.
func (c *connection) print(p *process, answer any, text func()) error {
	if c.Output == outputJSON {
		return writeJSON(p.stdout, answer)
	}
	text()
	return nil
}

// readJSON reads a file, or standard input for "-", that holds one JSON value with no fields but those of into.
func readJSON(p *process, path string, into any) error {
	content, err := readAll(p, path)
	if err != nil {
		return &usageError{err}
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badUsage("%s: %w", path, err)
	}
	if d.More() {
		return badUsage("%s: more than one JSON value", path)
	}
	return nil
}

func readAll(p *process, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(path)
}
