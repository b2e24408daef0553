// Package codecserver decodes payloads for Temporal's Web UI and command line, which have no keys. It knows Temporal's protocol
// for that, and who may ask; how payloads are kept is not its business.
package codecserver

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/rs/cors"
	commonpb "go.temporal.io/api/common/v1"
	"google.golang.org/protobuf/encoding/protojson"

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

// maxBody is more than Temporal keeps in one event.
const maxBody = 16 << 20

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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "At most 16 MiB are decoded at once.")
		return
	}
	var payloads commonpb.Payloads
	if err != nil || protojson.Unmarshal(body, &payloads) != nil {
		refuse(w, http.StatusBadRequest, "The body has to be a temporal.api.common.v1.Payloads in JSON.")
		return
	}
	decoded, err := s.codec.Decode(r.Context(), payloads.GetPayloads())
	if err != nil {
		log.Warn("could not decode", "caller", caller.ID(), "error", err)
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	answer, err := protojson.Marshal(&commonpb.Payloads{Payloads: decoded})
	if err != nil {
		log.Warn("could not decode", "caller", caller.ID(), "error", err)
		refuse(w, http.StatusUnprocessableEntity, "What is decoded is no JSON.")
		return
	}
	log.Info("decoded", "caller", caller.ID(), "tenant", caller.Tenant, "role", caller.Role, "payloads", len(decoded))
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(answer) // whoever asked has gone
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // whoever asked has gone
}
