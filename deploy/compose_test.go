package deploy_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// compose reads docker-compose.yml as Docker does: against the schema, with references resolved.
func compose(t *testing.T) *types.Project {
	t.Helper()
	return composeWith(t, types.Mapping{})
}

// composeWith reads it where these variables are set, with others over it.
func composeWith(t *testing.T, environment types.Mapping, overrides ...string) *types.Project {
	t.Helper()
	files := []types.ConfigFile{{Filename: "../docker-compose.yml"}}
	for _, content := range overrides {
		files = append(files, types.ConfigFile{Filename: "../docker-compose.override.yml", Content: []byte(content)})
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: "..", ConfigFiles: files, Environment: environment,
	}, func(o *loader.Options) {
		o.SetProjectName("amends", true)
		o.Profiles = []string{"*"}
	})
	require.NoError(t, err)
	return project
}

// isOurs tells whether the service runs our image.
func isOurs(s types.ServiceConfig) bool { return strings.HasPrefix(s.Image, "amends:") }

// isJob tells whether it is to end: a job or a tool.
func isJob(s types.ServiceConfig) bool { return s.Restart == "no" }

func TestEveryContainerIsConfined(t *testing.T) {
	t.Parallel()

	user := regexp.MustCompile(`^[1-9]\d*:\d+$`)
	pinned := regexp.MustCompile(`^[a-z/-]+:v?\d+\.\d+(\.\d+)?(-alpine)?$`)
	for name, s := range compose(t).Services {
		require.Regexp(t, user, s.User, name)
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Empty(t, s.CapAdd, name)
		require.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt, name)
		require.False(t, s.Privileged, name)
		require.NotNil(t, s.Deploy, name)
		limits := s.Deploy.Resources.Limits
		require.NotNil(t, limits, name)
		require.Positive(t, float32(limits.NanoCPUs), name)
		require.Positive(t, int64(limits.MemoryBytes), name)
		require.Positive(t, limits.Pids, name)
		require.NotNil(t, s.Logging, "%s: its log would fill the disk", name)
		if isOurs(s) {
			require.NotNil(t, s.Build, name)
			require.Equal(t, "65532:65532", s.User, name)
		} else {
			require.Regexp(t, pinned, s.Image, name)
		}
		if !isJob(s) && name != "otel-collector" { // which has nothing in it to ask with
			require.NotNil(t, s.HealthCheck, name)
			require.NotZero(t, s.HealthCheck.Interval, name)
		}
		if isOurs(s) && !isJob(s) {
			require.Equal(t, []string{"CMD", "amends", "ready"}, []string(s.HealthCheck.Test), name)
			require.Equal(t, "unless-stopped", s.Restart, name)
			soft, err := strconv.Atoi(strings.TrimSuffix(*s.Environment["GOMEMLIMIT"], "MiB"))
			require.NoError(t, err, name)
			require.Less(t, int64(soft)<<20, int64(limits.MemoryBytes), "%s: it would be killed before it saves memory", name)
		}
	}
}

func TestOnlyThisMachineReachesWhatIsPublished(t *testing.T) {
	t.Parallel()

	project := compose(t)
	var published, outside []string
	for name, s := range project.Services {
		for _, port := range s.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, name)
			published = append(published, name)
		}
		if s.NetworkMode == "none" {
			continue
		}
		require.NotContains(t, s.Networks, "default", "%s is in no network of its own", name)
		for network := range s.Networks {
			if !project.Networks[network].Internal {
				outside = append(outside, name)
			}
		}
	}
	slices.Sort(outside)
	slices.Sort(published)
	want := []string{"grafana", "proxy", "temporal-ui"}
	require.Equal(t, want, slices.Compact(published))
	require.Equal(t, want, outside, "the others reach nothing but each other")
}

// The proxy says who calls, so nobody else may be where it is.
func TestOnlyTheProxyIsTrusted(t *testing.T) {
	t.Parallel()

	project := compose(t)
	trusted := netip.MustParsePrefix(*project.Services["api-1"].Environment["AMENDS_TRUSTED_PROXY"])
	require.Equal(t, trusted.String(), project.Networks["api"].Ipam.Config[0].Subnet)
	var there []string
	for name, s := range project.Services {
		if n, ok := s.Networks["api"]; ok {
			there = append(there, name)
			if n != nil && n.Ipv4Address != "" {
				require.True(t, trusted.Contains(netip.MustParseAddr(n.Ipv4Address)), name)
			}
		}
	}
	slices.Sort(there)
	require.Equal(t, []string{"api-1", "api-2", "codec", "demo", "proxy"}, there)
}

func TestComposeHasNoSecrets(t *testing.T) {
	t.Parallel()

	project := compose(t)
	for name, secret := range project.Secrets {
		require.Equal(t, filepath.Join("..", ".amends", "secrets", name), secret.File)
	}
	secretive := regexp.MustCompile(`(?i)password|passwd|_pwd|secret|token|_key`)
	for name, s := range project.Services {
		for key, value := range s.Environment {
			if secretive.MatchString(key) && value != nil && *value != "" && *value != "true" {
				require.True(t, strings.HasPrefix(*value, "/run/secrets/") || strings.HasPrefix(*value, "/var/lib/amends/keys/"),
					"%s: %s is no file", name, key)
			}
		}
	}
	ignored, err := os.ReadFile("../.gitignore")
	require.NoError(t, err)
	require.Contains(t, string(ignored), "\n.amends/\n")
}

