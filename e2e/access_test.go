package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// keyring is a file of API keys, as an operator keeps it.
type keyring struct {
	t    *testing.T
	file string
}

// amends runs `amends keys`, and returns what it prints.
func (k keyring) amends(args ...string) string {
	k.t.Helper()
	c := exec.Command(binaries.amends, append([]string{"keys", "--file", k.file}, args...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	require.NoError(k.t, err, "%s", &stderr)
	return strings.TrimSpace(string(out))
}

func (k keyring) create(name, role, tenant string) string {
	k.t.Helper()
	return k.amends("create", "--name", name, "--role", role, "--tenant", tenant)
}

// TestAccess has two tenants at one API that wants to know who calls: each sees its own sagas only, each role does what it
// may, and a key that is revoked ends while the API runs.
func TestAccess(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	keys := keyring{t, filepath.Join(t.TempDir(), "keys.toml")}
	shop, other := keys.create("auth0|shop@acme.example:7/a+b-c_d.e", "starter", "acme-1.eu_x"), keys.create("kiosk", "starter", "acme-1.eu_x")
	viewer, operator := keys.create("bob", "viewer", "acme-1.eu_x"), keys.create("grace", "operator", "acme-1.eu_x")
	admin := keys.create("root", "admin", "ops")
	stranger, strangers := keys.create("shop", "starter", "globex"), keys.create("eve", "operator", "globex")
	url, p := s.startGuardedAPI(time.Hour, "--keys-file", keys.file)
	as := func(key, method, path string, body []byte, headers ...string) reply {
		t.Helper()
		return s.ask(method, url+path, body, append(headers, "Authorization", "Bearer "+key)...)
	}
	show := func(key, path string) (shown saga) {
		t.Helper()
		r := as(key, http.MethodGet, path, nil)
		require.Equal(t, http.StatusOK, r.status, "%s", r.body)
		require.NoError(t, json.Unmarshal(r.body, &shown))
		return shown
	}
	await := func(key, path string, wanted func(saga) bool) (last saga) {
		t.Helper()
		require.Eventually(t, func() bool {
			last = show(key, path)
			return wanted(last)
		}, time.Minute, 50*time.Millisecond, "%s: %+v", path, last)
		return last
	}

	review, err := json.Marshal(example(t, "orders/fraud-review.json"))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, s.ask(http.MethodPost, url+"/v1/orders", review).status)
	require.Equal(t, http.StatusForbidden, as(viewer, http.MethodPost, "/v1/orders", review).status)
	// The same key of two callers is two orders.
	named := uuid.NewString()
	place := func(key string) (path string) {
		r := as(key, http.MethodPost, "/v1/orders", review, "Idempotency-Key", named)
		require.Equal(t, http.StatusAccepted, r.status, "%s", r.body)
		return r.header.Get("Location")
	}
	ours, theirs := place(shop), place(stranger)
	require.NotEqual(t, ours, theirs)
	require.Equal(t, ours, place(shop))
	waits := func(v saga) bool { return len(v.Waits) > 0 }
	await(shop, ours, waits)
	await(stranger, theirs, waits)

	sees := func(key string, paths ...string) {
		t.Helper()
		listed := []string{}
		require.Eventually(t, func() bool {
			r := as(key, http.MethodGet, "/v1/orders", nil)
			require.Equal(t, http.StatusOK, r.status, "%s", r.body)
			var list struct{ Items []saga }
			require.NoError(t, json.Unmarshal(r.body, &list))
			listed = []string{}
			for _, item := range list.Items {
				listed = append(listed, item.Links["self"])
			}
			return len(listed) == len(paths)
		}, 10*time.Second, 50*time.Millisecond, "%q", listed) // lists follow a moment later
		require.ElementsMatch(t, paths, listed)
		for _, path := range []string{ours, theirs} {
			want := http.StatusNotFound
			for _, seen := range paths {
				if seen == path {
					want = http.StatusOK
				}
			}
			require.Equal(t, want, as(key, http.MethodGet, path, nil).status, path)
		}
	}
	sees(admin, ours, theirs)
	sees(shop, ours)
	sees(viewer, ours)
	sees(operator, ours)
	sees(other)
	sees(stranger, theirs)
	sees(strangers, theirs)

	yes := []byte(`{"approved":true}`)
	require.Equal(t, http.StatusForbidden, as(shop, http.MethodPost, ours+"/approval", yes).status, "nobody approves their own order")
	require.Equal(t, http.StatusNotFound, as(strangers, http.MethodPost, ours+"/approval", yes).status)
	require.Equal(t, http.StatusNotFound, as(other, http.MethodPost, ours+"/cancel", []byte("{}")).status)
	require.Equal(t, http.StatusAccepted, as(operator, http.MethodPost, ours+"/approval", yes).status)
	require.Equal(t, "completed", await(shop, ours, ended).State)
	require.Equal(t, http.StatusAccepted, as(stranger, http.MethodPost, theirs+"/cancel", []byte(`{"by":"Eve"}`)).status)
	require.Equal(t, "canceled by Eve (via shop)", await(strangers, theirs, ended).Cause)
	require.Contains(t, p.out.String(), "msg=act act=approve caller=key:grace by=grace role=operator tenant=acme-1.eu_x saga=order-")

	id, _, _ := strings.Cut(strings.TrimPrefix(shop, "amends_"), "_")
	keys.amends("revoke", id)
	require.Eventually(t, func() bool {
		return as(shop, http.MethodGet, ours, nil).status == http.StatusUnauthorized
	}, 10*time.Second, 50*time.Millisecond, "the key is revoked")
	require.Equal(t, http.StatusOK, as(viewer, http.MethodGet, ours, nil).status)
	// A new key of the same name is the same caller.
	renewed := keys.create("auth0|shop@acme.example:7/a+b-c_d.e", "starter", "acme-1.eu_x")
	require.Eventually(t, func() bool {
		return as(renewed, http.MethodGet, ours, nil).status == http.StatusOK
	}, 10*time.Second, 50*time.Millisecond, "the new key")
}

// http is a client that proves who it is, if the system has a key.
func (s *system) http() *http.Client {
	if s.apiKey == "" {
		return http.DefaultClient
	}
	return &http.Client{Transport: bearer(s.apiKey)}
}

// bearer sends itself with every request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}
