package e2e_test

import (
	"slices"
	"testing"

	"github.com/amends-dev/amends/workflows"
)

// Every way in which a saga of either kind ends, all at once on one system, whose books must balance afterwards. With
// -record, their histories are recorded for the replay tests.
//
//nolint:tparallel // what comes after the sagas, which run in parallel, is about all of them
func TestEndings(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	s.playAll(t)
	s.requireNothingHalfDone()
	if *record {
		s.recordChangedSaga() // after the audit: it stops half way
	}
}

// playAll plays every scenario, all at once.
func (s *system) playAll(t *testing.T) {
	t.Helper()
	t.Run("sagas", func(t *testing.T) {
		for sagaType, scenarios := range map[string][]scenario{
			workflows.TypePlaceOrder: slices.Concat(orderScenarios, parkedScenarios), workflows.TypeReturnOrder: returnScenarios,
		} {
			for _, sc := range scenarios {
				t.Run(sagaType+" "+sc.name, func(t *testing.T) {
					t.Parallel()

					s := s.of(t)
					path := sc.play(s)
					if *record {
						s.recordHistory(workflowID(path), sagaType, sc.name)
					}
				})
			}
		}
	})
}
