package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

// operator is a Temporal that has these search attributes.
type operator struct {
	operatorservice.OperatorServiceClient // panics on what the worker has no business calling

	has map[string]enumspb.IndexedValueType
	err error
}

func (o operator) ListSearchAttributes(
	context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption,
) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: o.has}, o.err
}

func TestSearchAttributesAreChecked(t *testing.T) {
	t.Parallel()

	const keyword, datetime, text = enumspb.INDEXED_VALUE_TYPE_KEYWORD, enumspb.INDEXED_VALUE_TYPE_DATETIME, enumspb.INDEXED_VALUE_TYPE_TEXT
	type attributes = map[string]enumspb.IndexedValueType
	for want, o := range map[string]operator{
		"": {has: attributes{"SagaState": keyword, "ParkedSince": datetime}},
		"search-attribute create --namespace orders --name SagaState --type Keyword`":    {has: attributes{"ParkedSince": datetime}},
		"search-attribute create --namespace orders --name ParkedSince --type Datetime`": {has: attributes{"SagaState": keyword}},
		"search attribute SagaState is of type Text, not Keyword":                        {has: attributes{"SagaState": text, "ParkedSince": datetime}},
		"search attribute ParkedSince is of type Keyword, not Datetime":                  {has: attributes{"SagaState": keyword, "ParkedSince": keyword}},
		"list search attributes of namespace orders: away":                               {err: errors.New("away")},
	} {
		err := checkSearchAttributes(t.Context(), o, "orders")
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()

	c, err := client.NewLazyClient(client.Options{})
	require.NoError(t, err)
	defer c.Close()
	for want, o := range map[string]Options{
		"worker: service pricing: ": {ServicesURL: "127.0.0.1:8090"},
		"worker: Tasks is 1, ":      {ServicesURL: "http://127.0.0.1:8090", Tasks: 1},
	} {
		_, err := New(c, o)
		require.ErrorContains(t, err, want)
	}
}
