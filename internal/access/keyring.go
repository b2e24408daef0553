package access

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// lookAgain is how old the keys may be: a key that was revoked is refused so much later at the latest.
const lookAgain = time.Second

// KeyRing is the keys of a file as it is now. It may be used from several goroutines.
type KeyRing struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	content []byte
	keys    map[string]Key
	lookAt  time.Time
	// broken is what is wrong with the file, "" if nothing.
	broken string
}

// OpenKeyRing reads the file. It is read again when keys are asked for, at most once a second; while it cannot be read, what
// was in it last counts, and log is told once.
func OpenKeyRing(path string, log *slog.Logger) (*KeyRing, error) {
	content, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(path, content)
	if err != nil {
		return nil, err
	}
	return &KeyRing{path: path, log: log, content: content, keys: keys, lookAt: time.Now().Add(lookAgain)}, nil
}

func (r *KeyRing) caller(text string) (Caller, error) {
	id, secret := splitKey(text)
	now := time.Now()
	// The ID is no secret: how long looking for it takes may be known.
	k, ok := r.key(id, now)
	if !ok {
		return Caller{}, fmt.Errorf("%w: there is no such key", ErrInvalid)
	}
	if err := k.match(secret, now); err != nil {
		return Caller{}, err
	}
	return k.holder(), nil
}

func (r *KeyRing) key(id string, now time.Time) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.lookAt) {
		r.lookAt = now.Add(lookAgain)
		r.read()
	}
	k, ok := r.keys[id]
	return k, ok
}

// read takes in what is in the file. It compares contents, since two changes can bear the same time.
func (r *KeyRing) read() {
	content, err := readKeyFile(r.path)
	if err == nil && r.broken == "" && bytes.Equal(content, r.content) {
		return
	}
	var keys map[string]Key
	if err == nil {
		keys, err = parseKeys(r.path, content)
	}
	if err != nil {
		if err.Error() != r.broken {
			r.log.Error("the keys cannot be read; those read last still count", "error", err)
		}
		r.broken = err.Error()
		return
	}
	r.content, r.keys, r.broken = content, keys, ""
	r.log.Info("read the keys", "file", r.path, "keys", len(keys))
}
