package api_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/api"
	"github.com/amends-dev/amends/compensation"
	"github.com/amends-dev/amends/internal/access"
)

// exampleKey is the description's own example of an Idempotency-Key.
const exampleKey = "5f0c2d5e-7a9b-4f1e-9d57-3a8f6f0f8f5b"

// world is what there is when an example is sent.
type world struct {
	// order and ret are the recorded histories of order-42 and of return-7; empty for none.
	order, ret string
	// live: they have not ended yet, and wait for what was recorded next.
	live bool
}

var (
	over    = world{order: "PlaceOrder/completed", ret: "ReturnOrder/completed"}
	doubted = world{order: "PlaceOrder/approved", live: true}
	parked  = world{order: "PlaceOrder/step-after-the-pivot-marked-done", live: true}
	unknown = world{order: "revision-3/PlaceOrder/pivot-marked-happened", live: true}
	awaited = world{ret: "ReturnOrder/completed", live: true}
)

// exchanges are the examples: who asks what in which world, by the name of the answer's file.
var exchanges = map[string]struct {
	world
	path, prefer string
}{
	"place-order.201":          {world{}, "/v1/orders", "wait=10"},
	"place-order.202":          {world{}, "/v1/orders", ""},
	"list-orders.200":          {over, "/v1/orders", ""},
	"get-order.200":            {over, "/v1/orders/42", ""},
	"cancel-order.202":         {doubted, "/v1/orders/42/cancel", ""},
	"decide-order.202":         {doubted, "/v1/orders/42/approval", ""},
	"return-order.201":         {over, "/v1/returns", "wait=10"},
	"return-order.202":         {over, "/v1/returns", ""},
	"list-returns.200":         {over, "/v1/returns", ""},
	"get-return.200":           {over, "/v1/returns/7", ""},
	"cancel-return.202":        {awaited, "/v1/returns/7/cancel", ""},
	"report-arrival.202":       {awaited, "/v1/returns/7/arrival", ""},
	"list-sagas.200":           {parked, "/v1/sagas", ""},
	"get-saga.200":             {parked, "/v1/sagas/order-42", ""},
	"cancel-saga.202":          {doubted, "/v1/sagas/order-42/cancel", ""},
	"decide-saga.202":          {doubted, "/v1/sagas/order-42/approval", ""},
	"retry-step.200":           {parked, "/v1/sagas/order-42/steps/NotifyCustomer/retry", ""},
	"skip-step.200":            {parked, "/v1/sagas/order-42/steps/NotifyCustomer/skip", ""},
	"mark-step-done.200":       {parked, "/v1/sagas/order-42/steps/NotifyCustomer/mark-done", ""},
	"mark-pivot-happened.200":  {unknown, "/v1/sagas/order-42/steps/CapturePayment/mark-happened", ""},
	"mark-pivot-prevented.200": {unknown, "/v1/sagas/order-42/steps/CapturePayment/mark-prevented", ""},
	"extend-deadline.200":      {parked, "/v1/sagas/order-42/extend-deadline", ""},
	"start-batch.202":          {parked, "/v1/batches", ""},
	"get-batch.200":            {parked, "/v1/batches/b1", ""},
	"cancel-batch.202":         {parked, "/v1/batches/b1/cancel", ""},
	"get-overview.200":         {world{}, "/v1/overview", ""},
	"get-caller.200":           {world{}, "/v1/caller", ""},
	"list-saga-types.200":      {world{}, "/v1/saga-types", ""},
	"get-saga-type.200":        {world{}, "/v1/saga-types/PlaceOrder", ""},
	"get-plan.200":             {world{}, "/v1/saga-types/PlaceOrder/plan?fail_at=BookShipment", ""},
	"healthz.200":              {world{}, "/healthz", ""},
	"readyz.200":               {world{}, "/readyz", ""},
	"version.200":              {world{}, "/version", ""},
}

// dryRun is the one answer without an example: a request has one, and that is not for a dry run.
const dryRun = "start-batch.200"

// Every example of the description is what the API takes, and what it answers then.
func TestExamples(t *testing.T) {
	t.Parallel()
	description(t) // outside the bubbles: others use it, too
	methods := map[string]string{}
	for _, op := range describedOperations(t) {
		methods[op.id] = op.method
		if op.RequestBody != nil {
			require.FileExists(t, "examples/"+op.id+".request.json")
		}
		for status, response := range op.Responses.Map() {
			if response.Value.Content["application/json"] != nil && op.id+"."+status != dryRun {
				require.Contains(t, exchanges, op.id+"."+status, "an answer without an example")
			}
		}
	}
	for name, x := range exchanges {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, status, _ := strings.Cut(name, ".")
			request, err := os.ReadFile("examples/" + id + ".request.json")
			if err != nil {
				require.ErrorIs(t, err, fs.ErrNotExist)
			}
			synctest.Test(t, func(t *testing.T) {
				b := x.setup(t)
				if id == "get-overview" {
					b = withSagas(t, time.Now())
				}
				headers := []string{"Idempotency-Key", exampleKey}
				if saga, _, act := strings.Cut(strings.TrimPrefix(x.path, "/v1/sagas/"), "/"); act && methods[id] == http.MethodPost {
					headers = append(headers, "If-Match", b.get(t, "/v1/sagas/"+saga).header.Get("ETag"))
				}
				if x.prefer != "" {
					headers = append(headers, "Prefer", x.prefer)
					after(time.Second, func() { b.endStarted(t, id) })
				}
				a := b.ask(t, methods[id], x.path, string(request), headers...)
				require.Equal(t, status, strconv.Itoa(a.status), a.body)
				requireExample(t, "examples/"+name+".json", a.body)
			})
		})
	}
}

