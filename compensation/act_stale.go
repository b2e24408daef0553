package compensation

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
)

// refuseStale rejects an act whose operator has not seen all that were taken. Acts are counted where they begin, before anything
// else comes in, so of those that arrive together the second finds the first.
func (s *saga) refuseStale(name string, a Act) error {
	if a.IfActs == nil || *a.IfActs == s.taken {
		return nil
	}
	return temporal.NewApplicationErrorWithOptions(fmt.Sprintf("%s: the saga took another act since", name), ErrTypeActStale,
		temporal.ApplicationErrorOptions{NonRetryable: true, Category: temporal.ApplicationErrorCategoryBenign})
}
