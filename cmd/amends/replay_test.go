package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplay(t *testing.T) {
	t.Parallel()

	corpus := filepath.Join("..", "..", "workflows", "testdata", "revision-2")
	for _, tt := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"passes", []string{filepath.Join(corpus, "ReturnOrder")}, 0, []string{"11 histories with ", "; 0 have not begun; 0 differ.\n"}},
		{"differs", []string{filepath.Join(corpus, "must-fail"), filepath.Join(corpus, "ReturnOrder", "completed.json")}, exitDiffers, []string{
			"steps-swapped.json: event 5, MarkerRecorded, step ReserveStock\n",
			"  history: runs ReserveStock as a local activity\n", "  code:    runs PriceOrder instead\n",
			"2 histories with ", "; 1 differ.\n",
		}},
		{"differs in JSON", []string{"--output=json", filepath.Join(corpus, "must-fail")}, exitDiffers, []string{
			`"different": 1`, `"event": 5`, `"replayed": 1`,
		}},
		{"nothing to replay", nil, exitUsage, nil},
		{"files and the cluster", []string{"--from-cluster", corpus}, exitUsage, nil},
		{"a query of files", []string{"--query=x", corpus}, exitUsage, nil},
		{"none at all", []string{"--from-cluster", "--limit=0"}, exitUsage, nil},
		{"a file that is none", []string{"replay_test.go"}, exitError, nil},
		{"a binary that cannot", []string{"--against=replay_test.go", corpus}, exitError, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			var out strings.Builder
			err := run(t.Context(), append([]string{"replay"}, tt.args...), strings.NewReader(""), &out, &strings.Builder{})
			require.Equal(t, tt.code, exitCode(err), "%v", err)
			for _, text := range tt.says {
				require.Contains(t, out.String(), text)
			}
		})
	}
}
