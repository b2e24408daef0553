package notification

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/amends-dev/amends/fence"
	"github.com/amends-dev/amends/internal/order"
)

const (
	sender = "Amends <orders@amends.example>"
	domain = "amends.example"
)

// letter is a mail before it is written down. Its subject is one line.
type letter struct {
	id      string
	to      *mail.Address
	subject string
	text    string
	date    time.Time
}

// recipient reads one address without a display name. What is not ASCII in it stays as it is, as
// RFC 6532 allows.
func recipient(s string) (*mail.Address, error) {
	if !order.EmailForm.Fits(s) {
		return nil, fence.Refuse(BadAddress, "the recipient must be %s", order.EmailForm.Must)
	}
	return &mail.Address{Address: s}, nil
}

// compose writes l as RFC 5322 wants it: CRLF ends, short lines, text as quoted-printable UTF-8.
func compose(l letter) []byte {
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("Date", l.date.UTC().Format(time.RFC1123Z))
	header("From", sender)
	header("To", l.to.String())
	header("Message-ID", "<"+l.id+"@"+domain+">")
	header("Subject", encodeSubject(l.subject))
	header("Auto-Submitted", "auto-generated") // RFC 3834: vacation notices stay away
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	text := quotedprintable.NewWriter(&b)
	// The writer turns LF into CRLF, but loses an LF that comes some time after a CR on its own.
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(l.text)
	_, _ = text.Write([]byte(lines)) // a buffer takes everything
	_ = text.Close()                 // as above
	return b.Bytes()
}

// oneLine turns each run of control characters and spaces into one space: what is left cannot end a
// header.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
}

// plainSubject is the longest that fits behind "Subject: " into a line of 78 characters.
const plainSubject = 69

// encodeSubject leaves short ASCII as it is. Anything else, also what only looks encoded, becomes
// encoded words of RFC 2047, of whole characters, one a line; no line of them is longer than 76 characters.
func encodeSubject(s string) string {
	notASCII := func(r rune) bool { return r > unicode.MaxASCII }
	if len(s) <= plainSubject && !strings.ContainsFunc(s, notASCII) && !strings.Contains(s, "=?") {
		return s
	}
	const most = 39 // octets, 52 in Base64, 64 with "=?utf-8?b?" and "?=", 73 behind "Subject: "
	var words []string
	for s != "" {
		n := 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			if n+size > most {
				break
			}
			n += size
		}
		words = append(words, "=?utf-8?b?"+base64.StdEncoding.EncodeToString([]byte(s[:n]))+"?=")
		s = s[n:]
	}
	return strings.Join(words, "\r\n ")
}
