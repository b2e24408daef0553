package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/api"
)

// docs/openapi.json is what GET /openapi.json answers, for those who do not run the API.
func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()

	w := httptest.NewRecorder()
	api.New(newFakeTemporal(), api.Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi.json", nil))
	require.Equal(t, http.StatusOK, w.Code)
	var document bytes.Buffer
	require.NoError(t, json.Indent(&document, w.Body.Bytes(), "", "  "))
	document.WriteByte('\n')

	const file = "../docs/openapi.json"
	if *api.Update {
		require.NoError(t, os.WriteFile(file, document.Bytes(), 0o644))
	}
	recorded, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(recorded), document.String(), "make generate")
}
