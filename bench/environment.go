package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/amends-dev/amends/bench/internal/report"
)

// environment is where it was measured.
type environment struct {
	when    time.Time
	machine string
	// flush is what it costs here to get a block onto the disk.
	flush    time.Duration
	software string
	settings string
	plan     plan
}

func readEnvironment(ctx context.Context, db *pgx.Conn, p plan) (environment, error) {
	flush, err := timeFlush(p.Dir)
	if err != nil {
		return environment{}, err
	}
	settings, version, err := readSettings(ctx, db)
	if err != nil {
		return environment{}, err
	}
	return environment{
		when:     time.Now().UTC(),
		machine:  fmt.Sprintf("%d × %s, %s/%s", runtime.NumCPU(), processorName(), runtime.GOOS, runtime.GOARCH),
		flush:    flush,
		software: "PostgreSQL " + version + ", " + versions(),
		settings: settings,
		plan:     p,
	}, nil
}

func (e environment) String() string {
	return strings.Join([]string{
		e.machine + ", " + e.flushed(),
		e.software,
		"PostgreSQL: " + e.settings,
		e.measured(),
	}, "\n")
}

// markdown is the environment as the document says it.
func (e environment) markdown() string {
	return fmt.Sprintf("Measured on %s.\n\n- Machine: %s; %s\n- Software: %s\n- PostgreSQL's settings: %s\n- %s\n",
		e.when.Format(time.DateOnly), e.machine, e.flushed(), e.software, e.settings, e.measured())
}

func (e environment) flushed() string {
	return fmt.Sprintf("a flush to disk takes %.2f ms", report.Milliseconds(e.flush))
}

func (e environment) measured() string {
	return fmt.Sprintf("Medians of %d interleaved rounds, in each of which a row's clients start sagas for %s, after %s of warming up",
		e.plan.Rounds, e.plan.Window, e.plan.warmUp)
}

// readSettings says what of the server's settings matters to durability or speed, as the server itself has them.
func readSettings(ctx context.Context, db *pgx.Conn) (settings, version string, err error) {
	var all []string
	for _, name := range []string{
		"fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "wal_level", "shared_buffers", "max_connections",
	} {
		var value string
		if err := db.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return "", "", fmt.Errorf("postgres: setting %s: %w", name, err)
		}
		all = append(all, name+"="+value)
	}
	if err := db.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&version); err != nil {
		return "", "", fmt.Errorf("postgres: version: %w", err)
	}
	return strings.Join(all, ", "), version, nil
}

// versions names the libraries that are compared, as they were built in.
func versions() string {
	names := map[string]string{
		"go.temporal.io/server":                    "Temporal server",
		"go.temporal.io/sdk":                       "SDK",
		"github.com/dbos-inc/dbos-transact-golang": "DBOS Transact",
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return runtime.Version()
	}
	var found []string
	for _, dep := range info.Deps {
		if name := names[dep.Path]; name != "" {
			found = append(found, name+" "+dep.Version)
		}
	}
	return strings.Join(append(found, runtime.Version()), ", ")
}

// processorName is what the kernel calls the processor; the architecture where it does not say.
func processorName() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// tmpfs is the type of file systems in memory (statfs(2)).
const tmpfs = 0x01021994

// checkDisk refuses a folder where a flush costs nothing, and with it durability.
func checkDisk(dir string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if fs.Type == tmpfs {
		return fmt.Errorf("%s is in memory, where being durable costs nothing: choose a folder on a disk with --dir", dir)
	}
	return nil
}

// timeFlush is the median time that it takes to write a block of 8 KiB, PostgreSQL's, and flush it.
func timeFlush(dir string) (_ time.Duration, err error) {
	f, err := os.CreateTemp(dir, "amends-bench-flush-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 8<<10)
	var all []float64
	for range 200 {
		began := time.Now()
		if _, err := f.WriteAt(block, 0); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		all = append(all, float64(time.Since(began)))
	}
	return time.Duration(report.Median(all)), nil
}
