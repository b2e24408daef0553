// Package payload decides how what sagas carry is kept with Temporal: inputs, results, memos, summaries and failures. It knows
// how they are encrypted, with which keys, and nothing of what is in them.
package payload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	commonpb "go.temporal.io/api/common/v1"
)

// Codec keeps payloads in another form. Both ways return new payloads and change none that they are given; Decode leaves one
// that Encode did not make as it is, so that what was kept before is still understood. A Codec may be used from several
// goroutines.
type Codec interface {
	Encode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error)
	Decode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error)
}

// ErrUnreadable is what errors of a [Codec] wrap if a payload cannot be decoded, and trying again will not help.
var ErrUnreadable = errors.New("payload cannot be read")

// Config says how payloads are kept. The zero value keeps them as they are.
type Config struct {
	// KeyFile is the file of the keys that payloads are encrypted with.
	KeyFile string
	// KMS is what the keys in the file are wrapped by, see [OpenKMS]; empty if the file has them as they are.
	KMS string
	// Logger is told when the file changes, or cannot be read.
	Logger *slog.Logger
}

// Check refuses what only a [Cipher] can decode, for processes that have none.
func Check(payloads []*commonpb.Payload) error {
	for _, p := range payloads {
		if isEncrypted(p) {
			return fmt.Errorf("%w: it is encrypted, and there is no file of payload keys here", ErrUnreadable)
		}
	}
	return nil
}

// Open is the codec that the configuration asks for, nil if payloads are kept as they are.
func Open(ctx context.Context, c Config) (Codec, error) {
	if c.KeyFile == "" {
		if c.KMS != "" {
			return nil, errors.New("a KMS for payload keys without a file of keys: which keys?")
		}
		return nil, nil //nolint:nilnil // payloads are kept as they are
	}
	kms, err := OpenKMS(c.KMS)
	if err != nil {
		return nil, err
	}
	return OpenCipher(ctx, KeyFile{Path: c.KeyFile, KMS: kms}, c.Logger)
}
