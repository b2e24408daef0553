package api_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
)

// counted is an API whose figures a test reads.
func counted(t *testing.T, b *bundle) (read func() map[string]float64) {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	b.handler = api.New(b.temporal, api.Options{Access: access.Open(), Meter: meter, Logger: b.logger()})
	return func() map[string]float64 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		figures := map[string]float64{}
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				for labels, value := range points(t, m.Data) {
					figures[m.Name+labels] = value
				}
			}
		}
		return figures
	}
}

// points are the values of an instrument, by its labels; of a histogram how many it has.
func points(t *testing.T, data metricdata.Aggregation) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	of := func(set attribute.Set) string { return "{" + set.Encoded(attribute.DefaultEncoder()) + "}" }
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			values[of(p.Attributes)] = float64(p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range data.DataPoints {
			values[of(p.Attributes)] = float64(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range data.DataPoints {
			values[of(p.Attributes)] = p.Value
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			values[of(p.Attributes)] = float64(p.Count)
		}
	default:
		require.Fail(t, fmt.Sprintf("unexpected data %T", data))
	}
	return values
}

func TestRequestsStartsAndActsAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.temporal.count = func(string) int64 { return 0 }
	read := counted(t, b)

	for range 2 {
		require.Equal(t, 202, b.post(t, "/v1/orders", exampleOrder).status)
	}
	b.temporal.answer = func(client.UpdateWorkflowOptions) (any, error) { return compensation.Compensating, nil }
	require.Equal(t, 202, b.post(t, "/v1/orders/"+orderID+"/cancel", `{"by":"ada"}`).status)
	b.requireProblem(t, b.ask(t, "BREW", "/coffee/"+orderID, ""))
	b.requireProblem(t, b.get(t, "/v1/orders/"+orderID+"x"))

	figures := read()
	require.InDelta(t, 1, figures[`amends_saga_started{type=PlaceOrder}`], 0, "sent twice, started once")
	require.InDelta(t, 2, figures[`amends_api_request_duration{method=POST,route=/v1/orders,status=202}`], 0, figures)
	require.InDelta(t, 1, figures[`amends_acts{act=cancel,outcome=done}`], 0, figures)
	require.InDelta(t, 1, figures[`amends_api_request_duration{method=other,route=none,status=405}`], 0, figures)
	require.InDelta(t, 1, figures[`amends_api_request_duration{method=GET,route=/v1/orders/{id},status=404}`], 0, figures)
}

func TestOpenSagasAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := withSagas(t, time.Now())
		b.temporal.find = func(*workflowservice.ListWorkflowExecutionsRequest) []*workflowpb.WorkflowExecutionInfo {
			return []*workflowpb.WorkflowExecutionInfo{b.parkedSince("order-1", time.Now().Add(-90*time.Second))}
		}
		sagas := b.temporal.count
		b.temporal.count = func(query string) int64 {
			if strings.Contains(query, "'RecoverSaga'") && strings.Contains(query, "'parked'") {
				return 2
			}
			return sagas(query)
		}
		read := counted(t, b)

		figures := read()
		require.InDelta(t, 3, figures["amends_sagas_open{state=parked,type=PlaceOrder}"], 0)
		require.Contains(t, figures, "amends_sagas_open{state=running,type=ReturnOrder}")
		require.InDelta(t, 2, figures["amends_sagas_open{state=parked,type=RecoverSaga}"], 0)
		require.InDelta(t, 90, figures["amends_parked_oldest_age{}"], 0)
		asked := len(b.temporal.counted)

		<-time.After(9 * time.Second)
		require.InDelta(t, 99, read()["amends_parked_oldest_age{}"], 0, "it goes on")
		require.Len(t, b.temporal.counted, asked, "Temporal is not asked for every scrape")

		<-time.After(2 * time.Second)
		b.temporal.down = serviceerror.NewUnavailable("away")
		require.NotContains(t, read(), "amends_sagas_open{state=parked,type=PlaceOrder}", "an old figure is no figure")
		require.Contains(t, b.log.String(), "open sagas cannot be counted now")

		b.temporal.down, b.temporal.count = nil, func(string) int64 { return 0 }
		require.InDelta(t, 0, read()["amends_parked_oldest_age{}"], 0)
	})
}
