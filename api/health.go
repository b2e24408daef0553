package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	enumspb "go.temporal.io/api/enums/v1"

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
	}, []Code{codeNoWorker, codeNamespaceIncomplete, codeUnavailable}, s.ready)
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

const (
	readyTimeout = 2 * time.Second
	// pollerLife is how long a poller counts after it was last seen: a poll takes up to a minute.
	pollerLife = 90 * time.Second
)

// ready looks for Temporal, for the search attributes that a start sets, and for workers that poll for the sagas and for their activities. A worker that was killed
// counts for pollerLife more.
func (s *server) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := connect.CheckSearchAttributes(ctx, s.temporal, s.options.Namespace, workflows.SearchAttributes()); err != nil {
		return nil, err
	}
	out := &readyOutput{}
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_ACTIVITY, enumspb.TASK_QUEUE_TYPE_WORKFLOW} {
		queue, err := s.temporal.DescribeTaskQueue(ctx, workflows.TaskQueue, kind)
		if err != nil {
			return nil, fmt.Errorf("describe task queue %s: %w", workflows.TaskQueue, err)
		}
		out.Body.Workers = 0
		for _, p := range queue.GetPollers() {
			if time.Since(p.GetLastAccessTime().AsTime()) < pollerLife {
				out.Body.Workers++
			}
		}
		if out.Body.Workers == 0 {
			return nil, &failure{
				code:   codeNoWorker,
				detail: fmt.Sprintf("Nobody polls the task queue %s for its %s tasks.", workflows.TaskQueue, kind),
			}
		}
	}
	return out, nil
}
