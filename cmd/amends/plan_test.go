package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/workflows"
)

// update makes TestPlansInDocs write what it checks again (make generate).
var update = flag.Bool("update", false, "write the output of amends plan in docs/ again")

// plan runs amends plan.
func plan(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr strings.Builder
	err := run(t.Context(), append([]string{"plan"}, args...), strings.NewReader(""), &stdout, &stderr)
	require.Empty(t, stderr.String())
	return stdout.String(), err
}

var generated = regexp.MustCompile(`(?s)(<!-- generated: (amends plan[^\n]*) -->\n)(.*?)(<!-- /generated -->\n)`)

// The documents show what amends plan prints.
func TestPlansInDocs(t *testing.T) {
	t.Parallel()

	files, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	found := ""
	for _, file := range files {
		recorded, err := os.ReadFile(file)
		require.NoError(t, err)
		blocks := generated.FindAllStringSubmatch(string(recorded), -1)
		require.Len(t, blocks, strings.Count(string(recorded), "<!-- generated:"), "%s: a generated block has no end", file)
		current := generated.ReplaceAllStringFunc(string(recorded), func(block string) string {
			part := generated.FindStringSubmatch(block)
			found += part[2] + "\n"
			out, err := plan(t, strings.Fields(part[2])[2:]...)
			require.NoError(t, err, part[2])
			if strings.Contains(part[2], "--format mermaid") {
				return part[1] + "```mermaid\n" + out + "```\n" + part[4]
			}
			return part[1] + "```console\n$ " + part[2] + "\n" + out + "```\n" + part[4]
		})
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(current), 0o644))
			continue
		}
		require.Equal(t, current, string(recorded), "%s: make generate", file)
	}
	for _, p := range workflows.Plans() {
		require.Contains(t, found, "amends plan "+p.Name()+" --format mermaid\n", "docs/ has no diagram of it")
	}
}

func TestPlanLists(t *testing.T) {
	t.Parallel()

	out, err := plan(t)
	require.NoError(t, err)
	require.Equal(t, `SAGA         STEPS  PIVOT
PlaceOrder   13     CapturePayment
ReturnOrder  9      RefundPayment
`, out)

	out, err = plan(t, "--format", "json")
	require.NoError(t, err)
	want, err := json.Marshal(workflows.Plans())
	require.NoError(t, err)
	require.JSONEq(t, string(want), out)
}

func TestPlanText(t *testing.T) {
	t.Parallel()

	out, err := plan(t, "ReturnOrder")
	require.NoError(t, err)
	require.Equal(t, `#  STEP             PARTICIPANT   KIND           RUNS     LIMIT  UNDO                  UNDO LIMIT  IF UNKNOWN
1  ApproveReturn    Invoicing     compensatable  express  5m     WithdrawApproval      10m         undo
2  BookReturn       Shipping      compensatable  express  5m     CancelReturnShipment  10m         undo
3  RemindCustomer   Notification  compensatable  durable  5m     DropReminder          10m         undo
4  InspectGoods     Inventory     compensatable  express  5m     WithdrawInspection    10m         undo
5  RefundPayment    Payment       pivot          express  5m     PreventRefund         10m         –
6  RestockGoods     Inventory     retriable      express  –      –                     –           –
7  TakeBackPoints   Loyalty       retriable      express  –      –                     –           –
8  IssueCreditNote  Invoicing     retriable      express  –      –                     –           –
9  NotifyCustomer   Notification  retriable      express  –      –                     –           –
`, out)

	out, err = plan(t, "PlaceOrder")
	require.NoError(t, err)
	require.Contains(t, out, "\n3   RedeemVoucher     Vouchers ")
	require.True(t, strings.HasSuffix(out, "\n\nSteps of one number start together.\n"), out)
}

