package order

import (
	"fmt"
	"regexp"
	"strings"
)

// ValidCountry tells whether code is the ISO 3166-1 alpha-2 code of a country, or XK for Kosovo.
func ValidCountry(code string) bool { return listed(countryCodes, countryCode, code) }

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

// NeedsPostalCode tells whether an address in the country has to have a postal code, NeedsCity whether it has to name a city.
func NeedsPostalCode(country string) bool { return listed(postalCodeCountries, countryCode, country) }

// NeedsCity is described at [NeedsPostalCode].
func NeedsCity(country string) bool { return !listed(cityFreeCountries, countryCode, country) }

// otherNames are what systems call countries that have another code in ISO 3166-1: the British by habit, and the tax numbers
// of the European Union.
var otherNames = map[string]string{"UK": "GB", "EL": "GR", "XI": "GB"}

// countryMust says what a country must be, and what code may have been meant instead of that one.
func countryMust(code string) string {
	must := "must be an ISO 3166-1 alpha-2 code, such as DE"
	name := strings.ToUpper(strings.TrimSpace(code))
	meant, ok := otherNames[name]
	if !ok && ValidCountry(name) {
		meant, ok = name, true
	}
	if ok {
		must += fmt.Sprintf("; for %q write %s", name, meant)
	}
	return must
}
