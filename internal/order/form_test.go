package order_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/amends-dev/amends/internal/order"
)

var forms = map[string]order.Form{
	"id": order.IDForm, "text": order.TextForm, "email": order.EmailForm, "phone": order.PhoneForm, "customer": order.CustomerIDForm,
	"sku": order.SKUForm, "voucher": order.VoucherForm, "carrier": order.CarrierForm, "token": order.TokenForm,
}

// Texts that shops, warehouses and payment providers really send.
func TestFormsTakeWhatIsUsed(t *testing.T) {
	t.Parallel()

	for name, used := range map[string][]string{
		"customer": {"c-1001", "gid://shopify/Customer/207119551", "7", "0088:7300010000001", "GB COH/1234", "ada@example.com", "auth0|5f7c8ec7", "Zoë №7", "客户-9", "O'Brien", "a?b"},
		"sku":      {"TEA-EARL-GREY", "tea_sencha.250g", "AB 12/3", "gid://shopify/ProductVariant/1", "4006381333931", "Größe-XL", "茶-01", `2" pipe`, "A&B+C"},
		"voucher":  {"SPRING-0001", "welcome10", "Ça va 10%", "Y5F#9K!"},
		"carrier":  {"parcel", "DHL Paket", "ups/ground"},
		"token":    {"tok_visa", "pm_1NirD82eZvKYlo2CIvbtLWuY", "ccof:GaJGNaZa8x4OgDJn4GB", "src/1=="},
		"email":    {"ada@example.com", "o'hara+shop@sub.example.co.uk", "zoë@bücher.example", strings.Repeat("a", 242) + "@example.com"},
		"phone":    {"+49 40 123456", "(555) 010-9999 ext. 12", "112"},
		"text":     {"Ada Lovelace", "Núñez de la Peña 3º 2ª", "X Æ A-12"},
	} {
		for _, s := range used {
			require.True(t, forms[name].Fits(s), "%s %q", name, s)
		}
	}
	for name, never := range map[string][]string{
		"customer": {"", " ", "c ", " c", "a\u00a0b", "a\nb", "a\u202eb", "a\u200bb", "a\u0000b", "\xff", strings.Repeat("x", 121)},
		"sku":      {"", strings.Repeat("é", 81)},
		"token":    {"", "4111 1111 1111 1111", "tök"},
		"email":    {"", "ada", "Ada <ada@example.com>", "<ada@example.com>", "ada@example.com\r\nBcc: x@y.z", strings.Repeat("a", 243) + "@example.com", strings.Repeat("é", 130) + "@example.com"},
		"phone":    {"", "call me", "+49\n40", strings.Repeat("1", 41)},
	} {
		for _, s := range never {
			require.False(t, forms[name].Fits(s), "%s %q", name, s)
		}
	}
}

// A form's limit and pattern, which the API's description shows, hold for every text that fits.
func TestFormsAreAsTheySay(t *testing.T) {
	t.Parallel()

	for name, f := range forms {
		require.True(t, f.Fits(f.Example), name)
		pattern := regexp.MustCompile(f.Pattern)
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.StringN(0, f.Max+2, -1).Draw(t, "text")
			if f.Fits(s) {
				require.True(t, pattern.MatchString(s), "%s %q", name, s)
				require.LessOrEqual(t, utf8.RuneCountInString(s), f.Max)
				require.True(t, utf8.ValidString(s))
				require.False(t, strings.ContainsFunc(s, unicode.IsControl))
			}
		})
	}
}

// A customer's ID can be searched for in Temporal, and read back.
func TestCustomerKey(t *testing.T) {
	t.Parallel()

	require.Equal(t, "c-1001_a.b", order.CustomerKey("c-1001_a.b"), "IDs of before are found")
	require.Equal(t, "gid://shopify/Customer/1", order.CustomerKey("gid://shopify/Customer/1"))
	require.Equal(t, `O~qBrien ~d~b~m~t`, order.CustomerKey(`O'Brien "\?~`))
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.StringN(0, order.MaxCustomerID, -1), rapid.StringOfN(rapid.RuneFrom([]rune(`ab~qdb'"\?%;*$`+"`")), 0, order.MaxCustomerID, -1)).Draw(t, "ID")
		key := order.CustomerKey(id)
		require.Equal(t, id, order.CustomerIDOf(key))
		require.False(t, strings.ContainsAny(key, `'"\?%;*$`+"`"), key)
		require.LessOrEqual(t, utf8.RuneCountInString(key), 255)
	})
}

func TestGuests(t *testing.T) {
	t.Parallel()

	for _, id := range []string{"", "0"} {
		o := good()
		o.Customer.ID = id
		require.True(t, o.Customer.Guest())
		require.NoError(t, o.Validate())
		o.Points = 1
		require.Equal(t, []string{"/points"}, pointers(t, o.Validate()))
	}
	require.False(t, order.Customer{ID: "00"}.Guest())
}
