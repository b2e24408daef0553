// Package payload decides how what sagas carry is kept with Temporal: inputs, results, memos, summaries and failures. It knows
// how they are encrypted, with which keys, and where the large ones are; it knows nothing of what is in them.
package payload

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

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

// Check refuses payloads that have not been decoded, since the process lacks what that takes.
func Check(payloads []*commonpb.Payload) error {
	for _, p := range payloads {
		switch {
		case isEncrypted(p):
			return fmt.Errorf("%w: it is encrypted, and there is no file of payload keys here", ErrUnreadable)
		case isClaim(p):
			return fmt.Errorf("%w: it is in a store of payloads, and there is none here", ErrUnreadable)
		}
	}
	return nil
}

// Config says how payloads are kept. The zero value keeps them as they are.
type Config struct {
	// KeyFile is the file of the keys that payloads are encrypted with.
	KeyFile string
	// KMS is what the keys in the file are wrapped by, see [OpenKMS]; empty if the file has them as they are.
	KMS string
	// Store is where payloads of more than StoreAbove bytes are kept, see [OpenStore]; empty for with Temporal.
	Store      string
	StoreAbove int
	// Logger is told when the file changes, or cannot be read.
	Logger *slog.Logger
}

// Open is the codec that the configuration asks for, nil if payloads are kept as they are. What is stored is encrypted first.
func Open(ctx context.Context, c Config) (Codec, error) {
	if c.KeyFile == "" && c.KMS != "" {
		return nil, errors.New("a KMS for payload keys without a file of keys: which keys?")
	}
	var layers layers
	if c.KeyFile != "" {
		kms, err := OpenKMS(c.KMS)
		if err != nil {
			return nil, err
		}
		cipher, err := OpenCipher(ctx, KeyFile{Path: c.KeyFile, KMS: kms}, c.Logger)
		if err != nil {
			return nil, err
		}
		layers = append(layers, cipher)
	}
	if c.Store != "" {
		store, err := OpenStore(ctx, c.Store)
		if err != nil {
			return nil, err
		}
		layers = append(layers, NewClaims(store, c.StoreAbove))
	}
	if layers == nil {
		return nil, nil //nolint:nilnil // payloads are kept as they are
	}
	return layers, nil
}

// Encrypts tells whether the codec hides what is in payloads.
func Encrypts(c Codec) bool {
	switch c := c.(type) {
	case *Cipher:
		return true
	case layers:
		return slices.ContainsFunc(c, Encrypts)
	}
	return false
}

// layers are codecs of which each encodes what the one before it made.
type layers []Codec

// Encode implements [Codec].
func (l layers) Encode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	var err error
	for _, codec := range l {
		if payloads, err = codec.Encode(ctx, payloads); err != nil {
			return nil, err
		}
	}
	return payloads, nil
}

// Decode implements [Codec].
func (l layers) Decode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	var err error
	for _, codec := range slices.Backward(l) {
		if payloads, err = codec.Decode(ctx, payloads); err != nil {
			return nil, err
		}
	}
	return payloads, Check(payloads)
}
