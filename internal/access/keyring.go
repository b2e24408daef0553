package access

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/amends-dev/amends/internal/keyfile"
)

// KeyRing is the keys of a file as it is now. It may be used from several goroutines.
type KeyRing struct {
	file *keyfile.Watched[map[string]Key]
}

// OpenKeyRing reads the file. It is read again when keys are asked for, at most once a second: a key that was revoked is
// refused so much later at the latest. While the file cannot be read, what was in it last counts, and log is told once.
func OpenKeyRing(ctx context.Context, path string, log *slog.Logger) (*KeyRing, error) {
	parse := func(_ context.Context, content []byte) (map[string]Key, error) { return parseKeys(path, content) }
	file, err := keyfile.Watch(ctx, path, keyfile.Unwritable, parse, log)
	if err != nil {
		return nil, err
	}
	return &KeyRing{file}, nil
}

func (r *KeyRing) caller(ctx context.Context, text string) (Caller, error) {
	id, secret := splitKey(text)
	// The ID is no secret: how long looking for it takes may be known.
	k, ok := r.file.Keys(ctx)[id]
	if !ok {
		return Caller{}, fmt.Errorf("%w: there is no such key", ErrInvalid)
	}
	if err := k.match(secret, time.Now()); err != nil {
		return Caller{}, err
	}
	return k.holder(), nil
}
