// Package connect connects to Temporal, with what was measured to suit sagas, and makes there what they need.
package connect

import (
	"context"

	"go.temporal.io/sdk/client"
)

// Dial is [client.DialContext] with the connection tuned. Its updates wait while too many of a workflow are in flight,
// and report that when the caller's time is over ([WhyUnsent]).
//
// Nothing is compressed. A saga sends and receives some 10 kB, which any network between a worker and its Temporal
// carries, and the SDK's gzip was a tenth of the processor time that a saga cost both of them together (`make bench
// ARGS="--engines amends --try client:gzip=true"`).
func Dial(ctx context.Context, options client.Options) (client.Client, error) {
	options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	return client.DialContext(ctx, waitsForRoom(options))
}
