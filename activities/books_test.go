package activities_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/activities"
)

func TestAuditBooks(t *testing.T) {
	t.Parallel()

	many := strings.Repeat(`"a row too many",`, 30)
	b := newBundle(t, func(w http.ResponseWriter, r *http.Request) {
		switch service := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/audit"); service {
		case "payment":
			_, _ = fmt.Fprint(w, `{"service":"payment","balanced":false,"figures":{"captures":1},"findings":[`+strings.TrimSuffix(many, ",")+`]}`)
		case "loyalty":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "shipping":
			_, _ = fmt.Fprint(w, `<html>`)
		case "pricing", "inventory":
			_, _ = fmt.Fprint(w, `{"balanced":true,"figures":{},"findings":[]}`)
		default:
			http.NotFound(w, r)
		}
	})

	value, err := b.ExecuteActivity(b.set.Books.AuditBooks)
	require.NoError(t, err)
	var all []activities.ServiceBooks
	require.NoError(t, value.Get(&all))

	require.Len(t, all, 5, "those without an audit keep no books")
	require.Equal(t, activities.ServiceBooks{Service: "pricing", State: activities.BooksBalanced}, all[0])
	require.Equal(t, activities.ServiceBooks{Service: "inventory", State: activities.BooksBalanced}, all[1])
	require.Equal(t, "loyalty", all[2].Service)
	require.Equal(t, activities.BooksUnknown, all[2].State)
	require.Contains(t, all[2].Error, "/loyalty/audit: status 503")
	require.Equal(t, activities.BooksUnbalanced, all[3].State)
	require.Len(t, all[3].Findings, 20)
	require.Equal(t, "a row too many", all[3].Findings[0])
	require.Equal(t, activities.BooksUnknown, all[4].State)
	require.Contains(t, all[4].Error, "/shipping/audit: invalid character")
}

// An answer that says nothing of the books is no sign that they balance, nor that they don't.
func TestAnAuditWithoutAVerdict(t *testing.T) {
	t.Parallel()
	b := newBundle(t, answering(http.StatusOK, `{"state":"fine"}`))

	value, err := b.ExecuteActivity(b.set.Books.AuditBooks)
	require.NoError(t, err)
	var all []activities.ServiceBooks
	require.NoError(t, value.Get(&all))
	require.Len(t, all, 9)
	require.Equal(t, activities.BooksUnknown, all[0].State)
	require.Contains(t, all[0].Error, "does not say whether the books balance")
}
