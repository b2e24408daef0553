package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

var errNoBlock = errors.New("no line says where the latest table begins and ends")

// WriteDocument replaces the block of the file at path that holds what make target measured last: what is between two
// comments that say so.
func WriteDocument(path, target, block string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err = replaceBlock(text, target, block)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, text, info.Mode())
}

func replaceBlock(text []byte, target, block string) ([]byte, error) {
	begin := "<!-- Written by make " + target + ": begin -->\n"
	end := "<!-- Written by make " + target + ": end -->\n"
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
