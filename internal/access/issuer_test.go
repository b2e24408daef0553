package access_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/access"
)

// issuer is an OpenID Connect issuer on this machine.
type issuer struct {
	server *httptest.Server

	mu   sync.Mutex
	keys []jose.JSONWebKey
	// down lets every answer be 500, keysDown those about the keys.
	down, keysDown bool
	// asked counts the requests by their path.
	asked map[string]int
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{asked: map[string]int{}}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[r.URL.Path]++
	isKeys := r.URL.Path == "/keys"
	if i.down || i.keysDown && isKeys {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	var body any = map[string]any{
		"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys",
		// Not to be trusted: we say which algorithms are good.
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	}
	if isKeys {
		public := jose.JSONWebKeySet{}
		for _, k := range i.keys {
			public.Keys = append(public.Keys, k.Public())
		}
		body = public
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}

// times is how often that path was asked for.
func (i *issuer) times(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// configuration is where the issuer says where its keys are.
const configuration = "/.well-known/openid-configuration"

// set changes the issuer while nobody asks it.
func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func newSigner(t *testing.T, id string, alg jose.SignatureAlgorithm) jose.JSONWebKey {
	t.Helper()
	var key crypto.Signer
	var err error
	if alg == jose.ES256 {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(t, err)
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(alg), Use: "sig"}
}

func sign(t *testing.T, key any, alg jose.SignatureAlgorithm, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

func (i *issuer) claims(changes map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.server.URL, "aud": "amends", "sub": "auth0|grace", "exp": time.Now().Add(time.Hour).Unix(),
		"amends_role": "operator", "amends_tenant": "acme",
	}
	maps.Copy(c, changes)
	return c
}

func (i *issuer) open(t *testing.T, o access.IssuerOptions) access.Authenticator {
	t.Helper()
	o.URL, o.Audience, o.Logger = i.server.URL, "amends", slog.New(slog.DiscardHandler)
	known, err := access.NewIssuer(o)
	require.NoError(t, err)
	return access.New(nil, known)
}

func caller(t *testing.T, a access.Authenticator, token string) (access.Caller, error) {
	t.Helper()
	return a.Authenticate(t.Context(), "Bearer "+token)
}

var grace = access.Caller{Name: "auth0|grace", Tenant: "acme", Role: access.Operator, How: access.ByToken}

func TestToken(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	rs, es, stranger := newSigner(t, "k1", jose.RS256), newSigner(t, "k2", jose.ES256), newSigner(t, "k1", jose.RS256)
	i.keys = []jose.JSONWebKey{rs, es}
	a := i.open(t, access.IssuerOptions{})

	for _, key := range i.keys {
		c, err := caller(t, a, sign(t, key, jose.SignatureAlgorithm(key.Algorithm), i.claims(nil)))
		require.NoError(t, err)
		require.Equal(t, grace, c)
	}

	public, err := x509.MarshalPKIXPublicKey(rs.Public().Key)
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	payload, err := json.Marshal(i.claims(nil))
	require.NoError(t, err)
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."

	for name, token := range map[string]string{
		"another audience":        sign(t, rs, jose.RS256, i.claims(map[string]any{"aud": "shop"})),
		"another issuer":          sign(t, rs, jose.RS256, i.claims(map[string]any{"iss": "https://issuer.example"})),
		"expired":                 sign(t, rs, jose.RS256, i.claims(map[string]any{"exp": time.Now().Add(-time.Second).Unix()})),
		"without an end":          sign(t, rs, jose.RS256, i.claims(map[string]any{"exp": nil})),
		"not yet":                 sign(t, rs, jose.RS256, i.claims(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()})),
		"unsigned":                unsigned,
		"signed with our key":     sign(t, stranger, jose.RS256, i.claims(nil)),
		"HMAC of the public key":  sign(t, jose.JSONWebKey{Key: publicPEM, KeyID: "k1"}, jose.HS256, i.claims(nil)),
		"another algorithm":       sign(t, jose.JSONWebKey{Key: rs.Key, KeyID: "k1"}, jose.PS256, i.claims(nil)),
		"cut off":                 sign(t, rs, jose.RS256, i.claims(nil))[:200],
		"no token":                "what?",
		"no role":                 sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_role": nil})),
		"an unknown role":         sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_role": "root"})),
		"unknown roles":           sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_role": []string{"root"}})),
		"a role that is no text":  sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_role": 7})),
		"no tenant":               sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_tenant": nil})),
		"an unusable tenant":      sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_tenant": "a' OR '1'='1"})),
		"a tenant that is a list": sign(t, rs, jose.RS256, i.claims(map[string]any{"amends_tenant": []string{"acme"}})),
		"no name":                 sign(t, rs, jose.RS256, i.claims(map[string]any{"sub": nil})),
		"an unusable name":        sign(t, rs, jose.RS256, i.claims(map[string]any{"sub": "gr\nace"})),
	} {
		_, err := caller(t, a, token)
		require.ErrorIs(t, err, access.ErrInvalid, name)
	}
}

func TestTokenClaims(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	key := newSigner(t, "k1", jose.PS256)
	i.keys = []jose.JSONWebKey{key}
	a := i.open(t, access.IssuerOptions{
		RoleClaim: "roles", TenantClaim: "org", NameClaim: "email", Algorithms: []string{"PS256"},
	})

	c, err := caller(t, a, sign(t, key, jose.PS256, i.claims(map[string]any{
		"roles": []string{"viewer", "payroll", "admin", "starter"}, "org": "globex", "email": "grace@example.com",
	})))
	require.NoError(t, err)
	require.Equal(t, access.Caller{Name: "grace@example.com", Tenant: "globex", Role: access.Admin, How: access.ByToken}, c)
}

func TestIssuerExchangesItsKeys(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	before, after := newSigner(t, "k1", jose.RS256), newSigner(t, "k2", jose.RS256)
	i.keys = []jose.JSONWebKey{before}
	a := i.open(t, access.IssuerOptions{})
	old, now := sign(t, before, jose.RS256, i.claims(nil)), sign(t, after, jose.RS256, i.claims(nil))
	_, err := caller(t, a, old)
	require.NoError(t, err)

	i.set(func() { i.keys = []jose.JSONWebKey{after} })
	// The library shares a request for keys with those who come a moment after its answer, too.
	var c access.Caller
	require.Eventually(t, func() bool {
		c, err = caller(t, a, now)
		return err == nil
	}, 20*time.Second, time.Millisecond)
	require.Equal(t, grace, c)
	require.Eventually(t, func() bool {
		_, err = caller(t, a, old)
		return err != nil
	}, 20*time.Second, time.Millisecond)
	require.ErrorIs(t, err, access.ErrInvalid)
	require.Equal(t, 1, i.times(configuration))
}

// A key that the issuer withdraws stops to count, though no other one is in use.
func TestIssuerWithdrawsAKey(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	key := newSigner(t, "k1", jose.RS256)
	i.keys = []jose.JSONWebKey{key}
	a := i.open(t, access.IssuerOptions{KeysFor: 200 * time.Millisecond})
	token := sign(t, key, jose.RS256, i.claims(nil))
	_, err := caller(t, a, token)
	require.NoError(t, err)

	i.set(func() { i.down = true })
	require.Never(t, func() bool {
		_, err := caller(t, a, token)
		return err != nil
	}, 400*time.Millisecond, 50*time.Millisecond, "while the issuer is away, the keys known before count")

	i.set(func() { i.down, i.keys = false, nil })
	require.Eventually(t, func() bool {
		_, err = caller(t, a, token)
		return err != nil
	}, 20*time.Second, 50*time.Millisecond)
	require.ErrorIs(t, err, access.ErrInvalid)
}

// Whether a token is good cannot be said while the issuer is away, and can as soon as it is back.
func TestIssuerIsAway(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	key := newSigner(t, "k1", jose.RS256)
	i.keys, i.down = []jose.JSONWebKey{key}, true
	a := i.open(t, access.IssuerOptions{})
	token := sign(t, key, jose.RS256, i.claims(nil))

	for range 20 {
		_, err := caller(t, a, token)
		require.ErrorIs(t, err, access.ErrUnavailable)
		require.NotErrorIs(t, err, access.ErrInvalid)
	}
	require.Less(t, i.times(configuration), 3, "it is not asked for each token")
	i.set(func() { i.down, i.keysDown = false, true })
	require.Eventually(t, func() bool {
		_, err := caller(t, a, token)
		return errors.Is(err, access.ErrUnavailable) && i.times("/keys") > 0
	}, 20*time.Second, 50*time.Millisecond, "its keys are asked for")

	i.set(func() { i.keysDown = false })
	require.Eventually(t, func() bool {
		_, err := caller(t, a, token)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
}

// Tokens with keys that nobody knows do not flood the issuer.
func TestUnknownKeysAreAskedForSlowly(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	i.keys = []jose.JSONWebKey{newSigner(t, "k1", jose.RS256)}
	a := i.open(t, access.IssuerOptions{})
	stranger := newSigner(t, "k2", jose.RS256)
	token := sign(t, stranger, jose.RS256, i.claims(nil))

	began := time.Now()
	for i.times("/keys") < 7 { // a token that comes a moment after an answer shares it
		_, err := caller(t, a, token)
		require.ErrorIs(t, err, access.ErrInvalid)
	}
	require.Greater(t, time.Since(began), 2*time.Second, "the issuer was asked 8 times; 5 go at once, then one a second")
}

func TestIssuerOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]access.IssuerOptions{
		"it has to be an https URL": {URL: "http://issuer.example", Audience: "amends"},
		"audience is missing":       {URL: "https://issuer.example"},
		"algorithm HS256":           {URL: "https://issuer.example", Audience: "amends", Algorithms: []string{"RS256", "HS256"}},
		"algorithm none":            {URL: "https://issuer.example", Audience: "amends", Algorithms: []string{"none"}},
		"parse":                     {URL: "https://issuer.example/%", Audience: "amends"},
	} {
		_, err := access.NewIssuer(o)
		require.ErrorContains(t, err, want)
	}
}

// A request that nobody waits for any more does not spoil the answer for others.
func TestIssuerIsAskedForAll(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	key := newSigner(t, "k1", jose.RS256)
	i.keys = []jose.JSONWebKey{key}
	var log bytes.Buffer
	known, err := access.NewIssuer(access.IssuerOptions{
		URL: i.server.URL, Audience: "amends", Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	gone, leave := context.WithCancel(t.Context())
	leave()

	_, err = access.New(nil, known).Authenticate(gone, "Bearer "+sign(t, key, jose.RS256, i.claims(nil)))
	require.ErrorIs(t, err, access.ErrUnavailable)
	require.Equal(t, 1, i.times(configuration))
	require.Empty(t, log.String())
	_, err = caller(t, access.New(nil, known), sign(t, key, jose.RS256, i.claims(nil)))
	require.NoError(t, err)
}
