package connect_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"

	"github.com/amends-dev/amends/internal/connect"
)

// fakeTemporal is a Temporal that has these search attributes.
type fakeTemporal struct {
	client.Client                         // panics on what the check has no business calling
	operatorservice.OperatorServiceClient // so does this

	has map[string]enumspb.IndexedValueType
	err error
}

func (f fakeTemporal) OperatorService() operatorservice.OperatorServiceClient { return f }

func (f fakeTemporal) ListSearchAttributes(
	context.Context, *operatorservice.ListSearchAttributesRequest, ...grpc.CallOption,
) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: f.has}, f.err
}

func TestSearchAttributesAreChecked(t *testing.T) {
	t.Parallel()

	const keyword, datetime, text = enumspb.INDEXED_VALUE_TYPE_KEYWORD, enumspb.INDEXED_VALUE_TYPE_DATETIME, enumspb.INDEXED_VALUE_TYPE_TEXT
	type attributes = map[string]enumspb.IndexedValueType
	want := []temporal.SearchAttributeKey{temporal.NewSearchAttributeKeyKeyword("SagaState"), temporal.NewSearchAttributeKeyTime("ParkedSince")}
	for said, temporal := range map[string]fakeTemporal{
		"": {has: attributes{"SagaState": keyword, "ParkedSince": datetime}},
		"namespace orders has no search attribute SagaState: make it with " +
			"`temporal operator search-attribute create --namespace orders --name SagaState --type Keyword`": {has: attributes{"ParkedSince": datetime}},
		"namespace orders has no search attribute SagaState, ParkedSince: make it with `temporal operator search-attribute create " +
			"--namespace orders --name SagaState --type Keyword --name ParkedSince --type Datetime`": {},
		"search attribute SagaState is of type Text, not Keyword": {has: attributes{"SagaState": text, "ParkedSince": datetime}},
		"list search attributes of namespace orders: away":        {err: errors.New("away")},
	} {
		err := connect.CheckSearchAttributes(t.Context(), temporal, "orders", want)
		if said == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, said)
		}
	}
}
