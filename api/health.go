package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/workflows"
)

func (s *server) routeHealth(api huma.API) {
	tags := []string{"service"}
	register(s, api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: tags,
		Summary: "Say whether the process lives",
	}, nil, func(context.Context, *struct{}) (*healthOutput, error) {
		out := &healthOutput{}
		out.Body.Version = s.options.Version
		return out, nil
	})
	register(s, api, huma.Operation{
		OperationID: "version", Method: http.MethodGet, Path: "/version", Tags: tags,
		Summary: "Say what runs here",
	}, nil, func(context.Context, *struct{}) (*versionOutput, error) {
		out := &versionOutput{}
		out.Body.Version, out.Body.Revision = s.options.Version, workflows.Revision
		return out, nil
	})
	register(s, api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: tags,
		Summary: "Say whether sagas can be started and worked on",
	}, []Code{codeNoWorker, codeNamespaceIncomplete, codeUnavailable, codeAuditUnwritten, codeStopping}, s.ready)
}

type healthOutput struct {
	Body struct {
		Version string `json:"version" doc:"The API's version."`
	} `nameHint:"Health"`
}

type versionOutput struct {
	Body struct {
		Version  string `json:"version" doc:"The API's version."`
		Revision int    `json:"revision" doc:"The revision of the sagas that it starts."`
	} `nameHint:"Version"`
}

type readyOutput struct {
	Body struct {
		Workers int `json:"workers" doc:"How many workers poll for sagas."`
	} `nameHint:"Readiness"`
}

// pollerLife is the time for which a poller counts after it was last seen: a poll takes up to a minute.
const pollerLife = 90 * time.Second

// ready reports what Ready found within the last second, whether acts can be recorded, and whether the process is about
// to stop. However many callers ask, and however often, Temporal is asked once a second.
func (s *server) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	select {
	case <-s.options.Stopping:
		return nil, &failure{code: codeStopping, detail: "This process takes no more requests soon; others do."}
	default:
	}
	// It costs nothing, unless acts wait to be written: then this request makes them be written at once.
	if err := s.options.Audit.Ready(ctx); err != nil {
		return nil, err
	}
	workers, err := s.readiness.Check(ctx, func(ctx context.Context) (int, error) { return Ready(ctx, s.temporal, s.options.Namespace) })
	if err != nil {
		return nil, err
	}
	out := &readyOutput{}
	out.Body.Workers = workers
	return out, nil
}

// Ready looks for Temporal, for the search attributes that a start sets, and for workers that poll for the sagas and for
// their activities, and counts those. A worker that was killed counts for pollerLife more.
func Ready(ctx context.Context, c client.Client, namespace string) (workers int, err error) {
	if err := connect.CheckSearchAttributes(ctx, c, namespace, workflows.SearchAttributes()); err != nil {
		return 0, err
	}
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_ACTIVITY, enumspb.TASK_QUEUE_TYPE_WORKFLOW} {
		queue, err := c.DescribeTaskQueue(ctx, workflows.TaskQueue, kind)
		if err != nil {
			return 0, fmt.Errorf("describe task queue %s: %w", workflows.TaskQueue, err)
		}
		workers = 0
		for _, p := range queue.GetPollers() {
			if time.Since(p.GetLastAccessTime().AsTime()) < pollerLife {
				workers++
			}
		}
		if workers == 0 {
			return 0, &failure{
				code:   codeNoWorker,
				detail: fmt.Sprintf("Nobody polls the task queue %s for its %s tasks.", workflows.TaskQueue, kind),
			}
		}
	}
	return workers, nil
}
