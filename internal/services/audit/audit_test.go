package audit_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/amends-dev/amends/internal/services/audit"
)

func begin(t *testing.T) *sql.Tx {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	// The test's context ends before its clean-up, and would roll the transaction back beside it.
	tx, err := db.BeginTx(context.WithoutCancel(t.Context()), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tx.Rollback()) })
	return tx
}

func TestBalanced(t *testing.T) {
	t.Parallel()
	b := audit.Open(begin(t), "till")
	require.Equal(t, int64(3), b.Count(t.Context(), "open", `SELECT $1 + 1`, 2))
	require.Zero(t, b.Count(t.Context(), "none", `SELECT 1 WHERE 1 = 0`))
	require.Zero(t, b.Count(t.Context(), "null", `SELECT NULL`))
	require.Equal(t, int64(9), b.Number(t.Context(), `SELECT 9`))
	require.Equal(t, map[string]int64{"EUR": 5, "USD": 6},
		b.Counts(t.Context(), "sum.", `SELECT 'EUR', 5 UNION ALL SELECT 'USD', 6`))
	b.Equal("left and right", 1, 1)
	b.Each(t.Context(), "what must not be", `SELECT 'x' WHERE 1 = 0`)

	report, err := b.Report()
	require.NoError(t, err)
	text, err := json.Marshal(report)
	require.NoError(t, err)
	require.JSONEq(t, `{"service":"till","balanced":true,
		"figures":{"open":3,"none":0,"null":0,"sum.EUR":5,"sum.USD":6},"findings":[]}`, string(text))
}

func TestFindings(t *testing.T) {
	t.Parallel()
	b := audit.Open(begin(t), "till")
	b.Check(false, "%d is odd", 3)
	b.Equal("left and right", 1, 2)
	b.Each(t.Context(), "not allowed", `SELECT 'x' UNION ALL SELECT 'y'`)

	report, err := b.Report()
	require.NoError(t, err)
	require.False(t, report.Balanced)
	require.Equal(t, []string{"3 is odd", "left and right: 1 is not 2", "not allowed: x", "not allowed: y"}, report.Findings)
}

func TestUnreadableBooksAreNotReported(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*audit.Books){
		"no table":        func(b *audit.Books) { b.Count(t.Context(), "open", `SELECT COUNT(*) FROM nothing`) },
		"not a number":    func(b *audit.Books) { b.Number(t.Context(), `SELECT 'x'`) },
		"no such columns": func(b *audit.Books) { b.Counts(t.Context(), "", `SELECT 1`) },
		"no rows":         func(b *audit.Books) { b.Each(t.Context(), "", `SELECT x FROM nothing`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := audit.Open(begin(t), "till")
			read(b)
			b.Count(t.Context(), "later", `SELECT 1`)
			_, err := b.Report()
			require.ErrorContains(t, err, "audit till: ")
		})
	}
}