// requireExample compares an answer with the file, or makes it the file's.
func requireExample(t *testing.T, file, body string) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, json.Indent(&text, []byte(strings.TrimSpace(body)), "", "  "))
	text.WriteByte('\n')
	if *api.Update {
		require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
	}
	recorded, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(recorded), text.String(), "make generate")
}

func (w world) setup(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.handler = api.New(b.temporal, api.Options{WebUI: "https://temporal.example", Access: access.Open(), Logger: quiet, Version: "1.0.0"})
	b.temporal.count = func(string) int64 { return 7 }
	now := []time.Time{time.Now()}
	b.temporal.pollers = map[enumspb.TaskQueueType][]time.Time{enumspb.TASK_QUEUE_TYPE_WORKFLOW: now, enumspb.TASK_QUEUE_TYPE_ACTIVITY: now}
	b.temporal.answer = func(o client.UpdateWorkflowOptions) (any, error) {
		switch o.UpdateName {
		case compensation.UpdateCancel:
			return compensation.Compensating, nil
		case compensation.UpdateRetry, compensation.UpdateSkip, compensation.UpdateMarkDone, compensation.UpdateMarkHappened:
			b.unpark(o.WorkflowID, compensation.Running, "")
		case compensation.UpdateMarkPrevented:
			b.unpark(o.WorkflowID, compensation.Compensating, "CapturePayment refused: the bank does not answer")
		}
		return compensation.Running, nil
	}
	b.populateBatch(t)
	var listed []*workflowpb.WorkflowExecutionInfo
	for id, history := range map[string]string{"order-42": w.order, "return-7": w.ret} {
		if history != "" {
			_, err := b.temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id}, path.Base(path.Dir(history)), nil)
			require.NoError(t, err)
			b.tell(t, id, history, w.live)
			listed = append(listed, b.temporal.sagas[id].info)
		}
	}
	slices.SortFunc(listed, func(a, b *workflowpb.WorkflowExecutionInfo) int {
		return strings.Compare(a.GetType().GetName(), b.GetType().GetName())
	})
	b.temporal.find = func(r *workflowservice.ListWorkflowExecutionsRequest) []*workflowpb.WorkflowExecutionInfo {
		var found []*workflowpb.WorkflowExecutionInfo
		for _, info := range listed {
			if strings.Contains(r.GetQuery(), info.GetType().GetName()) {
				found = append(found, info)
			}
		}
		return found
	}
	return b
}

// tell gives a saga a recorded history: the whole of it, or up to the first message that the saga then got.
func (b *bundle) tell(t *testing.T, id, history string, live bool) {
	t.Helper()
	if strings.Count(history, "/") == 1 {
		history = "revision-2/" + history
	}
	text, err := os.ReadFile("../workflows/testdata/" + history + ".json")
	require.NoError(t, err)
	recorded, err := client.HistoryFromJSON(bytes.NewReader(text), client.HistoryJSONOptions{})
	require.NoError(t, err)
	events := recorded.GetEvents()
	if live {
		events = events[:slices.IndexFunc(events, func(e *historypb.HistoryEvent) bool {
			return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
		})]
	}
	b.temporal.mu.Lock()
	defer b.temporal.mu.Unlock()
	s := b.temporal.sagas[id]
	s.info.StartTime = events[0].GetEventTime()
	for _, e := range events[1:] {
		maps.Copy(s.info.GetSearchAttributes().GetIndexedFields(), e.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields())
		maps.Copy(s.info.GetMemo().GetFields(), e.GetWorkflowPropertiesModifiedEventAttributes().GetUpsertedMemo().GetFields())
		if ended := e.GetWorkflowExecutionCompletedEventAttributes(); ended != nil {
			own := strings.TrimPrefix(strings.TrimPrefix(id, "order-"), "return-")
			result := regexp.MustCompile(`("(?:order|return)_id":)"[^"]*"`).ReplaceAll(ended.GetResult().GetPayloads()[0].GetData(), []byte(`$1"`+own+`"`))
			s.result = json.RawMessage(result)
			s.info.Status, s.info.CloseTime = enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, e.GetEventTime()
			continue
		}
		s.events = append(s.events, e)
	}
}

// unpark continues the saga, forward or, because of the cause, back.
func (b *bundle) unpark(id string, state compensation.State, cause string) {
	b.temporal.mu.Lock()
	defer b.temporal.mu.Unlock()
	info := b.temporal.sagas[id].info
	delete(info.GetMemo().GetFields(), compensation.MemoParked)
	info.SearchAttributes = attributes(state)
	if cause != "" {
		maps.Copy(info.GetMemo().GetFields(), payloads(map[string]any{compensation.MemoCause: cause}))
	}
}

// endStarted lets what the example has started come to its end.
func (b *bundle) endStarted(t *testing.T, operation string) {
	t.Helper()
	id := api.IDOf(api.Anonymous, "/v1/orders", exampleKey)
	if operation == "return-order" {
		id := api.IDOf(api.Anonymous, "/v1/returns", exampleKey)
		b.tell(t, "return-"+id, "ReturnOrder/completed", false)
		return
	}
	b.tell(t, "order-"+id, "PlaceOrder/completed", false)
}
