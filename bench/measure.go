package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/amends-dev/amends/bench/internal/report"
)

// measure runs the whole benchmark and prints its results to stdout; progress goes to stderr.
func measure(ctx context.Context, p plan, stdout, stderr io.Writer) (err error) {
	if err := checkDisk(p.Dir); err != nil {
		return err
	}
	progress := newProgress(stderr, p)
	var besides []report.Goal
	if p.REST {
		progress.say("measuring orders over REST")
		goal, err := measureREST(ctx, restCommand(p.Rounds), stderr)
		if err != nil {
			return err
		}
		besides = append(besides, goal)
	}
	progress.say("starting PostgreSQL, Temporal, the step server and the engines")
	progress.began = time.Now()
	ctx, s, err := startSystem(ctx, p, stderr)
	defer func() { err = errors.Join(err, s.stop(context.WithoutCancel(ctx))) }()
	if err != nil {
		return orCause(ctx, err)
	}
	env, err := readEnvironment(ctx, s.shared.db, p)
	if err != nil {
		return err
	}
	progress.say(env.String())
	all, err := measureRounds(ctx, s, p, progress)
	if err != nil {
		return orCause(ctx, err)
	}
	return publish(p, env, report.Rows(all), stdout, besides...)
}

// orCause is why ctx ended, if that is why there is an error.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

// publish says what was measured where the plan wants it, with the goals that no row tells.
func publish(p plan, env environment, rows []report.Row, stdout io.Writer, besides ...report.Goal) error {
	text := report.Table(rows)
	for _, goal := range append(report.Goals(rows), besides...) {
		text += "\n- " + goal.String()
	}
	text += "\n"
	if p.Write != "" {
		if err := report.WriteDocument(p.Write, "bench", env.markdown()+"\n"+text); err != nil {
			return err
		}
	}
	if p.JSON {
		return report.WriteJSON(stdout, rows)
	}
	_, err := io.WriteString(stdout, text)
	return err
}

// measureRounds measures every row in every round: in each, the engines take turns at one case and concurrency after the
// other, so that whatever else the machine does meets all of them.
func measureRounds(ctx context.Context, s *system, p plan, progress *progress) ([]report.Measurement, error) {
	var all []report.Measurement
	for round := range p.Rounds {
		for _, c := range p.Cases {
			for _, concurrency := range p.AtOnce {
				for _, who := range p.contestants {
					r := row{contestant: who, c: c, concurrency: concurrency, round: round}
					m, err := s.measureRow(ctx, r, p)
					if err != nil {
						return nil, fmt.Errorf("round %d, %s: %w", round+1, r, err)
					}
					all = append(all, m)
					progress.row(r, m)
				}
			}
		}
	}
	return all, nil
}
