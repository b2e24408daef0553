package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Imported counts the rows of an import: new ones, changed ones, and unchanged ones.
type Imported struct{ Added, Changed, Same int }

// Add adds more to the counts.
func (i *Imported) Add(more Imported) {
	i.Added += more.Added
	i.Changed += more.Changed
	i.Same += more.Same
}

// Import identifies a catalog and its author.
type Import struct {
	// Digest is the catalog's SHA-256 in hex.
	Digest string
	By     string
	At     time.Time
}

// Note writes the import into the table imports, if it made a difference.
func (i Import) Note(ctx context.Context, tx *sql.Tx, made Imported) error {
	if made.Added+made.Changed == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO imports (digest, imported_at, imported_by, added, changed) VALUES ($1, $2, $3, $4, $5)`,
		i.Digest, i.At.UnixMilli(), i.By, made.Added, made.Changed)
	if err != nil {
		return fmt.Errorf("note the import: %w", err)
	}
	return nil
}

// Put writes a row by an INSERT or, if it exists, an UPDATE that changes it only if it differs. Both take args, and
// report their effect.
func Put(ctx context.Context, tx *sql.Tx, insert, update string, args ...any) (Imported, error) {
	added, err := Changed(ctx, tx, insert+" ON CONFLICT DO NOTHING", args...)
	if err != nil {
		return Imported{}, err
	}
	if added {
		return Imported{Added: 1}, nil
	}
	changed, err := Changed(ctx, tx, update, args...)
	if err != nil {
		return Imported{}, err
	}
	if changed {
		return Imported{Changed: 1}, nil
	}
	return Imported{Same: 1}, nil
}
