package config

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// reference begins a secret's text that only names the file with it.
const reference = "file:"

// masked is what everybody but [Secret.Reveal] gets to see.
const masked = "***"

// Secret is a flag's value that is never shown: not when it is printed, logged, or marshaled. "file:PATH" as the flag's text
// is what stands in that file, without white space at its ends.
type Secret struct{ value string }

// NewSecret is the secret with that value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal is the value itself, for whoever has to send it.
func (s Secret) Reveal() string { return s.value }

// String implements [fmt.Stringer].
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return masked
}

// GoString implements [fmt.GoStringer].
func (s Secret) GoString() string { return s.String() }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Decode implements [kong.MapperValue].
func (s *Secret) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("secret", &text); err != nil {
		return err
	}
	return s.set(text)
}

// set takes the text as the value, or as the reference to the file with the value.
func (s *Secret) set(text string) error {
	path, ok := strings.CutPrefix(text, reference)
	if !ok {
		s.value = text
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if s.value = strings.TrimSpace(string(content)); s.value == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return nil
}
