package payload

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/amends-dev/amends/internal/keyfile"
)

// KMS keeps the key that payload keys are wrapped by, such as a cloud's key management service. It is asked when a key is made
// and when a process meets one for the first time, never for a payload. Unwrap undoes Wrap, also of what was wrapped before the
// KMS changed its own key, and fails for anything else.
type KMS interface {
	Wrap(ctx context.Context, key []byte) (wrapped []byte, err error)
	Unwrap(ctx context.Context, wrapped []byte) (key []byte, err error)
}

// OpenKMS is the KMS at a URL: `file:///etc/amends/master.key` is a [MasterKey], `exec:///usr/local/bin/kms` a [Program], and
// "" none at all.
func OpenKMS(at string) (KMS, error) {
	if at == "" {
		return nil, nil //nolint:nilnil // the keys are not wrapped
	}
	u, err := url.Parse(at)
	if err != nil || u.Host != "" || !filepath.IsAbs(u.Path) || u.RawQuery != "" {
		return nil, fmt.Errorf("KMS %q: it is file:///PATH or exec:///PATH", at)
	}
	switch u.Scheme {
	case "file":
		return MasterKey{u.Path}, nil
	case "exec":
		return Program{u.Path}, nil
	}
	return nil, fmt.Errorf("KMS %q: it is file:///PATH or exec:///PATH", at)
}

// MasterKey is a KMS in a file: 32 random bytes in base64, such as `openssl rand -base64 32` makes. The keys that it wraps may
// then lie where more people can read them.
type MasterKey struct{ Path string }

// masterID stands in what a master key wraps, where a payload has its key's ID.
const masterID = "master"

// Wrap implements [KMS].
func (m MasterKey) Wrap(_ context.Context, key []byte) ([]byte, error) {
	master, err := m.read()
	if err != nil {
		return nil, err
	}
	return seal(master, masterID, key)
}

// Unwrap implements [KMS].
func (m MasterKey) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	master, err := m.read()
	if err != nil {
		return nil, err
	}
	key, err := open(master, masterID, wrapped)
	if err != nil {
		return nil, fmt.Errorf("it was not wrapped by %s: %w", m.Path, err)
	}
	return key, nil
}

func (m MasterKey) read() ([]byte, error) {
	text, err := keyfile.Read(m.Path, keyfile.Secret)
	if err != nil {
		return nil, err
	}
	master, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(master) != keySize {
		return nil, fmt.Errorf("%s: it has to be %d bytes in base64", m.Path, keySize)
	}
	return master, nil
}

// programLimit is how long a [Program] may take.
const programLimit = 30 * time.Second

// Program is a KMS behind a program: it is called as `PROGRAM wrap` or `PROGRAM unwrap`, reads base64 from its standard input
// and writes base64 to its standard output. A status other than 0 is a failure, which its standard error explains.
type Program struct{ Path string }

// Wrap implements [KMS].
func (p Program) Wrap(ctx context.Context, key []byte) ([]byte, error) {
	return p.call(ctx, "wrap", key)
}

// Unwrap implements [KMS].
func (p Program) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	return p.call(ctx, "unwrap", wrapped)
}

func (p Program) call(ctx context.Context, act string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, act)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(base64.StdEncoding.EncodeToString(in)), &complaint
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", p.Path, act, err, strings.TrimSpace(complaint.String()))
	}
	out, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(out) == 0 {
		return nil, errors.New(p.Path + " " + act + ": its answer is not base64")
	}
	return out, nil
}
