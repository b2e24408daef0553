package pgserver

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNotInstalled means that this machine has no PostgreSQL server that can be started.
var ErrNotInstalled = errors.New("no PostgreSQL server is installed here")

// Binaries returns the folder of initdb and postgres: the one pg_config names, else that of the newest version where
// Debian puts them, else the one in PATH.
func Binaries() (string, error) {
	var candidates []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	candidates = append(candidates, newest("/usr/lib/postgresql/*/bin")...)
	if initdb, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(initdb))
	}
	for _, dir := range candidates {
		_, noInitdb := os.Stat(filepath.Join(dir, "initdb"))
		_, noPostgres := os.Stat(filepath.Join(dir, "postgres"))
		if noInitdb == nil && noPostgres == nil {
			return dir, nil
		}
	}
	return "", ErrNotInstalled
}

// newest returns the folders that match pattern, the highest version first.
func newest(pattern string) []string {
	dirs, _ := filepath.Glob(pattern) // only a malformed pattern is an error
	version := func(dir string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))) // another name counts as 0
		return n
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return dirs
}
