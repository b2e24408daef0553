package terminal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/terminal"
)

var columns = []terminal.Column{
	{Title: "ORDER"},
	{Title: "SCENARIO"},
	{Title: "STATE"},
	{Title: "CAUSE", Flexible: true},
	{Title: "DONE", Right: true},
	{Title: "UNDONE", Right: true},
	{Title: "TOOK", Right: true},
}

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
			terminal.WriteTable(&out, tt.width, columns, rows())
			require.Equal(t, strings.TrimPrefix(tt.want, "\n"), out.String())
		})
	}
}

func TestTerminalWidthOfWhatIsNone(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	require.Nil(t, terminal.Width(file))
	require.NoError(t, file.Close())
	require.Nil(t, terminal.Width(&strings.Builder{}))
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b[2J\u009b\u202e\u200b\u2028\r\n\t\x7f\ufe0f\u3164\xffä"
	require.Equal(t, "a�[2J�����������ä", strings.ReplaceAll(terminal.Printable(hostile), " ", "?"))
	require.Equal(t, 1, strings.Count(terminal.PrintableLines(hostile), "\n"))
	require.Equal(t, terminal.Printable(hostile), strings.ReplaceAll(terminal.PrintableLines(hostile), "\n", "�"))

	var out strings.Builder
	value := map[string]string{"a": hostile[:len(hostile)-3] + "\U000e0041<ä>"}
	require.NoError(t, terminal.WriteJSON(&out, value, " "))
	require.Contains(t, out.String(), "{\n \"a\": \"a\\u001b[2J\\u009b\\u202e\\u200b\\u2028\\r\\n\\t\\u007f\\ufe0f\\u3164\\udb40\\udc41\\u003cä\\u003e\"\n}\n")
	var back map[string]string
	require.NoError(t, json.Unmarshal([]byte(out.String()), &back))
	require.Equal(t, value, back)
}
