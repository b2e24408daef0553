package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
)

var errPageToken = badQuery(Fault{Parameter: "page_token", Detail: "is not the next_page_token of a page of this list"})

// pageSeal turns Temporal's page tokens into the API's, each for one list, and recognizes them. Temporal takes a made-up
// or damaged token for a fault of its own, and is asked again and again. A token reveals nothing that its caller may not
// see.
type pageSeal []byte

// pageSeal returns the seal, whose key all processes of the API know and no caller does: the namespace's ID, a random UUID.
func (s *server) pageSeal(ctx context.Context) (pageSeal, error) {
	if seal := s.seal.Load(); seal != nil {
		return *seal, nil
	}
	d, err := s.temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: s.options.Namespace})
	if err != nil {
		return nil, fmt.Errorf("describe namespace %s: %w", s.options.Namespace, err)
	}
	seal := pageSeal("amends page token " + d.GetNamespaceInfo().GetId())
	s.seal.Store(&seal)
	return seal, nil
}

// sealLen is the length of the seal in a token, in bytes.
const sealLen = 16

// token returns Temporal's token as one for the list of that query.
func (k pageSeal) token(token []byte, query string) string {
	return base64.RawURLEncoding.EncodeToString(append(k.mark(token, query), token...))
}

// open returns Temporal's token, nil for no token. The error is [errPageToken] if the seal did not make the text, for
// that query.
func (k pageSeal) open(text, query string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) < sealLen || !hmac.Equal(raw[:sealLen], k.mark(raw[sealLen:], query)) {
		return nil, errPageToken
	}
	return raw[sealLen:], nil
}

func (k pageSeal) mark(token []byte, query string) []byte {
	mac := hmac.New(sha256.New, k)
	mac.Write([]byte(query + "\n")) // no query has a line break
	mac.Write(token)
	return mac.Sum(nil)[:sealLen]
}