// What docs/production.md adds, so that the Web UI decrypts, fits, and lets the codec server reach the issuer.
func TestComposeWithSigningIn(t *testing.T) {
	t.Parallel()

	page, err := os.ReadFile("../docs/production.md")
	require.NoError(t, err)
	_, override, found := strings.Cut(string(page), "  ```yaml\n  services:\n")
	require.True(t, found)
	override, _, _ = strings.Cut(override, "  ```")
	project := composeWith(t, types.Mapping{}, "services:\n"+override)
	require.Contains(t, project.Services["codec"].Networks, "public")
	require.Contains(t, project.Services["codec"].Networks, "api")
	for service, settings := range map[string][]string{
		"codec":       {"AMENDS_OIDC_ISSUER", "AMENDS_PAYLOAD_KEYS"},
		"temporal-ui": {"TEMPORAL_AUTH_ENABLED", "TEMPORAL_CODEC_ENDPOINT", "TEMPORAL_CODEC_PASS_ACCESS_TOKEN", "TEMPORAL_HIDE_LOGS"},
	} {
		for _, name := range settings {
			require.NotNil(t, project.Services[service].Environment[name], name)
			require.NotEmpty(t, *project.Services[service].Environment[name], name)
		}
	}
}

// What is mounted is there, and the Temporal that runs is the one that the tests run.
func TestComposeFitsTheRepository(t *testing.T) {
	t.Parallel()

	project := compose(t)
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				_, err := os.Stat(v.Source)
				require.NoError(t, err, name)
				require.True(t, v.ReadOnly, "%s: %s", name, v.Source)
			}
		}
	}
	// A volume takes over whose a folder of the image is; Docker would make another one root's.
	build, _ := readDockerfile(t)
	require.Contains(t, build["RUN"], "mkdir -p /out/var/lib/amends/keys")
	for name, s := range project.Services {
		for _, v := range s.Volumes {
			if isOurs(s) && v.Type == types.VolumeTypeVolume {
				require.Contains(t, []string{"/var/lib/amends", "/var/lib/amends/keys"}, v.Target, name)
			}
		}
	}
	modules, err := os.ReadFile("../devserver/go.mod")
	require.NoError(t, err)
	version := func(image string) string { return image[strings.LastIndexByte(image, ':')+1:] }
	require.Contains(t, string(modules), "go.temporal.io/server v"+version(project.Services["temporal"].Image)+"\n")
	require.Contains(t, string(modules), "github.com/temporalio/ui-server/v2 v"+version(project.Services["temporal-ui"].Image)+"\n")
	require.Equal(t, version(project.Services["temporal"].Image), version(project.Services["temporal-schema"].Image))
}

// Every variable of ours is one that the command knows.
func TestComposeEnvironment(t *testing.T) {
	t.Parallel()

	for name, s := range compose(t).Services {
		if !isOurs(s) || name == "keys" { // keys takes the variables of several commands
			continue
		}
		known := variables(t, s.Command[0])
		for variable := range s.Environment {
			// A secret may be named by the file that it is in.
			if secret := strings.TrimSuffix(variable, "_FILE"); !slices.Contains(known, secret) && strings.HasPrefix(variable, "AMENDS_") {
				require.Contains(t, known, variable, name)
			}
		}
	}
}

// variables are the environment variables that a command's help names.
func variables(t *testing.T, command string) []string {
	t.Helper()
	help, err := exec.Command(binary(t), command, "--help").CombinedOutput()
	require.NoError(t, err, "%s", help)
	return regexp.MustCompile(`AMENDS_[A-Z_]+`).FindAllString(string(help), -1)
}

// Prometheus asks services that there are, at the address where those of ours answer operators, and reads rules that there are.
func TestPrometheusFindsWhatItIsTold(t *testing.T) {
	t.Parallel()

	content, err := os.ReadFile(filepath.Join("prometheus", "prometheus.yml"))
	require.NoError(t, err)
	var config struct {
		RuleFiles     []string `json:"rule_files"`
		ScrapeConfigs []struct {
			StaticConfigs []struct {
				Targets []string `json:"targets"`
			} `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(content, &config))
	for _, file := range config.RuleFiles {
		require.FileExists(t, filepath.Join("prometheus", file))
	}
	project := compose(t)
	asked := map[string]bool{}
	for _, job := range config.ScrapeConfigs {
		var targets []string
		for _, group := range job.StaticConfigs {
			targets = append(targets, group.Targets...)
		}
		for _, target := range targets {
			name, port, _ := strings.Cut(target, ":")
			if name == "127.0.0.1" {
				continue // itself
			}
			s, ok := project.Services[name]
			require.True(t, ok, name)
			require.Contains(t, s.Networks, "telemetry", name)
			if isOurs(s) {
				require.Equal(t, ":"+port, *s.Environment["AMENDS_OPS_ADDR"], name)
				asked[name] = true
			}
		}
	}
	for name, s := range project.Services {
		require.Equal(t, isOurs(s) && !isJob(s), asked[name], name)
	}
}
