package commandline

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// UntilInterrupted is a context that ends with parent, or with the first Ctrl-C or SIGTERM. By then another Ctrl-C or
// SIGTERM ends the process at once.
func UntilInterrupted(parent context.Context) context.Context {
	ctx, end := context.WithCancel(parent)
	signals, restore := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(signals, func() {
		// In this order: whoever sees that ctx has ended may tell people to press Ctrl-C again.
		restore()
		end()
	})
	return ctx
}
