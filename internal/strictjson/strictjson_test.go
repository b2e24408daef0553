package strictjson_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/strictjson"
)

type (
	address struct {
		City string `json:"city"`
	}
	base struct {
		ID   string `json:"id"`
		Next *base  `json:"next"`
	}
	input struct {
		base
		Count   int64             `json:"count"`
		Home    *address          `json:"home"`
		Lines   []address         `json:"lines"`
		Pair    [2]address        `json:"pair"`
		ByName  map[string]int    `json:"by_name"`
		Places  map[string]*input `json:"places"`
		Raw     json.RawMessage   `json:"raw"`
		Any     any               `json:"any"`
		At      time.Time         `json:"at"`
		Tagless string
		Hidden  string `json:"-"`
	}
)

func TestNames(t *testing.T) {
	t.Parallel()

	for text, fault := range map[string]string{
		`{"count":1}`: "",
		`{"Count":1}`: "",
		`{"id":"a","count":1,"home":{"city":"a"},"lines":[{"city":"a"},{"city":"b"}]}`: "",
		`{"by_name":{"a":1,"A":2}}`:                      "",
		`{"any":{"city":1,"City":2}}`:                    "",
		`{"raw":{"city":1,"City":2}}`:                    "",
		`{"at":"2026-01-02T03:04:05Z","Tagless":"a"}`:    "",
		`{"id":"a","next":{"id":"b","next":{"id":"c"}}}`: "",
		`null`:                  "",
		`{"count":1,"count":1}`: `the name "count" stands twice in one object`,
		`{"count":1,"Count":2}`: `the names "count" and "Count" mean one field`,
		`{"id":"a","ID":"b"}`:   `the names "id" and "ID" mean one field`,
		`{"next":{"id":"b","next":{"id":"c","iD":"d"}}}`:    `"id" and "iD"`,
		`{"home":{"city":"a","CITY":"b"}}`:                  `"city" and "CITY"`,
		`{"lines":[{"city":"a"},{"city":"a","City":"b"}]}`:  `"city" and "City"`,
		`{"pair":[{"city":"a"},{"City":"a","city":"b"}]}`:   `"City" and "city"`,
		`{"places":{"x":{"home":{"city":"a","citY":"b"}}}}`: `"city" and "citY"`,
		`{"by_name":{"a":1,"a":2}}`:                         `the name "a" stands twice`,
		`{"any":[{"b":{"a":1,"a":2}}]}`:                     `the name "a" stands twice`,
		`{"raw":{"a":1,"a":2}}`:                             `the name "a" stands twice`,
		`{"count":1,"\u0063ount":1}`:                        `the name "count" stands twice`,
		`{"tagless":"a","TAGLESS":"b"}`:                     `"tagless" and "TAGLESS"`,
		"{\"placeſ\":{},\"places\":{}}":                     `mean one field`,
		`{"price":1}`:                                       `unknown field "price"`,
		`{"Hidden":"a"}`:                                    `unknown field "Hidden"`,
		`{"count":1}{"count":2}`:                            "something follows the JSON value",
		`{"count":1} x`:                                     "something follows the JSON value",
		`{"count":1`:                                        "unexpected EOF",
		`[]`:                                                "cannot unmarshal array",
	} {
		var v input
		err := strictjson.Unmarshal([]byte(text), &v)
		if fault == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, fault, text)
	}
}

// TestDeep: nesting that encoding/json decodes is not too deep for the names either.
func TestDeep(t *testing.T) {
	t.Parallel()

	deep := ""
	for range 9000 {
		deep += `[`
	}
	deep += `{"a":1,"a":2}`
	for range 9000 {
		deep += `]`
	}
	var v any
	require.ErrorContains(t, strictjson.Unmarshal([]byte(deep), &v), "stands twice")
	require.Error(t, strictjson.Unmarshal([]byte("["+deep), &v))
}

// FuzzNames: a text that passes means one thing. Decoded with its names in another order, it is the same value.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		`{"count":1,"Count":2}`, `{"id":"a","places":{"A":{"count":1},"a":{"count":2}}}`, `{"lines":[{"city":"a"}],"home":{"CITY":"b"}}`,
		`{"placeſ":{},"any":{"b":[1,{"c":2}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v, sorted input
		if strictjson.Unmarshal(text, &v) != nil || len(v.Raw) > 0 {
			return
		}
		var plain map[string]json.RawMessage
		if json.Unmarshal(text, &plain) != nil {
			return // null
		}
		again, err := json.Marshal(plain) // sorts the names of the outermost object
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(again, &sorted))
		require.Equal(t, v, sorted)
	})
}
