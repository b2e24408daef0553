package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/commandline"
)

func TestFlagsOfTheAPI(t *testing.T) {
	t.Parallel()

	parse := func(args ...string) (cli, error) {
		var c cli
		_, err := commandline.Parse(&c, "amends", description, args, &strings.Builder{}, &strings.Builder{})
		return c, err
	}
	for _, command := range []string{"api", "serve"} {
		_, err := parse(command)
		require.NoError(t, err)
		_, err = parse(command, "--cors-origin", "https://console.example", "--cors-origin=http://127.0.0.1:5173")
		require.NoError(t, err)
		for _, bad := range []string{"https://console.example/", "console.example", "*", "https://*.example", "null", "ftp://a", "https://Console.example"} {
			_, err := parse(command, "--cors-origin", bad)
			require.ErrorContains(t, err, "must be an origin as browsers send it", bad)
		}
	}
	for _, bad := range [][]string{{"--rate=-1"}, {"--rate=NaN"}, {"--rate=+Inf"}, {"--burst=-1"}, {"--burst=1000001"}} {
		_, err := parse(append([]string{"api"}, bad...)...)
		require.ErrorContains(t, err, "must be from 0 to 1000000", bad)
	}
	for _, bad := range []string{
		"--approval-within=0s", "--goods-within=-1h", "--order-deadline=-1s", "--return-deadline=876001h", "--approval-within=2562047h",
	} {
		_, err := parse("serve", bad)
		require.ErrorContains(t, err, "876000h0m0s, the longest that Temporal keeps", bad)
	}
	_, err := parse("api", "--order-deadline=0s", "--return-deadline=876000h", "--goods-within=876000h")
	require.NoError(t, err)
	c, err := parse("api", "--cors-origin", "https://a.example", "--cors-origin", "https://b.example")
	require.NoError(t, err)
	require.Equal(t, []string{"https://a.example", "https://b.example"}, c.API.Origins)
}

func TestFlagsOfMigrate(t *testing.T) {
	t.Parallel()

	_, _, err := command(t, "migrate", "--namespace-retention", "23h")
	require.ErrorContains(t, err, "--namespace-retention 23h0m0s: must be a day at least")
	_, _, err = command(t, "migrate", "--grant-to", "amends_services")
	require.ErrorContains(t, err, "--grant-to: only PostgreSQL has roles")
}
