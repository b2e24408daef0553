package order

import (
	"fmt"
	"regexp"
	"strings"
)

// ValidCountry reports whether code is the ISO 3166-1 alpha-2 code of a country, or XK for Kosovo.
func ValidCountry(code string) bool { return listed(countryCodes, countryCode, code) }

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

// NeedsPostalCode reports whether an address in the country must have a postal code, NeedsCity whether it must name a
// city.
func NeedsPostalCode(country string) bool { return listed(postalCodeCountries, countryCode, country) }

// NeedsCity is described at [NeedsPostalCode].
func NeedsCity(country string) bool { return !listed(cityFreeCountries, countryCode, country) }

// otherNames are other codes than ISO 3166-1's that systems use for countries: of British habit, and of the tax numbers
// of the European Union.
var otherNames = map[string]string{"UK": "GB", "EL": "GR", "XI": "GB"}

// countryMust describes what a country must be, and the code that may have been meant by that one.
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
