package deploy_test

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/porttest"
)

// host is this machine in the place of a container engine: it starts the project's services as they are described. Only names of
// hosts, ports and paths become others.
type host struct {
	t       *testing.T
	project *types.Project
	// secrets is the folder of the secrets, and dir that of everything else.
	secrets, dir string
	// bin has what the images have: amends, and Temporal's programs.
	bin string
	// ports are the ports here, by service:port of the file.
	ports map[string]int
	// more is what services get on top of their environment.
	more    map[string][]string
	running map[string]*process
	// paths are files and folders of the images, each followed by what it is here.
	paths []string
}

// process is a service that runs, or a job that ran.
type process struct {
	cmd   *exec.Cmd
	log   string // the file of what it prints; empty for what others started
	ended chan struct{}
	err   error
}

// printed is what the process printed so far.
func (p *process) printed() string {
	if p.log == "" {
		return ""
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// port is where a service's port of the file is here.
func (h *host) port(service, port string) int {
	key := service + ":" + port
	if h.ports[key] == 0 {
		h.ports[key] = porttest.Free(h.t)
	}
	return h.ports[key]
}

func (h *host) address(service, port string) string {
	return fmt.Sprintf("127.0.0.1:%d", h.port(service, port))
}

var (
	atService = regexp.MustCompile(`\b([a-z][a-z0-9-]*):(\d{2,5})\b`)
	listens   = regexp.MustCompile(`\blisten (\d+);`)
	own       = regexp.MustCompile(`^(?:0\.0\.0\.0|127\.0\.0\.1|localhost)?:(\d{2,5})$`)
)

// here is a text of the service's description as it is on this machine.
func (h *host) here(service, text string) string {
	if m := own.FindStringSubmatch(text); m != nil {
		return h.address(service, m[1])
	}
	text = atService.ReplaceAllStringFunc(text, func(place string) string {
		name, port, _ := strings.Cut(place, ":")
		if _, ok := h.project.Services[name]; !ok {
			return place
		}
		return h.address(name, port)
	})
	text = listens.ReplaceAllStringFunc(text, func(directive string) string {
		return "listen " + h.address(service, listens.FindStringSubmatch(directive)[1]) + ";"
	})
	return strings.NewReplacer(h.pathsOf(service)...).Replace(text)
}

// pathsOf are the paths that a service sees, each followed by what it is here; those within others come before them.
func (h *host) pathsOf(service string) []string {
	s := h.project.Services[service]
	// The proxy is here, too.
	pairs := append([]string{"/run/secrets", h.secrets, "172.29.83.0/24", "127.0.0.1/32"}, h.paths...)
	folder := func(name string) string {
		dir := filepath.Join(h.dir, name)
		require.NoError(h.t, os.MkdirAll(dir, 0o700))
		return dir
	}
	volumes := slices.Clone(s.Volumes)
	slices.SortFunc(volumes, func(a, b types.ServiceVolumeConfig) int { return cmp.Compare(len(b.Target), len(a.Target)) })
	for _, v := range volumes {
		if v.Type == types.VolumeTypeVolume {
			pairs = append(pairs, v.Target, folder("volume-"+v.Source))
		} else {
			pairs = append(pairs, v.Target, filepath.Join(h.dir, service+"-"+filepath.Base(v.Source)))
		}
	}
	for _, mount := range s.Tmpfs {
		target, _, _ := strings.Cut(mount, ":")
		pairs = append(pairs, target, folder(service+"-"+filepath.Base(target)))
	}
	return pairs
}

// mount writes the files that the service gets, as they are here.
func (h *host) mount(service string) {
	h.t.Helper()
	for _, v := range h.project.Services[service].Volumes {
		if v.Type != types.VolumeTypeBind {
			continue
		}
		content, err := os.ReadFile(v.Source)
		require.NoError(h.t, err, service)
		file := filepath.Join(h.dir, service+"-"+filepath.Base(v.Source))
		require.NoError(h.t, os.WriteFile(file, []byte(h.here(service, string(content))), 0o600))
	}
}

// environment is the service's, and no more than a container would have.
func (h *host) environment(service string) []string {
	list := []string{"PATH=" + h.bin + ":" + os.Getenv("PATH"), "HOME=" + h.dir}
	for name, value := range h.project.Services[service].Environment {
		if value != nil {
			list = append(list, name+"="+h.here(service, *value))
		}
	}
	return append(list, h.more[service]...)
}

// command is the service's entrypoint and command, or another command.
func (h *host) command(service string, command ...string) *exec.Cmd {
	s := h.project.Services[service]
	entrypoint := []string(s.Entrypoint)
	if len(entrypoint) == 0 && isOurs(s) {
		entrypoint = []string{"amends"}
	}
	if len(command) == 0 {
		command = s.Command
	}
	var args []string
	for _, arg := range append(entrypoint, command...) {
		args = append(args, h.here(service, arg))
	}
	program := args[0]
	if _, err := os.Stat(filepath.Join(h.bin, program)); err == nil {
		program = filepath.Join(h.bin, program)
	}
	cmd := exec.Command(program, args[1:]...)
	cmd.Env, cmd.Dir = h.environment(service), h.dir
	// The process must not outlive the tests, whatever becomes of them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// run runs a tool to its end, as `docker compose run` does, and returns what it printed on its standard output.
func (h *host) run(service string, command ...string) string {
	h.t.Helper()
	cmd := h.command(service, command...)
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	require.NoError(h.t, err, "%s %v: %s", service, command, failed.String())
	return string(out)
}

// start starts the service, after what it depends on is as it wants it.
func (h *host) start(service string) {
	h.t.Helper()
	if h.running[service] != nil {
		return
	}
	for name, dependency := range h.project.Services[service].DependsOn {
		h.start(name)
		h.await(name, dependency.Condition)
	}
	h.launch(service)
}

func (h *host) launch(service string) {
	h.t.Helper()
	h.mount(service)
	p := &process{cmd: h.command(service), log: filepath.Join(h.dir, service+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(h.t, err)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(h.t, p.cmd.Start(), service)
	require.NoError(h.t, log.Close())
	h.running[service] = p
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	h.t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // with those that it started; it may have ended
		<-p.ended
		if h.t.Failed() {
			text := p.printed()
			h.t.Logf("%s printed at last:\n%s", service, text[max(0, len(text)-8<<10):])
		}
	})
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

const patience = 3 * time.Minute

// await waits for what depends_on names.
func (h *host) await(service, condition string) {
	h.t.Helper()
	p := h.running[service]
	if condition == types.ServiceConditionCompletedSuccessfully {
		select {
		case <-p.ended:
			require.NoError(h.t, p.err, "%s printed:\n%s", service, p.printed())
		case <-time.After(patience):
			require.Fail(h.t, "does not end", "%s printed:\n%s", service, p.printed())
		}
		return
	}
	require.Equal(h.t, types.ServiceConditionHealthy, condition, service)
	require.Eventually(h.t, func() bool { return p.hasEnded() || h.healthy(service) },
		patience, 100*time.Millisecond, "%s is not healthy", service)
	require.False(h.t, p.hasEnded(), "%s has ended", service)
}

// healthy runs the service's health check. Of those in others' images only what they ask is known here.
func (h *host) healthy(service string) bool {
	h.t.Helper()
	test := h.project.Services[service].HealthCheck.Test
	require.Equal(h.t, "CMD", test[0], "%s: images have no shell", service)
	switch argv := test[1:]; argv[0] {
	case "amends":
		return h.command(service, argv[1:]...).Run() == nil
	case "nc", "pg_isready":
		port := "5432"
		if argv[0] == "nc" {
			port = argv[len(argv)-1]
		}
		c, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", h.address(service, port))
		return err == nil && c.Close() == nil
	case "wget":
		asked, err := url.Parse(argv[len(argv)-1])
		require.NoError(h.t, err)
		asked.Host = h.address(service, asked.Port())
		return h.answers(asked.String())
	default:
		require.Fail(h.t, "unknown health check", "%s: %v", service, argv)
		return false
	}
}

func (h *host) answers(address string) bool {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, address, nil)
	require.NoError(h.t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode == http.StatusOK
}

// stop ends the service as an engine does.
func (h *host) stop(service string) {
	h.t.Helper()
	p, grace := h.running[service], h.project.Services[service].StopGracePeriod
	require.NotNil(h.t, grace, service)
	require.NoError(h.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
		require.NoError(h.t, p.err, service)
	case <-time.After(time.Duration(*grace)):
		require.Fail(h.t, "does not stop in time", service)
	}
	delete(h.running, service)
}
