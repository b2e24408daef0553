//go:build !unix

package pgserver

import (
	"fmt"
	"syscall"
)

type account struct{}

func serverUser() (account, error) {
	return account{}, fmt.Errorf("%w that can be started on this system", ErrNotInstalled)
}

func (account) own(...string) error { return nil }

func (account) attributes() *syscall.SysProcAttr { return nil }