func TestPlanFailAtText(t *testing.T) {
	t.Parallel()

	for step, want := range map[string]string{
		"ApproveReturn": `ReturnOrder when ApproveReturn is refused

The saga turns back. It runs, in this order:

#  UNDO                  OF             RUNS     WITHIN
*  PreventRefund         RefundPayment  express  10m1s
*  WithdrawInspection    InspectGoods   express  10m1s
*  CancelReturnShipment  BookReturn     express  10m1s
*  WithdrawApproval      ApproveReturn  express  10m1s

* only after its first workflow task, or if ApproveReturn may have happened
PreventRefund makes sure that RefundPayment never happens. If it did happen, in a try whose
record was lost, the saga goes forward.
The saga is undone, or parked, at most 45m5s after its start. What it waits for besides its
steps comes on top.
`,
		"InspectGoods": `ReturnOrder when InspectGoods is refused

Started before or beside it: ApproveReturn, BookReturn, RemindCustomer.
The saga turns back. It runs, in this order:

#  UNDO                  OF              RUNS     WITHIN
1  PreventRefund         RefundPayment   express  10m1s
*  WithdrawInspection    InspectGoods    express  10m1s
2  DropReminder          RemindCustomer  durable  10m
3  CancelReturnShipment  BookReturn      express  10m1s
4  WithdrawApproval      ApproveReturn   express  10m1s

* only after its first workflow task, or if InspectGoods may have happened
PreventRefund makes sure that RefundPayment never happens. If it did happen, in a try whose
record was lost, the saga goes forward.
The saga is undone, or parked, at most 1h10m7s after its start. What it waits for besides its
steps comes on top.
`,
		"RefundPayment": `ReturnOrder when RefundPayment is refused

Started before or beside it: ApproveReturn, BookReturn, RemindCustomer, InspectGoods.
The saga turns back. It runs, in this order:

#  UNDO                  OF              RUNS     WITHIN
1  PreventRefund         RefundPayment   express  10m1s
2  WithdrawInspection    InspectGoods    express  10m1s
3  DropReminder          RemindCustomer  durable  10m
4  CancelReturnShipment  BookReturn      express  10m1s
5  WithdrawApproval      ApproveReturn   express  10m1s

PreventRefund makes sure that RefundPayment never happens. If it did happen, in a try whose
record was lost, the saga goes forward.
The saga is undone, or parked, at most 1h15m8s after its start. What it waits for besides its
steps comes on top.
`,
		"RestockGoods": `ReturnOrder when RestockGoods is refused

Started before or beside it: ApproveReturn, BookReturn, RemindCustomer, InspectGoods, RefundPayment.
There is no way back after the pivot: the saga parks until RestockGoods is done
or an operator settles it. That has no time limit.
`,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()

			out, err := plan(t, "ReturnOrder", "--fail-at", step)
			require.NoError(t, err)
			require.Equal(t, want, out)
		})
	}
}

func book(context.Context, compensation.Key, string) (string, error) { return "", nil }
func cancel(context.Context, compensation.Key) error                 { return nil }

// Without a pivot there is no fence, and the first undo is durable.
func TestPlanFailAtTextWithoutPivot(t *testing.T) {
	t.Parallel()

	type step = compensation.Step[string, string]
	f, err := compensation.MustPlan("Trip", step{Name: "BookFlight", Do: book, Undo: cancel}, step{Name: "BookHotel", Do: book, Undo: cancel}).
		FailAt("BookHotel")
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, writeFailure(&out, f))
	require.Equal(t, `Trip when BookHotel is refused

Started before or beside it: BookFlight.
The saga turns back. It runs, in this order:

#  UNDO    OF          RUNS     WITHIN
*  cancel  BookHotel   express  10m1s
1  cancel  BookFlight  express  10m1s

* only after its first workflow task, or if BookHotel may have happened
The saga is undone, or parked, at most 30m4s after its start. What it waits for besides its
steps comes on top.
`, out.String())
}

func TestPlanOtherFormats(t *testing.T) {
	t.Parallel()

	out, err := plan(t, "PlaceOrder", "--format", "mermaid")
	require.NoError(t, err)
	require.Equal(t, workflows.PlaceOrderPlan.Mermaid(), out)

	out, err = plan(t, "PlaceOrder", "--format", "json")
	require.NoError(t, err)
	want, err := json.MarshalIndent(workflows.PlaceOrderPlan, "", "  ")
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", out)

	diagram, err := workflows.PlaceOrderPlan.MermaidFailAt("HoldPoints")
	require.NoError(t, err)
	out, err = plan(t, "PlaceOrder", "--fail-at", "HoldPoints", "--format", "mermaid")
	require.NoError(t, err)
	require.Equal(t, diagram, out)

	failure, err := workflows.PlaceOrderPlan.FailAt("HoldPoints")
	require.NoError(t, err)
	want, err = json.MarshalIndent(failure, "", "  ")
	require.NoError(t, err)
	out, err = plan(t, "PlaceOrder", "--fail-at", "HoldPoints", "--format", "json")
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", out)
}

func TestPlanErrors(t *testing.T) {
	t.Parallel()

	for want, args := range map[string][]string{
		`there is no saga "Order"; there are PlaceOrder, ReturnOrder`:   {"Order"},
		"name the saga whose step --fail-at is":                         {"--fail-at", "HoldPoints"},
		"name the saga to draw":                                         {"--format", "mermaid"},
		`--format must be one of "text","json","mermaid" but got "xml"`: {"PlaceOrder", "--format", "xml"},
		`ReturnOrder has no step "HoldPoints"; its steps are ApproveReturn, BookReturn, RemindCustomer, InspectGoods, ` +
			`RefundPayment, RestockGoods, TakeBackPoints, IssueCreditNote, NotifyCustomer`: {"ReturnOrder", "--fail-at", "HoldPoints"},
	} {
		out, err := plan(t, args...)
		require.EqualError(t, err, want)
		require.Empty(t, out)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()

	for want, d := range map[string]time.Duration{
		"–": 0, "500ms": 500 * time.Millisecond, "10s": 10 * time.Second, "1m": time.Minute, "10m1s": 10*time.Minute + time.Second,
		"1h": time.Hour, "20h30m": 20*time.Hour + 30*time.Minute, "1h0m1s": time.Hour + time.Second,
	} {
		require.Equal(t, want, short(d))
	}
}
