package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// What is between these lines of a document is replaced.
const (
	begin = "<!-- Written by make bench: begin -->\n"
	end   = "<!-- Written by make bench: end -->\n"
)

var errNoBlock = errors.New("no line says where the latest table begins and ends")

// WriteDocument replaces the block of the file at path that holds the latest table.
func WriteDocument(path, block string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err = replaceBlock(text, block)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, text, info.Mode())
}

func replaceBlock(text []byte, block string) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(begin))
	if !ok {
		return nil, errNoBlock
	}
	_, after, ok := bytes.Cut(rest, []byte(end))
	if !ok {
		return nil, errNoBlock
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte("\n" + block + "\n"), []byte(end), after}, nil), nil
}
