package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServicesImport(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	data := t.TempDir()
	run := func(args ...string) (string, string, int) {
		return d.runAt(append([]string{"services", "import", "--by=ada", "--data=" + data}, args...)...)
	}
	prices := d.file("sku,price,currency,warehouse,quantity\ntea/1,12.90,EUR,hamburg,5\ntea/2,1290,JPY,,\n")

	out, complaints, code := run(prices)
	require.Zero(t, code, complaints)
	require.Equal(t, "SERVICE    NEW  CHANGED  AS BEFORE\npricing    2    0        0\ninventory  1    0        0\n", out)
	require.Contains(t, complaints, "by=ada")

	out, complaints, code = run(prices)
	require.Zero(t, code, complaints)
	require.Equal(t, "SERVICE    NEW  CHANGED  AS BEFORE\npricing    0    0        2\ninventory  0    0        1\n", out)

	out, complaints, code = run("--check", prices)
	require.Zero(t, code, complaints)
	require.Equal(t, "nothing is wrong with it\n", out)

	d.input = "sku,price,currency\ntea/1,12.905,EUR\ntea/2,1,XXX\n"
	_, complaints, code = run("-")
	require.Equal(t, 2, code)
	require.Contains(t, complaints, `-: line 2: amount "12.905": must be digits, with at most 2 after a point, as in EUR 1.00`)
	require.Contains(t, complaints, `line 3: currency "XXX"`)

	_, complaints, code = run("no such file")
	require.NotZero(t, code)
	require.Contains(t, complaints, "no such file")
}

// The services are hosted without a command, as before the command existed.
func TestServicesWithoutACommand(t *testing.T) {
	t.Parallel()
	d := newDesk(t, nil)
	for _, args := range [][]string{{"services", "nonsense"}, {"services", "host", "nonsense"}} {
		_, complaints, code := d.runAt(append(args, "--data="+t.TempDir())...)
		require.NotZero(t, code)
		require.Contains(t, complaints, `there is no service "nonsense"; there are: pricing, fraud, `, strings.Join(args, " "))
	}
	out, complaints, code := d.runAt("config", "check", "services", "pricing", "--addr=127.0.0.1:0", "--data="+t.TempDir())
	require.Zero(t, code, out+complaints)
	require.Contains(t, out, "services: no problems\n")
}
