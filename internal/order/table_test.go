package order_test

import (
	"testing"

	"github.com/bojanz/currency"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/language"

	"github.com/amends-dev/amends/internal/order"
)

// codes returns all possible codes of that many letters.
func codes(letters int) []string {
	all := []string{""}
	for range letters {
		var longer []string
		for _, code := range all {
			for letter := 'A'; letter <= 'Z'; letter++ {
				longer = append(longer, code+string(letter))
			}
		}
		all = longer
	}
	return all
}

// A failure may only mean that a currency was introduced or withdrawn since: then update currency_table.go.
func TestCurrenciesAreThoseOfISO4217(t *testing.T) {
	t.Parallel()

	for _, code := range codes(3) {
		require.Equal(t, currency.IsValid(code), order.ValidCurrency(code), code)
		if digits, ok := currency.GetDigits(code); ok {
			require.Equal(t, int(digits), order.MinorDigits(code), code)
		}
	}
	for _, code := range []string{"", "eur", "EU", "EURO", "UR ", "R G", "EUR GBP"} {
		require.False(t, order.ValidCurrency(code), "%q", code)
		require.Equal(t, 2, order.MinorDigits(code), "%q", code)
	}
}

func TestCountriesAreThoseOfISO3166(t *testing.T) {
	t.Parallel()

	valid := 0
	for _, code := range codes(2) {
		if !order.ValidCountry(code) {
			require.False(t, order.NeedsPostalCode(code), code)
			continue
		}
		valid++
		region, err := language.ParseRegion(code)
		require.NoError(t, err, code)
		require.True(t, region.IsCountry(), code)
		require.Equal(t, region, region.Canonicalize(), "%s has another code now", code)
	}
	require.Equal(t, 249+1, valid, "those of ISO 3166-1, and Kosovo")
	for _, code := range []string{"", "de", "D", "DEU", "E A", "UK", "EL", "XX", "ZZ", "EU", "SU", "AN"} {
		require.False(t, order.ValidCountry(code), "%q", code)
	}
}

// Addresses as countries use them.
func TestAddressesOfCountries(t *testing.T) {
	t.Parallel()

	for _, a := range []order.Address{
		{Name: "Aoife", Street: "12 Main Street", City: "Ballina", Region: "Co. Mayo", Country: "IE"},
		{Name: "Chan Tai Man", Company: "Chan & Co.", Street: "1 Nathan Road", Street2: "Flat 25, 12/F, Acacia Building", Region: "Kowloon", Country: "HK"},
		{Name: "Fatima", Street: "Sheikh Zayed Road 5", City: "Dubai", Region: "Dubai", Country: "AE", Phone: "+971 4 123 4567"},
		{Name: "Tan", Street: "1 Raffles Place", PostalCode: "048616", Country: "SG"},
		{Name: "Sam", Street: "1 Main St", City: "Springfield", Region: "IL", PostalCode: "62701", Country: "US"},
		{Name: "Besa", Street: "Rruga B 1", City: "Prishtina", Country: "XK"},
		{Name: "佐藤", Street: "千代田1-1", Region: "東京都", PostalCode: "100-0001", Country: "JP"},
	} {
		require.Empty(t, a.Faults(), "%+v", a)
	}
	germany := order.Address{Name: "Ada", Street: "Kai 1", City: "Hamburg", Country: "DE"}
	require.Equal(t, []order.FieldError{{Pointer: "/postal_code", Detail: "must be " + order.TextForm.Must}}, germany.Faults())
	germany.PostalCode, germany.City = "20457", ""
	require.Equal(t, []order.FieldError{{Pointer: "/city", Detail: "must be " + order.TextForm.Must}}, germany.Faults())

	for code, hint := range map[string]string{
		"UK": `; for "UK" write GB`, "uk": `; for "UK" write GB`, "EL": `; for "EL" write GR`, "de": `; for "DE" write DE`, "XX": "", "": "",
	} {
		germany.City, germany.Country = "Hamburg", code
		require.Equal(t, []order.FieldError{{Pointer: "/country", Detail: "must be an ISO 3166-1 alpha-2 code, such as DE" + hint}}, germany.Faults())
	}
}
