package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/amends-dev/amends/fence"
)

// ledger is the table of package fence. It stands for its creation among the names of migrations.
const ledger = "step_ledger"

// Pending says what [Open] would do to the database of the service called name, and does none of it: the ledger's table and
// the migrations that are missing, and the rights that GrantTo lacks.
func Pending(ctx context.Context, c Config, name string, migrations fs.FS) (pending []string, err error) {
	if c.DSN == "" {
		_, err := os.Stat(filepath.Join(c.Dir, name+".db"))
		if errors.Is(err, fs.ErrNotExist) { // to connect would make it
			files, err := fs.Glob(migrations, "migrations/*.sql")
			return append([]string{ledger}, baseNames(files)...), err
		}
	}
	db, err := connect(ctx, c, name, migrations, func(db *DB, migrations fs.FS) (err error) {
		pending, err = db.pending(ctx, c, name, migrations)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the database of %s: %w", name, err)
	}
	return pending, db.Close()
}

func baseNames(files []string) []string {
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = path.Base(file)
	}
	return names
}

// pending lists what migrate would do, in its order. It only reads, also for those who may do no more.
func (db *DB) pending(ctx context.Context, c Config, name string, migrations fs.FS) ([]string, error) {
	var pending []string
	hasLedger, err := db.hasTable(ctx, ledger)
	if err != nil {
		return nil, err
	}
	if !hasLedger {
		pending = append(pending, ledger)
	}
	p, err := db.provider(migrations)
	if err != nil {
		return nil, err
	}
	done, err := db.done(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, m := range p.ListSources() {
		if !done[m.Version] {
			pending = append(pending, path.Base(m.Path))
		}
	}
	if c.GrantTo == "" {
		return pending, nil
	}
	lacks := len(pending) > 0 // new tables are nobody's yet
	if !lacks {
		if lacks, err = lacksRights(ctx, db.DB, name, c.GrantTo); err != nil {
			return nil, err
		}
	}
	if lacks {
		pending = append(pending, "rights of "+c.GrantTo)
	}
	return pending, nil
}

// done are the versions of the migrations that were done.
func (db *DB) done(ctx context.Context, p *goose.Provider) (map[int64]bool, error) {
	// Without its table goose would make it first, whatever it is asked.
	if has, err := db.hasTable(ctx, goose.DefaultTablename); err != nil || !has {
		return nil, err
	}
	list, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which migrations were done: %w", err)
	}
	done := make(map[int64]bool, len(list))
	for _, m := range list {
		done[m.Source.Version] = m.State == goose.StateApplied
	}
	return done, nil
}

func (db *DB) hasTable(ctx context.Context, table string) (has bool, err error) {
	query := `SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1`
	if db.Dialect == fence.PostgreSQL {
		query = `SELECT to_regclass($1) IS NOT NULL`
	}
	if err := db.QueryRowContext(ctx, query, table).Scan(&has); err != nil {
		return false, fmt.Errorf("look for the table %s: %w", table, err)
	}
	return has, nil
}

func (db *DB) provider(migrations fs.FS) (*goose.Provider, error) {
	dialect := goose.DialectSQLite3
	if db.Dialect == fence.PostgreSQL {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, db.DB, migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return p, nil
}

// migrate runs under the lock that connect took, so it sees and changes the schema alone.
func (db *DB) migrate(ctx context.Context, c Config, name string, migrations fs.FS) error {
	if db.Dialect == fence.PostgreSQL {
		if err := createSchema(ctx, db.DB, name); err != nil {
			return err
		}
	}
	if _, err := db.ExecContext(ctx, fence.Schema(db.Dialect)); err != nil {
		return fmt.Errorf("create the step ledger: %w", err)
	}
	p, err := db.provider(migrations)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if c.GrantTo == "" {
		return nil
	}
	return grant(ctx, db.DB, name, c.GrantTo)
}

// createSchema creates the schema called name unless it is there: to try takes the right to create schemas, which who only
// adds tables need not have.
func createSchema(ctx context.Context, db *sql.DB, name string) error {
	var has bool
	if err := db.QueryRowContext(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, name).Scan(&has); err != nil || has {
		return err
	}
	if _, err := db.ExecContext(ctx, "CREATE SCHEMA "+name); err != nil {
		return fmt.Errorf("create the schema: %w", err)
	}
	return nil
}
