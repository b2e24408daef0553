package services_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	domain "github.com/amends-dev/amends/internal/order"
	"github.com/amends-dev/amends/internal/pgtest"
	"github.com/amends-dev/amends/internal/services"
	"github.com/amends-dev/amends/internal/services/inventory"
	"github.com/amends-dev/amends/internal/services/pricing"
	"github.com/amends-dev/amends/internal/services/servicetest"
	"github.com/amends-dev/amends/internal/services/store"
	"github.com/amends-dev/amends/internal/services/wire"
)

// A shop's data, with the carrier and the stock as tables.
var shopFiles = map[string][]byte{
	"shop.json": []byte(`{
		"articles": [
			{"sku": "gid://shopify/ProductVariant/1", "prices": [{"amount": 1290, "currency": "JPY"}, {"amount": 1290, "currency": "EUR"}]},
			{"sku": "TEA-SENCHA", "prices": [{"amount": 950, "currency": "EUR"}]}
		],
		"warehouses": [{"name": "dublin", "takes_returns": true}],
		"vouchers": [{"code": "welcome 10%", "worth": {"amount": 100, "currency": "JPY"}, "valid_until": "2099-12-31T00:00:00Z"}],
		"cards": [{"token": "tok_jcb", "limit": {"amount": 1000000, "currency": "JPY"}}]
	}`),
	"stock.csv":     []byte("\ufeffsku;warehouse;quantity;receipt\r\ngid://shopify/ProductVariant/1;dublin;10;D-1\r\ngid://shopify/ProductVariant/1;dublin;5;D-2\r\n"),
	"carriers.csv":  []byte("carrier,price,capacity\nAn Post,500,100\n"),
	"countries.csv": []byte("carrier,country,direction\nAn Post,IE,outbound\nAn Post,IE,return\n"),
}

// eachStore runs run on both databases.
func eachStore(t *testing.T, run func(t *testing.T, c services.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		run(t, services.Config{Dir: t.TempDir(), Logger: quiet})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		run(t, services.Config{DSN: pgtest.DSN(t), Dir: t.TempDir(), Logger: quiet})
	})
}

func counts(made []services.Imported) map[string]store.Imported {
	by := map[string]store.Imported{}
	for _, m := range made {
		by[m.Service] = m.Imported
	}
	return by
}

func TestImport(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, c services.Config) {
		base := servicetest.Serve(t, c) // imported data counts for services that run
		catalog, err := services.ReadCatalog(shopFiles)
		require.NoError(t, err)

		made, err := services.Import(t.Context(), c, catalog, "grace")
		require.NoError(t, err)
		require.Equal(t, map[string]store.Imported{
			"pricing": {Added: 2, Changed: 1}, "inventory": {Added: 3}, "vouchers": {Added: 1}, "payment": {Added: 1}, "shipping": {Added: 3},
		}, counts(made))

		lines := []wire.Line{{SKU: "gid://shopify/ProductVariant/1", Quantity: 12}}
		quote := servicetest.Do[pricing.Quote](t, base+"/pricing/quotes", "o1", pricing.Request{Currency: "JPY", Lines: lines})
		require.Equal(t, domain.Money{Amount: 15_480, Currency: "JPY"}, quote.Total)
		held := servicetest.Do[inventory.Reservation](t, base+"/inventory/reservations", "o1", inventory.Reserve{Lines: lines})
		require.Equal(t, "dublin", held.Warehouse)

		// The same import again does not bring back goods that were sold meanwhile.
		made, err = services.Import(t.Context(), c, catalog, "grace")
		require.NoError(t, err)
		for _, m := range made {
			require.Zero(t, m.Added+m.Changed, m.Service)
		}
		require.EqualValues(t, 5_000_003, servicetest.Audit(t, base+"/inventory").Figures["on_hand"])
	})
}

// A conflict with existing rows is found before anything is changed, also in earlier services.
func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, c services.Config) {
		base := servicetest.Serve(t, c)
		before := map[string]map[string]int64{}
		for _, name := range services.Names {
			before[name] = servicetest.Audit(t, base+"/"+name).Figures
		}
		for fault, file := range map[string]string{
			`there is no such warehouse`:                 `{"articles":[{"sku":"new","prices":[{"amount":1,"currency":"EUR"}],"stock":[{"warehouse":"nowhere","quantity":1}]}]}`,
			`there is no such carrier`:                   `{"articles":[{"sku":"new","prices":[{"amount":1,"currency":"EUR"}]}],"carriers":[{"name":"nobody","delivers_to":["DE"]}]}`,
			`card "tok_visa": is in EUR, and not in JPY`: `{"articles":[{"sku":"new","prices":[{"amount":1,"currency":"EUR"}]}],"cards":[{"token":"tok_visa","limit":{"amount":1,"currency":"JPY"}}]}`,
			`no service has anything of this to keep`:    `{"articles":[{"sku":"new"}]}`,
		} {
			catalog, err := services.ReadCatalog(map[string][]byte{"f": []byte(file)})
			require.NoError(t, err)
			_, err = services.Import(t.Context(), c, catalog, "grace")
			require.ErrorContains(t, err, fault)
		}
		for _, name := range services.Names {
			require.Equal(t, before[name], servicetest.Audit(t, base+"/"+name).Figures, name)
		}
	})
}

