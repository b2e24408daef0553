package activities

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

func TestReasonsAsHeaders(t *testing.T) {
	t.Parallel()

	for header, reason := range map[string]compensation.Reason{
		`"Pay refused: declined";step=Pay;code=card_declined`: {Text: "Pay refused: declined", Step: "Pay", Code: "card_declined"},
		`"the saga was canceled"`:                             {Text: "the saga was canceled"},
		`"Pay gave up";step=Pay`:                              {Text: "Pay gave up", Step: "Pay"},
		`"na%C3%AFve %22x%22 %5C 100%25 %0A~"`:                {Text: "naïve \"x\" \\ 100% \n~"},
		``:                                                    {},
	} {
		require.Equal(t, header, writeReason(reason))
		require.Equal(t, reason, readReason(header))
	}
	require.Equal(t, `"a"`, writeReason(compensation.Reason{Text: "a", Code: "Not A Code"}))
	for _, header := range []string{`a`, `"a`, `"a" `, `"a";step=pay`, `"a";code=B`, `"a";other=b`, `"%2"`, `"ï"`, `"a"b"`, "\"a\n\""} {
		require.Empty(t, readReason(header), header)
	}
	longest := compensation.Reason{
		Text: strings.Repeat("\xff", compensation.MaxReasonLength), Step: strings.Repeat("S", 64), Code: strings.Repeat("c", 64),
	}
	require.Less(t, len(writeReason(longest)), 2048, "what fence keeps")
}
