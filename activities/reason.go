package activities

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/amends-dev/amends/compensation"
)

// headerReason passes a participant the reason for an undo. It comes back to us in problem.UndoReason
// (docs/step-contract.md).
const headerReason = "Undo-Reason"

var reasonPattern = regexp.MustCompile(`^"([\x20\x21\x23-\x5b\x5d-\x7e]*)"(?:;step=([A-Z][A-Za-z0-9]{0,63}))?(?:;code=([a-z][a-z0-9_]{0,63}))?$`)

// writeReason returns the reason as a header: a String of RFC 8941, in which everything but printable ASCII is
// percent-encoded, with the step and the code as parameters. It is "" for no reason.
func writeReason(r compensation.Reason) string {
	if r.Text == "" {
		return ""
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(r.Text) {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	if r.Step != "" {
		b.WriteString(";step=" + r.Step)
	}
	if problemCode.MatchString(r.Code) {
		b.WriteString(";code=" + r.Code)
	}
	return b.String()
}

// readReason reads the output of writeReason. Anything else is no reason.
func readReason(text string) (r compensation.Reason) {
	parts := reasonPattern.FindStringSubmatch(text)
	if parts == nil {
		return r
	}
	words, err := url.PathUnescape(parts[1])
	if err != nil {
		return r
	}
	return compensation.Reason{Text: words, Step: parts[2], Code: parts[3]}
}
