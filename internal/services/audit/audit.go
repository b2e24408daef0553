// Package audit is the form in which a step service says whether its books balance: figures that it
// recomputed from its own rows, and a sentence for everything that does not fit. It knows no
// service's tables.
package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Report is the answer of GET /<service>/audit.
type Report struct {
	Service string `json:"service"`
	// Balanced is true when there are no findings.
	Balanced bool `json:"balanced"`
	// Figures are counts and sums by name; sums of money are in minor units. Those named open, or
	// open_…, count effects that are neither undone nor final.
	Figures map[string]int64 `json:"figures"`
	// Findings say, a sentence each, what does not fit; never null.
	Findings []string `json:"findings"`
}

// Books collects figures and checks into a [Report]. It reads through one transaction, which should
// be a snapshot, and remembers the first error: later calls do nothing, [Books.Report] returns it.
type Books struct {
	tx     *sql.Tx
	report Report
	err    error
}

// Open starts the audit of service, which reads through tx.
func Open(tx *sql.Tx, service string) *Books {
	return &Books{tx: tx, report: Report{
		Service: service, Figures: make(map[string]int64), Findings: []string{},
	}}
}

// Figure reports value under name.
func (b *Books) Figure(name string, value int64) {
	b.report.Figures[name] = value
}

// Count runs a query that yields one number, reports it under name and returns it. No row and NULL
// are 0.
func (b *Books) Count(ctx context.Context, name, query string, args ...any) int64 {
	value := b.Number(ctx, query, args...)
	if b.err == nil {
		b.Figure(name, value)
	}
	return value
}

// Number is [Books.Count] without reporting the figure.
func (b *Books) Number(ctx context.Context, query string, args ...any) int64 {
	if b.err != nil {
		return 0
	}
	var value sql.NullInt64
	err := b.tx.QueryRowContext(ctx, query, args...).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		b.err = fmt.Errorf("audit %s: %w", b.report.Service, err)
	}
	return value.Int64
}

// Counts runs a query that yields rows of a name and a number, and reports each under prefix+name.
func (b *Books) Counts(ctx context.Context, prefix, query string, args ...any) map[string]int64 {
	values := make(map[string]int64)
	b.Rows(ctx, query, args, func(rows *sql.Rows) error {
		var name string
		var value int64
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		values[name] = value
		b.Figure(prefix+name, value)
		return nil
	})
	return values
}

// Each runs a query whose rows are what must not be: one finding for each, the row's single text
// column after what, as in "stock below zero: TEA-SENCHA".
func (b *Books) Each(ctx context.Context, what, query string, args ...any) {
	b.Rows(ctx, query, args, func(rows *sql.Rows) error {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		b.Check(false, "%s: %s", what, text)
		return nil
	})
}

// Check adds a finding, formatted as by [fmt.Sprintf], unless ok.
func (b *Books) Check(ok bool, format string, args ...any) {
	if !ok {
		b.report.Findings = append(b.report.Findings, fmt.Sprintf(format, args...))
	}
}

// Equal adds a finding unless both numbers, which what names, are the same.
func (b *Books) Equal(what string, left, right int64) {
	b.Check(left == right, "%s: %d is not %d", what, left, right)
}

// Report ends the audit. It returns the first error that a query met, and then no report: books
// that could not be read are neither balanced nor unbalanced.
func (b *Books) Report() (Report, error) {
	if b.err != nil {
		return Report{}, b.err
	}
	b.report.Balanced = len(b.report.Findings) == 0
	return b.report, nil
}

// Rows calls each for every row of a query.
func (b *Books) Rows(ctx context.Context, query string, args []any, each func(*sql.Rows) error) {
	if b.err != nil {
		return
	}
	rows, err := b.tx.QueryContext(ctx, query, args...)
	if err == nil {
		defer rows.Close() // Err below says whether reading failed
		for err == nil && rows.Next() {
			err = each(rows)
		}
		if err == nil {
			err = rows.Err()
		}
	}
	if err != nil {
		b.err = fmt.Errorf("audit %s: %w", b.report.Service, err)
	}
}
