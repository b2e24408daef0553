package pgtest

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"time"

	"github.com/amends-dev/amends/internal/pgserver"
)

// server is a server to test on. If we started it, lifeline is the input of the script that runs it:
// without a reference the garbage collector would close it, and end the server.
type server struct {
	url      *url.URL
	lifeline io.Closer
}

// script runs the server, whose command line follows its folder, until it ends or the script's standard input does, then
// removes the folder. The test process holds the other end of that input, so the server ends with it, however it ends.
const script = `
dir=$1
shift
"$@" &
server=$!
exec 3<&0 # a command in the background gets an empty standard input
{ while read -r line; do :; done; kill -QUIT $server; } <&3 &
watcher=$!
wait $server
kill $watcher
rm -rf "$dir"
`

// readyLimit limits a server's start.
const readyLimit = 30 * time.Second

// startServer starts a server on a free port. Somebody may take the port first, so it tries thrice.
func startServer(ctx context.Context) (*server, error) {
	var failures error
	for range 3 {
		s, err := start(ctx)
		if err == nil || errors.Is(err, pgserver.ErrNotInstalled) {
			return s, err
		}
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

func start(ctx context.Context) (*server, error) {
	private, err := pgserver.Make(ctx, "", "pgtest-", "--no-sync")
	if err != nil {
		return nil, err
	}
	s := &server{url: private.URL}
	if s.lifeline, err = launch(private); err != nil {
		return nil, errors.Join(err, private.Remove())
	}
	err = private.AwaitReady(ctx, readyLimit, func() bool {
		_, err := os.Stat(private.Dir)
		return err != nil // the script has removed it
	})
	if err != nil {
		return nil, errors.Join(err, s.lifeline.Close())
	}
	return s, nil
}

// launch starts the script and leaves it running: it ends after this process, so nothing waits for it. Closing the result
// ends the server.
func launch(private *pgserver.Server) (io.Closer, error) {
	command := private.Command("max_connections=1000", "shared_buffers=32MB", "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "pgtest", private.Dir}, command...)...)
	private.Prepare(cmd) // its log and not the test's own output: go test waits until no process holds that any more
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return lifeline, cmd.Start()
}
