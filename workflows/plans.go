package workflows

import "github.com/amends-dev/amends/compensation"

// Plans are the plans of all sagas, each named after its workflow type.
func Plans() []*compensation.Plan {
	return []*compensation.Plan{PlaceOrderPlan, ReturnOrderPlan}
}
