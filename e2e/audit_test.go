package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// audit is what a service says of its books.
type audit struct {
	Service  string           `json:"service"`
	Balanced bool             `json:"balanced"`
	Figures  map[string]int64 `json:"figures"`
	Findings []string         `json:"findings"`
}

var serviceNames = []string{
	"pricing", "fraud", "inventory", "vouchers", "loyalty", "payment", "shipping", "invoicing", "notification",
}

// requireNothingHalfDone requires, once every saga has ended, that all books balance, that nothing is held any more, and
// that just so much stands as completed sagas have done: each of them has one invoice or credit note.
func (s *system) requireNothingHalfDone() map[string]audit {
	s.t.Helper()
	audits := map[string]audit{}
	for _, name := range serviceNames {
		status, body := s.send(http.MethodGet, s.servicesURL+"/"+name+"/audit", nil)
		require.Equal(s.t, http.StatusOK, status, "%s", body)
		var a audit
		require.NoError(s.t, json.Unmarshal(body, &a))
		require.True(s.t, a.Balanced, "%s", body)
		for figure, value := range a.Figures {
			if figure == "open" || strings.HasPrefix(figure, "open_") {
				require.Zero(s.t, value, "%s: %s of %s", name, figure, body)
			}
		}
		audits[name] = a
	}
	orders, returns := audits["invoicing"].Figures["invoices"], audits["invoicing"].Figures["credit_notes"]
	for _, tt := range []struct {
		service, figure string
		want            int64
	}{
		{"pricing", "standing_quotes", orders},
		{"fraud", "standing_screenings", orders},
		{"payment", "captures", orders},
		{"shipping", "dispatched", orders},
		{"payment", "refunds", returns},
		{"shipping", "standing_returns", returns},
		{"notification", "messages", orders + returns},
	} {
		require.Equal(s.t, tt.want, audits[tt.service].Figures[tt.figure], "%s: %s of %v", tt.service, tt.figure, audits[tt.service].Figures)
	}
	return audits
}
