package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	neturl "net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// issuer is an OpenID Connect issuer that signs in, without asking, whoever role says.
type issuer struct {
	t      *testing.T
	url    string
	signer jose.Signer
	key    jose.JSONWebKey

	mu sync.Mutex
	// role is in the access tokens.
	role string
	// nonces are those of the sign-ins that have begun, by their code.
	nonces map[string]string
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i := &issuer{t: t, nonces: map[string]string{}, key: jose.JSONWebKey{Key: private, KeyID: "k1", Algorithm: string(jose.ES256), Use: "sig"}}
	i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, nil)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.describe)
	mux.HandleFunc("GET /keys", i.keys)
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// signIn says as whom people are signed in from now on.
func (i *issuer) signIn(role string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.role = role
}

func (i *issuer) describe(w http.ResponseWriter, _ *http.Request) {
	i.answer(w, map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token",
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
}

func (i *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	i.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
}

func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	asked, code := r.URL.Query(), rand.Text()
	i.mu.Lock()
	i.nonces[code] = asked.Get("nonce")
	i.mu.Unlock()
	back := neturl.Values{"code": {code}, "state": {asked.Get("state")}}
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer(w, map[string]any{
		"token_type": "Bearer", "expires_in": 3600,
		"access_token": i.sign(map[string]any{"aud": "temporal", "amends_role": i.role, "amends_tenant": "default"}),
		"id_token":     i.sign(map[string]any{"aud": "temporal-ui", "nonce": i.nonces[r.FormValue("code")], "name": "Grace", "email": "grace@desk.example"}),
	})
}

func (i *issuer) sign(claims map[string]any) string {
	claims["iss"], claims["sub"], claims["iat"], claims["exp"] = i.url, "grace", time.Now().Unix(), time.Now().Add(time.Hour).Unix()
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	signed, err := i.signer.Sign(text)
	if err != nil {
		panic(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

func (i *issuer) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}
