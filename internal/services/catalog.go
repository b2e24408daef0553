package services

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/amends-dev/amends/internal/order"
)

// Catalog is a shop's own data, for the services that keep them. Amounts are minor units, as ISO 4217 counts them.
type Catalog struct {
	Articles   []Article   `json:"articles,omitempty"`
	Warehouses []Warehouse `json:"warehouses,omitempty"`
	Carriers   []Carrier   `json:"carriers,omitempty"`
	Vouchers   []Voucher   `json:"vouchers,omitempty"`
	Cards      []Card      `json:"cards,omitempty"`
}

// Article is something that is sold, at a price in each currency, and kept in warehouses.
type Article struct {
	SKU    string        `json:"sku"`
	Prices []order.Money `json:"prices,omitempty"`
	Stock  []Stock       `json:"stock,omitempty"`
}

// Stock is goods that came into a warehouse. Receipt names the delivery: the same one is booked once, however often it is
// imported. Default: "opening".
type Stock struct {
	Warehouse string `json:"warehouse"`
	Quantity  int64  `json:"quantity"`
	Receipt   string `json:"receipt,omitempty"`
}

// Warehouse keeps stock, and takes returns or not.
type Warehouse struct {
	Name         string `json:"name"`
	TakesReturns bool   `json:"takes_returns"`
}

// Carrier delivers to countries, and fetches returns from some.
type Carrier struct {
	Name string `json:"name"`
	// Price decides who goes first if several serve a country; nil leaves price and capacity of a known carrier alone.
	Price    *int64 `json:"price,omitempty"`
	Capacity *int64 `json:"capacity,omitempty"`

	DeliversTo  []string `json:"delivers_to,omitempty"`
	ReturnsFrom []string `json:"returns_from,omitempty"`
}

// Voucher lowers the price of one order.
type Voucher struct {
	Code       string      `json:"code"`
	Worth      order.Money `json:"worth"`
	ValidUntil time.Time   `json:"valid_until"`
}

// Card is a card that the reference payment service can charge, in the currency of its limit.
type Card struct {
	Token string      `json:"token"`
	Limit order.Money `json:"limit"`
}

// Limits of a catalog. They keep sums over it within 64 bits.
const (
	maxStock = 1_000_000_000_000 // pieces of one receipt
	maxPrice = 1_000_000_000_000 // minor units
)

// defaultReceipt names goods without a receipt.
const defaultReceipt = "opening"

// catalogCheck gathers the faults of a catalog, each with its place in it.
type catalogCheck struct{ faults []error }

func (c *catalogCheck) that(ok bool, at, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
	}
}

func (c *catalogCheck) form(at string, f order.Form, s string) {
	c.that(f.Fits(s), at, "%q must be %s", s, f.Must)
}

func (c *catalogCheck) money(at string, m order.Money, least int64) {
	c.that(order.ValidCurrency(m.Currency), at, "%q is not the ISO 4217 code of a currency in use", m.Currency)
	c.that(m.Amount >= least && m.Amount <= maxPrice, at, "an amount of %d must be from %d to %d minor units", m.Amount, least, int64(maxPrice))
}

// once finds duplicates.
func (c *catalogCheck) once(seen map[string]string, key, at, what string) {
	first, twice := seen[key]
	c.that(!twice, at, "%s is at %s already", what, first)
	if !twice {
		seen[key] = at
	}
}

// Check returns everything that is wrong with the catalog by itself, or nil. Import checks its references to warehouses
// and carriers that it does not define.
func (c Catalog) Check() error {
	var check catalogCheck
	check.articles(c.Articles)
	seen := map[string]string{}
	for i, w := range c.Warehouses {
		at := fmt.Sprintf("warehouses[%d]", i)
		check.form(at+".name", order.CarrierForm, w.Name)
		check.once(seen, w.Name, at, w.Name)
	}
	check.carriers(c.Carriers)
	seen = map[string]string{}
	for i, v := range c.Vouchers {
		at := fmt.Sprintf("vouchers[%d]", i)
		check.form(at+".code", order.VoucherForm, v.Code)
		check.money(at+".worth", v.Worth, 1)
		check.that(v.ValidUntil.Year() >= 2000 && v.ValidUntil.Year() <= 9999, at+".valid_until", "must be a time of RFC 3339 from 2000 to 9999")
		check.once(seen, v.Code, at, v.Code)
	}
	seen = map[string]string{}
	for i, card := range c.Cards {
		at := fmt.Sprintf("cards[%d]", i)
		check.form(at+".token", order.TokenForm, card.Token)
		check.money(at+".limit", card.Limit, 0)
		check.once(seen, card.Token, at, "the token")
	}
	if len(c.Articles)+len(c.Warehouses)+len(c.Carriers)+len(c.Vouchers)+len(c.Cards) == 0 {
		check.faults = append(check.faults, errors.New("there is nothing in it"))
	}
	return errors.Join(check.faults...)
}

