package keyfile

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// lookAgain is how old what is known of a file may be.
const lookAgain = time.Second

// Watched is the keys of a file as it is now. It may be used from several goroutines.
type Watched[K any] struct {
	path  string
	mode  Mode
	parse func(ctx context.Context, content []byte) (K, error)
	log   *slog.Logger

	keys   atomic.Pointer[K]
	lookAt atomic.Int64

	// reading is held by who reads the file; the rest is theirs.
	reading sync.Mutex
	content []byte
	// broken is what is wrong with the file, "" if nothing.
	broken string
}

// Watch reads the file, of whose content parse makes the keys. It is read again when keys are asked for, at most once a
// second; while it cannot be read, what was in it last counts, and log is told once.
func Watch[K any](
	ctx context.Context, path string, mode Mode, parse func(ctx context.Context, content []byte) (K, error), log *slog.Logger,
) (*Watched[K], error) {
	content, err := Read(path, mode)
	if err != nil {
		return nil, err
	}
	keys, err := parse(ctx, content)
	if err != nil {
		return nil, err
	}
	w := &Watched[K]{path: path, mode: mode, parse: parse, log: log, content: content}
	w.keys.Store(&keys)
	w.lookAt.Store(time.Now().Add(lookAgain).UnixNano())
	return w, nil
}

// Keys are those that the file had a second ago, or later. Nobody waits for somebody else who reads it. Who gets them must
// not change them.
func (w *Watched[K]) Keys(ctx context.Context) K {
	if time.Now().UnixNano() >= w.lookAt.Load() && w.reading.TryLock() {
		defer w.reading.Unlock()
		w.read(ctx)
	}
	return *w.keys.Load()
}

// Fresh is Keys for who misses one: the file is read now.
func (w *Watched[K]) Fresh(ctx context.Context) K {
	w.reading.Lock()
	defer w.reading.Unlock()
	w.read(ctx)
	return *w.keys.Load()
}

// read takes in what is in the file. It compares contents, since two changes can bear the same time.
func (w *Watched[K]) read(ctx context.Context) {
	w.lookAt.Store(time.Now().Add(lookAgain).UnixNano())
	content, err := Read(w.path, w.mode)
	if err == nil && w.broken == "" && bytes.Equal(content, w.content) {
		return
	}
	var keys K
	if err == nil {
		// All need the keys, not only the request that happens to read them.
		keys, err = w.parse(context.WithoutCancel(ctx), content)
	}
	if err != nil {
		if err.Error() != w.broken {
			w.log.Error("the keys cannot be read; those read last still count", "error", err)
		}
		w.broken = err.Error()
		return
	}
	w.content, w.broken = content, ""
	w.keys.Store(&keys)
	w.log.Info("read the keys", "file", w.path)
}
