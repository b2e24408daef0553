package notification

import (
	"bytes"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever the subject and the text are, the mail has the same nine header fields, short lines, and
// gives back what was written.
func TestComposeGivesBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~äß€\r\n=?_:.]{0,200}`))
		l := letter{
			id:      "message-0",
			to:      &mail.Address{Address: "ada@example.com"},
			subject: oneLine(texts.Draw(t, "subject")),
			text:    texts.Draw(t, "text"),
			date:    time.Unix(rapid.Int64Range(0, 1<<35).Draw(t, "date"), 0),
		}
		raw := compose(l)
		for _, line := range strings.Split(string(raw), "\r\n") {
			require.LessOrEqual(t, len(line), 78)
			require.NotContains(t, line, "\n", "a line feed on its own")
			require.NotContains(t, line, "\r", "a carriage return on its own")
		}
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		require.NoError(t, err)
		require.Len(t, m.Header, 9)
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		require.NoError(t, err)
		require.Equal(t, l.subject, subject)
		date, err := m.Header.Date()
		require.NoError(t, err)
		require.True(t, l.date.Equal(date))
		require.Equal(t, "<message-0@amends.example>", m.Header.Get("Message-Id"))
		text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
		require.NoError(t, err)
		require.Equal(t, lineEnds(l.text), string(text))
	})
}

// lineEnds makes every end of a line CRLF, as mail has it.
func lineEnds(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	return strings.ReplaceAll(s, "\n", "\r\n")
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, encoded string }{
		{"", ""},
		{"a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd"},
		{"\r€\n", "\r\n=E2=82=AC\r\n"},
		{"1 = 1 \n", "1 =3D 1=20\r\n"},
		{strings.Repeat("a", 100), strings.Repeat("a", 75) + "=\r\n" + strings.Repeat("a", 25)},
	} {
		raw := compose(letter{id: "message-0", to: &mail.Address{Address: "ada@example.com"}, text: tt.text})
		_, body, found := strings.Cut(string(raw), "\r\n\r\n")
		require.True(t, found)
		require.Equal(t, tt.encoded, body, "%q", tt.text)
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ subject, encoded string }{
		{"Your order order-42", "Your order order-42"},
		{"", ""},
		{"Grüße", "=?utf-8?b?R3LDvMOfZQ==?="},
		{"=?utf-8?q?forged?=", "=?utf-8?b?PT91dGYtOD9xP2ZvcmdlZD89?="},
		{"a\r\nBcc: eve@example.com", "a Bcc: eve@example.com"},
		{" a\t\x00 b ", "a b"},
		{
			strings.Repeat("€", 14), // 42 octets: 13 characters fit into the first word
			"=?utf-8?b?" + strings.Repeat("4oKs", 13) + "?=\r\n =?utf-8?b?4oKs?=",
		},
	} {
		require.Equal(t, tt.encoded, encodeSubject(oneLine(tt.subject)), "%q", tt.subject)
	}
}

func TestRecipient(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"ada@example.com", "o'hara+shop@example.com", "jörg@bücher.example"} {
		a, err := recipient(good)
		require.NoError(t, err, good)
		parsed, err := mail.ParseAddress(a.String())
		require.NoError(t, err, good)
		require.Equal(t, a, parsed)
	}
	for _, bad := range []string{
		"", "ada", "ada@", "<ada@example.com>", `"ada l"@example.com`, "@example.com", "ada@example.com, eve@example.com", "Ada <ada@example.com>",
		"ada@example.com\r\nBcc: eve@example.com", "ada@example.com\n", "\"ada\r\n Bcc: eve\"@example.com", "ada@exam\x00ple.com",
		"ada@\u0085example.com", strings.Repeat("a", 250) + "@example.com", "undisclosed-recipients:;",
	} {
		_, err := recipient(bad)
		require.ErrorContains(t, err, BadAddress, "%q", bad)
	}
}
