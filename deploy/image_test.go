package deploy_test

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

const (
	// imageVersion is what the tests build the image as.
	imageVersion = "v0.0.0-test"
	// maxImage is how large the image may be.
	maxImage = 60_000_000
	// certificates is what the CA certificates take, with room for more of them.
	certificates = 500_000
)

// stage is a stage of the Dockerfile: its instructions, each in one line, by their keyword.
type stage map[string][]string

// readDockerfile returns the stages that build the image: the one that compiles, and the image itself.
func readDockerfile(t *testing.T) (build, image stage) {
	t.Helper()
	content, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	var stages []stage
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.Join(lines, "\n"), "\\\n", ""), "\n") {
		keyword, rest, _ := strings.Cut(line, " ")
		if keyword == "FROM" {
			stages = append(stages, stage{})
		}
		require.NotEmpty(t, stages, "%s comes before the first stage", line)
		stages[len(stages)-1][keyword] = append(stages[len(stages)-1][keyword], rest)
	}
	require.Len(t, stages, 2)
	return stages[0], stages[1]
}

// environment is what ENV sets, as NAME=value.
func (s stage) environment() []string { return strings.Fields(strings.Join(s["ENV"], " ")) }

// buildContext copies what .dockerignore lets through.
func buildContext(t *testing.T, to string) {
	t.Helper()
	list, err := os.ReadFile("../.dockerignore")
	require.NoError(t, err)
	patterns, err := ignorefile.ReadAll(bytes.NewReader(list))
	require.NoError(t, err)
	ignored, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel("..", path)
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir // git, tools and data, which are looked for below
		}
		skip, err := ignored.MatchesOrParentMatches(name)
		if err != nil || skip || entry.IsDir() {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o644)
	}))
	for _, secret := range []string{".git/HEAD", ".amends/secrets/api-key", ".amends/keys.toml", "api/.env"} {
		skip, err := ignored.MatchesOrParentMatches(secret)
		require.NoError(t, err)
		require.True(t, skip, "%s would get into the build", secret)
	}
}

// compile runs the Dockerfile's go build in a folder, as the build stage does, and returns the binary's path.
func compile(t *testing.T, context, out string) string {
	t.Helper()
	build, _ := readDockerfile(t)
	var script string
	for _, run := range build["RUN"] {
		if _, command, ok := strings.Cut(run, "GOOS="); ok { // mounts stand before it
			script = strings.ReplaceAll("GOOS="+command, "/out/", out+"/")
		}
	}
	require.NotEmpty(t, script, "the Dockerfile compiles nothing")
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Dir = context
	cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "VERSION="+imageVersion)
	cmd.Env = append(cmd.Env, build.environment()...)
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return filepath.Join(out, "amends")
}

var compiled struct {
	once sync.Once
	path string
}

// binary returns the image's binary, compiled once for all tests. Without the paths of this machine, no package of it is
// in the build cache of make run, so tests that need it are long.
func binary(t *testing.T) string {
	t.Helper()
	longtest.Skip(t)
	compiled.once.Do(func() {
		context := filepath.Join(scratch, "context")
		buildContext(t, context)
		compiled.path = compile(t, context, filepath.Join(scratch, "out"))
	})
	require.NotEmpty(t, compiled.path, "the binary did not compile: see the test that came first")
	return compiled.path
}

func TestImageIsSmallAndStatic(t *testing.T) {
	t.Parallel()

	file := binary(t)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	t.Logf("the binary has %d bytes", len(content))
	require.Less(t, len(content)+certificates, maxImage)

	program, err := elf.NewFile(bytes.NewReader(content))
	require.NoError(t, err)
	libraries, err := program.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
	for _, segment := range program.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "there is no loader in the image")
	}

	build, err := buildinfo.ReadFile(file)
	require.NoError(t, err)
	settings := map[string]string{}
	for _, s := range build.Settings {
		settings[s.Key] = s.Value
	}
	require.Equal(t, "true", settings["-trimpath"])
	require.Equal(t, "timetzdata", settings["-tags"], "there are no time zones in the image")

	said, err := exec.Command(file, "version").Output()
	require.NoError(t, err)
	require.Equal(t, "amends "+imageVersion+"\n", string(said))
}

func TestImageIsReproducible(t *testing.T) {
	t.Parallel()

	first, err := os.ReadFile(binary(t))
	require.NoError(t, err)
	elsewhere := t.TempDir()
	buildContext(t, elsewhere)
	second, err := os.ReadFile(compile(t, elsewhere, t.TempDir()))
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256(first), sha256.Sum256(second), "the folder in which it is built shows in the binary")
}

func TestImageHasWhatRunsAndNoMore(t *testing.T) {
	t.Parallel()

	build, image := readDockerfile(t)
	workspace, err := os.ReadFile("../go.work")
	require.NoError(t, err)
	_, goVersion, _ := strings.Cut(string(workspace), "go ")
	goVersion, _, _ = strings.Cut(goVersion, "\n")
	require.Equal(t, []string{"--platform=$BUILDPLATFORM golang:" + goVersion + "-bookworm AS build"}, build["FROM"])
	require.Equal(t, []string{"scratch"}, image["FROM"])

	var there []string
	for _, c := range image["COPY"] {
		require.Contains(t, c, "--from=build ")
		there = append(there, c[strings.LastIndexByte(c, ' ')+1:])
	}
	require.Equal(t, []string{"/etc/ssl/certs/", "/var/lib/amends", "/usr/bin/amends"}, there)
	require.Contains(t, image.environment(), "PATH=/usr/bin")
	require.Equal(t, []string{"65532:65532"}, image["USER"])
	require.Equal(t, []string{`["amends"]`}, image["ENTRYPOINT"])
	require.Len(t, image["HEALTHCHECK"], 1)
	require.Regexp(t, ` CMD \["amends", "ready"\]$`, image["HEALTHCHECK"][0], "there is no shell")
	require.NotContains(t, image, "RUN")

	for _, name := range []string{"title", "source", "licenses", "version"} {
		require.Contains(t, strings.Join(image["LABEL"], " "), "org.opencontainers.image."+name+"=")
	}
	require.NotContains(t, strings.Join(image["LABEL"], " "), "created", "the same sources would give another image each time")
}
