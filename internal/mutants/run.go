package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// outcome is the result of the tests on a mutant.
type outcome string

const (
	// killed: a test fails.
	killed outcome = "killed"
	// survived: no test detects the mutant.
	survived outcome = "survived"
	// notBuilt: the change does not compile.
	notBuilt outcome = "not built"
)

// A result is the kept result of a mutant.
type result struct {
	ID      string  `json:"id"`
	Outcome outcome `json:"outcome"`
	// Source and Tests are fingerprints of the code for which the outcome holds: that of the mutant's file, and that of
	// the package's tests and their arguments.
	Source string `json:"source"`
	Tests  string `json:"tests"`
}

// holds reports whether the result is still true: a killed mutant stays killed while its file is the same. For a
// survivor, the tests must be the same, too.
func (r result) holds(source, tests string) bool {
	return r.Source == source && (r.Outcome != survived || r.Tests == tests)
}

// pkg is a package whose tests are tried.
type pkg struct {
	name string // its folder, from the module's root
	dir  string
	args []string
}

// test runs the package's tests on a mutant, for up to timeout. Its file must be the one with that fingerprint.
func (p pkg) test(ctx context.Context, m mutant, fingerprint string, timeout time.Duration) (outcome, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if fingerprintOf(source) != fingerprint {
		return "", fmt.Errorf("%s has changed meanwhile: run it again", m.file)
	}
	tmp, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(tmp) }() // leftovers do no harm
	changed, overlay := filepath.Join(tmp, filepath.Base(m.file)), filepath.Join(tmp, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{m.file: changed}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(changed, m.apply(source), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	args := append([]string{"test", "-overlay", overlay, "-vet=off", "-count=1", "-failfast", "-timeout", timeout.String()}, p.args...)
	run := exec.CommandContext(ctx, "go", append(args, ".")...)
	run.Dir = p.dir
	run.Env = append(os.Environ(), "CGO_ENABLED=0")
	run.WaitDelay = time.Second
	out, err := run.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil:
		return survived, nil
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return notBuilt, nil
	}
	return killed, nil
}

// fingerprints returns the fingerprints of each file of the package that can have mutants, by path, and that of its tests
// and their arguments.
func (p pkg) fingerprints() (sources map[string]string, tests string, err error) {
	sources = map[string]string{}
	all := sha256.New()
	fmt.Fprintln(all, p.args)
	err = filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.HasSuffix(path, "_test.go") {
			fmt.Fprintln(all, path, fingerprintOf(text))
		} else if filepath.Dir(path) == p.dir {
			sources[path] = fingerprintOf(text)
		}
		return err
	})
	return sources, hex.EncodeToString(all.Sum(nil)[:8]), err
}

func fingerprintOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// notes are the results of earlier runs, a line of JSON each.
type notes struct {
	file  *os.File
	known map[string]result
}

func openNotes(path string) (*notes, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	n := &notes{file: file, known: map[string]result{}}
	for line := range bytes.Lines(content) {
		var r result
		if json.Unmarshal(line, &r) == nil { // a run that was killed leaves half a line
			n.known[r.ID] = r
		}
	}
	return n, nil
}

func (n *notes) add(r result) error {
	n.known[r.ID] = r
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = n.file.Write(append(line, '\n'))
	return err
}
