package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLicenses(t *testing.T) {
	t.Parallel()
	const (
		good   = `{"name":"example.com/good","version":"v1.0.0","licenses":[{"license":{"id":"MIT"}}]}`
		either = `{"name":"example.com/either","version":"v1.0.0","licenses":[{"license":{"id":"GPL-3.0"}},{"license":{"id":"MIT"}}]}`
		byHand = `{"name":"github.com/pressly/goose/v3","version":"v3.0.0"}`
		none   = `{"name":"example.com/none","version":"v1.0.0"}`
		strict = `{"name":"example.com/strict","version":"v1.0.0","licenses":[{"license":{"id":"AGPL-3.0"}}]}`
	)
	for name, tt := range map[string]struct {
		bill   string
		list   string
		faults []string
	}{
		"all are allowed": {
			bill: `{"components":[` + good + `,` + either + `,` + byHand + `]}`,
			list: "example.com/good             v1.0.0  MIT\n" +
				"example.com/either           v1.0.0  GPL-3.0, MIT\n" +
				"github.com/pressly/goose/v3  v3.0.0  MIT\n",
		},
		"two are not": {
			bill:   `{"components":[` + none + `,` + good + `,` + strict + `]}`,
			list:   "example.com/none    v1.0.0  \nexample.com/good    v1.0.0  MIT\nexample.com/strict  v1.0.0  AGPL-3.0\n",
			faults: []string{`example.com/none v1.0.0: license ""`, `example.com/strict v1.0.0: license "AGPL-3.0" is not among those allowed`},
		},
		"no modules": {bill: `{"components":[]}`, faults: []string{"lists no modules"}},
		"no bill":    {bill: `<bom/>`, faults: []string{"read "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "bom.json")
			require.NoError(t, os.WriteFile(file, []byte(tt.bill), 0o600))

			var out strings.Builder
			err := run([]string{file}, &out)

			require.Equal(t, tt.list, out.String())
			if tt.faults == nil {
				require.NoError(t, err)
			}
			for _, fault := range tt.faults {
				require.ErrorContains(t, err, fault)
			}
		})
	}
}
