package services

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/amends-dev/amends/internal/order"
)

// A sheet is a kind of table that a CSV file may be. Its header identifies it: every column of required, and any of
// optional.
type sheet struct {
	required, optional []string
	read               func(c *catalogReader, r row) error
}

// sheets are the known tables. Amounts in them are as people write them: 12.90.
var sheets = []sheet{
	{[]string{"sku", "price", "currency"}, []string{"warehouse", "quantity", "receipt"}, readArticle},
	{[]string{"sku", "warehouse", "quantity"}, []string{"receipt"}, readStock},
	{[]string{"warehouse", "takes_returns"}, nil, readWarehouse},
	{[]string{"carrier", "price", "capacity"}, nil, readCarrier},
	{[]string{"carrier", "country", "direction"}, nil, readCountry},
	{[]string{"code", "worth", "currency", "valid_until"}, nil, readVoucher},
	{[]string{"token", "limit", "currency"}, nil, readCard},
}

// A row is a line of a table, by column.
type row map[string]string

// readCSV reads a table with a header, in UTF-8, with commas or semicolons between its fields.
func readCSV(content []byte) (Catalog, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // spreadsheets write it
	r := csv.NewReader(bytes.NewReader(content))
	first, _, _ := bytes.Cut(content, []byte("\n"))
	if !bytes.Contains(first, []byte(",")) && bytes.Contains(first, []byte(";")) {
		r.Comma = ';'
	}
	lines, err := r.ReadAll()
	if err != nil {
		return Catalog{}, err
	}
	if len(lines) == 0 {
		return Catalog{}, errors.New("the file is empty")
	}
	header := make([]string, len(lines[0]))
	for i, name := range lines[0] {
		header[i] = strings.ToLower(strings.TrimSpace(name))
	}
	s, err := sheetOf(header)
	if err != nil {
		return Catalog{}, err
	}
	c := newCatalogReader()
	var errs []error
	for i, line := range lines[1:] {
		r := row{}
		for j, name := range header {
			r[name] = strings.TrimSpace(line[j])
		}
		if err := s.read(c, r); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", i+2, err))
		}
	}
	return c.Catalog, errors.Join(errs...)
}

func sheetOf(header []string) (sheet, error) {
	var known []string
	for _, s := range sheets {
		fits := true
		for _, name := range s.required {
			fits = fits && slices.Contains(header, name)
		}
		for i, name := range header {
			fits = fits && (slices.Contains(s.required, name) || slices.Contains(s.optional, name)) && !slices.Contains(header[:i], name)
		}
		if fits {
			return s, nil
		}
		columns := strings.Join(s.required, ",")
		if len(s.optional) > 0 {
			columns += " (and " + strings.Join(s.optional, ",") + ")"
		}
		known = append(known, columns)
	}
	return sheet{}, fmt.Errorf("line 1: no table has the columns %s; the tables are: %s", strings.Join(header, ","), strings.Join(known, "; "))
}

func readArticle(c *catalogReader, r row) error {
	price, err := order.ParseMoney(r["price"], r["currency"])
	if err != nil {
		return err
	}
	a := c.article(r["sku"])
	a.Prices = append(a.Prices, price)
	if r["warehouse"] == "" && r["quantity"] == "" {
		return nil
	}
	return readStock(c, r)
}

func readStock(c *catalogReader, r row) error {
	quantity, err := whole(r, "quantity")
	if err != nil {
		return err
	}
	a := c.article(r["sku"])
	a.Stock = append(a.Stock, Stock{Warehouse: r["warehouse"], Quantity: quantity, Receipt: r["receipt"]})
	return nil
}

func readWarehouse(c *catalogReader, r row) error {
	takes, err := strconv.ParseBool(r["takes_returns"])
	if err != nil {
		return fmt.Errorf("takes_returns %q: must be true or false", r["takes_returns"])
	}
	c.Warehouses = append(c.Warehouses, Warehouse{Name: r["warehouse"], TakesReturns: takes})
	return nil
}

func readCarrier(c *catalogReader, r row) error {
	price, err := whole(r, "price")
	if err != nil {
		return err
	}
	capacity, err := whole(r, "capacity")
	if err != nil {
		return err
	}
	k := c.carrier(r["carrier"])
	if k.Price != nil {
		return fmt.Errorf("carrier %q is there twice", r["carrier"])
	}
	k.Price, k.Capacity = &price, &capacity
	return nil
}

func readCountry(c *catalogReader, r row) error {
	k := c.carrier(r["carrier"])
	switch r["direction"] {
	case "outbound":
		k.DeliversTo = append(k.DeliversTo, r["country"])
	case "return":
		k.ReturnsFrom = append(k.ReturnsFrom, r["country"])
	default:
		return fmt.Errorf("direction %q: must be outbound or return", r["direction"])
	}
	return nil
}

func readVoucher(c *catalogReader, r row) error {
	worth, err := order.ParseMoney(r["worth"], r["currency"])
	if err != nil {
		return err
	}
	until, err := time.Parse(time.RFC3339, r["valid_until"])
	if err != nil {
		day, dayErr := time.Parse(time.DateOnly, r["valid_until"])
		if dayErr != nil {
			return fmt.Errorf("valid_until %q: must be a day, such as 2027-12-31, or a time of RFC 3339", r["valid_until"])
		}
		until = day.Add(24*time.Hour - time.Millisecond) // to the day's end, UTC
	}
	c.Vouchers = append(c.Vouchers, Voucher{Code: r["code"], Worth: worth, ValidUntil: until})
	return nil
}

func readCard(c *catalogReader, r row) error {
	limit, err := order.ParseMoney(r["limit"], r["currency"])
	if err != nil {
		return err
	}
	c.Cards = append(c.Cards, Card{Token: r["token"], Limit: limit})
	return nil
}

func whole(r row, column string) (int64, error) {
	n, err := strconv.ParseInt(r[column], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %q: must be a whole number", column, r[column])
	}
	return n, nil
}
