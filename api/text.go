package api

import (
	"fmt"
	"net/http"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/amends-dev/amends/compensation"
)

// unreadable describes the part of a text that readers would not see as it is; empty if there is no such part. Texts go
// to logs, terminals, mails and the Web UI, and people who decide by them trust what they see.
func unreadable(text string) string {
	r, hidden := compensation.Hidden(text)
	switch {
	case !hidden:
		return ""
	case r == utf8.RuneError:
		return "is not UTF-8"
	case unicode.IsControl(r):
		return "has control characters"
	}
	return fmt.Sprintf("has %U, which readers do not see: leave it out", r)
}

// checkParameters refuses a path or a header with a text that is [unreadable]. It checks the headers that the operation
// reads.
func (s *server) checkParameters(ctx huma.Context, next func(huma.Context)) {
	var faults []Fault
	note := func(name, value string) {
		if detail := unreadable(value); detail != "" {
			faults = append(faults, Fault{Parameter: name, Detail: detail})
		}
	}
	headers := map[string]string{}
	for _, p := range ctx.Operation().Parameters {
		switch p.In {
		case "path":
			note(p.Name, ctx.Param(p.Name))
		case "header":
			headers[http.CanonicalHeaderKey(p.Name)] = p.Name
		}
	}
	ctx.EachHeader(func(name, value string) {
		if declared, ok := headers[http.CanonicalHeaderKey(name)]; ok {
			note(declared, value)
		}
	})
	if len(faults) > 0 {
		_, w := humachi.Unwrap(ctx)
		writeProblem(w, s.problem(ctx.Context(), badQuery(faults...)))
		return
	}
	next(ctx)
}
