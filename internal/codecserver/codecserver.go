// Package codecserver decodes payloads for Temporal's Web UI and command line, which have no keys. It knows Temporal's protocol
// for that, and who may ask; how payloads are kept is not its business.
package codecserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/payload"
)

// Options are what a [New] server needs besides the codec.
type Options struct {
	// Access tells who asks.
	Access access.Authenticator
	// Role is the least that they have to be, [access.Admin] if empty: nothing in a payload says which tenant it belongs to.
	Role access.Role
	// Origins are the sites whose scripts may ask, such as that of the Web UI.
	Origins []string
	// Logger is told who had what decoded.
	Logger *slog.Logger
}

// Limits of one decoding.
const (
	// maxBody is more bytes than Temporal keeps in one event; the decoded payloads may have as many. A claim of some 300
	// bytes stands for a payload in a store, and the same claim may appear any number of times.
	maxBody = 16 << 20
	// maxPayloads is more than a page of a history has.
	maxPayloads = 10_000
	// maxParts bounds the objects and the texts of payloads, which are larger in memory than on the wire.
	maxParts = 20 * maxPayloads
	// decodeTimeout limits the time to decode them.
	decodeTimeout = 20 * time.Second
)

// New answers `POST /decode` of Temporal's remote codecs, and `GET /healthz`. Nothing is encoded: what the Web UI sends to sagas
// goes through the API, which knows who sends it.
func New(codec payload.Codec, o Options) http.Handler {
	s := &server{codec, o}
	if s.Role == "" {
		s.Role = access.Admin
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /decode", s.decode)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if len(o.Origins) == 0 {
		return mux // the cors package would take it for all
	}
	return cors.New(cors.Options{
		AllowedOrigins: o.Origins,
		AllowedMethods: []string{http.MethodPost},
		// The Web UI sends the ID token as an extra; that it may is enough.
		AllowedHeaders: []string{"Authorization", "Authorization-Extras", "Content-Type", "X-Namespace"},
		MaxAge:         int(time.Hour / time.Second),
	}).Handler(mux)
}

type server struct {
	codec payload.Codec
	Options
}

func (s *server) decode(w http.ResponseWriter, r *http.Request) {
	caller, err := s.Access.Authenticate(r.Context(), r.Header.Get("Authorization"))
	log := s.Logger.With("namespace", r.Header.Get("X-Namespace"), "from", r.RemoteAddr)
	switch {
	case errors.Is(err, access.ErrUnavailable):
		log.Error("nobody can say who asks", "error", err)
		refuse(w, http.StatusServiceUnavailable, "Nobody can say at the moment whether the credentials are good.")
		return
	case err != nil:
		log.Warn("did not decode", "error", err)
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "An API key or a token is needed: Authorization: Bearer …")
		return
	case slices.Index(access.Roles(), caller.Role) < slices.Index(access.Roles(), s.Role):
		log.Warn("did not decode", "caller", caller.ID(), "tenant", caller.Tenant, "role", caller.Role)
		refuse(w, http.StatusForbidden, "Payloads are decoded for role "+string(s.Role)+".")
		return
	}
	payloads, f := read(w, r)
	if f == nil {
		payloads, f = s.decodeAll(r.Context(), payloads)
	}
	var answer []byte
	if f == nil {
		if answer, err = protojson.Marshal(&commonpb.Payloads{Payloads: payloads}); err != nil {
			f = &failure{http.StatusUnprocessableEntity, "What is decoded is no JSON.", err}
		}
	}
	if f != nil {
		log.Warn("could not decode", "caller", caller.ID(), "error", f.reason())
		refuse(w, f.status, f.detail)
		return
	}
	log.Info("decoded", "caller", caller.ID(), "tenant", caller.Tenant, "role", caller.Role, "payloads", len(payloads))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer) // whoever asked has gone
}

// A failure is the reason why nothing is decoded. Its cause is for the log; nil if the detail has everything.
type failure struct {
	status int
	detail string
	cause  error
}

func (f *failure) reason() string {
	if f.cause != nil {
		return f.cause.Error()
	}
	return f.detail
}

// read reads the payloads of a request, if they are within the limits.
func read(w http.ResponseWriter, r *http.Request) ([]*commonpb.Payload, *failure) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		return nil, &failure{status: http.StatusUnsupportedMediaType, detail: "Send the body as it is, without Content-Encoding."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &failure{http.StatusRequestTimeout, "The body did not arrive in time.", err}
	case err != nil:
		return nil, &failure{http.StatusBadRequest, "The body broke off.", err}
	case bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}) > maxParts || bytes.Count(body, []byte{'"'})/2 > maxParts:
		return nil, tooMany
	}
	var payloads commonpb.Payloads
	if err := protojson.Unmarshal(body, &payloads); err != nil {
		return nil, &failure{http.StatusBadRequest, "The body has to be a temporal.api.common.v1.Payloads in JSON.", err}
	}
	if len(payloads.GetPayloads()) > maxPayloads {
		return nil, tooMany
	}
	return payloads.GetPayloads(), nil
}

var (
	tooLarge = &failure{status: http.StatusRequestEntityTooLarge, detail: "At most 16 MiB are decoded at once, and to 16 MiB."}
	tooMany  = &failure{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("At most %d payloads are decoded at once.", maxPayloads)}
)

// decodeAll decodes one payload after the other, while they are within the limits.
func (s *server) decodeAll(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, *failure) {
	ctx, cancel := context.WithTimeout(ctx, decodeTimeout)
	defer cancel()
	decoded, left := make([]*commonpb.Payload, len(payloads)), int64(maxBody)
	for i := range payloads {
		one, err := s.codec.Decode(payload.Within(ctx, left), payloads[i:i+1])
		if errors.Is(err, payload.ErrTooLarge) {
			return nil, tooLarge
		}
		if err != nil {
			return nil, &failure{http.StatusUnprocessableEntity, err.Error(), err}
		}
		decoded[i] = one[0]
		if left -= int64(proto.Size(one[0])); left < 0 {
			return nil, tooLarge
		}
	}
	return decoded, nil
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // whoever asked has gone
}
