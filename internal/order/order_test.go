package order_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/order"
)

func good() order.Order {
	return order.Order{
		ID:       "42",
		Customer: order.Customer{ID: "c-1001", Name: "Ada Lovelace", Email: "ada@example.com"},
		Lines:    []order.Line{{SKU: "TEA-SENCHA", Quantity: 2}},
		Currency: "EUR",
		Payment:  order.Payment{Token: "tok_visa"},
		ShipTo:   order.Address{Name: "Ada Lovelace", Street: "Kai 1", PostalCode: "20457", City: "Hamburg", Country: "DE"},
	}
}

func TestOrderValidate(t *testing.T) {
	t.Parallel()

	require.NoError(t, good().Validate())
	for pointer, spoil := range map[string]func(*order.Order){
		"/id":               func(o *order.Order) { o.ID = "a/b" },
		"/customer/id":      func(o *order.Order) { o.Customer.ID = " c-1001" },
		"/customer/name":    func(o *order.Order) { o.Customer.Name = "Ada\nBcc: x" },
		"/customer/email":   func(o *order.Order) { o.Customer.Email = "Ada <ada@example.com>" },
		"/lines":            func(o *order.Order) { o.Lines = nil },
		"/lines/0/sku":      func(o *order.Order) { o.Lines[0].SKU = "tea\u200b" },
		"/lines/0/quantity": func(o *order.Order) { o.Lines[0].Quantity = 0 },
		"/lines/1/sku":      func(o *order.Order) { o.Lines = append(o.Lines, o.Lines[0]) },
		"/currency":         func(o *order.Order) { o.Currency = "eur" },
		"/voucher":          func(o *order.Order) { o.Voucher = "SPRING " },
		"/points":           func(o *order.Order) { o.Points = -1 },
		"/expected_total/amount": func(o *order.Order) {
			o.ExpectedTotal = &order.Money{Amount: -1, Currency: "EUR"}
		},
		"/expected_total/currency": func(o *order.Order) {
			o.ExpectedTotal = &order.Money{Amount: 1, Currency: "USD"}
		},
		"/payment/token":       func(o *order.Order) { o.Payment.Token = "4111 1111" },
		"/ship_to/name":        func(o *order.Order) { o.ShipTo.Name = " " },
		"/ship_to/street":      func(o *order.Order) { o.ShipTo.Street = strings.Repeat("x", order.MaxText+1) },
		"/ship_to/postal_code": func(o *order.Order) { o.ShipTo.PostalCode = "" },
		"/ship_to/city":        func(o *order.Order) { o.ShipTo.City = "\xff" },
		"/ship_to/country":     func(o *order.Order) { o.ShipTo.Country = "Germany" },
		"/ship_to/company":     func(o *order.Order) { o.ShipTo.Company = "a\tb" },
		"/ship_to/street2":     func(o *order.Order) { o.ShipTo.Street2 = " " },
		"/ship_to/region":      func(o *order.Order) { o.ShipTo.Region = "\xff" },
		"/ship_to/phone":       func(o *order.Order) { o.ShipTo.Phone = "none" },
		"/carrier":             func(o *order.Order) { o.Carrier = strings.Repeat("x", 65) },
	} {
		t.Run(pointer, func(t *testing.T) {
			t.Parallel()

			o := good()
			spoil(&o)
			require.Equal(t, []string{pointer}, pointers(t, o.Validate()))
		})
	}
}

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()

	o := good()
	o.Currency, o.Lines[0].Quantity = "", -1
	require.Equal(t, []string{"/lines/0/quantity", "/currency"}, pointers(t, o.Validate()))
}

func TestReturnValidate(t *testing.T) {
	t.Parallel()

	r := order.Return{ID: "r1", OrderID: "42", Reason: "too strong"}
	require.NoError(t, r.Validate())
	r = order.Return{ID: "", OrderID: "-", Lines: []order.Line{{SKU: "TEA-SENCHA"}}}
	require.Equal(t, []string{"/id", "/order_id", "/lines/0/quantity", "/reason"}, pointers(t, r.Validate()))
}

func TestMoney(t *testing.T) {
	t.Parallel()

	eur := func(amount int64) order.Money { return order.Money{Amount: amount, Currency: "EUR"} }
	got, err := eur(1290).Minus(eur(300))
	require.NoError(t, err)
	require.Equal(t, eur(990), got)
	require.Equal(t, "EUR 12.90", eur(1290).String())
	require.Equal(t, "EUR -0.05", eur(-5).String())

	_, err = eur(1).Minus(order.Money{Amount: 1, Currency: "USD"})
	require.ErrorContains(t, err, "currencies differ")
	for want, m := range map[string]order.Money{
		"JPY 1290":                  {Amount: 1290, Currency: "JPY"},
		"KWD 1.290":                 {Amount: 1290, Currency: "KWD"},
		"KWD -0.005":                {Amount: -5, Currency: "KWD"},
		"CLF 0.1290":                {Amount: 1290, Currency: "CLF"},
		"ALL 12.90":                 {Amount: 1290, Currency: "ALL"}, // no decimals in CLDR
		"JPY -9223372036854775808":  {Amount: math.MinInt64, Currency: "JPY"},
		"EUR -92233720368547758.08": {Amount: math.MinInt64, Currency: "EUR"},
	} {
		require.Equal(t, want, m.String())
	}
	require.Equal(t, eur(500), order.Units(5, "EUR"))
	require.Equal(t, order.Money{Amount: 5, Currency: "JPY"}, order.Units(5, "JPY"))
	require.Equal(t, order.Money{Amount: 5000, Currency: "KWD"}, order.Units(5, "KWD"))
	for _, tt := range [][2]int64{{math.MinInt64, 1}, {math.MaxInt64, -1}, {0, math.MinInt64}} {
		_, err = eur(tt[0]).Minus(eur(tt[1]))
		require.ErrorIs(t, err, order.ErrOverflow)
	}
}

func pointers(t *testing.T, err error) []string {
	t.Helper()
	var invalid *order.InvalidError
	require.ErrorAs(t, err, &invalid)
	var out []string
	for _, f := range invalid.Fields {
		out = append(out, f.Pointer)
	}
	return out
}

func TestParseMoney(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		amount, currency string
		want             int64
	}{
		{"12.90", "EUR", 1290}, {"12.9", "EUR", 1290}, {"12", "EUR", 1200}, {"0.05", "EUR", 5}, {"1290", "JPY", 1290}, {"1.290", "KWD", 1290},
	} {
		m, err := order.ParseMoney(tt.amount, tt.currency)
		require.NoError(t, err)
		require.Equal(t, order.Money{Amount: tt.want, Currency: tt.currency}, m)
	}
	for _, bad := range [][2]string{
		{"", "EUR"},
		{".5", "EUR"},
		{"1.", "EUR"},
		{"12,90", "EUR"},
		{"1.001", "EUR"},
		{"12.90", "JPY"},
		{"-1", "EUR"},
		{"1e3", "EUR"},
		{" 1", "EUR"},
		{"1", "XYZ"},
		{"99999999999999999999", "EUR"},
	} {
		_, err := order.ParseMoney(bad[0], bad[1])
		require.Error(t, err, bad)
	}
}
