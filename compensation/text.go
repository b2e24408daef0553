package compensation

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hidden returns the first character of text that readers do not see, or that changes how they see the text around it:
// controls, characters that turn the direction of writing, zero-width ones, tags, fillers, and characters that Unicode
// leaves to private use or has not assigned. It passes joiners and variation selectors where writing needs them: within
// words of the scripts that have them, and in emoji. Invalid UTF-8 is hidden, as [utf8.RuneError].
func Hidden(text string) (r rune, found bool) {
	for at := 0; at < len(text); {
		n := visible(text, at)
		if n == 0 {
			r, _ := utf8.DecodeRuneInString(text[at:])
			return r, true
		}
		at += n
	}
	return 0, false
}

// visible returns the number of bytes at text[at:] that form a visible character, with those that belong to it; 0 for a
// hidden one.
func visible(text string, at int) int {
	r, n := utf8.DecodeRuneInString(text[at:])
	if r == utf8.RuneError && n == 1 {
		return 0
	}
	if r < utf8.RuneSelf {
		if unicode.IsControl(r) {
			return 0
		}
		return n
	}
	if r == blackFlag {
		return n + len(flagOfRegion(text[at+n:]))
	}
	if !hides(r) || needed(text[:at], r, text[at+n:]) {
		return n
	}
	return 0
}

// hides reports whether r is hidden where nothing around it needs it.
func hides(r rune) bool {
	switch {
	case unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return false // drawn signs around numbers
	case unicode.Is(unicode.Cn, r):
		return unicode.Is(unicode.Noncharacter_Code_Point, r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
			!unicode.Is(comesNext, r)
	}
	return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, blanks)
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	textStyle          = '\ufe0e'
	emojiStyle         = '\ufe0f'
	keycap             = '\u20e3'
	blackFlag          = '\U0001f3f4'
)

var (
	// blanks are drawn as nothing, but are not spaces.
	blanks = &unicode.RangeTable{
		R16: []unicode.Range16{{Lo: 0x2800, Hi: 0x2800, Stride: 1}},
		R32: []unicode.Range32{
			{Lo: 0x13441, Hi: 0x13442, Stride: 1}, {Lo: 0x16fe4, Hi: 0x16fe4, Stride: 1}, {Lo: 0x1d159, Hi: 0x1d159, Stride: 1},
		},
	}
	// comesNext has the ranges to which Unicode adds pictographs and ideographs. They appear in people's names and
	// messages before Go knows them.
	comesNext = &unicode.RangeTable{R32: []unicode.Range32{
		{Lo: 0x1f000, Hi: 0x1faff, Stride: 1}, {Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	}}
	// joining are the scripts in whose words joiners make a difference (Unicode, section 23.2; RFC 5892, appendix A).
	joining = []*unicode.RangeTable{
		unicode.Arabic, unicode.Syriac, unicode.Mandaic, unicode.Manichaean, unicode.Mongolian, unicode.Phags_Pa, unicode.Nko, unicode.Adlam,
		unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati, unicode.Oriya, unicode.Tamil, unicode.Telugu,
		unicode.Kannada, unicode.Malayalam, unicode.Sinhala, unicode.Khmer, unicode.Myanmar, unicode.Balinese, unicode.Javanese,
		unicode.Tibetan,
	}
	// rightToLeft has the ranges of scripts that are written from right to left (UAX #9, table 4).
	rightToLeft = &unicode.RangeTable{
		R16: []unicode.Range16{{Lo: 0x0590, Hi: 0x08ff, Stride: 1}, {Lo: 0xfb1d, Hi: 0xfdff, Stride: 1}, {Lo: 0xfe70, Hi: 0xfefe, Stride: 1}},
		R32: []unicode.Range32{{Lo: 0x10800, Hi: 0x10fff, Stride: 1}, {Lo: 0x1e800, Hi: 0x1efff, Stride: 1}},
	}
)

// needed reports whether the writing around r needs it, although r by itself is hidden.
func needed(before string, r rune, after string) bool {
	last, n := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	switch {
	case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
		if unicode.In(last, joining...) && unicode.In(next, joining...) {
			return true
		}
		if last == emojiStyle {
			last, _ = utf8.DecodeLastRuneInString(before[:len(before)-n])
		}
		return r == zeroWidthJoiner && pictograph(last) && pictograph(next)
	case r == textStyle || r == emojiStyle:
		return pictograph(last) || next == keycap && strings.ContainsRune("0123456789#*", last)
	case unicode.In(r, unicode.Variation_Selector, unicode.Cf) && unicode.Is(unicode.Mongolian, r):
		return unicode.IsLetter(last) && unicode.Is(unicode.Mongolian, last)
	case unicode.Is(unicode.Variation_Selector, r):
		return unicode.Is(unicode.Han, last) // it selects the form of an ideograph, which matters in names
	}
	return false
}

// pictograph reports whether r may be drawn as an emoji, or is an emoji's skin color.
func pictograph(r rune) bool {
	if r == utf8.RuneError { // also where there is no character
		return false
	}
	return unicode.In(r, unicode.So, unicode.Sm) && r >= utf8.RuneSelf || strings.ContainsRune("‼⁉〰", r) || r >= 0x1f000 && r <= 0x1faff
}

// flagOfRegion returns the tags at the beginning of text that turn a black flag into that of England, Scotland or Wales.
// Unicode recommends no others (UTS #51, ED-14a); any other tags would be a text within the text.
func flagOfRegion(text string) string {
	for _, region := range [...]string{"gbeng", "gbsct", "gbwls"} {
		var tags strings.Builder
		for _, c := range region {
			tags.WriteRune(0xe0000 + c)
		}
		tags.WriteRune(0xe007f)
		if strings.HasPrefix(text, tags.String()) {
			return tags.String()
		}
	}
	return ""
}

// markdownSpecial are the characters that could turn a person's text into markup, a link, a formula or a table's cell.
// They are all that the Web UI's renderer accepts as escaped after a backslash.
const markdownSpecial = "\\`*_{}[]()<>#+-.!|~&:$^"

const (
	isolate    = '\u2068' // FIRST STRONG ISOLATE
	endIsolate = '\u2069' // POP DIRECTIONAL ISOLATE
)

// EscapeMarkdown makes text safe in a line of Markdown, which the Web UI renders in summaries and details: it appears as
// it is, and leaves everything around it as it was. A control character becomes a space, another [Hidden] one U+FFFD.
// Text that is written from right to left is isolated, so that what follows keeps its order. Escape each person's text by
// itself.
func EscapeMarkdown(text string) string {
	var b strings.Builder
	turned := strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(rightToLeft, r) })
	if turned {
		b.WriteRune(isolate)
	}
	for at := 0; at < len(text); {
		if n := visible(text, at); n > 0 {
			if strings.IndexByte(markdownSpecial, text[at]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteString(text[at : at+n])
			at += n
			continue
		}
		r, n := utf8.DecodeRuneInString(text[at:])
		if unicode.IsControl(r) {
			b.WriteByte(' ')
		} else {
			b.WriteRune(utf8.RuneError)
		}
		at += n
	}
	if turned {
		b.WriteRune(endIsolate)
	}
	return b.String()
}

// shortened returns the text, or its beginning if it has more than limit bytes.
func shortened(text string, limit int) string {
	const cut = "…"
	if len(text) <= limit {
		return text
	}
	end := limit - len(cut)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + cut
}
