package activities

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Set is every participant's activities.
type Set struct {
	Pricing      *Pricing
	Fraud        *Fraud
	Inventory    *Inventory
	Vouchers     *Vouchers
	Loyalty      *Loyalty
	Payment      *Payment
	Shipping     *Shipping
	Invoicing    *Invoicing
	Notification *Notification
	Books        *Books
}

// Options of a [Set].
type Options struct {
	// ServicesURL is where the step services are, each under its own name. Required, such as "http://127.0.0.1:8090".
	ServicesURL string
	// URLs overrides the URL of single services by name, such as "payment".
	URLs map[string]string
	// TLS is how the services are called over https. Default: as the system does.
	TLS *tls.Config
	// Transport carries the calls, and knows TLS by itself. Default: one of its own that keeps up to 64 idle connections to each host.
	Transport http.RoundTripper
}

// New makes the activities. It fails on URLs that cannot be used.
func New(o Options) (*Set, error) {
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64
		t.IdleConnTimeout = 30 * time.Second
		if o.TLS != nil {
			t.TLSClientConfig = o.TLS
		}
		o.Transport = t
	}
	httpClient := &http.Client{
		Transport: o.Transport,
		// A redirected PUT would become a GET. Time limits are the activities'.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var errs []error
	books := &Books{}
	service := func(name string) participant {
		base, own := o.URLs[name]
		if !own {
			base = o.ServicesURL
		}
		u, err := url.Parse(base)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			errs = append(errs, fmt.Errorf("service %s: %q is no URL with http or https and a host", name, base))
			return participant{}
		}
		if !own {
			u = u.JoinPath(name)
		}
		p := participant{name: name, base: strings.TrimSuffix(u.String(), "/"), http: httpClient}
		books.participants = append(books.participants, p)
		return p
	}
	s := &Set{
		Pricing:      &Pricing{service("pricing")},
		Fraud:        &Fraud{service("fraud")},
		Inventory:    &Inventory{service("inventory")},
		Vouchers:     &Vouchers{service("vouchers")},
		Loyalty:      &Loyalty{service("loyalty")},
		Payment:      &Payment{service("payment")},
		Shipping:     &Shipping{service("shipping")},
		Invoicing:    &Invoicing{service("invoicing")},
		Notification: &Notification{service("notification")},
		Books:        books,
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// All lists everything that has activities, to be registered with a worker.
func (s *Set) All() []any {
	return []any{s.Pricing, s.Fraud, s.Inventory, s.Vouchers, s.Loyalty, s.Payment, s.Shipping, s.Invoicing, s.Notification, s.Books, &Sagas{}}
}
