package workflows_test

import (
	"testing"
	"time"

	"github.com/amends-dev/amends/compensation/sagatest"
)

// What holds for every saga holds for ours, whatever fails.

func TestPlaceOrderMatrix(t *testing.T) {
	t.Parallel()

	sagatest.Matrix(t, newOrderEnv, func(env *sagatest.Env) error { return placeOrder(env, goodOrder()) })
}

func TestReturnOrderMatrix(t *testing.T) {
	t.Parallel()

	sagatest.Matrix(t, newReturnEnv, func(env *sagatest.Env) error {
		goodsArrive(env, goodsWithin/4+time.Hour) // after a reminder
		return returnOrder(env)
	})
}
