package devserver_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/amends-dev/amends/devserver"
	"github.com/amends-dev/amends/internal/pgtest"
)

const taskQueue = "devserver-test"

// stopLimit is what amends-dev has for stopping everything.
const stopLimit = 10 * time.Second

var sagaState = temporal.NewSearchAttributeKeyKeyword("SagaState")

// waitForName ends with the name that an update tells it.
func waitForName(ctx workflow.Context) (string, error) {
	var name string
	err := workflow.SetUpdateHandler(ctx, "tell", func(_ workflow.Context, told string) error {
		name = told
		return nil
	})
	if err != nil {
		return "", err
	}
	err = workflow.Await(ctx, func() bool { return name != "" })
	return "hello " + name, err
}

// serverLog collects what a server logs.
type serverLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts a server that is stopped when the test ends. What it logged is
// shown if the test fails.
func start(t *testing.T, o devserver.Options) *devserver.Server {
	t.Helper()

	s, log := startLogged(t, o)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return s
}

func startLogged(t *testing.T, o devserver.Options) (*devserver.Server, *serverLog) {
	t.Helper()

	log := &serverLog{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	if o.SearchAttributes == nil {
		o.SearchAttributes = map[string]enums.IndexedValueType{"SagaState": enums.INDEXED_VALUE_TYPE_KEYWORD}
	}
	s, err := devserver.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop(s)) })
	return s, log
}

// stop stops a server as amends-dev does; stopping one twice is harmless.
func stop(s *devserver.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	return s.Stop(ctx)
}

// dial returns a client of the server.
func dial(t *testing.T, s *devserver.Server) client.Client {
	t.Helper()

	c, err := client.DialContext(t.Context(), client.Options{
		HostPort:  s.HostPort(),
		Namespace: s.Namespace(),
		Logger:    sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// work runs a worker until the test ends or the returned function is called.
func work(t *testing.T, c client.Client) (stop func()) {
	t.Helper()

	// The next worker need not wait long for this one, which has the workflow in its cache.
	w := worker.New(c, taskQueue, worker.Options{StickyScheduleToStartTimeout: 100 * time.Millisecond})
	w.RegisterWorkflow(waitForName)
	require.NoError(t, w.Start())
	stop = sync.OnceFunc(w.Stop)
	t.Cleanup(stop)
	return stop
}

// begin starts a workflow and waits until a worker has it.
func begin(t *testing.T, c client.Client, id string) {
	t.Helper()

	_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID:                    id,
		TaskQueue:             taskQueue,
		TypedSearchAttributes: temporal.NewSearchAttributes(sagaState.ValueSet("running")),
	}, waitForName)
	require.NoError(t, err)
}

// finish tells a workflow its name and returns its result.
func finish(t *testing.T, c client.Client, id string) string {
	t.Helper()

	update, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: "tell", Args: []any{id}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(t, err)
	require.NoError(t, update.Get(t.Context(), nil))
	var result string
	require.NoError(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), &result))
	return result
}

// stores are the stores that outlive a server, each with options that make a new one.
var stores = map[string]func(*testing.T) devserver.Options{
	"SQLite":     func(t *testing.T) devserver.Options { return devserver.Options{DataDir: t.TempDir()} },
	"PostgreSQL": func(t *testing.T) devserver.Options { return devserver.Options{PostgresDSN: pgtest.DSN(t)} },
}

func TestStartAndStopAreQuiet(t *testing.T) {
	t.Parallel()

	for name, options := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s, log := startLogged(t, options(t))
			require.NoError(t, stop(s))

			require.Empty(t, log.String())
		})
	}
}

func TestWorkflowRunsInMemory(t *testing.T) {
	t.Parallel()

	s := start(t, devserver.Options{Ephemeral: true})
	c := dial(t, s)
	work(t, c)
	begin(t, c, "one")

	require.Equal(t, "hello one", finish(t, c, "one"))
}

func TestRunningWorkflowSurvivesRestart(t *testing.T) {
	t.Parallel()

	for name, options := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			o := options(t)
			first := start(t, o)
			c := dial(t, first)
			stopWork := work(t, c)
			begin(t, c, "survivor")
			stopWork()
			require.NoError(t, stop(first))

			c = dial(t, start(t, o))
			work(t, c)

			require.Equal(t, "hello survivor", finish(t, c, "survivor"))
		})
	}
}

