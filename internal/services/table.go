package services

import (
	"context"
	"embed"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/amends-dev/amends/internal/services/audit"
	"github.com/amends-dev/amends/internal/services/fraud"
	"github.com/amends-dev/amends/internal/services/inventory"
	"github.com/amends-dev/amends/internal/services/invoicing"
	"github.com/amends-dev/amends/internal/services/loyalty"
	"github.com/amends-dev/amends/internal/services/notification"
	"github.com/amends-dev/amends/internal/services/payment"
	"github.com/amends-dev/amends/internal/services/pricing"
	"github.com/amends-dev/amends/internal/services/shipping"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/vouchers"
)

// service is what the host needs of a step service.
type service interface {
	// Routes registers the service's steps, by paths without the service's own prefix.
	Routes(mux *http.ServeMux)
	// Audit recomputes the books from the service's own rows, in one snapshot.
	Audit(ctx context.Context) (audit.Report, error)
	// Steps names the steps that Routes registers.
	Steps() []string
}

// kind is one of the services that there are: the one place where they are all listed.
type kind struct {
	name       string
	migrations embed.FS
	open       func(db *store.DB, c Config) (service, error)
}

var table = []kind{
	{"pricing", pricing.Migrations, plain(pricing.New)},
	{"fraud", fraud.Migrations, plain(fraud.New)},
	{"inventory", inventory.Migrations, plain(inventory.New)},
	{"vouchers", vouchers.Migrations, plain(vouchers.New)},
	{"loyalty", loyalty.Migrations, plain(loyalty.New)},
	{"payment", payment.Migrations, plain(payment.New)},
	{"shipping", shipping.Migrations, plain(shipping.New)},
	{"invoicing", invoicing.Migrations, plain(invoicing.New)},
	{"notification", notification.Migrations, func(db *store.DB, c Config) (service, error) {
		return notification.New(db, filepath.Join(c.Dir, "mails")), nil
	}},
}

// Names are the services that there are, in the order in which an order meets them.
var Names = namesOf(table)

func namesOf(kinds []kind) []string {
	names := make([]string, 0, len(kinds))
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// kindOf is the one of that name, which is among [Names].
func kindOf(name string) kind { return table[slices.Index(Names, name)] }

// plain opens a service that needs its database only.
func plain[S service](construct func(*store.DB) S) func(*store.DB, Config) (service, error) {
	return func(db *store.DB, _ Config) (service, error) { return construct(db), nil }
}
