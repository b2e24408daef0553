package devserver

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

// clusterName is the name Temporal's own development configurations use; it is
// in the database, so it stays.
const clusterName = "active"

// defaultHistoryShards is for one machine: on two cores 4 were faster than 1 and
// than 16.
const defaultHistoryShards = 4

// Limits of the memory for workflows. Temporal's defaults are 128,000 of them for an hour, ended ones included, and 512
// KiB of events for each shard. A saga takes up to 29 kB of heap, so some 30,000 sagas filled a gigabyte. With these
// limits they take up to 240 MB: docs/sizing.md, Memory.
const (
	cachedWorkflows  = 8_000
	cachedEventBytes = 32 << 20
)

// serverOptions puts all services of a Temporal server into this process. They
// find each other through a fixed list: gossip would need four more ports and
// half a second.
func serverOptions(p ports, s *store, o Options, logger log.Logger) ([]temporal.ServerOption, error) {
	dynamic, err := dynamicConfig(o.DynamicConfig)
	if err != nil {
		return nil, err
	}
	options := []temporal.ServerOption{
		temporal.WithConfig(serverConfig(p, s, o)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(map[primitives.ServiceName]static.Hosts{
			primitives.FrontendService: static.SingleLocalHost(hostPort(p.frontend)),
			primitives.HistoryService:  static.SingleLocalHost(hostPort(p.history)),
			primitives.MatchingService: static.SingleLocalHost(hostPort(p.matching)),
			primitives.WorkerService:   static.SingleLocalHost(hostPort(p.worker)),
		}),
		temporal.WithDynamicConfigClient(dynamic),
		temporal.WithLogger(logger),
	}
	if o.metrics != nil {
		options = append(options, temporal.WithCustomMetricsHandler(o.metrics))
	}
	return options, nil
}

func serverConfig(p ports, s *store, o Options) *config.Config {
	service := func(grpc, http int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: grpc, HTTPPort: http, BindOnIP: localhost}}
	}
	return &config.Config{
		Services: map[string]config.Service{
			string(primitives.FrontendService): service(p.frontend, p.frontendHTTP),
			string(primitives.HistoryService):  service(p.history, 0),
			string(primitives.MatchingService): service(p.matching, 0),
			string(primitives.WorkerService):   service(p.worker, 0),
		},
		Global: config.Global{
			Membership: config.Membership{BroadcastAddress: localhost},
		},
		Persistence: config.Persistence{
			DefaultStore:     "main",
			VisibilityStore:  "visibility",
			NumHistoryShards: int32(o.HistoryShards),
			DataStores: map[string]config.DataStore{
				"main":       {SQL: &s.main},
				"visibility": {SQL: &s.visibility},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: hostPort(p.frontend)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: config.ArchivalDisabled},
			Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{
			Archival: config.ArchivalNamespaceDefaults{
				History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
				Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			},
		},
		PublicClient: config.PublicClient{HostPort: hostPort(p.frontend)},
	}
}

// dynamicConfig changes what does not suit one developer's machine. Limits that
// protect a shared cluster from one of its tenants only get in the way of load
// tests here. Eager workflow start and update-with-start are on by default. What file
// says comes last and counts.
func dynamicConfig(file []byte) (dynamicconfig.Client, error) {
	const unlimited = 100_000
	c := dynamicconfig.NewMemoryClient()
	c.OverrideSetting(dynamicconfig.EnableServerVersionCheck, false) // asks a server on the internet
	// Lists lag by half a second when much is going on, and of most sagas only the end is written then.
	c.OverrideSetting(dynamicconfig.VisibilityProcessorMaxPollRPS, 2)
	// Whether a version of the workers is drained is looked at when lists have followed, not minutes later.
	c.OverrideSetting(dynamicconfig.VersionDrainageStatusVisibilityGracePeriod, 5*time.Second)
	c.OverrideSetting(dynamicconfig.VersionDrainageStatusRefreshInterval, 5*time.Second)
	c.OverrideSetting(dynamicconfig.HistoryCacheHostLevelMaxSize, cachedWorkflows)
	c.OverrideSetting(dynamicconfig.EnableHostLevelEventsCache, true) // one for all shards, whatever their number
	c.OverrideSetting(dynamicconfig.EventsHostLevelCacheMaxSizeBytes, cachedEventBytes)
	c.OverrideSetting(dynamicconfig.ExternalPayloadsEnabled, false) // measures each payload, in case it is stored elsewhere
	// A page in a browser can have its own name point to this machine, and callers of this API need not identify
	// themselves.
	c.OverrideSetting(dynamicconfig.FrontendHTTPAllowedHosts, []string{"localhost:*", localhost + ":*"})
	// Updates wait for people, so that a call takes long says nothing.
	c.OverrideSetting(dynamicconfig.SlowRequestLoggingThreshold, time.Minute)
	for _, limit := range []dynamicconfig.GenericSetting{
		dynamicconfig.FrontendRPS,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance,
		dynamicconfig.FrontendPersistenceMaxQPS,
		dynamicconfig.HistoryRPS,
		dynamicconfig.HistoryPersistenceMaxQPS,
		dynamicconfig.MatchingRPS,
		dynamicconfig.MatchingPersistenceMaxQPS,
	} {
		c.OverrideSetting(limit, unlimited)
	}
	loaded := dynamicconfig.LoadYamlFile(file)
	if err := errors.Join(loaded.Err(), errors.Join(loaded.Warnings...)); err != nil {
		return nil, fmt.Errorf("dynamic configuration: %w", err)
	}
	for key, values := range loaded.Map {
		c.OverrideValue(key, values)
	}
	return c, nil
}
