package payload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"

	commonpb "go.temporal.io/api/common/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Store keeps content by a name that says what is in it. Errors that another try may cure wrap [ErrUnavailable].
type Store interface {
	// Put keeps the content. It may be there already.
	Put(ctx context.Context, name string, content []byte) error
	// Get returns the content, or [ErrMissing]. If it has more than most bytes, Get returns [ErrTooLarge] without reading
	// it.
	Get(ctx context.Context, name string, most int64) ([]byte, error)
	// String is where the store is, for people.
	String() string
}

// Errors of stores.
var (
	// ErrMissing: there is no such content.
	ErrMissing = errors.New("not there")
	// ErrTooLarge: there is more content than the caller accepts.
	ErrTooLarge = errors.New("too large")
	// ErrUnavailable: the store cannot be asked at the moment.
	ErrUnavailable = errors.New("store of payloads is not available")
)

// A claim is written as the SDK's external storage does, so that Temporal's tools know it for what it is. The SDK's own is
// experimental, and helps those only who use its converters: not who reads a history or a memo.
const (
	metadataMessageType = "messageType"
	encodingJSON        = "json/protobuf"
	claimDriver         = "amends"
	claimDigest         = "sha256"
)

var claimType = string((&sdkpb.ExternalStorageReference{}).ProtoReflect().Descriptor().FullName())

// Claims puts payloads above a size into a store, and a claim with the SHA-256 of what is there in their place.
type Claims struct {
	store Store
	above int
}

// NewClaims stores payloads of more than so many bytes.
func NewClaims(store Store, above int) *Claims { return &Claims{store, above} }

// Encode implements [Codec].
func (c *Claims) Encode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		out[i] = p
		if proto.Size(p) <= c.above {
			continue
		}
		content, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("store a payload: %w", err)
		}
		name := nameOf(content)
		if err := c.store.Put(ctx, name, content); err != nil {
			return nil, fmt.Errorf("store a payload of %d bytes in %s: %w", len(content), c.store, err)
		}
		if out[i], err = claim(name, len(content)); err != nil {
			return nil, fmt.Errorf("store a payload: %w", err)
		}
	}
	return out, nil
}

// Decode implements [Codec].
func (c *Claims) Decode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		out[i] = p
		if !isClaim(p) {
			continue
		}
		var ref sdkpb.ExternalStorageReference
		if err := protojson.Unmarshal(p.GetData(), &ref); err != nil {
			return nil, fmt.Errorf("%w: what claims it cannot be read: %w", ErrUnreadable, err)
		}
		if ref.GetDriverName() != claimDriver {
			return nil, fmt.Errorf("%w: it was stored by %q, which is not known here", ErrUnreadable, ref.GetDriverName())
		}
		var err error
		if out[i], err = c.read(ctx, ref.GetClaimData()[claimDigest]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Claims) read(ctx context.Context, name string) (*commonpb.Payload, error) {
	if digest, err := hex.DecodeString(name); err != nil || len(digest) != sha256.Size {
		return nil, fmt.Errorf("%w: what claims it has no SHA-256", ErrUnreadable)
	}
	content, err := c.store.Get(ctx, name, roomOf(ctx))
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, fmt.Errorf("%w: %s in %s", ErrTooLarge, name, c.store)
	case errors.Is(err, ErrMissing):
		return nil, fmt.Errorf("%w: %s is not in %s", ErrUnreadable, name, c.store)
	case err != nil:
		return nil, fmt.Errorf("read %s from %s: %w", name, c.store, err)
	case nameOf(content) != name:
		return nil, fmt.Errorf("%w: %s in %s was changed: its SHA-256 is %s", ErrUnreadable, name, c.store, nameOf(content))
	}
	var p commonpb.Payload
	if err := proto.Unmarshal(content, &p); err != nil {
		return nil, fmt.Errorf("%w: %s in %s is no payload: %w", ErrUnreadable, name, c.store, err)
	}
	return &p, nil
}

type roomKey struct{}

// Within returns a context in which no content of more than most bytes is read from a store: decoding it fails with
// [ErrTooLarge]. Without it, everything is read.
func Within(ctx context.Context, most int64) context.Context {
	return context.WithValue(ctx, roomKey{}, most)
}

func roomOf(ctx context.Context) int64 {
	if most, ok := ctx.Value(roomKey{}).(int64); ok {
		return most
	}
	return math.MaxInt64
}

func nameOf(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

func claim(name string, size int) (*commonpb.Payload, error) {
	data, err := protojson.Marshal(&sdkpb.ExternalStorageReference{DriverName: claimDriver, ClaimData: map[string]string{claimDigest: name}})
	if err != nil {
		return nil, err
	}
	return &commonpb.Payload{
		Metadata:         map[string][]byte{metadataEncoding: []byte(encodingJSON), metadataMessageType: []byte(claimType)},
		Data:             data,
		ExternalPayloads: []*commonpb.Payload_ExternalPayloadDetails{{SizeBytes: int64(size)}},
	}, nil
}

func isClaim(p *commonpb.Payload) bool {
	m := p.GetMetadata()
	return string(m[metadataEncoding]) == encodingJSON && string(m[metadataMessageType]) == claimType
}
