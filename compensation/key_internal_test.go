package compensation

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSagaIDs: an ID that a saga may have makes keys that fit, whatever the step and the item.
func TestSagaIDs(t *testing.T) {
	t.Parallel()

	longest := Key{Saga: strings.Repeat("s", MaxSagaIDLength), Step: strings.Repeat("S", maxName), Item: strings.Repeat("i", maxName)}
	require.Len(t, longest.String(), MaxKeyLength)
	require.Regexp(t, stepName, longest.Step)
	require.Regexp(t, itemName, longest.Item)
	require.NotRegexp(t, stepName, longest.Step+"S")
	require.NotRegexp(t, itemName, longest.Item+"i")
	parsed, err := ParseKey(longest.String())
	require.NoError(t, err)
	require.Equal(t, longest, parsed)

	for id, fault := range map[string]string{
		"order-42":                             "",
		"a b/c:d é":                            "",
		strings.Repeat("s", MaxSagaIDLength):   "",
		strings.Repeat("s", MaxSagaIDLength+1): "has 383 bytes; keys that services take leave room for 382",
		strings.Repeat("é", 192):               "has 384 bytes",
		"":                                     "has no ID",
		"a\x00b":                               "characters that no key can have",
		"a\nb":                                 "characters that no key can have",
		"a\xffb":                               "characters that no key can have",
	} {
		err := checkSagaID(id)
		if fault == "" {
			require.NoError(t, err, id)
			continue
		}
		require.ErrorContains(t, err, fault)
	}
}
