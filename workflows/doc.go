// Package workflows knows the sagas: PlaceOrder and ReturnOrder, each a plan of steps and the workflow that runs it.
// contract.go holds what others need to start, steer and watch them. It holds deterministic code only: what touches the world is
// in package activities.
package workflows
