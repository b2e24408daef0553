package inbound

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// OnlyLocalNames returns a handler that refuses requests for any name but this machine's own, such as localhost and
// 127.0.0.1, if addr, host:port or [net.Addr.String] of a listener, is a loopback address; otherwise it returns next. A
// page in a browser on this machine can have its own name point here (DNS rebinding), and would send requests as if it
// were from here; over TLS its name does not match the certificate. Use it where callers need not identify themselves.
func OnlyLocalNames(addr string, next http.Handler) http.Handler {
	if !IsLocal(addr) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && !IsLocal(r.Host) {
			RefuseName(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// IsLocal reports whether a host, with a port or without, is a loopback address or a name that is one (RFC 6761, section 6.3).
func IsLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// RefuseName answers a request for a name that is not this machine's own.
func RefuseName(w http.ResponseWriter) {
	refuse(w, http.StatusMisdirectedRequest, "This is served to this machine only: ask for it as localhost.")
}
