package payload

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/amends-dev/amends/internal/keyfile"
)

// Key is a payload key as it is listed: everything but its secret.
type Key struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Replaced is when another key became the active one instead, nil if that has not happened: whatever it encrypted is older.
	Replaced *time.Time `json:"replaced,omitempty"`
	State    KeyState   `json:"state"`
}

// KeyState is what a key is used for.
type KeyState string

// The states of a key.
const (
	// KeyStaged: it encrypts nothing yet, so that every process can learn of it first.
	KeyStaged KeyState = "staged"
	// KeyActive: what is new is encrypted with it. One key is.
	KeyActive KeyState = "active"
	// KeyReplaced: it decrypts what it has encrypted.
	KeyReplaced KeyState = "replaced"
)

// KeyFile is the file that payload keys are kept in. Without a KMS it has the keys themselves, and only its owner and their
// group may read it.
type KeyFile struct {
	Path string
	KMS  KMS
}

// content is what is in the file.
type content struct {
	Active string               `toml:"active"`
	Keys   map[string]storedKey `toml:"keys"`
}

// storedKey has either the key itself or what the KMS made of it.
type storedKey struct {
	Created  time.Time  `toml:"created"`
	Replaced *time.Time `toml:"replaced,omitempty"`
	Secret   string     `toml:"secret,omitempty"`
	Wrapped  string     `toml:"wrapped,omitempty"`
}

const contentHead = "# Keys that payloads are encrypted with, by their ID. `amends payload-keys` writes this file, and keeps no comments.\n\n"

// ring is the keys of a file, ready for use.
type ring struct {
	active  string
	secrets map[string][]byte
}

var usableID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (f KeyFile) mode() keyfile.Mode {
	if f.KMS != nil {
		return keyfile.Unwritable
	}
	return keyfile.Secret
}

func (f KeyFile) decode(raw []byte) (content, error) {
	var c content
	if err := keyfile.Decode(f.Path, raw, &c); err != nil {
		return content{}, err
	}
	for id, k := range c.Keys {
		if err := f.check(id, k); err != nil {
			return content{}, fmt.Errorf("%s: key %s: %w", f.Path, id, err)
		}
	}
	if _, ok := c.Keys[c.Active]; !ok && len(c.Keys) > 0 {
		return content{}, fmt.Errorf("%s: active is %q, which is none of its keys", f.Path, c.Active)
	}
	return c, nil
}

func (f KeyFile) check(id string, k storedKey) error {
	switch {
	case !usableID.MatchString(id):
		return errors.New("an ID has 1 to 63 letters, digits and . _ -, the first a letter or a digit")
	case (k.Secret == "") == (k.Wrapped == ""):
		return errors.New("it needs either secret or wrapped")
	case k.Wrapped != "" && f.KMS == nil:
		return errors.New("it is wrapped by a KMS: which one? Say so with --payload-kms")
	}
	return nil
}

// parser reads the keys. A key that the KMS has unwrapped once is remembered.
func (f KeyFile) parser() func(context.Context, []byte) (ring, error) {
	unwrapped := map[string][]byte{}
	return func(ctx context.Context, raw []byte) (ring, error) {
		c, err := f.decode(raw)
		if err != nil {
			return ring{}, err
		}
		if c.Active == "" {
			return ring{}, fmt.Errorf("%s has no keys: make one with `amends payload-keys rotate`", f.Path)
		}
		r := ring{active: c.Active, secrets: map[string][]byte{}}
		for id, k := range c.Keys {
			secret, known := unwrapped[k.Wrapped]
			if !known {
				if secret, err = f.secretOf(ctx, k); err != nil {
					return ring{}, fmt.Errorf("%s: key %s: %w", f.Path, id, err)
				}
			}
			if len(secret) != keySize {
				return ring{}, fmt.Errorf("%s: key %s: it has %d bytes instead of %d", f.Path, id, len(secret), keySize)
			}
			if k.Wrapped != "" {
				unwrapped[k.Wrapped] = secret
			}
			r.secrets[id] = secret
		}
		return r, nil
	}
}

