// Package access tells who calls: it knows roles, API keys and the tokens of an OpenID Connect issuer. What a role may do is
// not its business, nor how an answer looks.
package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Role is what a caller may do, in one word.
type Role string

// The roles, from the weakest to the strongest.
const (
	// Starter starts sagas, and sees and steers its own.
	Starter Role = "starter"
	// Viewer reads everything of its tenant.
	Viewer Role = "viewer"
	// Operator reads everything of its tenant, and acts on it.
	Operator Role = "operator"
	// Admin does everything, in all tenants.
	Admin Role = "admin"
)

// Roles are all of them, from the weakest to the strongest.
func Roles() []Role { return []Role{Starter, Viewer, Operator, Admin} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Role) UnmarshalText(text []byte) error {
	if !slices.Contains(Roles(), Role(text)) {
		return fmt.Errorf("unknown role %q: it is starter, viewer, operator or admin", text)
	}
	*r = Role(text)
	return nil
}

// How says by what a caller proved itself.
type How string

const (
	// ByKey is an API key.
	ByKey How = "key"
	// ByToken is a token of the OpenID Connect issuer.
	ByToken How = "oidc"
	// Unproved is a caller of a system that is open to everyone.
	Unproved How = "none"
)

// DefaultTenant is whose sagas are where nobody has to prove anything.
const DefaultTenant = "default"

// Caller is who calls.
type Caller struct {
	Name   string
	Tenant string
	Role   Role
	How    How
}

// ID tells callers of a tenant apart: a key and a person of the same name are two. A new key with the name of an old one is
// the same caller, so that keys can be exchanged.
func (c Caller) ID() string { return string(c.How) + ":" + c.Name }

// Names stand in logs, histories and queries. A subject of OpenID Connect is ASCII, of at most 255 characters; a search
// attribute has room for 255, of which the ID needs a few more.
var (
	usableName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@:|/+-]{0,199}$`)
	usableTenant = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
)

// check refuses names that are not usable.
func (c Caller) check() error {
	if !usableName.MatchString(c.Name) {
		return fmt.Errorf("name %q: it has 1 to 200 letters, digits and . _ @ : | / + -, the first a letter or a digit", c.Name)
	}
	if !usableTenant.MatchString(c.Tenant) {
		return fmt.Errorf("tenant %q: it has 1 to 63 letters, digits and . _ -, the first a letter or a digit", c.Tenant)
	}
	return nil
}

// Why a caller is not known. Errors of [Authenticator.Authenticate] wrap one of these; the rest of their text is for logs.
var (
	// ErrMissing: the request has no credentials of a kind that is known.
	ErrMissing = errors.New("no credentials")
	// ErrInvalid: the credentials are not, or no longer, good.
	ErrInvalid = errors.New("invalid credentials")
	// ErrUnavailable: nobody can say at the moment whether they are good.
	ErrUnavailable = errors.New("credentials cannot be checked now")
)

// Authenticator tells who a request comes from. The zero value knows nobody.
type Authenticator struct {
	keys   *KeyRing
	issuer *Issuer
	open   bool
}

// New knows callers by their API keys and by tokens of the issuer; nil for what is not in use.
func New(keys *KeyRing, issuer *Issuer) Authenticator {
	return Authenticator{keys: keys, issuer: issuer}
}

// Open takes everyone for an admin of [DefaultTenant].
func Open() Authenticator { return Authenticator{open: true} }

// Authenticate tells who sent this Authorization header (RFC 6750, section 2.1).
func (a Authenticator) Authenticate(ctx context.Context, authorization string) (Caller, error) {
	if a.open {
		return Caller{Name: "anonymous", Tenant: DefaultTenant, Role: Admin, How: Unproved}, nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Caller{}, ErrMissing
	}
	token = strings.TrimSpace(token)
	switch {
	case strings.HasPrefix(token, keyPrefix) && a.keys != nil:
		return a.keys.caller(ctx, token)
	case !strings.HasPrefix(token, keyPrefix) && a.issuer != nil:
		return a.issuer.caller(ctx, token)
	}
	return Caller{}, fmt.Errorf("%w: not of a kind that is in use here", ErrInvalid)
}
