package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

// IssuerOptions say which tokens of an OpenID Connect issuer are good, and what is read from them.
type IssuerOptions struct {
	// URL is the issuer: the tokens' `iss`, and where its configuration is found. Required; https, or http on this machine.
	URL string
	// Audience has to be in the tokens' `aud`. Required.
	Audience string
	// RoleClaim is the claim with the role: a text, or a list of texts of which the strongest role counts. Default
	// "amends_role".
	RoleClaim string
	// TenantClaim is the claim with the tenant. Default "amends_tenant".
	TenantClaim string
	// NameClaim is the claim with the caller's name. Default "sub"; another one must be as stable and as unique.
	NameClaim string
	// Algorithms are those that tokens may be signed with: asymmetric ones. Default RS256 and ES256.
	Algorithms []string
	// KeysFor is how long the issuer's keys count before it is asked again. A token with an unknown key makes it be asked
	// earlier. Default 5 minutes.
	KeysFor time.Duration
	// Logger is told when the issuer does not answer. Default [slog.Default].
	Logger *slog.Logger
}

func (o IssuerOptions) withDefaults() IssuerOptions {
	for _, d := range []struct {
		field  *string
		preset string
	}{{&o.RoleClaim, "amends_role"}, {&o.TenantClaim, "amends_tenant"}, {&o.NameClaim, "sub"}} {
		if *d.field == "" {
			*d.field = d.preset
		}
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{oidc.RS256, oidc.ES256}
	}
	if o.KeysFor == 0 {
		o.KeysFor = 5 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// asymmetric are the algorithms by which a key that checks a token cannot make one.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

func (o IssuerOptions) check() error {
	at, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return fmt.Errorf("issuer: %w", err)
	case at.Scheme != "https" && (at.Scheme != "http" || !isLoopback(at.Hostname())):
		return fmt.Errorf("issuer %s: it has to be an https URL", o.URL)
	case o.Audience == "":
		return errors.New("issuer: its tokens' audience is missing")
	}
	for _, a := range o.Algorithms {
		if !slices.Contains(asymmetric, a) {
			return fmt.Errorf("issuer: algorithm %s is not one of %v", a, asymmetric)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Issuer knows callers by the tokens that an OpenID Connect issuer signed for them. It asks the issuer when it gets a token,
// so that a process can start while the issuer is away. It may be used from several goroutines.
type Issuer struct {
	options IssuerOptions
	client  *http.Client

	known atomic.Pointer[issuerKeys]
	// asking is held by the one who asks for the configuration; it guards what follows.
	asking   sync.Mutex
	askedAt  time.Time
	askedErr error
}

// issuerKeys are the keys of the issuer, and when it said where they are.
type issuerKeys struct {
	set oidc.KeySet
	at  time.Time
}

const (
	// issuerTimeout bounds one request to the issuer.
	issuerTimeout = 5 * time.Second
	// askAgain is the pause after the issuer did not answer.
	askAgain = time.Second
)

// NewIssuer returns an error for options that cannot be.
func NewIssuer(o IssuerOptions) (*Issuer, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Issuer{options: o, client: &http.Client{
		Timeout: issuerTimeout,
		// Anybody can send tokens with keys that nobody knows, and each may make us ask for keys.
		Transport: limited{rate.NewLimiter(rate.Every(time.Second), 5)},
	}}, nil
}

// limited are requests at a limited rate.
type limited struct{ rate *rate.Limiter }

// RoundTrip implements [http.RoundTripper].
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := l.rate.Wait(r.Context()); err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(r)
}

// caller is who the token was made for.
func (i *Issuer) caller(ctx context.Context, token string) (Caller, error) {
	keys, err := i.keys(ctx)
	if err != nil {
		return Caller{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	set := &checkedSet{KeySet: keys}
	verifier := oidc.NewVerifier(i.options.URL, set, &oidc.Config{
		ClientID: i.options.Audience, SupportedSigningAlgs: i.options.Algorithms,
	})
	proved, err := verifier.Verify(ctx, token)
	switch {
	case set.unavailable != nil:
		return Caller{}, fmt.Errorf("%w: %w", ErrUnavailable, set.unavailable)
	case err != nil:
		return Caller{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c, err := i.read(proved)
	if err != nil {
		return Caller{}, fmt.Errorf("%w: token of %q: %w", ErrInvalid, proved.Subject, err)
	}
	return c, nil
}

// checkedSet notes that keys could not be had, which [oidc.IDTokenVerifier] tells as if the token were at fault.
type checkedSet struct {
	oidc.KeySet
	unavailable error
}

// VerifySignature implements [oidc.KeySet].
func (s *checkedSet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := s.KeySet.VerifySignature(ctx, token)
	// Only the failure to get the keys wraps another error.
	if errors.Unwrap(err) != nil {
		s.unavailable = err
	}
	return payload, err
}

// keys are the issuer's keys. While it does not answer, those known before count.
func (i *Issuer) keys(ctx context.Context) (oidc.KeySet, error) {
	known := i.known.Load()
	if known != nil {
		if time.Since(known.at) < i.options.KeysFor || !i.asking.TryLock() {
			return known.set, nil
		}
	} else {
		i.asking.Lock()
	}
	defer i.asking.Unlock()
	if now := i.known.Load(); now != known {
		return now.set, nil // somebody else asked meanwhile
	}
	if i.askedErr == nil || time.Since(i.askedAt) >= askAgain {
		if i.askedErr = i.ask(ctx); i.askedErr != nil {
			i.options.Logger.Warn("the issuer does not answer", "issuer", i.options.URL, "error", i.askedErr)
		}
		i.askedAt = time.Now()
	}
	if now := i.known.Load(); now != nil {
		return now.set, nil
	}
	return nil, i.askedErr
}

// ask finds out where the issuer has its keys, and begins a new set of them, without those that it withdrew.
func (i *Issuer) ask(ctx context.Context) error {
	// Others need the answer, too.
	ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), i.client), issuerTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, i.options.URL)
	if err != nil {
		return fmt.Errorf("issuer %s: %w", i.options.URL, err)
	}
	var says struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&says); err != nil {
		return fmt.Errorf("issuer %s: %w", i.options.URL, err)
	}
	i.known.Store(&issuerKeys{set: oidc.NewRemoteKeySet(ctx, says.Keys), at: time.Now()})
	return nil
}

// read finds the caller in the token's claims.
func (i *Issuer) read(token *oidc.IDToken) (Caller, error) {
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Caller{}, err
	}
	c := Caller{How: ByToken}
	var err error
	if c.Name, err = textOf(claims, i.options.NameClaim); err != nil {
		return Caller{}, err
	}
	if c.Tenant, err = textOf(claims, i.options.TenantClaim); err != nil {
		return Caller{}, err
	}
	if c.Role, err = roleOf(claims, i.options.RoleClaim); err != nil {
		return Caller{}, err
	}
	return c, c.check()
}

func textOf(claims map[string]json.RawMessage, name string) (text string, _ error) {
	if err := json.Unmarshal(claims[name], &text); err != nil {
		return "", fmt.Errorf("claim %s is missing, or no text", name)
	}
	return text, nil
}

// roleOf is the strongest role in the claim. Others' roles may be there, too, if it is a list.
func roleOf(claims map[string]json.RawMessage, name string) (Role, error) {
	var has []string
	if one, err := textOf(claims, name); err == nil {
		has = []string{one}
	} else if err := json.Unmarshal(claims[name], &has); err != nil {
		return "", fmt.Errorf("claim %s is missing, or neither a text nor a list of texts", name)
	}
	for _, r := range slices.Backward(Roles()) {
		if slices.Contains(has, string(r)) {
			return r, nil
		}
	}
	return "", fmt.Errorf("claim %s has no role of ours: %q", name, has)
}
