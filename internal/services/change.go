package services

import (
	"context"
	"strings"

	"github.com/amends-dev/amends/internal/services/store"
)

// Change is what the database of a service lacks, or got: its tables, by the names of the migrations, and rights.
type Change struct {
	Service string
	What    []string
}

// Pending says what Open would change in the databases of the named services, and changes nothing.
func Pending(ctx context.Context, c Config) ([]Change, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, name := range c.Names {
		what, err := store.Pending(ctx, c.store(), name, kindOf(name).migrations)
		if err != nil {
			return nil, err
		}
		changes = appendChange(changes, name, what)
	}
	return changes, nil
}

// Changes says what Open changed.
func (h *Host) Changes() []Change {
	var changes []Change
	for _, s := range h.services {
		changes = appendChange(changes, s.name, s.db.Migrated)
	}
	return changes
}

func (c Change) String() string { return "service " + c.Service + ": " + strings.Join(c.What, ", ") }

func appendChange(changes []Change, service string, what []string) []Change {
	if len(what) == 0 {
		return changes
	}
	return append(changes, Change{service, what})
}
