package services

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/amends-dev/amends/internal/services/inventory"
	"github.com/amends-dev/amends/internal/services/payment"
	"github.com/amends-dev/amends/internal/services/pricing"
	"github.com/amends-dev/amends/internal/services/shipping"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/vouchers"
)

// Imported counts the effects of an import on the rows of a service.
type Imported struct {
	Service string
	store.Imported
}

// importer writes a service's part of a catalog.
type importer struct {
	service string
	write   func(ctx context.Context, tx *sql.Tx) (store.Imported, error)
}

// importers returns the importers for which the catalog has rows.
func (c Catalog) importers() (all []importer) {
	add := func(service string, rows int, write func(context.Context, *sql.Tx) (store.Imported, error)) {
		if rows > 0 {
			all = append(all, importer{service, write})
		}
	}
	var prices []pricing.Price
	var receipts []inventory.Receipt
	for _, a := range c.Articles {
		for _, p := range a.Prices {
			prices = append(prices, pricing.Price{SKU: a.SKU, Price: p})
		}
		for _, s := range a.Stock {
			receipts = append(receipts, inventory.Receipt{Receipt: s.receipt(), SKU: a.SKU, Warehouse: s.Warehouse, Quantity: s.Quantity})
		}
	}
	// Every writer takes rows of stock by SKU, so that no two wait for each other in a circle.
	slices.SortFunc(receipts, func(a, b inventory.Receipt) int {
		return cmp.Or(strings.Compare(a.SKU, b.SKU), strings.Compare(a.Warehouse, b.Warehouse), strings.Compare(a.Receipt, b.Receipt))
	})
	add("pricing", len(prices), func(ctx context.Context, tx *sql.Tx) (store.Imported, error) { return pricing.Import(ctx, tx, prices) })
	var warehouses []inventory.Warehouse
	for _, w := range c.Warehouses {
		warehouses = append(warehouses, inventory.Warehouse{Warehouse: w.Name, TakesReturns: w.TakesReturns})
	}
	add("inventory", len(warehouses)+len(receipts), func(ctx context.Context, tx *sql.Tx) (store.Imported, error) {
		return inventory.Import(ctx, tx, warehouses, receipts)
	})
	var codes []vouchers.Voucher
	for _, v := range c.Vouchers {
		codes = append(codes, vouchers.Voucher(v))
	}
	add("vouchers", len(codes), func(ctx context.Context, tx *sql.Tx) (store.Imported, error) { return vouchers.Import(ctx, tx, codes) })
	var cards []payment.Card
	for _, card := range c.Cards {
		cards = append(cards, payment.Card(card))
	}
	add("payment", len(cards), func(ctx context.Context, tx *sql.Tx) (store.Imported, error) { return payment.Import(ctx, tx, cards) })
	carriers, countries := c.shipping()
	add("shipping", len(c.Carriers), func(ctx context.Context, tx *sql.Tx) (store.Imported, error) {
		return shipping.Import(ctx, tx, carriers, countries)
	})
	return all
}

func (c Catalog) shipping() (carriers []shipping.Carrier, countries []shipping.Country) {
	for _, k := range c.Carriers {
		if k.Price != nil {
			carriers = append(carriers, shipping.Carrier{Carrier: k.Name, Price: *k.Price, Capacity: *k.Capacity})
		}
		for _, country := range k.DeliversTo {
			countries = append(countries, shipping.Country{Carrier: k.Name, Country: country})
		}
		for _, country := range k.ReturnsFrom {
			countries = append(countries, shipping.Country{Carrier: k.Name, Country: country, Returns: true})
		}
	}
	return carriers, countries
}

// Import writes the catalog into the databases of c, whose services may run meanwhile, in by's name. Everything is
// checked, also against the existing rows, before any of it is committed. If a crash comes between the commits of two
// services, the same import again does the rest, and changes nothing that is already so. Afterwards the services' books
// are audited.
func Import(ctx context.Context, c Config, catalog Catalog, by string) (made []Imported, err error) {
	if err := catalog.Check(); err != nil {
		return nil, err
	}
	digest, err := catalog.digest()
	if err != nil {
		return nil, err
	}
	importers := catalog.importers()
	c.Names = nil
	for _, i := range importers {
		c.Names = append(c.Names, i.service)
	}
	if len(c.Names) == 0 {
		return nil, errors.New("import: no service has anything of this to keep: an article has prices or stock")
	}
	host, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	note := store.Import{Digest: digest, By: by, At: time.Now()}
	var open []*sql.Tx
	defer func() {
		for _, tx := range open {
			_ = tx.Rollback() // nothing is left to roll back of what was committed
		}
	}()
	for n, i := range importers {
		tx, err := host.services[n].db.BeginTx(ctx, nil)
		if err != nil {
			return nil, fmt.Errorf("import into %s: %w", i.service, err)
		}
		open = append(open, tx)
		rows, err := i.write(ctx, tx)
		if err == nil {
			err = note.Note(ctx, tx, rows)
		}
		if err != nil {
			return nil, fmt.Errorf("import into %s: %w; nothing was changed", i.service, err)
		}
		made = append(made, Imported{Service: i.service, Imported: rows})
	}
	for n, tx := range open {
		if err := tx.Commit(); err != nil {
			return nil, fmt.Errorf("import into %s: %w; import the same again for the rest", importers[n].service, err)
		}
	}
	return made, host.balanced(ctx)
}

// balanced reports the books that do not balance.
func (h *Host) balanced(ctx context.Context) error {
	for _, s := range h.services {
		report, err := s.Audit(ctx)
		if err != nil {
			return fmt.Errorf("audit of %s: %w", s.name, err)
		}
		if !report.Balanced {
			return fmt.Errorf("the books of %s do not balance: %s", s.name, report.Findings[0])
		}
	}
	return nil
}
