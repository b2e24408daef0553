package access

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gofrs/flock"
)

// keyFile is the file that keys are kept in.
type keyFile struct {
	Keys map[string]Key `toml:"keys"`
}

const keyFileHead = "# API keys of Amends, by their ID. `amends keys` writes this file, and keeps no comments.\n\n"

// parseKeys reads a file's content. Its errors begin with path, and with the line where TOML tells it.
func parseKeys(path string, content []byte) (map[string]Key, error) {
	var file keyFile
	meta, err := toml.Decode(string(content), &file)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("%s:%d: %s", path, syntax.Position.Line, syntax.Message)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(meta.Undecoded()) > 0:
		return nil, fmt.Errorf("%s: unknown field %s", path, meta.Undecoded()[0])
	}
	for id, k := range file.Keys {
		if err := k.check(); err != nil {
			return nil, fmt.Errorf("%s: key %s: %w", path, id, err)
		}
		k.ID = id
		file.Keys[id] = k
	}
	return file.Keys, nil
}

// readKeyFile returns what is in the file. One that others may write to is refused: they could make keys for themselves.
func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("keys: others may write to %s (mode %#o): chmod 600 it", path, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return content, nil
}

// ListKeys returns the keys in the file, the oldest first.
func ListKeys(path string) ([]Key, error) {
	content, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	byID, err := parseKeys(path, content)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(byID))
	for _, k := range byID {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID)) })
	return keys, nil
}

// CreateKey adds a key for k's name, tenant and role, good until k expires, to the file, which it makes if there is none.
// The text is what the key's holder sends; nobody can find it out again.
func CreateKey(ctx context.Context, path string, k Key) (_ Key, text string, _ error) {
	if err := k.holder().check(); err != nil {
		return Key{}, "", err
	}
	now := time.Now().UTC().Truncate(time.Second)
	if k.Expires != nil && !k.Expires.After(now) {
		return Key{}, "", errors.New("the key would have expired already")
	}
	k.Created, k.Revoked = now, nil
	err := changeKeys(ctx, path, func(keys map[string]Key) error {
		for {
			k, text = newKey(k)
			if _, taken := keys[k.ID]; !taken {
				keys[k.ID] = k
				return nil
			}
		}
	})
	return k, text, err
}

// RevokeKey takes the key with that ID back, for good. Doing so twice changes nothing.
func RevokeKey(ctx context.Context, path, id string) (k Key, _ error) {
	if _, err := os.Stat(path); err != nil {
		return Key{}, fmt.Errorf("keys: %w", err)
	}
	err := changeKeys(ctx, path, func(keys map[string]Key) error {
		var ok bool
		if k, ok = keys[id]; !ok {
			return fmt.Errorf("%s has no key %q", path, id)
		}
		if k.Revoked == nil {
			now := time.Now().UTC().Truncate(time.Second)
			k.Revoked = &now
			keys[id] = k
		}
		return nil
	})
	return k, err
}

// changeKeys changes the file: as a whole, or not at all, and one change after the other.
func changeKeys(ctx context.Context, path string, change func(map[string]Key) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	lock := flock.New(path + ".lock")
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("keys: lock %s: %w", path, err)
	}
	defer func() { _ = lock.Unlock() }()

	keys := map[string]Key{}
	content, err := readKeyFile(path)
	if err == nil {
		keys, err = parseKeys(path, content)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if keys == nil {
		keys = map[string]Key{} // the file is empty
	}
	if err := change(keys); err != nil {
		return err
	}
	text := bytes.NewBufferString(keyFileHead)
	if err := toml.NewEncoder(text).Encode(keyFile{Keys: keys}); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return replaceFile(path, text.Bytes())
}

// replaceFile gives the file another content at once: whoever reads it, and whatever crashes, finds the old or the new one.
func replaceFile(path string, content []byte) (err error) {
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
