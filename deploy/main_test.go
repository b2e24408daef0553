// Package deploy_test tests what Amends is deployed with: the image, docker-compose.yml and the Kubernetes manifests. It needs
// no container engine: what a file says is done on this machine.
package deploy_test

import (
	"fmt"
	"os"
	"testing"
)

// scratch is a folder for what the tests build once.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "amends-deploy-"); err != nil {
		fmt.Fprintln(os.Stderr, "prepare the tests:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}
