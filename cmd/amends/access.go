package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/amends-dev/amends/internal/access"
)

// accessFlags say who may call the API. Without any of them it does not start.
type accessFlags struct {
	KeysFile string      `help:"File of the API keys; amends keys makes and revokes them." env:"AMENDS_KEYS_FILE" type:"path" placeholder:"FILE"`
	OIDC     issuerFlags `embed:"" prefix:"oidc-" envprefix:"AMENDS_OIDC_"`
	NoAuth   bool        `help:"Let everybody who reaches the API do everything. Only at a loopback address." env:"AMENDS_NO_AUTH"`
}

type issuerFlags struct {
	Issuer      string   `help:"URL of the OpenID Connect issuer whose tokens are good." env:"ISSUER" placeholder:"URL"`
	Audience    string   `help:"What has to be in its tokens' aud." env:"AUDIENCE"`
	RoleClaim   string   `help:"Claim with the role, or with a list that has it." default:"amends_role" env:"ROLE_CLAIM"`
	TenantClaim string   `help:"Claim with the tenant." default:"amends_tenant" env:"TENANT_CLAIM"`
	NameClaim   string   `help:"Claim with the caller's name, which has to be stable and unique." default:"sub" env:"NAME_CLAIM"`
	Algorithms  []string `help:"How its tokens may be signed." default:"RS256,ES256" env:"ALGORITHMS"`
}

// authenticator knows the callers of an API that listens at addr.
func (f *accessFlags) authenticator(p *process, addr string) (access.Authenticator, error) {
	switch {
	case f.NoAuth && (f.KeysFile != "" || f.OIDC.Issuer != ""):
		return access.Authenticator{}, errors.New("--no-auth with --keys-file or --oidc-issuer: which one is meant?")
	case f.NoAuth && !isLoopback(addr):
		return access.Authenticator{}, fmt.Errorf("--no-auth at %s: everybody who reaches it could do everything. Listen at 127.0.0.1, or use --keys-file", addr)
	case f.NoAuth:
		return access.Open(), nil
	case f.KeysFile == "" && f.OIDC.Issuer == "":
		return access.Authenticator{}, errors.New("who may call? Make a key with `amends keys create` and name its file with --keys-file, " +
			"or name an --oidc-issuer, or, on your own machine, say --no-auth")
	}
	var keys *access.KeyRing
	var issuer *access.Issuer
	var err error
	if f.KeysFile != "" {
		if keys, err = access.OpenKeyRing(p.ctx, f.KeysFile, p.logger); err != nil {
			return access.Authenticator{}, err
		}
	}
	if f.OIDC.Issuer != "" {
		if issuer, err = access.NewIssuer(access.IssuerOptions{
			URL: f.OIDC.Issuer, Audience: f.OIDC.Audience, RoleClaim: f.OIDC.RoleClaim, TenantClaim: f.OIDC.TenantClaim,
			NameClaim: f.OIDC.NameClaim, Algorithms: f.OIDC.Algorithms, Logger: p.logger,
		}); err != nil {
			return access.Authenticator{}, err
		}
	}
	return access.New(keys, issuer), nil
}

// isLoopback tells whether only this machine reaches what listens there.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