func (f KeyFile) secretOf(ctx context.Context, k storedKey) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(cmp.Or(k.Secret, k.Wrapped))
	if err != nil {
		return nil, errors.New("not in base64") // what the decoder says would show a part of it
	}
	if k.Secret != "" {
		return raw, nil
	}
	secret, err := f.KMS.Unwrap(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("unwrap it: %w", err)
	}
	return secret, nil
}

// List returns the keys in the file, the newest first.
func (f KeyFile) List() ([]Key, error) {
	raw, err := keyfile.Read(f.Path, f.mode())
	if err != nil {
		return nil, err
	}
	c, err := f.decode(raw)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(c.Keys))
	for id := range c.Keys {
		keys = append(keys, c.key(id))
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return keys, nil
}

func (c content) key(id string) Key {
	k := c.Keys[id]
	key := Key{ID: id, Created: k.Created, Replaced: k.Replaced, State: KeyReplaced}
	switch {
	case id == c.Active:
		key.State = KeyActive
	case k.Replaced == nil:
		key.State = KeyStaged
	}
	return key
}

// Stage adds a new key to the file, which it makes if there is none. The key encrypts nothing until it is activated, unless it
// is the first.
func (f KeyFile) Stage(ctx context.Context) (Key, error) {
	return f.add(ctx, false)
}

// Rotate adds a new key to the file, which it makes if there is none, and activates it.
func (f KeyFile) Rotate(ctx context.Context) (Key, error) {
	return f.add(ctx, true)
}

func (f KeyFile) add(ctx context.Context, activate bool) (Key, error) {
	id, secret := "p"+strings.ToLower(rand.Text()[:10]), make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	made := storedKey{Created: now()}
	if f.KMS == nil {
		made.Secret = base64.StdEncoding.EncodeToString(secret)
	} else {
		wrapped, err := f.KMS.Wrap(ctx, secret)
		if err != nil {
			return Key{}, fmt.Errorf("wrap a payload key: %w", err)
		}
		made.Wrapped = base64.StdEncoding.EncodeToString(wrapped)
	}
	return f.change(ctx, id, func(c *content) error {
		c.Keys[id] = made
		if activate || c.Active == "" {
			c.activate(id)
		}
		return nil
	})
}

// Activate has the key encrypt whatever is new. Doing so twice changes nothing.
func (f KeyFile) Activate(ctx context.Context, id string) (Key, error) {
	return f.change(ctx, id, func(c *content) error {
		if _, ok := c.Keys[id]; !ok {
			return fmt.Errorf("%s has no key %q", f.Path, id)
		}
		c.activate(id)
		return nil
	})
}

func (c *content) activate(id string) {
	if id == c.Active {
		return
	}
	if old, ok := c.Keys[c.Active]; ok {
		at := now()
		old.Replaced = &at
		c.Keys[c.Active] = old
	}
	active := c.Keys[id]
	active.Replaced = nil
	c.Active, c.Keys[id] = id, active
}

// Retire takes the key out of the file. Nobody can read what it encrypted any more.
func (f KeyFile) Retire(ctx context.Context, id string) (Key, error) {
	var retired Key
	_, err := f.change(ctx, id, func(c *content) error {
		_, ok := c.Keys[id]
		switch {
		case !ok:
			return fmt.Errorf("%s has no key %q", f.Path, id)
		case id == c.Active:
			return fmt.Errorf("key %s is the active one: replace it first, with `amends payload-keys rotate`", id)
		}
		retired = c.key(id)
		delete(c.Keys, id)
		return nil
	})
	return retired, err
}

// change changes the file, and returns the key with that ID as it is then.
func (f KeyFile) change(ctx context.Context, id string, change func(*content) error) (key Key, _ error) {
	err := keyfile.Change(ctx, f.Path, f.mode(), func(raw []byte) ([]byte, error) {
		c, err := f.decode(raw)
		if err != nil {
			return nil, err
		}
		if c.Keys == nil {
			c.Keys = map[string]storedKey{}
		}
		if err := change(&c); err != nil {
			return nil, err
		}
		key = c.key(id)
		text := bytes.NewBufferString(contentHead)
		if err := toml.NewEncoder(text).Encode(c); err != nil {
			return nil, fmt.Errorf("payload keys: %w", err)
		}
		return text.Bytes(), nil
	})
	return key, err
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
