package devserver

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// InUseError says that another live process uses the same state.
type InUseError struct {
	// What is the data folder or database in use.
	What string
	// Option is the field of Options that chose it.
	Option string
}

func (e *InUseError) Error() string {
	return e.What + " is in use by another server"
}

// lockDir creates dir and keeps other processes out of it until the returned
// function is called or the process ends, however it ends.
func lockDir(dir string) (unlock func(), err error) {
	// Others must not read it: it holds the payloads of every workflow.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock := flock.New(filepath.Join(dir, "temporal.lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w", dir, err)
	}
	if !locked {
		return nil, &InUseError{What: "data folder " + dir, Option: "DataDir"}
	}
	return func() { _ = lock.Unlock() }, nil
}
