package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
	"github.com/amends-dev/amends/internal/payload"
	"github.com/amends-dev/amends/workflows"
)

// What is in the examples, and must be nowhere in Temporal.
var secrets = []string{
	"c-1001", "Ada Lovelace", "ada@example.com", "Harbor Street", "Hamburg", "TEA-EARL-GREY", "CUP-PORCELAIN", "tok_visa", "tok_declined", "SPRING-",
}

// Everything works with payloads that are encrypted, some of them in a store, as it does without; and who has Temporal but no
// keys reads nothing of it.
//
//nolint:tparallel // what comes after the sagas, which run in parallel, is about all of them
func TestEncryptedSagas(t *testing.T) {
	t.Parallel()

	store := t.TempDir()
	s := startSystemWith(t, payload.Config{KeyFile: newPayloadKeys(t), Store: "file://" + store, StoreAbove: 512})
	s.playAll(t)
	s.requireBatchesWork()
	s.requireRecoveriesWork()
	s.requireNothingHalfDone()
	require.Equal(t, http.StatusOK, s.ask(http.MethodGet, s.apiURL+"/v1/overview", nil).status)

	var list struct {
		Items []saga `json:"items"`
	}
	body := s.ask(http.MethodGet, s.apiURL+"/v1/sagas?page_size=100&state=compensated", nil).body
	require.NoError(t, json.Unmarshal(body, &list))
	require.NotEmpty(t, list.Items)
	unreadable := slices.Clone(secrets)
	for _, v := range list.Items {
		require.NotEmpty(t, v.Cause, v.ID)
		unreadable = append(unreadable, v.Cause)
	}
	s.requireUnreadable(unreadable)
	stored, err := filepath.Glob(filepath.Join(store, "*", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, stored)
	s.requireDecodable(workflowID(place("good.json")(s)), "ada@example.com")
}

// requireDecodable requires that the codec server finds this text in the saga's input, for an admin who has no payload keys.
func (s *system) requireDecodable(workflowID, text string) {
	s.t.Helper()
	apiKeys, addr := filepath.Join(s.dir, "codec-keys.toml"), fmt.Sprintf("127.0.0.1:%d", freePort(s.t))
	_, key, err := access.CreateKey(s.t.Context(), apiKeys, access.Key{Name: "grace", Tenant: "default", Role: access.Admin})
	require.NoError(s.t, err)
	codec := spawn(s.t, "codec", binaries.amends, s.temporalEnv(), "codec", "--addr", addr, "--keys-file", apiKeys)
	require.Eventually(s.t, func() bool { return strings.Contains(codec.out.String(), "listening") }, time.Minute, 50*time.Millisecond)
	remote := converter.NewRemotePayloadCodec(converter.RemotePayloadCodecOptions{
		Endpoint: "http://" + addr,
		ModifyRequest: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+key)
			return nil
		},
	})
	read, err := remote.Decode(s.input(workflowID))
	require.NoError(s.t, err)
	require.Contains(s.t, string(read[0].GetData()), text)
}

func (s *system) requireBatchesWork() {
	s.t.Helper()
	parked := place("good.json", fault{"notification", "NotifyCustomer", settings{"refuse": true, "times": 1}})(s)
	s.awaitParked(parked)
	s.awaitFound("/v1/sagas?state=parked", []string{workflowID(parked)})
	b := s.awaitBatch(s.startBatch(map[string]any{
		"act": "retry", "filter": map[string]any{"step": "NotifyCustomer"}, "by": "grace", "reason": "mended",
	}), "completed")
	require.Equal(s.t, 1, b.Done, "%v", b.Failures)
	v := s.awaitEnd(parked)
	require.Equal(s.t, []string{"retry by grace: mended"}, v.acts())
	require.Equal(s.t, "completed", v.State)
}

func (s *system) requireRecoveriesWork() {
	s.t.Helper()
	terminated := place("fraud-review.json")(s)
	s.awaitWait(terminated)
	require.NoError(s.t, s.dial().TerminateWorkflow(s.t.Context(), workflowID(terminated), "", "by mistake"))
	s.sweepUntil(func(sweep workflows.Sweep) bool { return sweep.Known == 1 })
	var recovery compensation.Recovery
	require.NoError(s.t, s.dial().GetWorkflow(s.t.Context(), workflows.RecoveryWorkflowID(workflowID(terminated)), "").Get(s.t.Context(), &recovery))
	require.Contains(s.t, recovery.Undone, compensation.Key{Saga: workflowID(terminated), Step: "PriceOrder"})
}

// newPayloadKeys makes a file of payload keys as an operator does.
func newPayloadKeys(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "payload-keys.toml")
	rotate(t, file)
	return file
}

