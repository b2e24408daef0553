package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/amends-dev/amends/bench/internal/report"
)

// restCommand runs the benchmark of the end-to-end tests that compares an order over REST with one that is started straight
// from the SDK. It is a program to this one: it starts all processes of a system, and the tests know how.
func restCommand(rounds int) []string {
	return []string{
		"go", "test", "github.com/amends-dev/amends/e2e", "-run", "^$", "-bench", "^BenchmarkREST$", "-benchtime", "1x", "-timeout", "30m",
		"-rest.rounds", strconv.Itoa(rounds),
	}
}

// restRatio is the unit of the ratio in what the command prints.
const restRatio = "rest/sdk"

// measureREST runs the command, passes on what it prints, and returns the goal with its ratio.
func measureREST(ctx context.Context, command []string, progress io.Writer) (report.Goal, error) {
	var printed strings.Builder
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stdout, c.Stderr = io.MultiWriter(&printed, progress), progress
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 30 * time.Second
	if err := c.Run(); err != nil {
		return report.Goal{}, fmt.Errorf("orders over REST: %w", err)
	}
	fields := strings.Fields(printed.String())
	for i, field := range fields {
		if field == restRatio && i > 0 {
			ratio, err := strconv.ParseFloat(fields[i-1], 64)
			if err != nil {
				return report.Goal{}, fmt.Errorf("orders over REST: %w", err)
			}
			return report.RESTGoal(ratio), nil
		}
	}
	return report.Goal{}, errors.New("orders over REST: the benchmark told no ratio")
}
