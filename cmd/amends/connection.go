package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/internal/certificate"
	"github.com/amends-dev/amends/internal/config"
	"github.com/amends-dev/amends/internal/strictjson"
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

// endpoint is where the API is. What no flag and no variable says is in a profile of the configuration file.
type endpoint struct {
	API     string        `help:"Base URL of the API. Default: the profile's, or http://127.0.0.1:8080." name:"api" env:"AMENDS_API" placeholder:"URL"`
	APIKey  config.Secret `help:"API key, or token of an OpenID provider. Default: the profile's, or the one that make run keeps in .amends/api-key. Better in the variable or a file: a command line can be seen by others." name:"api-key" env:"AMENDS_API_KEY" placeholder:"KEY"`
	CA      string        `help:"File with the authorities that the API's certificate has to be from, as PEM. Default: the profile's, or the system's." name:"ca" env:"AMENDS_CA" type:"path" placeholder:"FILE"`
	Cert    string        `help:"File with the certificate to show to the API, if it wants one. Default: the profile's." name:"client-cert" env:"AMENDS_CLIENT_CERT" type:"path" placeholder:"FILE"`
	CertKey string        `help:"File with the certificate's key. Default: the profile's." name:"client-key" env:"AMENDS_CLIENT_KEY" type:"path" placeholder:"FILE"`
	Profile string        `help:"Profile of the configuration file. Default: [profile.default], if there is one." env:"AMENDS_PROFILE" placeholder:"NAME"`
}

// profileTable holds the profiles, and profileSettings are what each may say.
const profileTable = "profile"

var profileSettings = []string{"api", "api-key", "ca", "client-cert", "client-key"}

type output string

const outputJSON output = "json"

// client is the API's client, as flags, variables and the configuration say, in this order.
func (c *endpoint) client(p *process) (*client.Client, error) { return c.clientOver(p, nil, repeats) }

// clientOver is client with connections of its own, nil for usual ones, that repeats so often what gets no answer.
func (c *endpoint) clientOver(p *process, transport *http.Transport, repeats int) (*client.Client, error) {
	profile, err := c.profile(p)
	if err != nil {
		return nil, err
	}
	configured := cmp.Or(p.file.Text(profileTable, profile, "api"), defaultAPI)
	url := cmp.Or(c.API, configured)
	key := c.APIKey.Reveal()
	// A key is for the API that it is configured with, and goes to no other one.
	if key == "" && url == configured {
		secret, err := p.file.Secret(profileTable, profile, "api-key")
		if err != nil {
			return nil, &usageError{err}
		}
		key = secret.Reveal()
	}
	if key == "" && url == defaultAPI {
		if key, err = readLocalKey(); err != nil {
			return nil, err
		}
	}
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	setting := func(name string) string { return p.file.PathAt(profileTable, profile, name) }
	if transport.TLSClientConfig, err = certificate.Client(certificate.Files{
		CA: cmp.Or(c.CA, setting("ca")), Cert: cmp.Or(c.Cert, setting("client-cert")), Key: cmp.Or(c.CertKey, setting("client-key")),
	}, p.logger); err != nil {
		return nil, &usageError{err}
	}
	api, err := client.New(url, client.Options{Token: key, HTTP: &http.Client{Transport: transport}, UserAgent: "amends/" + version(), Repeats: repeats})
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

// profile is the profile that counts; "" if there is none and nobody asked for one.
func (c *endpoint) profile(p *process) (string, error) {
	name := cmp.Or(c.Profile, "default")
	if !p.file.Has(profileTable, name) {
		if c.Profile != "" {
			return "", badUsage("%s has no [%s.%s]", cmp.Or(p.file.Path(), "the configuration"), profileTable, name)
		}
		return "", nil
	}
	if slices.ContainsFunc(p.file.Keys(profileTable), func(name string) bool { return p.file.Bare(profileTable, name, "api-key") }) {
		warnOfReaders(p)
	}
	return name, nil
}

// warnOfReaders warns of a configuration file with a secret that others may read.
func warnOfReaders(p *process) {
	if path := p.file.Path(); config.ReadByOthers(path) {
		fmt.Fprintf(p.stderr, "amends: %s has a secret in it and others may read it: chmod 600 %s\n", path, path)
	}
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
	if err := strictjson.Unmarshal(content, into); err != nil {
		return badUsage("%s: %w", path, err)
	}
	return nil
}

func readAll(p *process, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(path)
}
