package e2e_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

// A folder of `make run` that an earlier release left when it was killed is taken over: open sagas end, the services'
// tables migrate, and the books balance. Each folder has orders that have ended, that wait for a person, that are parked
// on their way and on their way back, that are tried again, and one that was on its way, and a return that waits for its
// goods.
//
// Temporal's clock went on since: sagas whose wait is over have turned back by themselves, and those that ended before
// Temporal's retention are gone.
func TestFoldersOfEarlierReleases(t *testing.T) {
	t.Parallel()

	folders, err := filepath.Glob(filepath.Join("testdata", "folders", "*.tar.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()

			s := takeOver(t, folder)
			open := s.openSagas()
			require.NotEmpty(t, open)
			for _, path := range open {
				s.settle(path)
			}
			s.requireNothingHalfDone()
			require.Equal(t, "completed", s.awaitEnd(place("good.json")(s)).State)
		})
	}
}

// takeOver unpacks the folder and starts everything on it.
func takeOver(t *testing.T, folder string) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), temporalPort: freePort(t)}
	data := filepath.Join(s.dir, "data")
	unpack(t, folder, data)
	s.apiURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	s.servicesURL = fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	p := spawn(t, "amends-dev", binaries.amendsDev, nil, "--data", data,
		"--api-addr", strings.TrimPrefix(s.apiURL, "http://"), "--services-addr", strings.TrimPrefix(s.servicesURL, "http://"),
		"--temporal-port", fmt.Sprint(s.temporalPort), "--ui-port", fmt.Sprint(freePort(t)))
	s.awaitReady("amends-dev", p, s.apiURL)
	key, err := os.ReadFile(filepath.Join(data, "api-key"))
	require.NoError(t, err)
	s.apiKey, s.caller = strings.TrimSpace(string(key)), "default/key:local"
	return s
}

// unpack unpacks a .tar.gz into a folder.
func unpack(t *testing.T, file, folder string) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	compressed, err := gzip.NewReader(f)
	require.NoError(t, err)
	for archive := tar.NewReader(compressed); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		require.True(t, filepath.IsLocal(h.Name), h.Name)
		target := filepath.Join(folder, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(target, 0o700))
			continue
		}
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(target, content, 0o600))
	}
}

// openSagas returns the paths of the sagas that have not ended.
func (s *system) openSagas() (paths []string) {
	s.t.Helper()
	for _, collection := range []string{"orders", "returns"} {
		for _, state := range []string{"running", "compensating", "parked"} {
			_, body := s.send(http.MethodGet, s.apiURL+"/v1/"+collection+"?state="+state, nil)
			var page struct {
				Items []struct {
					ID string `json:"id"`
				} `json:"items"`
			}
			require.NoError(s.t, json.Unmarshal(body, &page), "%s", body)
			for _, item := range page.Items {
				paths = append(paths, "/v1/"+collection+"/"+item.ID)
			}
		}
	}
	return paths
}

// settle does a person's part for an open saga, until it ends.
func (s *system) settle(path string) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		v := s.await(path, "needs nobody and does not end", func(v saga) bool {
			return ended(v) || len(v.Waits) > 0 || (v.State == "parked" && v.Parked[0].Part != "saga")
		})
		require.True(s.t, time.Now().Before(end), "%s does not end: %+v", path, v)
		switch {
		case ended(v):
			return
		case v.State == "parked":
			s.operate(path, compensation.UpdateRetry, compensation.Act{By: "grace", Step: v.Parked[0].Step})
		case strings.HasPrefix(path, "/v1/returns/"):
			s.decideOnce(path+"/arrival", map[string]any{"condition": "resalable", "by": "dock 4"})
		default:
			s.decideOnce(path+"/approval", map[string]any{"approved": true, "by": "grace"})
		}
	}
}

// decideOnce posts a person's decision. It may have been taken a moment ago, when the saga's status did not show it yet.
func (s *system) decideOnce(path string, body any) {
	s.t.Helper()
	status, answer := s.post(s.apiURL+path, body)
	require.Contains(s.t, []int{http.StatusAccepted, http.StatusConflict}, status, "%s", answer)
}
