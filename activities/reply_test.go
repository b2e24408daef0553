package activities_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/activities"
)

// asGiven answers each request with the body and with these headers only.
func asGiven(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cutOff answers with the status and headers, and with less than it announced.
func cutOff(status int, body string, headers ...string) http.HandlerFunc {
	return asGiven(status, body, append(headers, "Content-Length", "5000")...)
}

const (
	html     = "text/html; charset=utf-8"
	problems = "application/problem+json"
	page     = "<html><body>Forbidden</body></html>"
	declined = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"no","code":"forbidden"}`
	ownKey   = "order-42:AuthorizePayment"
)

// TestNoWordOfTheService: an answer that does not keep the step contract may come from something in between, so it
// settles nothing. The reason reaches people, the page does not.
func TestNoWordOfTheService(t *testing.T) {
	t.Parallel()

	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		// do and undo are in the texts for people.
		do, undo string
	}{
		"page, 400":             {asGiven(400, page, "Content-Type", html), "status 400 Bad Request, which does not keep the step contract: it is text/html", "it is text/html"},
		"page, 401":             {asGiven(401, page, "Content-Type", html), "status 401", "status 401"},
		"page, 403":             {asGiven(403, page, "Content-Type", html), "status 403", "status 403"},
		"page, 404":             {asGiven(404, page, "Content-Type", html), "status 404", "status 404"},
		"page, 405":             {asGiven(405, page, "Content-Type", html), "status 405", "status 405"},
		"page, 409":             {asGiven(409, page, "Content-Type", html), "status 409", "status 409"},
		"page, 410":             {asGiven(410, page, "Content-Type", html), "status 410", "status 410"},
		"page, 422":             {asGiven(422, page, "Content-Type", html), "status 422", "status 422"},
		"page, 451":             {asGiven(451, page, "Content-Type", html), "status 451", "status 451"},
		"page with our key":     {asGiven(403, page, "Content-Type", html, "Saga-Key", ownKey), "it is text/html", "it is text/html"},
		"no content":            {asGiven(404, ""), "it is of no content type", "it is of no content type"},
		"malformed type":        {asGiven(404, declined, "Content-Type", ";;"), "it is of no content type", "it is of no content type"},
		"plain JSON":            {asGiven(403, declined, "Content-Type", "application/json", "Saga-Key", ownKey), "it is application/json", "it is application/json"},
		"a gateway's problem":   {asGiven(403, `{"type":"about:blank","title":"Forbidden","status":403}`, "Content-Type", problems), `has the code ""`, `has the code ""`},
		"its code":              {asGiven(403, declined, "Content-Type", problems), "no header Saga-Key", "no header Saga-Key"},
		"irreversible":          {asGiven(409, `{"status":409,"code":"irreversible"}`, "Content-Type", problems), "no header Saga-Key", "no header Saga-Key"},
		"key reused":            {asGiven(409, `{"status":409,"code":"key_reused"}`, "Content-Type", problems), "no header Saga-Key", "no header Saga-Key"},
		"another key":           {asGiven(403, declined, "Content-Type", problems, "Saga-Key", "order-43:AuthorizePayment"), `names "order-43:AuthorizePayment"`, `names "order-43`},
		"two keys":              {asGiven(403, declined, "Content-Type", problems, "Saga-Key", ownKey, "Saga-Key", ownKey), "its header Saga-Key names", "its header Saga-Key names"},
		"malformed key":         {asGiven(403, declined, "Content-Type", problems, "Saga-Key", "order-42%3"), "its header Saga-Key names", "its header Saga-Key names"},
		"another status":        {asGiven(404, declined, "Content-Type", problems, "Saga-Key", ownKey), "its problem has status 403", "its problem has status 403"},
		"code of another form":  {asGiven(403, `{"status":403,"code":"Access Denied"}`, "Content-Type", problems, "Saga-Key", ownKey), `has the code "Access Denied"`, `has the code "Access Denied"`},
		"problem that is none":  {asGiven(403, page, "Content-Type", problems, "Saga-Key", ownKey), "its problem is not JSON", "its problem is not JSON"},
		"two codes":             {asGiven(403, `{"status":403,"code":"a","Code":"b"}`, "Content-Type", problems, "Saga-Key", ownKey), `"code" and "Code" mean one field`, `"code" and "Code" mean one field`},
		"two IDs":               {asGiven(200, `{"authorization_id":"a1","authorization_id":"a2","amount":{"amount":1290,"currency":"EUR"}}`, "Content-Type", "application/json"), `"authorization_id" stands twice`, "status 200"},
		"cut off":               {cutOff(403, declined, "Content-Type", problems, "Saga-Key", ownKey), "no answer: unexpected EOF", "no answer: unexpected EOF"},
		"redirect":              {asGiven(302, page, "Content-Type", html, "Location", "/login"), "status 302", "status 302"},
		"not modified":          {asGiven(304, ""), "status 304", "status 304"},
		"switching protocols":   {asGiven(101, "", "Connection", "Upgrade", "Upgrade", "h2c"), "status 101", "status 101"},
		"page, 200":             {asGiven(200, page, "Content-Type", html), "it is text/html, not application/json", "status 200"},
		"result as text":        {asGiven(200, authorized, "Content-Type", "text/plain"), "it is text/plain, not application/json", "status 200"},
		"result of no type":     {asGiven(200, authorized), "it is of no content type", "status 200"},
		"result of another key": {asGiven(200, authorized, "Content-Type", "application/json", "Saga-Key", "order-43:AuthorizePayment"), "its header Saga-Key names", "status 200"},
		"half a result":         {cutOff(200, authorized, "Content-Type", "application/json"), "no answer: unexpected EOF", "no answer: unexpected EOF"},
		"half of the JSON":      {asGiven(200, authorized[:20], "Content-Type", "application/json"), "cannot be used", "status 200"},
		"accepted":              {asGiven(202, authorized, "Content-Type", "application/json", "Saga-Key", ownKey), "status 202", "status 202"},
		"of a cache":            {asGiven(203, authorized, "Content-Type", "application/json", "Saga-Key", ownKey), "status 203", "status 203"},
		"no result":             {asGiven(204, "", "Saga-Key", "order-43:AuthorizePayment"), "status 204", "its header Saga-Key names"},
		"a part":                {asGiven(206, authorized, "Content-Type", "application/json", "Saga-Key", ownKey), "status 206", "status 206"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			b := newBundle(t, tt.answer)
			_, err := b.authorize()
			requireFailure(t, err, activities.ErrTypeUnanswered, tt.do, false, 0)
			require.NotContains(t, err.Error(), "<")
			err = b.void()
			requireFailure(t, err, activities.ErrTypeUnanswered, tt.undo, false, 0)
			require.NotContains(t, err.Error(), "<")
		})
	}
}

// TestKeysAsServicesNameThem: percent-encoded or as it came, the key is the same.
func TestKeysAsServicesNameThem(t *testing.T) {
	t.Parallel()

	for _, named := range []string{ownKey, "order-42%3AAuthorizePayment", "order-42%3aAuthorizePayment"} {
		_, err := newBundle(t, asGiven(403, declined, "Content-Type", problems, "Saga-Key", named)).authorize()
		requireFailure(t, err, "Refused", "no", true, 0)
		require.NoError(t, newBundle(t, asGiven(204, "", "Saga-Key", named)).void())
	}
}

// TestServicesWithoutMarks: a service that does not name its keys yet is believed when it confirms a step.
func TestServicesWithoutMarks(t *testing.T) {
	t.Parallel()

	_, err := newBundle(t, asGiven(201, authorized, "Content-Type", "application/json")).authorize()
	require.NoError(t, err)
	require.NoError(t, newBundle(t, asGiven(204, "")).void())
}
