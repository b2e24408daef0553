package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/amends-dev/amends/api"
)

// auditLog is where acts of people are written down.
func (c *apiFlags) auditLog(p *process) (*api.AuditLog, error) {
	if c.AuditLog == "" {
		return api.NewAuditLog(p.logger.Handler()), nil
	}
	file := &appendedFile{path: c.AuditLog}
	if _, err := file.Write(nil); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	return api.NewAuditLog(slog.NewJSONHandler(file, nil)), nil
}

// appendedFile is a file that lines are appended to. It is opened for each line, so that it can be moved away at any time, as
// logrotate does, and its lines are those of as many processes as there are.
type appendedFile struct {
	path string

	mu sync.Mutex
	// torn is set while the last line is there in part, as on a disk that was full.
	torn bool
}

func (f *appendedFile) Write(line []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if f.torn {
		if _, err := file.WriteString("\n"); err != nil {
			return 0, err
		}
		f.torn = false
	}
	n, err = file.Write(line)
	f.torn = n > 0 && n < len(line)
	return n, err
}

// checkAppend finds out whether the file can be appended to or made, and makes none.
func checkAppend(path string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if file, err = os.CreateTemp(filepath.Dir(path), ".amends-check-*"); err == nil {
			defer func() { _ = os.Remove(file.Name()) }() // it is empty, and hidden
		}
	}
	if err != nil {
		return err
	}
	return file.Close()
}
