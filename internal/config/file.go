package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// File is a configuration file: a table for each command, with the command's flags as keys; what stands before all tables
// are the flags of all commands. A nil File has nothing in it.
type File struct {
	path    string
	content map[string]any
	// primitives and meta know on which line a key is.
	primitives map[string]toml.Primitive
	meta       toml.MetaData
}

// Load reads the file at path.
func Load(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	f := &File{path: path}
	if _, err := toml.Decode(string(text), &f.content); err != nil {
		var broken toml.ParseError
		if errors.As(err, &broken) {
			return nil, fmt.Errorf("%s, line %d: %s", path, broken.Position.Line, broken.Message)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if f.meta, err = toml.Decode(string(text), &f.primitives); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Path is where the file is; "" for none.
func (f *File) Path() string {
	if f == nil {
		return ""
	}
	return f.path
}

// Has tells whether the file has the table.
func (f *File) Has(table ...string) bool {
	_, ok := f.get(table).(map[string]any)
	return ok
}

// Text is the text at key; "" if there is none.
func (f *File) Text(key ...string) string {
	text, _ := f.get(key).(string)
	return text
}

// PathAt is the path at key, and if it is relative: from the file's folder. "" if there is none.
func (f *File) PathAt(key ...string) string {
	if text := f.Text(key...); text != "" {
		return f.beside(text)
	}
	return ""
}

// Secret is the secret at key, which may be a reference to a file beside this one; empty if there is none.
func (f *File) Secret(key ...string) (s Secret, err error) {
	text := f.Text(key...)
	if path, ok := strings.CutPrefix(text, reference); ok {
		text = reference + f.beside(path)
	}
	if err := s.set(text); err != nil {
		return Secret{}, fmt.Errorf("%s: %s: %w", f.where(key...), strings.Join(key, "."), err)
	}
	return s, nil
}

// Bare tells whether the text at key is a secret itself, and no reference to a file with it.
func (f *File) Bare(key ...string) bool {
	text := f.Text(key...)
	return text != "" && !strings.HasPrefix(text, reference)
}

// get is the value at key; nil if there is none.
func (f *File) get(key []string) (value any) {
	if f == nil {
		return nil
	}
	value = f.content
	for _, name := range key {
		table, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = table[name]
	}
	return value
}

// where says where key is, for messages.
func (f *File) where(key ...string) string {
	return fmt.Sprintf("%s, line %d", f.path, f.line(key))
}

// line is the line of key, which there is.
func (f *File) line(key []string) int {
	table, last := f.primitives, len(key)-1
	for _, name := range key[:last] {
		inner := map[string]toml.Primitive{}
		if f.meta.PrimitiveDecode(table[name], &inner) != nil {
			return 0 // an array of tables, which nothing of ours is
		}
		table = inner
	}
	var at toml.ParseError
	if errors.As(f.meta.PrimitiveDecode(table[key[last]], &unwanted{}), &at) {
		return at.Position.Line
	}
	return 0
}

// unwanted refuses every value. The parser tells the line of a key with an error only.
type unwanted struct{}

var errUnwanted = errors.New("unwanted")

// UnmarshalTOML implements [toml.Unmarshaler].
func (*unwanted) UnmarshalTOML(any) error { return errUnwanted }

// Keys are the names in the table, in the order of their lines.
func (f *File) Keys(table ...string) []string {
	content, _ := f.get(table).(map[string]any)
	names := make([]string, 0, len(content))
	for name := range content {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(f.line(append(slices.Clone(table), a))-f.line(append(slices.Clone(table), b)), strings.Compare(a, b))
	})
	return names
}

// beside is path, and if it is relative: from the file's folder.
func (f *File) beside(path string) string {
	if path == "" || path == "-" || strings.HasPrefix(path, "~") || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(f.path), path)
}

// ReadByOthers tells whether others than the file's owner may read it.
func ReadByOthers(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0
}