func rotate(t *testing.T, file string) (id string) {
	t.Helper()
	out, err := exec.Command(binaries.amends, "payload-keys", "rotate", "--payload-keys", file, "--output", "json").Output()
	require.NoError(t, err)
	var key payload.Key
	require.NoError(t, json.Unmarshal(out, &key))
	return key.ID
}

// requireUnreadable requires that all payloads in Temporal are encrypted or elsewhere, and that these texts are nowhere else, but for search
// attributes.
func (s *system) requireUnreadable(texts []string) {
	s.t.Helper()
	spy, seen := s.dialWith(payload.Config{}), 0
	look := func(where string, m proto.Message) {
		err := proxy.VisitPayloads(s.t.Context(), m, proxy.VisitPayloadsOptions{
			SkipSearchAttributes: true,
			Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
				for _, p := range payloads {
					seen++
					if len(p.GetExternalPayloads()) == 0 { // otherwise it is in the store
						require.Equal(s.t, "binary/encrypted", string(p.GetMetadata()["encoding"]), "%s: %v", where, m)
					}
				}
				return payloads, nil
			},
		})
		require.NoError(s.t, err)
		raw, err := proto.Marshal(m)
		require.NoError(s.t, err)
		for _, text := range texts {
			require.False(s.t, bytes.Contains(raw, []byte(text)), "%q in %s: %v", text, where, m)
		}
	}
	list, err := spy.ListWorkflow(s.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	require.NoError(s.t, err)
	require.Greater(s.t, len(list.GetExecutions()), 40)
	for _, info := range list.GetExecutions() {
		id := info.GetExecution().GetWorkflowId()
		desc, err := spy.DescribeWorkflowExecution(s.t.Context(), id, info.GetExecution().GetRunId())
		require.NoError(s.t, err)
		info.SearchAttributes, desc.WorkflowExecutionInfo.SearchAttributes = nil, nil
		look("list", &workflowservice.ListWorkflowExecutionsResponse{Executions: list.GetExecutions()[:1]})
		look("description of "+id, desc)
		events := spy.GetWorkflowHistory(s.t.Context(), id, info.GetExecution().GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(s.t, err)
			if a := event.GetWorkflowExecutionStartedEventAttributes(); a != nil {
				a.SearchAttributes = nil
			}
			if a := event.GetUpsertWorkflowSearchAttributesEventAttributes(); a != nil {
				a.SearchAttributes = nil
			}
			look("history of "+id, event)
		}
	}
	require.Greater(s.t, seen, 1000)
}

// Encryption can be turned on, and keys exchanged, with sagas in flight. A worker that lacks the keys does nothing to them.
func TestPayloadKeysAreExchanged(t *testing.T) {
	t.Parallel()

	s := startSystem(t)
	plain := place("fraud-review.json")(s)
	s.awaitWait(plain)

	s.payloads.KeyFile = newPayloadKeys(t)
	s.restart()
	first := place("fraud-review.json")(s)
	s.awaitWait(first)
	firstKey := s.inputKey(first)
	require.NotEmpty(t, firstKey)
	require.Empty(t, s.inputKey(plain))

	// The API has the keys, and the worker doesn't.
	keys := s.payloads.KeyFile
	s.worker.kill()
	s.payloads.KeyFile = ""
	s.startWorker()
	s.payloads.KeyFile = keys
	untaken := place("good.json")(s)
	require.Eventually(t, func() bool {
		return strings.Contains(s.worker.out.String(), "payload cannot be read: it is encrypted")
	}, time.Minute, 50*time.Millisecond)
	require.Equal(t, "running", s.get(untaken).State)
	s.worker.kill()
	s.startWorker()

	secondKey := rotate(t, s.payloads.KeyFile)
	require.NotEqual(t, firstKey, secondKey)
	var second string
	require.Eventually(t, func() bool {
		second = place("fraud-review.json")(s)
		return s.inputKey(second) == secondKey
	}, time.Minute, 100*time.Millisecond, "the API does not use the new key")
	s.awaitWait(second)
	s.decide(second, true)
	s.decide(first, true)
	s.decide(plain, true)
	for _, path := range []string{plain, first, second, untaken} {
		require.Equal(t, "completed", s.awaitEnd(path).State)
	}
}

// restart starts worker and API again.
func (s *system) restart() {
	s.t.Helper()
	s.api.stop()
	s.worker.stop()
	s.startWorker()
	s.apiURL, s.api = s.startAPI(time.Hour)
}

// inputKey is the ID of the key that the saga's input is encrypted with, "" if it is not.
func (s *system) inputKey(path string) string {
	s.t.Helper()
	return string(s.input(workflowID(path))[0].GetMetadata()["encryption-key-id"])
}

// input is the workflow's input as Temporal has it.
func (s *system) input(workflowID string) []*commonpb.Payload {
	s.t.Helper()
	events := s.dialWith(payload.Config{}).GetWorkflowHistory(s.t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	event, err := events.Next()
	require.NoError(s.t, err)
	return event.GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()
}
