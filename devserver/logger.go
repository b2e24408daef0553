package devserver

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// logger gives the server's log to slog.
type logger struct {
	slog  *slog.Logger
	level slog.Leveler
	// noise is the level up to which messages say nothing at the moment:
	// changeNoise or noNoise. It counts only where debug and info are not wanted
	// either.
	noise *slog.LevelVar
}

const (
	// While services start and stop, they find each other missing, and what they
	// were doing ends with an error. The cause of a start that fails is returned.
	changeNoise = slog.LevelError
	// A running server hides nothing but what is harmless.
	noNoise = slog.LevelDebug - 1

	// What ends the process is never noise.
	levelFatal = slog.LevelError + 4
)

var (
	_ log.Logger     = logger{}
	_ log.WithLogger = logger{}
)

func newLogger(o Options, noise *slog.LevelVar) logger {
	return logger{slog: o.Logger, level: o.LogLevel, noise: noise}
}

func (l logger) log(level slog.Level, msg string, tags []tag.Tag) {
	lowest := l.level.Level()
	if level < lowest {
		return
	}
	if lowest >= slog.LevelWarn && level < levelFatal && (level <= l.noise.Level() || harmless[msg] || canceled(tags)) {
		return
	}
	l.slog.LogAttrs(context.Background(), level, msg, attrs(tags)...) //nolint:forbidigo,sloglint // the server has no context and no constants for us
}

// harmless are messages about what is as it should be.
var harmless = map[string]bool{
	"GetHistory page size is larger than threshold": true, // the Web UI asks for large pages
}

// canceled reports whether a message is about a call that its caller gave up, as
// a worker does with its polls when it stops.
func canceled(tags []tag.Tag) bool {
	return slices.ContainsFunc(tags, func(t tag.Tag) bool {
		return t.Key() == "error" && strings.Contains(fmt.Sprint(t.Value()), context.Canceled.Error())
	})
}

func attrs(tags []tag.Tag) []slog.Attr {
	as := make([]slog.Attr, 0, len(tags))
	for _, t := range tags {
		as = append(as, slog.Any(t.Key(), t.Value()))
	}
	return as
}

func (l logger) Debug(msg string, tags ...tag.Tag)  { l.log(slog.LevelDebug, msg, tags) }
func (l logger) Info(msg string, tags ...tag.Tag)   { l.log(slog.LevelInfo, msg, tags) }
func (l logger) Warn(msg string, tags ...tag.Tag)   { l.log(slog.LevelWarn, msg, tags) }
func (l logger) Error(msg string, tags ...tag.Tag)  { l.log(slog.LevelError, msg, tags) }
func (l logger) DPanic(msg string, tags ...tag.Tag) { l.log(slog.LevelError, msg, tags) }

// Panic panics after logging, as the server expects of it.
func (l logger) Panic(msg string, tags ...tag.Tag) {
	l.log(levelFatal, msg, tags)
	panic(msg)
}

// Fatal ends the process after logging, as the server expects of it.
func (l logger) Fatal(msg string, tags ...tag.Tag) {
	l.log(levelFatal, msg, tags)
	os.Exit(1) //nolint:revive // whoever calls Fatal cannot go on
}

// With returns a logger that adds tags to everything it logs.
func (l logger) With(tags ...tag.Tag) log.Logger {
	handler := l.slog.Handler().WithAttrs(slices.Clip(attrs(tags)))
	l.slog = slog.New(handler)
	return l
}
