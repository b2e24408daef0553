package compensation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Key names the effect of one step of one saga. It is a function of the saga's ID and the step, so it is the same
// over retries, replay and reset, and undoing needs nothing else. Its text form is "order-42:ReserveStock", or
// "order-42:ReserveStock.berlin" for a step that runs once for each of several items. That form is what a service
// sees, and how a key is encoded in JSON.
type Key struct {
	// Saga is the workflow ID.
	Saga string
	// Step is the step's name.
	Step string
	// Item tells repeats of one step apart; empty for a step that runs once.
	Item string
}

// MaxKeyLength limits a key's text form, in bytes. Every service that keeps the step contract takes keys of this length.
const MaxKeyLength = 512

// MaxSagaIDLength limits the ID of a saga, in bytes, so that each of its keys fits into [MaxKeyLength], even with the
// longest step name and the longest item. Temporal itself takes workflow IDs of up to 1,000.
const MaxSagaIDLength = MaxKeyLength - len(":") - maxName - len(".") - maxName

// maxName limits the name of a step and an item, in bytes.
const maxName = 64

var (
	stepName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)
	itemName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

	errBadKey = errors.New(`a key is "<saga>:<Step>" or "<saga>:<Step>.<item>"`)
)

// String is the key's text form.
func (k Key) String() string { return k.Saga + ":" + k.label() }

// label is the key without its saga: unique within one saga.
func (k Key) label() string {
	if k.Item == "" {
		return k.Step
	}
	return k.Step + "." + k.Item
}

// ParseKey reads a key's text form.
func ParseKey(s string) (Key, error) {
	// The saga's ID is a workflow ID and may hold any character; step and item cannot hold a colon.
	colon := strings.LastIndexByte(s, ':')
	if colon < 1 {
		return Key{}, fmt.Errorf("%q: %w", s, errBadKey)
	}
	step, item, hasItem := strings.Cut(s[colon+1:], ".")
	if !stepName.MatchString(step) || (hasItem && !itemName.MatchString(item)) {
		return Key{}, fmt.Errorf("%q: %w", s, errBadKey)
	}
	return Key{Saga: s[:colon], Step: step, Item: item}, nil
}

// checkSagaID reports why a saga cannot have this ID: services would refuse its keys, for do and for undo alike.
func checkSagaID(id string) error {
	switch {
	case id == "":
		return errors.New("the saga has no ID")
	case len(id) > MaxSagaIDLength:
		return fmt.Errorf("the saga's ID has %d bytes; keys that services take leave room for %d: start it with a shorter workflow ID", len(id), MaxSagaIDLength)
	case !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("the saga's ID %q has characters that no key can have: start it with a workflow ID of printable UTF-8", id)
	}
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *Key) UnmarshalText(text []byte) (err error) {
	*k, err = ParseKey(string(text))
	return err
}
