package access

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/amends-dev/amends/internal/keyfile"
)

// keyFile is the file that keys are kept in.
type keyFile struct {
	Keys map[string]Key `toml:"keys"`
}

const keyFileHead = "# API keys of Amends, by their ID. `amends keys` writes this file, and keeps no comments.\n\n"

// parseKeys reads a file's content. Its errors begin with path, and with the line where TOML tells it.
func parseKeys(path string, content []byte) (map[string]Key, error) {
	var file keyFile
	if err := keyfile.Decode(path, content, &file); err != nil {
		return nil, err
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

// ListKeys returns the keys in the file, the oldest first.
func ListKeys(path string) ([]Key, error) {
	content, err := keyfile.Read(path, keyfile.Unwritable)
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
	return keyfile.Change(ctx, path, keyfile.Unwritable, func(content []byte) ([]byte, error) {
		keys, err := parseKeys(path, content)
		if err != nil {
			return nil, err
		}
		if keys == nil {
			keys = map[string]Key{} // there is no file, or it is empty
		}
		if err := change(keys); err != nil {
			return nil, err
		}
		text := bytes.NewBufferString(keyFileHead)
		if err := toml.NewEncoder(text).Encode(keyFile{Keys: keys}); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		return text.Bytes(), nil
	})
}
