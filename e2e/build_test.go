package e2e_test

import (
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

// The same commit gives the same bytes, wherever it lies: what was reviewed is what runs.
func TestBuildIsReproducible(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	root, err := filepath.Abs("..")
	require.NoError(t, err)
	elsewhere := filepath.Join(t.TempDir(), "another", "place")
	require.NoError(t, os.MkdirAll(filepath.Dir(elsewhere), 0o755))
	require.NoError(t, os.Symlink(root, elsewhere))

	var sums [][32]byte
	for _, dir := range []string{root, elsewhere} {
		binary := filepath.Join(t.TempDir(), "amends")
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/amends")
		build.Dir = dir
		// PWD, so that Go takes the link's path for where it is.
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD="+dir)
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(binary)
		require.NoError(t, err)
		require.NotContains(t, string(text), root, "the binary tells where it was built")
		sums = append(sums, sha256.Sum256(text))
	}
	require.Equal(t, sums[0], sums[1])
}
