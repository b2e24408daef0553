package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	half := tally{total: 40, state: map[compensation.State]int{
		compensation.Running: 12, compensation.Compensating: 3, compensation.Completed: 14, compensation.Compensated: 6,
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
			tally{total: 2, state: map[compensation.State]int{compensation.Completed: 1, compensation.Terminated: 1}},
			80, "██████████████████████████████  2/2  1 completed  1 terminated  6.3 s",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.tally.bar(tt.width, 6300*time.Millisecond))
		})
	}
}
