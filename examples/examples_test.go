package examples_test

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/examples"
	"github.com/amends-dev/amends/workflows"
)

func TestOrdersAreValidOnceTheyHaveAnID(t *testing.T) {
	t.Parallel()
	for _, e := range examples.Orders {
		o, err := examples.Order(e.Name)
		require.NoError(t, err)
		require.Empty(t, o.ID, e.Name)
		o.ID = "42"
		require.NoError(t, o.Validate(), e.Name)
	}
}

func TestReturnsAreValidOnceTheyHaveIDs(t *testing.T) {
	t.Parallel()
	for _, e := range examples.Returns {
		r, err := examples.Return(e.Name)
		require.NoError(t, err)
		require.Empty(t, r.ID, e.Name)
		require.Empty(t, r.OrderID, e.Name)
		r.ID, r.OrderID = "7", "42"
		require.NoError(t, r.Validate(), e.Name)
	}
}

func TestEveryStepThatCanRefuseHasAnOrder(t *testing.T) {
	t.Parallel()
	for _, step := range workflows.PlaceOrderPlan.Steps() {
		if step.Kind == compensation.Retriable {
			continue // tried until it is done
		}
		require.True(t, slices.ContainsFunc(examples.Orders, func(e examples.Example) bool { return e.RefusedBy == step.Name }),
			"no order is refused by %s", step.Name)
	}
}

func TestRefusalsAreBySteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		plan *compensation.Plan
		list []examples.Example
	}{{workflows.PlaceOrderPlan, examples.Orders}, {workflows.ReturnOrderPlan, examples.Returns}} {
		for _, e := range tt.list {
			known := slices.ContainsFunc(tt.plan.Steps(), func(s compensation.StepInfo) bool { return s.Name == e.RefusedBy })
			require.True(t, e.RefusedBy == "" || known, "%s of %s", e.RefusedBy, tt.plan.Name())
			require.Equal(t, e.RefusedBy == "", e.Code == "", e.Name)
		}
	}
}

func TestEveryFileIsListed(t *testing.T) {
	t.Parallel()
	for dir, list := range map[string][]examples.Example{"orders": examples.Orders, "returns": examples.Returns} {
		files, err := fs.Glob(examples.Files, dir+"/*")
		require.NoError(t, err)
		var listed []string
		for _, e := range list {
			listed = append(listed, dir+"/"+e.Name+".json")
		}
		require.ElementsMatch(t, files, listed)
	}
}

// The tables of README.md are those of the code.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), table("orders", examples.Orders))
	require.Contains(t, string(readme), table("returns", examples.Returns))
}

func table(dir string, list []examples.Example) string {
	var b strings.Builder
	b.WriteString("| file | what happens | the end |\n|---|---|---|\n")
	for _, e := range list {
		end := string(e.State)
		if e.RefusedBy != "" {
			end += fmt.Sprintf(": %s refuses, `%s`", e.RefusedBy, e.Code)
		}
		fmt.Fprintf(&b, "| [%s.json](%s/%s.json) | %s | %s |\n", e.Name, dir, e.Name, e.What, end)
	}
	return b.String()
}