func TestReceiptOfAnotherQuantity(t *testing.T) {
	t.Parallel()
	c := services.Config{Dir: t.TempDir(), Logger: quiet}
	stock := func(quantity string) error {
		catalog, err := services.ReadCatalog(map[string][]byte{"f": []byte("sku,warehouse,quantity,receipt\nTEAPOT-IRON,hamburg," + quantity + ",D-7\n")})
		require.NoError(t, err)
		_, err = services.Import(t.Context(), c, catalog, "grace")
		return err
	}
	require.NoError(t, stock("10"))
	require.NoError(t, stock("10"))
	require.ErrorContains(t, stock("11"), `receipt "D-7" was booked with 10 pieces, and not 11`)
}

// Each import's author is kept beside it.
func TestImportIsNoted(t *testing.T) {
	t.Parallel()
	c := services.Config{Dir: t.TempDir(), Logger: quiet}
	catalog, err := services.ReadCatalog(shopFiles)
	require.NoError(t, err)
	for range 2 { // the second one makes no difference
		_, err = services.Import(t.Context(), c, catalog, "grace")
		require.NoError(t, err)
	}
	for _, name := range []string{"pricing", "inventory", "vouchers", "payment", "shipping"} {
		db, err := sql.Open("sqlite", c.Dir+"/"+name+".db")
		require.NoError(t, err)
		var by string
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT imported_by FROM imports`).Scan(&by))
		require.Equal(t, "grace", by)
		var rows int
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM imports`).Scan(&rows))
		require.Equal(t, 1, rows, name)
		require.NoError(t, db.Close())
	}
}

// Every fault is reported with its place, all of them at once.
func TestCatalogsThatAreRefused(t *testing.T) {
	t.Parallel()
	for content, faults := range map[string][]string{
		``:                       {"the file is empty"},
		`{}`:                     {"there is nothing in it"},
		`{"article":[]}`:         {`unknown field "article"`},
		`{"articles":[]} {}`:     {"want one JSON object"},
		"sku,price\nA,1\n":       {"line 1: no table has the columns sku,price; the tables are: sku,price,currency (and warehouse,quantity,receipt); "},
		"sku,sku,price,currency": {"line 1: no table has the columns"},
		"sku,price,currency\nA,1.005,EUR\nB,12,JPY\nC,x,EUR\n":  {`line 2: amount "1.005": must be digits, with at most 2 after a point, as in EUR 1.00`, `line 4: amount "x"`},
		"sku,price,currency\nA,1,EUR\nA,2,EUR\n":                {"articles[0].prices[1]: the price in EUR is at articles[0].prices[0] already"},
		"sku,warehouse,quantity\nA,hamburg,1.5\n":               {`line 2: quantity "1.5": must be a whole number`},
		"carrier,country,direction\nups,UK,outbound\n":          {`carriers[0].delivers_to: "UK" is not the ISO 3166-1 alpha-2 code of a country`},
		"carrier,country,direction\nups,GB,back\n":              {`line 2: direction "back": must be outbound or return`},
		"code,worth,currency,valid_until\nX,5,EUR,31.12.2027\n": {`line 2: valid_until "31.12.2027"`},
		"warehouse,takes_returns\nhere,maybe\n":                 {`line 2: takes_returns "maybe"`},
		"token,limit,currency\na b,5,EUR\n":                     {`cards[0].token: "a b" must be`},
		`{"articles":[{"sku":" A","prices":[{"amount":0,"currency":"XXX"}],"stock":[{"warehouse":"h","quantity":-1}]}],"carriers":[{"name":"ups","price":1}]}`: {
			`articles[0].sku: " A" must be`, `articles[0].prices[0]: "XXX" is not the ISO 4217 code`, `articles[0].prices[0]: an amount of 0 must be from 1 to`,
			"articles[0].stock[0].quantity: must be from 0 to", "carriers[0]: price and capacity go together",
		},
	} {
		_, err := services.ReadCatalog(map[string][]byte{"shop": []byte(content)})
		require.Error(t, err, content)
		for _, fault := range faults {
			require.ErrorContains(t, err, fault, content)
		}
		require.ErrorContains(t, err, "shop: ")
	}
	// Two files contradict each other.
	_, err := services.ReadCatalog(map[string][]byte{"a": []byte("sku,price,currency\nA,1,EUR\n"), "b": []byte("sku,price,currency\nA,2,EUR\n")})
	require.ErrorContains(t, err, "the price in EUR is at articles[0].prices[0] already")
}
