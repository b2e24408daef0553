package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/bench/internal/engine"
)

func TestParseTry(t *testing.T) {
	t.Parallel()

	s, err := parseTry("server:GOGC=400  server:GODEBUG=a=1 engine:GOGC=200 postgres:commit_delay=100 store:shards=8 store:stock-indexes=true client:gzip=true run:workers=2 run:queued=true run:result-bytes=1000 " +
		"dynamic:history.cacheMaxSize=1000 dynamic:matching.name=text dynamic:system.flag=true worker:MaxConcurrentWorkflowTaskPollers=4")

	require.NoError(t, err)
	require.Equal(t, settings{
		serverEnv: []string{"GOGC=400", "GODEBUG=a=1"},
		engineEnv: []string{"GOGC=200"},
		postgres:  []string{"commit_delay=100"},
		shards:    8,

		stockIndexes: true,
		gzip:         true,

		workers:     2,
		queued:      true,
		resultBytes: 1000,

		dynamic: "history.cacheMaxSize: [{value: 1000}]\nmatching.name: [{value: text}]\nsystem.flag: [{value: true}]\n",
		worker:  map[string]any{"MaxConcurrentWorkflowTaskPollers": 4.0},
	}, s)
}

func TestWhatCannotBeTried(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"GOGC=400":        `"GOGC=400" is not of the form WHERE:NAME=VALUE`,
		"server:GOGC":     `"server:GOGC" is not of the form`,
		"server:=1":       `"server:=1" is not of the form`,
		"moon:GOGC=400":   `"moon:GOGC=400": there is no such setting`,
		"store:shards=x":  "invalid syntax",
		"client:gzip=x":   "invalid syntax",
		"run:workers=x":   "invalid syntax",
		"store:replica=2": "there is no such setting",
	} {
		_, err := parseTry(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestWhatIsTriedIsNamedByItsSettings(t *testing.T) {
	t.Parallel()

	all, err := flags{Engines: []engine.Name{engine.Amends}, Try: []string{"server:GOGC=400", " engine:GOGC=400  store:shards=8"}}.contestants()

	require.NoError(t, err)
	require.Len(t, all, 3)
	require.False(t, all[0].own)
	require.Equal(t, "amends server:GOGC=400", all[1].label)
	require.Equal(t, engine.Amends, all[1].engine)
	require.Equal(t, "amends engine:GOGC=400 store:shards=8", all[2].label)
	require.True(t, all[2].own)
	require.Equal(t, 8, all[2].settings.shards)
}
