package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/certificate/certtest"
)

func TestConfigCheckOfCertificates(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	ca := certtest.New(t)
	good, ended := ca.IssueFor(t, "good", 90*24*time.Hour), ca.IssueFor(t, "ended", -time.Hour)
	check := func(args ...string) string {
		t.Helper()
		report, _ := d.check(append(args, "--addr=127.0.0.1:0")...)
		return report
	}
	require.Contains(t, check("services", "--tls-cert", good.Cert, "--tls-key", good.Key, "--tls-client-ca", ca.File), "services: no problems")
	for want, args := range map[string][]string{
		"needed together":               {"--tls-cert", good.Cert},
		"without a certificate there":   {"--tls-client-ca", ca.File},
		"does not match":                {"--ops-tls-cert", good.Cert, "--ops-tls-key", ended.Key},
		ended.Cert + " ended at":        {"--tls-cert", ended.Cert, "--tls-key", ended.Key},
		"no certificate in " + good.Key: {"--tls-cert", good.Cert, "--tls-key", good.Key, "--tls-client-ca", good.Key},
	} {
		require.Contains(t, check(append([]string{"services"}, args...)...), "services: problem: ")
		require.Contains(t, check(append([]string{"services"}, args...)...), want)
	}
	worker, code := d.check("worker", "--services-cert", ended.Cert, "--services-key", ended.Key, "--services-ca=/nowhere")
	require.Equal(t, exitUsage, code)
	require.Contains(t, worker, "authorities: open /nowhere")

	short := ca.IssueFor(t, "short", 24*time.Hour)
	require.NoError(t, os.Chmod(short.Key, 0o644)) //nolint:gosec // the point
	report := check("services", "--tls-cert", short.Cert, "--tls-key", short.Key)
	require.Contains(t, report, "services: no problems")
	require.Contains(t, report, "services: warning: the certificate "+short.Cert+" ends at ")
	require.Contains(t, report, "services: warning: others may read the key "+short.Key)
}

func TestWarningOfPlainText(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	keys := d.file("")
	for args, warned := range map[[2]string]bool{
		{"--addr=0.0.0.0:0"}:                        true,
		{"--addr=:0"}:                               true,
		{"--addr=127.0.0.1:0"}:                      false,
		{"--addr=:0", "--trusted-proxy=10.0.0.0/8"}: false,
	} {
		line := []string{"api", "--keys-file", keys, args[0]}
		if args[1] != "" {
			line = append(line, args[1])
		}
		report, code := d.check(line...)
		require.Zero(t, code, report)
		if warned {
			require.Contains(t, report, "keys and orders cross the network in plain text")
		} else {
			require.NotContains(t, report, "plain text")
		}
	}
	files := certtest.New(t).Issue(t, "api")
	report, _ := d.check("api", "--keys-file", keys, "--addr=:0", "--tls-cert", files.Cert, "--tls-key", files.Key)
	require.NotContains(t, report, "plain text")
}
