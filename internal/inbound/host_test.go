package inbound_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/inbound"
)

// A listener on this machine only does not serve pages whose name points here.
func TestOnlyLocalNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		addr, host string
		served     bool
	}{
		{"127.0.0.1:8090", "127.0.0.1:8090", true},
		{"127.0.0.1:8090", "localhost:8090", true},
		{"127.0.0.1:8090", "localhost", true},
		{"127.0.0.1:8090", "LocalHost.:8090", true},
		{"127.0.0.1:8090", "amends.localhost:8090", true},
		{"127.0.0.1:8090", "127.0.1.1:8090", true},
		{"[::1]:8090", "[::1]:8090", true},
		{"[::1]:8090", "[::1]", true},
		{"localhost:8090", "[::ffff:127.0.0.1]:8090", true},
		{"127.0.0.1:8090", "evil.example:8090", false},
		{"127.0.0.1:8090", "127.0.0.1.evil.example:8090", false},
		{"127.0.0.1:8090", "evillocalhost:8090", false},
		{"127.0.0.1:8090", "localhost.evil.example", false},
		{"127.0.0.1:8090", "192.0.2.1:8090", false},
		{"127.0.0.1:8090", "0.0.0.0:8090", false},
		{"127.0.0.1:8090", "", false},
		{"[::1]:8090", "evil.example", false},
		{"localhost:8090", "evil.example", false},
		{"0.0.0.0:8090", "evil.example", true},
		{":8090", "evil.example", true},
		{"192.0.2.1:8090", "evil.example", true},
	} {
		t.Run(tt.addr+" as "+tt.host, func(t *testing.T) {
			t.Parallel()
			h := inbound.OnlyLocalNames(tt.addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if tt.served {
				require.Equal(t, http.StatusNoContent, w.Code)
			} else {
				require.Equal(t, http.StatusMisdirectedRequest, w.Code)
			}
		})
	}
}
