package demo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	t.Parallel()
	rows := func() [][]string {
		return [][]string{
			{"demo-01", "good", "completed", "", "11", "0", "0.4 s"},
			{"demo-02", "out of stock", "compensated", "ReserveStock refused: LIMITED-EDITION: 1 wanted, 0 in stock", "2", "2", "10.3 s"},
			{"demo-03", "odd", "running", "\x1b[31mred\u00e4", "1", "0", ""},
		}
	}
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{
		{"unbounded", 0, `
ORDER    SCENARIO      STATE        CAUSE                                                        DONE  UNDONE    TOOK
demo-01  good          completed                                                                   11       0   0.4 s
demo-02  out of stock  compensated  ReserveStock refused: LIMITED-EDITION: 1 wanted, 0 in stock     2       2  10.3 s
demo-03  odd           running      �[31mredä                                                       1       0
`},
		{"wide enough", 200, `
ORDER    SCENARIO      STATE        CAUSE                                                        DONE  UNDONE    TOOK
demo-01  good          completed                                                                   11       0   0.4 s
demo-02  out of stock  compensated  ReserveStock refused: LIMITED-EDITION: 1 wanted, 0 in stock     2       2  10.3 s
demo-03  odd           running      �[31mredä                                                       1       0
`},
		{"the cause gives way", 80, `
ORDER    SCENARIO      STATE        CAUSE                   DONE  UNDONE    TOOK
demo-01  good          completed                              11       0   0.4 s
demo-02  out of stock  compensated  ReserveStock refused:…     2       2  10.3 s
demo-03  odd           running      �[31mredä                  1       0
`},
		{"then everything", 50, `
ORDER    SCENARIO      STATE        CAUSE       D…
demo-01  good          completed                 …
demo-02  out of stock  compensated  ReserveSt…   …
demo-03  odd           running      �[31mredä    …
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			writeTable(&out, tt.width, orderColumns, rows())
			require.Equal(t, strings.TrimPrefix(tt.want, "\n"), out.String())
		})
	}
}
