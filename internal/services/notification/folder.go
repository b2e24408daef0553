package notification

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const extension = ".eml"

// deliver makes content the file called name in dir, at once and to stay: whoever looks sees all of
// it or none, also after a power cut. A file of that name is replaced.
func deliver(dir, name string, content []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// One key is worked on by one caller at a time, so nobody else writes this temporary file; what a
	// crash leaves of it is overwritten by the repeat.
	temporary := filepath.Join(dir, name+".tmp")
	if err := writeSynced(temporary, content); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncFolder(dir)
}

func writeSynced(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncFolder makes a rename last. Systems whose folders cannot be synced do it themselves.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrInvalid) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// delivered names the mails in dir, without their extension. A folder that is not there has none.
func delivered(dir string) (map[string]bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		if name, isMail := strings.CutSuffix(e.Name(), extension); isMail {
			names[name] = true
		}
	}
	return names, nil
}
