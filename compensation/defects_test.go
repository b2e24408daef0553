package compensation_test

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
)

// edit replaces old in file, where it must be exactly once.
type edit struct{ file, old, new string }

// defects are mistakes that an engine like this one could have.
var defects = map[string][]edit{
	"an undo is registered once its step is done": {
		{"undo.go", "case DoUnknown:\n\t\treturn true", "case DoUnknown:\n\t\treturn false"},
	},
	"what is undone can be canceled": {
		{"saga.go", "out, err := body(s.bodyContext(ctx))\n", "ctx := s.bodyContext(ctx)\n\t\tout, err := body(ctx)\n"},
		{"park.go", "ctx, _ = workflow.NewDisconnectedContext(ctx)\n\tif part ==", "if part =="},
		{"undo.go", "ctx, _ = workflow.NewDisconnectedContext(ctx)\n\tfor !enough()", "for !enough()"},
	},
	"undos run in the order of start": {
		{"undo.go", "for _, e := range slices.Backward(s.executions) {", "for _, e := range s.executions {"},
		{"undo.go", " && e.ended > last {", " {"},
	},
	"a step's error is swallowed": {
		{"saga.go", "case err != nil || (s.reversal != nil && !pastPivot):", "case s.reversal != nil && !pastPivot:"},
	},
	"an undo's error is swallowed": {
		{"undo.go", "err = fmt.Errorf(\"undo of %s: %w\", e.key.label(), err)", "_, err = fmt.Print()\n\t\te.undo = UndoDone"},
	},
	"a key has a part that changes": {
		{
			"execute.go", "e.doSummary(e.key), e.key, e.in)",
			"e.doSummary(e.key), Key{Saga: e.key.Saga + workflow.Now(ctx).String(), Step: e.key.Step}, e.in)",
		},
	},
	"the pivot is not fenced": {
		{"certain.go", "return p != nil && (!p.durable || s.reset) && ", "return p != nil && false && "},
	},
	"an uncertain saga takes itself for certain": {
		{"certain.go", "GetCurrentHistoryLength() == firstTask", "GetCurrentHistoryLength() >= firstTask"},
	},
	"an uncertain saga undoes only what it saw": {
		{"ending.go", "if !certain {\n\t\ts.addUnseen(ctx)\n\t}", ""},
	},
	"a pivot of unknown outcome counts as refused": {
		{"execute.go", "(e.do == DoUnknown || e.doubtful) && ", "false && "},
	},
	"a pivot that happened counts as fenced": {
		{"undo.go", "e.undo, err = UndoNone, nil", "e.undo, err = UndoDone, nil"},
	},
	"a refusal after a lost reply counts as definite": {
		{"execute.go", "return DoRefused, !ok || refusal.Attempt != 1", "return DoRefused, !ok && refusal.Attempt != 1"},
	},
	"an undo acts before the decision is on record": {
		{"ending.go", "if s.hasToUndo() && (!s.fenced()", "if false && (!s.fenced()"},
	},
	"a canceled saga undoes nothing": {
		{"ending.go", "s.undoAll(ctx, never)\n", "if s.reversal == nil {\n\t\t\ts.undoAll(ctx, never)\n\t\t}\n"},
	},
	"what is parked is not tried any more": {
		{"park.go", "unlimited = true\n\t\t\tt = s.start(ctx, item, t.err, unlimited)", "unlimited = true\n\t\t\tt.noted = true"},
	},
}

// found are mistakes, each found by a test, by name.
var found = map[string]struct {
	test  string
	edits []edit
}{
	"a call is certain if it was so before a heartbeat": {
		"TestRefusalAfterAHeartbeatIsDoubtful", []edit{{"execute.go", "certain = certain && s.certain(ctx)", "_ = 0"}},
	},
	"a saga that has come to its pivot does not turn back any more": {
		"TestTurningBackBeforeThePivotIsCalled", []edit{{"cancel.go", "return s.calling", "return s.pivot != nil"}},
	},
	"a long task does not end before the pivot": {
		"TestCancelDuringExpressSteps", []edit{{"task.go", ">= lookAfter", ">= lookAfter+1<<60"}},
	},
	"what was decided is acted on before it is on record": {
		"TestDecisionIsOnRecordBeforeItIsActedOn", []edit{{"task.go", "s.host.heardAt == s.task.length || ", ""}},
	},
	"a fence is enough for every plan": {
		"TestSagaWithoutItsPivotIsNotUndoneByAFrozenWorker",
		[]edit{{"ending.go", "(!s.fenced() || !s.plan.pivotRequired)", "!s.fenced()"}},
	},
	"an act is not answered when its parking ends": {
		"TestActWhileAStepIsGivenUp", []edit{{"park.go", "} else if op != nil {", "} else if false {"}},
	},
	"undos begin while steps are in flight": {
		"TestTurningBackStopsWhatIsInFlight", []edit{{"ending.go", "s.publishLater(ctx)\n\ts.await(ctx)\n", "s.publishLater(ctx)\n"}},
	},
	"a run that was reset knows what it forgot": {
		"TestCancelAfterAReset", []edit{{"certain.go", "s.reset = workflow.GetVersion(", "_ = workflow.GetVersion("}},
	},
	"a refusal by an ordinary activity is definite": {
		"TestRefusalAfterAResetOfItsActivity", []edit{{"execute.go", "s.plan.since(2) || !errors.Is(before, errNotTried)", "!errors.Is(before, errNotTried)"}},
	},
	"what a task carries is not counted": {
		"TestManyResults", []edit{{"execute.go", "s.task.carried += sizeOf(e.out)", "s.task.carried += 0"}},
	},
}

// Each of these mistakes turns its test red.
func TestDefectsAreFound(t *testing.T) {
	t.Parallel()

	longtest.Skip(t)
	turns := make(chan struct{}, 2)
	for name, tt := range found {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			turns <- struct{}{}
			defer func() { <-turns }()
			out, err := testWith(t, tt.test, tt.edits)
			require.NotContains(t, out, "[build failed]")
			require.Error(t, err, "%s stays green: %s", tt.test, out)
			require.Contains(t, out, "--- FAIL: "+tt.test)
		})
	}
}

// The matrix finds these mistakes: a test that no mistake turns red proves nothing.
func TestMatrixFindsDefects(t *testing.T) {
	t.Parallel()
	longtest.Skip(t) // builds the package once for each defect

	// Each run builds and tests on several processors.
	turns := make(chan struct{}, 2)
	for name, edits := range defects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			turns <- struct{}{}
			defer func() { <-turns }()
			out, err := testWith(t, "TestMatrix", edits)
			require.NotContains(t, out, "[build failed]")
			require.Error(t, err, "the matrix stays green: %s", out)
			require.Contains(t, out, "--- FAIL: TestMatrix")
		})
	}
}

// testWith runs that test on an engine with the edits, which the Go command lays over the files.
func testWith(t *testing.T, test string, edits []edit) (out string, err error) {
	t.Helper()
	laid := map[string]string{}
	for _, e := range edits {
		source, err := filepath.Abs(e.file)
		require.NoError(t, err)
		text, err := os.ReadFile(cmp.Or(laid[source], source))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), e.old), "%s has changed: find another place for the mistake", e.file)
		laid[source] = filepath.Join(t.TempDir(), e.file)
		require.NoError(t, os.WriteFile(laid[source], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": laid})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))

	run := exec.CommandContext(t.Context(), "go", "test", "-overlay", file, "-vet=off", "-count=1", "-failfast", "-timeout=3m",
		"-run=^"+test+"$", ".")
	run.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := run.CombinedOutput()
	return string(text), err
}
