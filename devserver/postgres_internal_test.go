package devserver

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	v12 "go.temporal.io/server/schema/postgresql/v12"
	dbschema "go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"

	"github.com/amends-dev/amends/internal/pgtest"
)

func TestPostgresSchemasAreUpgraded(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct{ main, visibility string }{
		"from before the last versions":            {main: "1.17", visibility: "1.9"},
		"from a creation that was interrupted":     {main: "0.0", visibility: ""},
		"from one schema that was already current": {main: v12.Version, visibility: "1.13"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			dsn := pgtest.DSN(t)
			conn, err := pgx.Connect(t.Context(), dsn)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
			main := postgresConfig(conn.Config(), mainSchema, 1)
			visibility := postgresConfig(conn.Config(), visibilitySchema, 1)
			createAtVersion(t, conn, main, mainSchema, "postgresql/v12/temporal", tt.main)
			createAtVersion(t, conn, visibility, visibilitySchema, "postgresql/v12/visibility", tt.visibility)

			s, err := Start(t.Context(), Options{PostgresDSN: dsn, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			require.NoError(t, s.Stop(t.Context()))

			require.Equal(t, v12.Version, version(t, main))
			require.Equal(t, v12.VisibilityVersion, version(t, visibility))
		})
	}
}

// createAtVersion makes a schema as an older server did; at version "" nothing but
// the tables for versions.
func createAtVersion(t *testing.T, conn *pgx.Conn, cfg config.SQL, schema, dir, version string) {
	t.Helper()

	_, err := conn.Exec(t.Context(), "CREATE SCHEMA "+schema)
	require.NoError(t, err)
	db, err := sqltool.NewConnection(&cfg, log.NewNoopLogger())
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.CreateSchemaVersionTables())
	if version == "" {
		return
	}
	require.NoError(t, db.UpdateSchemaVersion("0.0", "0.0"))
	if version == "0.0" {
		return
	}
	update := dbschema.UpdateConfig{SchemaName: dir, TargetVersion: version}
	require.NoError(t, dbschema.NewUpdateSchemaTask(db, &update, log.NewNoopLogger()).Run())
}

func version(t *testing.T, cfg config.SQL) string {
	t.Helper()

	db, err := sqltool.NewConnection(&cfg, log.NewNoopLogger())
	require.NoError(t, err)
	defer db.Close()
	v, err := db.ReadSchemaVersion()
	require.NoError(t, err)
	return v
}
