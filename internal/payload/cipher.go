package payload

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"

	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/keyfile"
)

// What the metadata of an encrypted payload says. All of it is authenticated with the data.
const (
	metadataEncoding  = "encoding"
	encodingEncrypted = "binary/encrypted"
	metadataKeyID     = "encryption-key-id"
	metadataCipher    = "encryption-cipher"
	// cipherName names what [seal] does, so that another way can be told apart some day.
	cipherName = "AES-256-GCM+HKDF-SHA256"
)

// Sizes in bytes.
const (
	keySize  = 32
	saltSize = 16
)

// Cipher encrypts payloads, metadata included: what is seen is their number, their sizes and the ID of a key. It may be used
// from several goroutines.
type Cipher struct {
	keys *keyfile.Watched[ring]
}

// OpenCipher encrypts with the active key of the file, and decrypts with any that is in it. The file is read again when it has
// changed.
func OpenCipher(ctx context.Context, file KeyFile, log *slog.Logger) (*Cipher, error) {
	keys, err := keyfile.Watch(ctx, file.Path, file.mode(), file.parser(), log)
	if err != nil {
		return nil, err
	}
	return &Cipher{keys}, nil
}

// Encode implements [Codec].
func (c *Cipher) Encode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	keys := c.keys.Keys(ctx)
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := proto.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		data, err := seal(keys.secrets[keys.active], keys.active, plain)
		if err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
		out[i] = &commonpb.Payload{Data: data, Metadata: map[string][]byte{
			metadataEncoding: []byte(encodingEncrypted),
			metadataKeyID:    []byte(keys.active),
			metadataCipher:   []byte(cipherName),
		}}
	}
	return out, nil
}

// Decode implements [Codec].
func (c *Cipher) Decode(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	keys := c.keys.Keys(ctx)
	out := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if !isEncrypted(p) {
			out[i] = p
			continue
		}
		id := string(p.GetMetadata()[metadataKeyID])
		if name := string(p.GetMetadata()[metadataCipher]); name != cipherName {
			return nil, fmt.Errorf("%w: it is encrypted by %q, which is not known here", ErrUnreadable, name)
		}
		secret, ok := keys.secrets[id]
		if !ok {
			keys = c.keys.Fresh(ctx) // it may be newer than what was read last
			if secret, ok = keys.secrets[id]; !ok {
				return nil, fmt.Errorf("%w: its key %q is not in the file of payload keys", ErrUnreadable, id)
			}
		}
		plain, err := open(secret, id, p.GetData())
		if err != nil {
			return nil, fmt.Errorf("%w: it was not encrypted with key %q, or was changed since: %w", ErrUnreadable, id, err)
		}
		out[i] = &commonpb.Payload{}
		if err := proto.Unmarshal(plain, out[i]); err != nil {
			return nil, fmt.Errorf("%w: what is encrypted is no payload: %w", ErrUnreadable, err)
		}
	}
	return out, nil
}

func isEncrypted(p *commonpb.Payload) bool {
	return string(p.GetMetadata()[metadataEncoding]) == encodingEncrypted
}

// seal encrypts with AES-256-GCM and a random nonce. A key is good for 2³² random nonces, which a busy cluster uses up in days,
// so each payload has a key of its own: HKDF-Expand (RFC 5869) of the secret and a random salt. The result is salt, nonce,
// ciphertext and tag.
func seal(secret []byte, id string, plain []byte) ([]byte, error) {
	sealed := make([]byte, saltSize, saltSize+len(plain)+overhead)
	_, _ = rand.Read(sealed) // never fails
	aead, err := aeadOf(secret, sealed)
	if err != nil {
		return nil, err
	}
	return aead.Seal(sealed, nil, plain, additionalData(id)), nil
}

// overhead is what nonce and tag add.
const overhead = 12 + 16

func open(secret []byte, id string, sealed []byte) ([]byte, error) {
	if len(sealed) < saltSize+overhead {
		return nil, fmt.Errorf("%d bytes are too few", len(sealed))
	}
	aead, err := aeadOf(secret, sealed[:saltSize])
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed[saltSize:], additionalData(id))
}

func aeadOf(secret, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, secret, "amends payload "+string(salt), keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// additionalData is the metadata that nobody must change. No part of it can have a zero byte but the ID, which is the last.
func additionalData(id string) []byte {
	return []byte(encodingEncrypted + "\x00" + cipherName + "\x00" + id)
}