func (c *catalogCheck) articles(articles []Article) {
	skus, prices, receipts := map[string]string{}, map[string]string{}, map[string]string{}
	for i, a := range articles {
		at := fmt.Sprintf("articles[%d]", i)
		c.form(at+".sku", order.SKUForm, a.SKU)
		c.once(skus, a.SKU, at, a.SKU)
		for j, p := range a.Prices {
			at := fmt.Sprintf("%s.prices[%d]", at, j)
			c.money(at, p, 1)
			c.once(prices, a.SKU+"\n"+p.Currency, at, "the price in "+p.Currency)
		}
		for j, s := range a.Stock {
			at := fmt.Sprintf("%s.stock[%d]", at, j)
			c.form(at+".warehouse", order.CarrierForm, s.Warehouse)
			c.form(at+".receipt", order.CarrierForm, s.receipt())
			c.that(s.Quantity >= 0 && s.Quantity <= maxStock, at+".quantity", "must be from 0 to %d", int64(maxStock))
			c.once(receipts, a.SKU+"\n"+s.Warehouse+"\n"+s.receipt(), at, "the receipt "+s.receipt())
		}
	}
}

func (c *catalogCheck) carriers(carriers []Carrier) {
	seen := map[string]string{}
	for i, k := range carriers {
		at := fmt.Sprintf("carriers[%d]", i)
		c.form(at+".name", order.CarrierForm, k.Name)
		c.once(seen, k.Name, at, k.Name)
		c.that((k.Price == nil) == (k.Capacity == nil), at, "price and capacity go together")
		c.that(k.Price == nil || (*k.Price >= 0 && *k.Price <= maxPrice), at+".price", "must be from 0 to %d", int64(maxPrice))
		c.that(k.Capacity == nil || (*k.Capacity >= 0 && *k.Capacity <= maxStock), at+".capacity", "must be from 0 to %d", int64(maxStock))
		c.countries(at+".delivers_to", k.DeliversTo)
		c.countries(at+".returns_from", k.ReturnsFrom)
	}
}

func (c *catalogCheck) countries(at string, countries []string) {
	for _, country := range countries {
		c.that(order.ValidCountry(country), at, "%q is not the ISO 3166-1 alpha-2 code of a country", country)
	}
}

func (s Stock) receipt() string {
	if s.Receipt == "" {
		return defaultReceipt
	}
	return s.Receipt
}

// ReadCatalog reads catalogs, JSON or CSV, into one, and checks it: an error names every fault, with the name of its
// file. The rows of several files about one article or carrier are combined.
func ReadCatalog(files map[string][]byte) (Catalog, error) {
	all := newCatalogReader()
	var errs []error
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		read := readCSV
		if content := bytes.TrimSpace(files[name]); len(content) > 0 && content[0] == '{' {
			read = readCatalogJSON
		}
		c, err := read(files[name])
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		all.merge(c)
	}
	if len(errs) > 0 {
		return Catalog{}, errors.Join(errs...)
	}
	return all.Catalog, all.Check()
}

func readCatalogJSON(content []byte) (c Catalog, err error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return Catalog{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Catalog{}, errors.New("want one JSON object")
	}
	return c, nil
}

// catalogReader combines the rows of several lines or files about one article or carrier.
type catalogReader struct {
	Catalog

	articles, carriers map[string]int // by name, the index in the catalog
}

func newCatalogReader() *catalogReader {
	return &catalogReader{articles: map[string]int{}, carriers: map[string]int{}}
}

// article returns the article of that SKU, which may be new.
func (c *catalogReader) article(sku string) *Article {
	i, known := c.articles[sku]
	if !known {
		i = len(c.Articles)
		c.articles[sku] = i
		c.Articles = append(c.Articles, Article{SKU: sku})
	}
	return &c.Articles[i]
}

func (c *catalogReader) carrier(name string) *Carrier {
	i, known := c.carriers[name]
	if !known {
		i = len(c.Carriers)
		c.carriers[name] = i
		c.Carriers = append(c.Carriers, Carrier{Name: name})
	}
	return &c.Carriers[i]
}

// merge adds the rows of another file.
func (c *catalogReader) merge(more Catalog) {
	for _, a := range more.Articles {
		into := c.article(a.SKU)
		into.Prices = append(into.Prices, a.Prices...)
		into.Stock = append(into.Stock, a.Stock...)
	}
	for _, k := range more.Carriers {
		into := c.carrier(k.Name)
		if k.Price != nil {
			into.Price, into.Capacity = k.Price, k.Capacity
		}
		into.DeliversTo = append(into.DeliversTo, k.DeliversTo...)
		into.ReturnsFrom = append(into.ReturnsFrom, k.ReturnsFrom...)
	}
	c.Warehouses = append(c.Warehouses, more.Warehouses...)
	c.Vouchers = append(c.Vouchers, more.Vouchers...)
	c.Cards = append(c.Cards, more.Cards...)
}

// digest returns a hash of the catalog: equal ones have the same.
func (c Catalog) digest() (string, error) {
	encoded, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:]), nil
}
