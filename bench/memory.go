package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/amends-dev/amends/bench/internal/engine"
	"github.com/amends-dev/amends/bench/internal/report"
	"github.com/amends-dev/amends/internal/commandline"
)

// memoryArg is the first argument of a run that measures what the Temporal server keeps in memory.
const memoryArg = "memory"

// memoryFlags are the flags of that run.
type memoryFlags struct {
	Windows   int           `default:"12" help:"How often the memory is looked at."`
	Window    time.Duration `default:"1m" help:"For how long sagas are started between two looks."`
	AtOnce    int           `default:"50" help:"How many sagas at once."`
	Shards    int           `default:"4" help:"How many history shards the Temporal server has."`
	Workflows int           `placeholder:"N" help:"How many workflows the Temporal server keeps in memory. Default: as make run and docker-compose.yml have it. Temporal's own default is 128000."`
	Events    int           `placeholder:"BYTES" help:"How many bytes of events it keeps. Default: as above."`
	Dir       string        `type:"path" placeholder:"DIR" help:"Where PostgreSQL's files go meanwhile: on a disk, not in memory. Default: the folder for temporary files."`
}

const memoryDescription = `Starts sagas of ten HTTP steps, which all end, and looks now and then at the heap of the Temporal server, after a garbage collection, and at how long the sagas took. docs/sizing.md says how to read it.`

func runMemory(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var f memoryFlags
	parsed, err := commandline.Parse(&f, "bench "+memoryArg, memoryDescription, args, stdout, stderr)
	if err != nil || parsed == nil {
		return err
	}
	if f.Dir == "" {
		f.Dir = os.TempDir()
	}
	return measureMemory(ctx, f, stdout, &lockedWriter{w: stderr})
}

// plan makes each window a round of its own.
func (f memoryFlags) plan() plan {
	shared := settings{shards: f.Shards}
	if f.Workflows > 0 {
		shared.dynamic += fmt.Sprintf("history.hostLevelCacheMaxSize: [{value: %d}]\n", f.Workflows)
	}
	if f.Events > 0 {
		shared.dynamic += fmt.Sprintf("history.eventsHostLevelCacheMaxSizeBytes: [{value: %d}]\n", f.Events)
	}
	return plan{
		flags:  flags{Rounds: f.Windows, Window: f.Window, Dir: f.Dir, Cases: []engine.Case{engine.Success}, AtOnce: []int{f.AtOnce}},
		shared: shared, contestants: []contestant{sized(1, 0)},
	}
}

// measureMemory prints a table with a row for each window to stdout; progress goes to stderr.
func measureMemory(ctx context.Context, f memoryFlags, stdout, stderr io.Writer) (err error) {
	if err := checkDisk(f.Dir); err != nil {
		return err
	}
	p := f.plan()
	progress := newProgress(stderr, p)
	ctx, s, err := startSystem(ctx, p, stderr)
	defer func() { err = errors.Join(err, s.stop(context.WithoutCancel(ctx))) }()
	if err != nil {
		return orCause(ctx, err)
	}
	env, err := readEnvironment(ctx, s.shared.db, p)
	if err != nil {
		return err
	}
	progress.say(env.String())
	progress.began = time.Now()
	var all []report.MemoryMeasurement
	sagas := 0
	for round := range f.Windows {
		r := row{contestant: p.contestants[0], c: engine.Success, concurrency: f.AtOnce, round: round}
		m, err := s.measureRow(ctx, r, p)
		if err != nil {
			return orCause(ctx, fmt.Errorf("window %d: %w", round+1, err))
		}
		heap, err := heapBytes(ctx, s.shared.debugURL)
		if err != nil {
			return orCause(ctx, err)
		}
		sagas += m.Sagas
		progress.row(r, m)
		all = append(all, report.MemoryMeasurement{Sagas: sagas, HeapBytes: heap, Numbers: m.Numbers})
	}
	_, err = io.WriteString(stdout, report.Memory(all))
	return err
}

// heap is a process's answer about its memory.
type heap struct {
	Bytes uint64 `json:"heap_bytes"`
}

// serveHeap answers with the bytes of this process's heap in use after a garbage collection.
func serveHeap(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(heap{stats.HeapAlloc}) // an error means that the client has gone
}

// heapBytes asks a process for its heap.
func heapBytes(ctx context.Context, url string) (uint64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/heap", http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", req.URL, resp.Status)
	}
	var h heap
	return h.Bytes, json.NewDecoder(resp.Body).Decode(&h)
}
