package compensation

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func TestHidden(t *testing.T) {
	t.Parallel()

	for name, text := range map[string]string{
		"NUL": "a\x00", "line break": "a\nb", "escape": "a\x1b[31m", "C1": "a\u009b", "half of UTF-8": "a\xc3",
		"right-to-left override": "a\u202eb", "left-to-right embedding": "\u202aa", "pop": "a\u202c", "isolate": "a\u2066b",
		"left-to-right mark": "a\u200e", "Arabic letter mark": "a\u061c", "zero width space": "a\u200bb", "word joiner": "a\u2060b",
		"byte order mark": "\ufeffa", "soft hyphen": "a\u00adb", "invisible times": "a\u2062b", "interlinear": "a\ufff9b",
		"line separator": "a\u2028b", "paragraph separator": "a\u2029b", "Hangul filler": "\u3164", "half-width filler": "\uffa0",
		"Jamo filler": "\u115f", "grapheme joiner": "a\u034fb", "Khmer inherent": "a\u17b4", "Braille blank": "\u2800",
		"musical blank": "\U0001d159", "private use": "\ue000", "plane 15": "\U000f0000", "noncharacter": "\uffff",
		"noncharacter of plane 2": "\U0002fffe", "unassigned": "\u0378", "unassigned ignorable": "\U000e0fff",
		"joiner in Latin": "a\u200db", "non-joiner in Latin": "a\u200cb", "joiner at the end": "شش\u200d", "joiner alone": "\u200d",
		"two joiners": "م\u200c\u200cم", "selector of Latin": "a\ufe0f", "selector alone": "\ufe0f", "two selectors": "❤\ufe0f\ufe0f",
		"selector of a space": " \U000e0100", "digit without keycap": "1\ufe0f", "joiner after an emoji": "👩\u200d", "Mongolian selector": "a\u180b",
		"two Mongolian selectors": "ᠨ\u180b\u180b", "tag": "a\U000e0041", "tags of no region": "🏴\U000e0068\U000e0069\U000e007f",
		"flag that is not ended": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067",
	} {
		_, found := Hidden(text)
		require.True(t, found, name)
	}
	for name, text := range map[string]string{
		"nothing": "", "ASCII": "Ada Lovelace, 12 St. James's Square: $5 & more", "accents": "Zoë Ångström", "decomposed": "Zoe\u0308",
		"Hebrew": "דוד", "Arabic": "محمد", "Persian": "علی\u200cرضا", "Sinhala": "ශ්\u200dරී", "Devanagari": "क्\u200dष", "Japanese": "山田\u3000太郎",
		"ideographic variant": "葛\U000e0100城市", "compatibility variant": "神\ufe00", "Korean": "홍길동", "Mongolian": "ᠨ\u180bᠠ", "no-break space": "12\u00a0kg",
		"emoji": "🎂", "heart": "❤️", "firefighter": "👩🏽‍🚒", "rainbow flag": "🏳️‍🌈", "couple": "👩‍❤️‍💋‍👨", "keycap": "1️⃣", "text style": "☎︎", "arrow": "↔️",
		"Wales": "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f!", "black flag": "🏴", "number sign": "\u0600١٢",
		"emoji to come": "\U0001faff", "ideograph to come": "\U0002ebf0", "replacement": "\ufffd",
	} {
		r, found := Hidden(text)
		require.Falsef(t, found, "%s: %U", name, r)
	}
	r, found := Hidden("paid\u202e)")
	require.True(t, found)
	require.Equal(t, '\u202e', r)
}

// TestNoCharacterHides tries each character between letters: the characters that Unicode's tables call invisible are
// hidden.
func TestNoCharacterHides(t *testing.T) {
	t.Parallel()

	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		_, hidden := Hidden("a" + string(r) + "b")
		switch {
		case unicode.In(r, unicode.Cc, unicode.Co, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Join_Control, unicode.Variation_Selector,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Noncharacter_Code_Point):
			require.Truef(t, hidden, "%U", r)
		case unicode.IsPrint(r) && !unicode.Is(blanks, r), unicode.Is(unicode.Zs, r):
			require.Falsef(t, hidden, "%U", r)
		}
	}
}

func TestEscapeMarkdown(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ text, want string }{
		{"| x |\n [a](b) <b> **", `\| x \|  \[a\]\(b\) \<b\> \*\*`},
		{"see https://evil.example/a", `see https\://evil\.example/a`},
		{"mailto:a@b.c", `mailto\:a@b\.c`},
		{"$5 or $6", `\$5 or \$6`},
		{": a definition", `\: a definition`},
		{"x^2^", `x\^2\^`},
		{"paid\u202e\u200b!", "paid\ufffd\ufffd\\!"},
		{"\x1b[2J", ` \[2J`},
		{"\xff", "\ufffd"},
		{"שלום 12", "\u2068שלום 12\u2069"},
		{"👩‍🚒 Zoë", "👩‍🚒 Zoë"},
	} {
		require.Equal(t, tt.want, EscapeMarkdown(tt.text))
	}
}

// TestWhatOperatorsSaid escapes each person's text by itself, so that no text reorders or swallows another's.
func TestWhatOperatorsSaid(t *testing.T) {
	t.Parallel()

	var b strings.Builder
	s := &saga{acts: []ActRecord{
		{Name: UpdateSkip, Act: Act{Step: "Ship", Item: "$1", By: "דוד", Reason: "costs $5", Reference: "https://x.example"}},
	}}
	s.showOperators(&b)
	require.Contains(t, b.String(), "\n- 0001-01-01T00:00:00Z \u2068דוד\u2069: skip Ship\\.\\$1, because costs \\$5 (https\\://x\\.example)\n")
}