func TestNamespaceKeepsHistory(t *testing.T) {
	t.Parallel()

	s := start(t, devserver.Options{Ephemeral: true, Namespace: "orders"})

	got, err := dial(t, s).WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "orders"})
	require.NoError(t, err)
	require.Equal(t, devserver.Retention, got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration())
}

func TestSearchAttributeIsAddedToAnOlderNamespace(t *testing.T) {
	t.Parallel()

	for name, options := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			o := options(t)
			o.SearchAttributes = map[string]enums.IndexedValueType{}
			require.NoError(t, stop(start(t, o)))
			o.SearchAttributes = nil // those of start

			c := dial(t, start(t, o))
			begin(t, c, "found")

			require.Eventually(t, func() bool {
				found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: "SagaState = 'running'"})
				return err == nil && found.GetCount() == 1
			}, 10*time.Second, 20*time.Millisecond, "the workflow is found by its search attribute")
		})
	}
}

func TestServersRunSideBySide(t *testing.T) {
	t.Parallel()

	var servers [2]*devserver.Server
	var starting sync.WaitGroup
	for i := range servers {
		starting.Go(func() { servers[i] = start(t, devserver.Options{DataDir: t.TempDir()}) })
	}
	starting.Wait()

	for _, s := range servers {
		c := dial(t, s)
		work(t, c)
		begin(t, c, "same-id")
		require.Equal(t, "hello same-id", finish(t, c, "same-id"))
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	taken := l.Addr().(*net.TCPAddr).Port

	for option, o := range map[string]devserver.Options{
		"TemporalPort": {Ephemeral: true, TemporalPort: taken},
		"UIPort":       {Ephemeral: true, UIPort: taken},
	} {
		t.Run(option, func(t *testing.T) {
			t.Parallel()

			_, err := devserver.Start(t.Context(), o)

			var portTaken *devserver.PortTakenError
			require.ErrorAs(t, err, &portTaken)
			require.Equal(t, devserver.PortTakenError{Port: taken, Option: option}, *portTaken)
		})
	}
}

func TestStoreInUseIsRefused(t *testing.T) {
	t.Parallel()

	for name, options := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			o := options(t)
			first := start(t, o)

			_, err := devserver.Start(t.Context(), o)

			var inUse *devserver.InUseError
			require.ErrorAs(t, err, &inUse)
			require.Equal(t, inUse.What+" is in use by another server", err.Error(), "one line")

			require.NoError(t, stop(first))
			start(t, o)
		})
	}
}

func TestDataFolderIsCreated(t *testing.T) {
	t.Parallel()

	dir := filepath.Join(t.TempDir(), "50% of #1?", "data")
	start(t, devserver.Options{DataDir: dir})

	require.FileExists(t, filepath.Join(dir, "temporal.db"))
}

func TestFileOfAnotherSchemaIsRefused(t *testing.T) {
	t.Parallel()

	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "temporal.db"))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE executions (shard_id INT)")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	_, err = devserver.Start(t.Context(), devserver.Options{DataDir: dir})

	require.ErrorContains(t, err, filepath.Join(dir, "temporal.db")+": made by another version of the Temporal server")
}

func TestWebUIServesItselfAndTheServer(t *testing.T) {
	t.Parallel()

	s := start(t, devserver.Options{Ephemeral: true})
	for path, want := range map[string]string{
		"/":                             "<!doctype html>",
		"/api/v1/settings":              `"DisableNewsFetch":true`,
		"/api/v1/releases":              `{"Releases":{}}`,
		"/api/v1/namespaces/default":    `"NAMESPACE_STATE_REGISTERED"`,
		"/namespaces/default/schedules": "<!doctype html>",
	} {
		status, body, err := get(t, s.UIURL()+path)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, body, want, path)
	}
	// A page in a browser whose name points to this machine.
	for _, path := range []string{"/api/v1/namespaces/default", "/api/v1/namespaces/default/workflows", "/api/v1/cluster-info"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.UIURL()+path, http.NoBody)
		require.NoError(t, err)
		req.Host = "evil.example:8233"
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusMisdirectedRequest, res.StatusCode, path)
	}
	require.NoError(t, stop(s))
	_, _, err := get(t, s.UIURL())
	require.Error(t, err, "the Web UI has stopped")
}

func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return res.StatusCode, string(read), err
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()

	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()

	_, err := devserver.Start(ctx, devserver.Options{
		DataDir:  dir,
		Logger:   slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }), nil)),
		LogLevel: slog.LevelInfo, // the server says that it starts
	})

	require.ErrorIs(t, err, context.Canceled)
	start(t, devserver.Options{DataDir: dir})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
