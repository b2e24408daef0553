package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/commandline"
	"github.com/amends-dev/amends/internal/deployment"
	"github.com/amends-dev/amends/worker"
)

func TestVersionOfAWorker(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		args []string
		want worker.Deployment
		bad  string
	}{
		{nil, worker.Deployment{}, ""},
		{[]string{"--deployment-name=shop", "--build-id=v7"}, worker.Deployment{Name: "shop", BuildID: "v7"}, ""},
		{[]string{"--build-id=v7"}, worker.Deployment{}, "name it with --deployment-name"},
		// A test's binary is of no version.
		{[]string{"--deployment-name=shop"}, worker.Deployment{}, "give it one with --build-id"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()

			var c cli
			_, err := commandline.Parse(&c, "amends", description, append([]string{"worker"}, tt.args...), &strings.Builder{}, &strings.Builder{})
			require.NoError(t, err)
			d, err := c.Worker.deployment()
			if tt.bad != "" {
				require.ErrorContains(t, err, tt.bad)
				require.Equal(t, exitUsage, exitCode(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, d)
		})
	}
}

func TestFlagsOfDeploy(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct{ line, bad string }{
		{"deploy --deployment-name=shop ramp v7 --percent=20", ""},
		{"deploy --deployment-name=shop ramp v7", "--percent"},
		{"deploy --deployment-name=shop ramp v7 --percent=101", "must be from 0 to 100"},
		{"deploy --deployment-name=shop ramp v7 --percent=NaN", "must be from 0 to 100"},
		{"deploy --deployment-name=shop promote v7 --wait=1m", ""},
		{"deploy --deployment-name=shop promote v7 --first", ""},
		{"deploy --deployment-name=shop promote", "<build-id>"},
		{"deploy --deployment-name=shop move v7 --from=v6 --by=ada", ""},
		{"deploy --deployment-name=shop move --query=x --by=ada", ""},
		{"deploy --deployment-name=shop move v7 --by=ada", "which sagas?"},
		{"deploy --deployment-name=shop move v7 --from=v7 --by=ada", "they are there"},
		{"deploy status", "--deployment-name"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()

			var c cli
			_, err := commandline.Parse(&c, "amends", description, strings.Fields(tt.line), &strings.Builder{}, &strings.Builder{})
			if tt.bad == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.bad)
		})
	}
}

// Whoever moves sagas is told which stayed, and a script sees it by the exit code.
func TestReportOfAMove(t *testing.T) {
	t.Parallel()

	some := deployment.Moved{To: "v7", Moved: 1, Ended: 2, Stayed: []deployment.Stayed{{ID: "order-42", Error: "busy"}}}
	for format, want := range map[string]string{
		"text": "order-42: busy\n1 saga moved to v7; 2 ended before.\n",
		"json": "{\n  \"to\": \"v7\",\n  \"moved\": 1,\n  \"ended\": 2,\n  \"stayed\": [\n    {\n      \"id\": \"order-42\",\n      \"error\": \"busy\"\n    }\n  ]\n}\n",
	} {
		var out strings.Builder
		c := deployMoveCommand{deployOutput: deployOutput{Output: format}}
		err := c.report(&process{stdout: &out}, some)
		require.ErrorContains(t, err, "1 saga could not be moved")
		require.Equal(t, exitError, exitCode(err))
		require.Equal(t, want, out.String())
	}
	var out strings.Builder
	require.NoError(t, (&deployMoveCommand{}).report(&process{stdout: &out}, deployment.Moved{To: "v7", Moved: 3}))
	require.Equal(t, "3 sagas moved to v7; 0 ended before.\n", out.String())
}
