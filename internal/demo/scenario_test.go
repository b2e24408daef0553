package demo

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/client"
	"github.com/amends-dev/amends/examples"
)

func mixOf(seed uint64, n int, faults bool) []scenario {
	return mix(rand.New(rand.NewPCG(seed, 0)), n, faults)
}

func names(list []scenario) map[string]int {
	n := map[string]int{}
	for _, s := range list {
		n[s.name]++
	}
	return n
}

func TestMixOfFortyHasEveryScenario(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		chosen := mixOf(seed, 40, true)
		require.Len(t, chosen, 40)
		for _, s := range slices.Concat(going, failing) {
			require.Contains(t, names(chosen), s.name)
		}
		done := slices.DeleteFunc(chosen, func(s scenario) bool { return s.end.state != client.Completed })
		require.Len(t, done, 24)
	}
}

func TestMixIsThatOfItsSeed(t *testing.T) {
	t.Parallel()
	require.Equal(t, mixOf(7, 40, true), mixOf(7, 40, true))
	require.NotEqual(t, mixOf(7, 40, true), mixOf(8, 40, true))
}

func TestMixOfAnySize(t *testing.T) {
	t.Parallel()
	for n := range 200 {
		require.Len(t, mixOf(1, n, true), n)
		require.Len(t, mixOf(1, n, false), n)
	}
}

// A service keeps one setting for each step: a second order's fault would replace the first's.
func TestFaultsKeepOutOfEachOthersWay(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range mixOf(1, 1000, true) {
		if s.fault != nil {
			require.False(t, seen[s.fault.Step], "%s has two faults", s.fault.Step)
			seen[s.fault.Step] = true
		}
	}
	require.Len(t, seen, 7)
	for _, s := range mixOf(1, 1000, false) {
		require.Nil(t, s.fault)
	}
}

func TestEveryExampleIsShown(t *testing.T) {
	t.Parallel()
	for _, e := range examples.Orders {
		require.True(t, slices.ContainsFunc(slices.Concat(going, failing), func(s scenario) bool { return s.example == e.Name }), e.Name)
	}
}
