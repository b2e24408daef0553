package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// keyPrefix begins every API key, so that a leaked one is found by searching for it.
const keyPrefix = "amends_"

// Key is an API key as it is kept: everything but its secret.
type Key struct {
	ID     string `json:"id" toml:"-"`
	Name   string `json:"name" toml:"name"`
	Tenant string `json:"tenant" toml:"tenant"`
	Role   Role   `json:"role" toml:"role"`
	// Secret is the hash of the secret.
	Secret  Digest    `json:"-" toml:"secret_sha256"`
	Created time.Time `json:"created" toml:"created"`
	// Expires is when it stops being good, nil for never; Revoked is when somebody took it back.
	Expires *time.Time `json:"expires,omitempty" toml:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty" toml:"revoked,omitempty"`
}

// Digest is a SHA-256. A slow hash would be of no use: it is there for secrets that can be guessed, and these have 256
// random bits.
type Digest [sha256.Size]byte

// MarshalText implements [encoding.TextMarshaler].
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Digest) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("not a SHA-256 in %d hexadecimal digits", hex.EncodedLen(len(d)))
	}
	copy(d[:], raw)
	return nil
}

// KeyState is where a key stands.
type KeyState string

// The states of a key. Only an active one is good.
const (
	KeyActive  KeyState = "active"
	KeyExpired KeyState = "expired"
	KeyRevoked KeyState = "revoked"
)

// State is where the key stands at that time.
func (k Key) State(now time.Time) KeyState {
	switch {
	case k.Revoked != nil:
		return KeyRevoked
	case k.Expires != nil && !now.Before(*k.Expires):
		return KeyExpired
	}
	return KeyActive
}

func (k Key) holder() Caller { return Caller{Name: k.Name, Tenant: k.Tenant, Role: k.Role, How: ByKey} }

func (k Key) check() error {
	switch {
	case k.Role == "":
		return errors.New("role is missing")
	case k.Secret == Digest{}:
		return errors.New("secret_sha256 is missing")
	}
	return k.holder().check()
}

// lowerBase32 can be typed, and selected by a double click.
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func randomText(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails
	return lowerBase32.EncodeToString(raw)
}

// newKey gives the key an ID and a secret, and returns the text that its holder sends: amends_<id>_<secret>.
func newKey(k Key) (Key, string) {
	secret := randomText(32)
	k.ID, k.Secret = randomText(5), sha256.Sum256([]byte(secret))
	return k, keyPrefix + k.ID + "_" + secret
}

// match returns an [ErrInvalid] unless that is the key's secret, and the key is good. The comparison takes as long
// wherever the two differ.
func (k Key) match(secret string, now time.Time) error {
	digest := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(digest[:], k.Secret[:]) != 1 {
		return fmt.Errorf("%w: key %s with another secret", ErrInvalid, k.ID)
	}
	if state := k.State(now); state != KeyActive {
		return fmt.Errorf("%w: key %s of %s is %s", ErrInvalid, k.ID, k.Name, state)
	}
	return nil
}

// splitKey is the ID and the secret of a key's text.
func splitKey(text string) (id, secret string) {
	id, secret, _ = strings.Cut(strings.TrimPrefix(text, keyPrefix), "_")
	return id, secret
}
