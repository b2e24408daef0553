package compensation

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
)

// refuseStale rejects an act whose operator has not seen every act taken so far. An act is counted when its handler
// begins, before anything else comes in, so the second of two that arrive together finds the first.
func (s *saga) refuseStale(name string, a Act) error {
	if a.IfActs == nil || *a.IfActs == s.taken {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%s: the saga took another act since", name), ErrTypeActStale,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}
