package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	half := tally{total: 40, state: map[client.State]int{
		client.Running: 12, client.Compensating: 3, client.Completed: 14, client.Compensated: 6,
	}}
	for _, tt := range []struct {
		name  string
		tally tally
		width int
		want  string
	}{
		{"wide", half, 120, "███████████████░░░░░░░░░░░░░░░  20/40  12 running  3 compensating  14 completed  6 compensated  6.3 s"},
		{"narrower", half, 80, "████░░░░░  20/40  12 running  3 compensating  14 completed  6 compensated  6.3 s"},
		{"no room for a bar", half, 72, "20/40  12 running  3 compensating  14 completed  6 compensated  6.3 s"},
		{"narrow", half, 30, "20/40  12 running  3 compensa…"},
		{"tiny", half, 0, ""},
		{"nothing yet", tally{total: 40}, 50, "░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0/40  6.3 s"},
		{
			"all",
			tally{total: 2, state: map[client.State]int{client.Completed: 1, client.Terminated: 1}},
			80, "██████████████████████████████  2/2  1 completed  1 terminated  6.3 s",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.tally.bar(tt.width, 6300*time.Millisecond))
		})
	}
}
