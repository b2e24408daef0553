// Package certificate makes TLS configurations from files, and follows the files: a certificate that is renewed is used from
// the next connection on, without a restart. It knows nothing of who serves or calls.
package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookAgain is how long files are believed to be as they were.
const lookAgain = time.Second

// Files are where certificates are, as PEM. None of them is needed.
type Files struct {
	// Cert has the own certificate, and after it those of the authorities between it and a root. Key has its key.
	Cert, Key string
	// CA has the authorities that the other side's certificate has to be from.
	CA string
}

// Check tells whether the files fit each other.
func (f Files) Check() error {
	if (f.Cert == "") != (f.Key == "") {
		return errors.New("a certificate and its key are needed together")
	}
	_, err := f.load()
	return err
}

// Server is for a listener that shows Cert. With CA it accepts only callers that show a certificate from there. It is nil
// if files is empty. All of our callers know TLS 1.3, so there is nothing older.
func Server(files Files, logger *slog.Logger) (*tls.Config, error) {
	if files.Cert == "" && files.Key == "" && files.CA == "" {
		return nil, nil //nolint:nilnil // no TLS is wanted
	}
	if files.Cert == "" {
		return nil, errors.New("without a certificate there is no TLS, and callers cannot show theirs")
	}
	w, err := watch(files, logger)
	if err != nil {
		return nil, err
	}
	// What counts is the configuration that the function returns; net/http wants to know of HTTP/2 from this one.
	return &tls.Config{
		NextProtos:         protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.now().server, nil },
	}, nil
}

// protocols are what HTTP servers offer.
var protocols = []string{"h2", "http/1.1"}

// Client is for callers that show Cert, if there is one, to whom shows a certificate from CA, or without CA from an authority
// that the system trusts. CA is read once.
func Client(files Files, logger *slog.Logger) (*tls.Config, error) {
	w, err := watch(files, logger)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, // whom we call may be older than we are
		RootCAs:    w.loaded.authorities,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if cert := w.now().certificate; cert != nil {
				return cert, nil
			}
			return &tls.Certificate{}, nil // none is shown
		},
	}, nil
}

// Self is for a caller on the same machine as the server, who has the server's own certificate: it believes that one only,
// whatever names are in it, and shows it.
func Self(files Files) (*tls.Config, error) {
	own, err := files.load()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own.certificate},
		InsecureSkipVerify: true, // names do not count: nobody is called but who has the key of this very certificate
		VerifyConnection: func(s tls.ConnectionState) error {
			if !bytes.Equal(s.PeerCertificates[0].Raw, own.certificate.Certificate[0]) {
				return fmt.Errorf("the certificate shown is not that of %s", files.Cert)
			}
			return nil
		},
	}, nil
}

// loaded is what the files have.
type loaded struct {
	certificate *tls.Certificate
	authorities *x509.CertPool
	// server is one and the same until something changes, and a new one then: sessions of callers that would not be
	// accepted any more cannot be resumed with it.
	server *tls.Config
}

// load reads the files.
func (f Files) load() (*loaded, error) {
	l := &loaded{}
	if f.Cert != "" || f.Key != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with key %s: %w", f.Cert, f.Key, err)
		}
		l.certificate = &pair
		l.server = &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: protocols, Certificates: []tls.Certificate{pair}}
	}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		l.authorities = x509.NewCertPool()
		if !l.authorities.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities: there is no certificate in %s", f.CA)
		}
		if l.server != nil {
			l.server.ClientCAs, l.server.ClientAuth = l.authorities, tls.RequireAndVerifyClientCert
		}
	}
	return l, nil
}

// watched are files that are read again when they have changed.
type watched struct {
	files  Files
	logger *slog.Logger

	mu     sync.Mutex
	loaded *loaded
	stamp  string
	lookAt time.Time
}

func watch(files Files, logger *slog.Logger) (*watched, error) {
	if err := files.Check(); err != nil {
		return nil, err
	}
	w := &watched{files: files, logger: logger, stamp: files.stamp(), lookAt: time.Now().Add(lookAgain)}
	var err error
	w.loaded, err = files.load()
	return w, err
}

// stamp changes when a file does.
func (f Files) stamp() (stamp string) {
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		if info, err := os.Stat(path); err == nil {
			stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
		}
	}
	return stamp
}

// now is what the files have now. While they cannot be read, as between the renewal of one and of the other, what was read
// last counts on.
func (w *watched) now() *loaded {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.lookAt) {
		return w.loaded
	}
	w.lookAt = time.Now().Add(lookAgain)
	stamp := w.files.stamp()
	if stamp == w.stamp {
		return w.loaded
	}
	w.stamp = stamp
	fresh, err := w.files.load()
	if err != nil {
		w.logger.Error("certificates have changed and cannot be read; the old ones are used", "error", err)
		return w.loaded
	}
	w.logger.Info("certificates have changed", "certificate", w.files.Cert, "authorities", w.files.CA)
	w.loaded = fresh
	return fresh
}
