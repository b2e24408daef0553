package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/amends-dev/amends/internal/certificate"
	"github.com/amends-dev/amends/internal/config"
)

// listenTLS is how a listener proves itself.
type listenTLS struct {
	Cert     string `help:"File with the certificate to serve HTTPS with, as PEM, followed by those between it and a root. It is read again when it changes. Default: plain HTTP." env:"CERT" type:"path" placeholder:"FILE"`
	Key      string `help:"File with the certificate's key." env:"KEY" type:"path" placeholder:"FILE"`
	ClientCA string `help:"File with authorities. Only callers that show a certificate from one of them are let in." name:"client-ca" env:"CLIENT_CA" type:"path" placeholder:"FILE"`
}

func (f *listenTLS) files() certificate.Files {
	return certificate.Files{Cert: f.Cert, Key: f.Key, CA: f.ClientCA}
}

// config is nil for plain HTTP.
func (f *listenTLS) config(p *process) (*tls.Config, error) {
	return certificate.Server(f.files(), p.logger)
}

func (f *listenTLS) check(r *report) {
	_, err := certificate.Server(f.files(), slog.New(slog.DiscardHandler))
	r.add("", err)
	r.certificate(f.files())
}

// callTLS is how a caller proves itself, and whom it believes.
type callTLS struct {
	CA   string `help:"File with the authorities that the other side's certificate has to be from. Default: the system's." name:"ca" env:"CA" type:"path" placeholder:"FILE"`
	Cert string `help:"File with the certificate to show to the other side, if it wants one. It is read again when it changes." env:"CERT" type:"path" placeholder:"FILE"`
	Key  string `help:"File with the certificate's key." env:"KEY" type:"path" placeholder:"FILE"`
}

func (f *callTLS) files() certificate.Files {
	return certificate.Files{Cert: f.Cert, Key: f.Key, CA: f.CA}
}

func (f *callTLS) config(logger *slog.Logger) (*tls.Config, error) {
	return certificate.Client(f.files(), logger)
}

func (f *callTLS) check(r *report) {
	r.add("", f.files().Check())
	r.certificate(f.files())
}

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// certificate tells of a certificate that has ended or soon will, and of a key that others may read.
func (r *report) certificate(files certificate.Files) {
	if files.Check() != nil || files.Cert == "" {
		return
	}
	if config.ReadByOthers(files.Key) {
		r.warn("", "others may read the key %s: chmod 600 it", files.Key)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return // it changes right now
	}
	switch end := pair.Leaf.NotAfter; {
	case time.Now().After(end):
		r.add("", fmt.Errorf("the certificate %s ended at %s", files.Cert, clock(end)))
	case time.Now().Add(soon).After(end):
		r.warn("", "the certificate %s ends at %s", files.Cert, clock(end))
	}
}
