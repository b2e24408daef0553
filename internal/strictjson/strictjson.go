// Package strictjson decodes JSON that is acted upon. encoding/json ignores the case of names and lets the last of
// several win, so one text can mean two things: one to a person or to another decoder, another to us. Here such a text is
// an error. The package knows the standard library only.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
)

// Unmarshal decodes the one JSON value in data into v as [json.Unmarshal] does. It refuses fields that v does not have,
// anything after the value, and everything that [CheckNames] refuses.
func Unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return CheckNames(data, v)
}

// CheckNames returns an error if an object in data has a name twice, or two names that encoding/json takes for one field of
// v, or of what v points to, since they differ in case only. Data must be a JSON value that encoding/json can decode.
func CheckNames(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return value(d, reflect.TypeOf(v))
}

// value reads the next value, which is decoded into a t; nil if the type is not known.
func value(d *json.Decoder, t reflect.Type) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	t = bare(t)
	switch token {
	case json.Delim('{'):
		err = object(d, t)
	case json.Delim('['):
		var element reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			element = t.Elem()
		}
		for err == nil && d.More() {
			err = value(d, element)
		}
	default:
		return nil
	}
	if err == nil {
		_, err = d.Token() // the closing bracket
	}
	return err
}

func object(d *json.Decoder, t reflect.Type) error {
	var fields map[string]reflect.Type
	var element reflect.Type
	if t != nil && t.Kind() == reflect.Struct {
		fields = fieldsOf(t)
	}
	if t != nil && t.Kind() == reflect.Map {
		element = t.Elem()
	}
	seen := map[string]string{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the grammar allows nothing else
		means, inner := name, element
		if field, ok := fields[fold(name)]; ok {
			means, inner = fold(name), field
		}
		switch before, twice := seen[means]; {
		case twice && before == name:
			return fmt.Errorf("the name %q stands twice in one object", name)
		case twice:
			return fmt.Errorf("the names %q and %q mean one field", before, name)
		}
		seen[means] = name
		if err := value(d, inner); err != nil {
			return err
		}
	}
	return nil
}

// bare returns t without pointers; nil if only t's own decoder knows how to read its JSON.
func bare(t reflect.Type) reflect.Type {
	for t != nil {
		if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

// fieldsOf returns the types of the fields of t that JSON can name, by their folded names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	addFields(fields, t, map[reflect.Type]bool{})
	return fields
}

func addFields(fields map[string]reflect.Type, t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	var embedded []reflect.Type
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Tag.Get("json") == "-":
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case !f.IsExported():
		default:
			if name == "" {
				name = f.Name
			}
			if _, has := fields[fold(name)]; !has {
				fields[fold(name)] = f.Type
			}
		}
	}
	for _, inner := range embedded {
		addFields(fields, inner, seen)
	}
}

// fold returns the same text for names that encoding/json takes for each other.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}
