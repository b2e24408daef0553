package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/pgtest"
)

// Temporal and the services are backed up one after the other, while orders run, and everything is restored from that:
// docs/operations.md says in which order. What Temporal had begun goes on and asks by the same keys again. What it does not know
// any more is placed by the same request, and finds its effects.
func TestRestoreFromBackups(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	dump, restore := pgtest.Program(t, "pg_dump"), pgtest.Program(t, "pg_restore")
	s := &system{t: t, dir: t.TempDir(), temporalDSN: pgtest.DSN(t), servicesDSN: pgtest.DSN(t), temporalPort: freePort(t)}
	s.startOnPostgres()
	placed := map[string]document{}
	place := func(name string) string {
		d := example(t, name)
		path := s.place("orders", d)
		placed[path] = d
		return path
	}
	ended := place("orders/good.json")
	s.awaitEnd(ended)
	waiting := place("orders/fraud-review.json")
	s.awaitWait(waiting)
	// Its goods are reserved, its payment is not authorized yet.
	midway := example(t, "orders/good.json")
	s.fault("payment", "AuthorizePayment", midway, settings{"down": true})
	placed[s.place("orders", midway)] = midway
	s.awaitStep("/v1/orders/"+midway.id(), "ReserveStock", "done")
	refused := place("orders/card-declined.json")
	require.Equal(t, "compensated", s.awaitEnd(refused).State)

	temporalDump := s.backUp(dump, s.temporalDSN, "temporal.dump")
	// After Temporal's backup: one that is forgotten, and one whose person has decided.
	forgotten := place("orders/good.json")
	require.Equal(t, "completed", s.awaitEnd(forgotten).State)
	s.decide(waiting, true)
	require.Equal(t, "completed", s.awaitEnd(waiting).State)
	servicesDump := s.backUp(dump, s.servicesDSN, "services.dump")
	lost := place("orders/good.json")
	require.Equal(t, "completed", s.awaitEnd(lost).State)

	for _, p := range []*process{s.api, s.worker, s.services, s.temporal} {
		p.kill()
	}
	maintenance, err := url.Parse(s.temporalDSN)
	require.NoError(t, err)
	maintenance.Path = "/postgres"
	for _, file := range []string{temporalDump, servicesDump} {
		s.run(restore, "--clean", "--create", "--dbname", maintenance.String(), file)
	}
	s.temporalPort = freePort(t)
	s.startOnPostgres()

	require.Equal(t, http.StatusNotFound, s.status(forgotten), "Temporal's backup is older")
	require.Equal(t, http.StatusNotFound, s.status(lost))
	require.Equal(t, "completed", s.awaitEnd(ended).State)
	require.Equal(t, "completed", s.awaitEnd("/v1/orders/"+midway.id()).State)
	s.awaitWait(waiting)
	s.decide(waiting, true)
	for path, d := range placed {
		require.Equal(t, path, s.place("orders", d), "the same request is the same order")
		want := "completed"
		if path == refused {
			want = "compensated"
		}
		require.Equal(t, want, s.awaitEnd(path).State, path)
	}
	audits := s.requireNothingHalfDone()
	require.EqualValues(t, len(placed)-1, audits["invoicing"].Figures["invoices"], "all but the one that was refused, once each")
}

// startOnPostgres starts everything on the system's databases.
func (s *system) startOnPostgres() {
	s.t.Helper()
	s.startTemporal()
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(s.t))
	s.startServices()
	s.startWorker()
	s.apiURL, s.api = s.startAPI(time.Hour)
}

// backUp writes the database to a file and returns its path.
func (s *system) backUp(dump, dsn, name string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, name)
	s.run(dump, "--format=custom", "--file", file, "--dbname", dsn)
	return file
}

func (s *system) run(program string, args ...string) {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), program, args...).CombinedOutput()
	require.NoError(s.t, err, "%s: %s", program, out)
}

// status is what the API answers for the path.
func (s *system) status(path string) int {
	s.t.Helper()
	status, _ := s.send(http.MethodGet, s.apiURL+path, nil)
	return status
}
