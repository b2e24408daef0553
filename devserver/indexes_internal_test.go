package devserver

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/pgtest"
)

// indexes tells of each index of the visibility store whether it leaves workflows out.
func indexes(t *testing.T, conn *pgx.Conn) map[string]bool {
	t.Helper()

	rows, err := conn.Query(t.Context(), `SELECT i.indexrelid::regclass::text, i.indpred IS NOT NULL
		FROM pg_index i WHERE i.indrelid = 'temporal_visibility.executions_visibility'::regclass`)
	require.NoError(t, err)
	all := make(map[string]bool)
	var (
		name    string
		partial bool
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &partial}, func() error {
		all[name] = partial
		return nil
	})
	require.NoError(t, err)
	return all
}

func TestIndexesLeaveOutWorkflowsWithoutTheAttribute(t *testing.T) {
	t.Parallel()

	dsn := pgtest.DSN(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	run := func(stock bool) {
		s, err := Start(t.Context(), Options{PostgresDSN: dsn, StockIndexes: stock, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		require.NoError(t, s.Stop(t.Context()))
	}

	run(true)
	stock := indexes(t, conn)
	require.Greater(t, len(stock), 70)
	require.NotContains(t, stock, true)

	for range 2 { // the second time there is nothing left to do
		run(false)
		thin := indexes(t, conn)
		require.Len(t, thin, len(stock))
		for name := range stock {
			require.Contains(t, thin, name, "an upgrade of the schema finds the indexes it knows")
		}
		require.True(t, thin["temporal_visibility.by_keyword_01"])
		require.True(t, thin["temporal_visibility.by_keyword_list_01"])
		require.True(t, thin["temporal_visibility.by_parent_run_id"])
		require.False(t, thin["temporal_visibility.default_idx"])
		require.False(t, thin["temporal_visibility.by_workflow_id"])
		require.False(t, thin["temporal_visibility.executions_visibility_pkey"])
	}
}

func TestSearchByAttributeUsesItsIndex(t *testing.T) {
	t.Parallel()

	dsn := pgtest.DSN(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	s, err := Start(t.Context(), Options{PostgresDSN: dsn, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, s.Stop(t.Context()))

	// One of a thousand workflows has the attributes.
	_, err = conn.Exec(t.Context(), `INSERT INTO temporal_visibility.executions_visibility
		(namespace_id, run_id, start_time, execution_time, workflow_id, workflow_type_name, status, encoding, search_attributes)
		SELECT 'n', n, now(), now(), n, 'type', 1, '', CASE WHEN n % 1000 = 0
			THEN '{"Keyword01": "parked", "Datetime01": "2026-01-02T03:04:05Z", "Int01": 3}'::jsonb END
		FROM generate_series(1, 20000) n`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "ANALYZE temporal_visibility.executions_visibility")
	require.NoError(t, err)
	for _, condition := range []string{"Keyword01 = 'parked'", "Keyword01 IN ('parked', 'lost')", "Datetime01 < now()", "Int01 BETWEEN 1 AND 5"} {
		var plan []byte
		require.NoError(t, conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) SELECT run_id FROM temporal_visibility.executions_visibility "+
			"WHERE namespace_id = 'n' AND TemporalNamespaceDivision IS NULL AND "+condition).Scan(&plan))
		require.Regexp(t, `"Index Name": "by_(keyword|datetime|int)_01"`, string(plan), condition)
	}
}
