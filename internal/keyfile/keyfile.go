// Package keyfile keeps keys in a file: nobody else may tamper with it, it changes as a whole or not at all, and who holds it
// open notices when it did. What the keys are for is not its business.
package keyfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gofrs/flock"
)

// Mode is what others than its owner must not be able to do with a file.
type Mode fs.FileMode

const (
	// Unwritable is for files from which nobody learns a key: whoever could write to them would make keys for themselves.
	Unwritable Mode = 0o022
	// Secret is for files that have the keys themselves. The group may read them: a secret that Kubernetes mounts is its group's.
	Secret Mode = 0o027
)

// Read returns what is in the file, if others can do with it no more than they may.
func Read(path string, mode Mode) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	switch others := Mode(info.Mode().Perm()) & mode; {
	case others&Unwritable != 0:
		return nil, fmt.Errorf("keys: others may write to %s (mode %#o): chmod 600 it", path, info.Mode().Perm())
	case others != 0:
		return nil, fmt.Errorf("keys: others may read %s (mode %#o): chmod 600 it", path, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return content, nil
}

// Decode reads TOML into file, which has to know each of its fields. Its errors begin with path, and with the line where TOML
// tells it.
func Decode(path string, content []byte, file any) error {
	meta, err := toml.Decode(string(content), file)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: %s", path, syntax.Position.Line, syntax.Message)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	case len(meta.Undecoded()) > 0:
		return fmt.Errorf("%s: unknown field %s", path, meta.Undecoded()[0])
	}
	return nil
}

// Change gives the file the content that change makes of what is in it, nil if there is no file: as a whole, or not at all,
// and one change after the other.
func Change(ctx context.Context, path string, mode Mode, change func(content []byte) ([]byte, error)) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	lock := flock.New(path + ".lock")
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("keys: lock %s: %w", path, err)
	}
	defer func() { _ = lock.Unlock() }()

	content, err := Read(path, mode)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err = change(content)
	if err != nil {
		return err
	}
	return replace(path, content)
}

// replace gives the file another content at once: whoever reads it, and whatever crashes, finds the old or the new one.
func replace(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("keys: %w", errors.Join(err, os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
