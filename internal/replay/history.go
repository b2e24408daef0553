// Package replay finds out whether code would go on with sagas that other code began: it reads their histories, from
// Temporal or from files, and replays them with the workflows of this build.
package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// History is what a workflow has recorded.
type History struct {
	// Name is where it comes from: a workflow ID, or a file. Run is the run ID; empty for a file.
	Name, Run string
	Events    []*historypb.HistoryEvent
}

// Type is the workflow's type.
func (h History) Type() string {
	if len(h.Events) == 0 {
		return ""
	}
	return h.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName()
}

// who did something stands in histories as a process and its machine, and as a sticky task queue named after the
// machine. Both are nobody's business, and replaying does not need them.
var (
	identity    = regexp.MustCompile(`("identity": )"[^"]*"`)
	stickyQueue = regexp.MustCompile(`("name": )"[^":]*:[0-9a-f-]{36}"`)
)

// Encode is the history as a file of a corpus has it: JSON that differs only where the history does.
func (h History) Encode() ([]byte, error) {
	compact, err := protojson.Marshal(&historypb.History{Events: h.Events})
	if err != nil {
		return nil, fmt.Errorf("encode the history of %s: %w", h.Name, err)
	}
	// protojson varies its white space on purpose.
	var text bytes.Buffer
	if err := json.Indent(&text, compact, "", " "); err != nil {
		return nil, fmt.Errorf("encode the history of %s: %w", h.Name, err)
	}
	text.WriteByte('\n')
	content := identity.ReplaceAll(text.Bytes(), []byte(`$1"recorder"`))
	return stickyQueue.ReplaceAll(content, []byte(`$1"recorder"`)), nil
}

// ReadFile reads a history that Encode, the Web UI or Temporal's command line has written.
func ReadFile(path string) (History, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return History{}, err
	}
	var h historypb.History
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(content, &h); err != nil {
		return History{}, fmt.Errorf("%s: not a history: %w", path, err)
	}
	return History{Name: path, Events: h.GetEvents()}, nil
}

// unusual are the characters of workflow IDs that names of files had better not have.
var unusual = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// Save writes the history below the folder, into one for its type.
func (h History) Save(folder string) error {
	content, err := h.Encode()
	if err != nil {
		return err
	}
	folder = filepath.Join(folder, h.Type())
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	name := h.Name
	if h.Run != "" {
		name += "-" + h.Run[:min(len(h.Run), 8)]
	}
	return os.WriteFile(filepath.Join(folder, unusual.ReplaceAllString(name, "-")+".json"), content, 0o600)
}

// Files are these files, and those below these folders that end with .json.
func Files(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && (file == path || filepath.Ext(file) == ".json") {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// recorded are the events up to the last one that the workflow's own code has brought about. What follows has only
// happened to it: there is nothing to compare with, and the code would run on to where it would need a worker. It is empty
// for a workflow whose first task is not over.
func recorded(events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
	task, end := int64(0), 0
	for i, event := range events {
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			task, end = event.GetEventId(), i+1
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
			end = i + 1
		default:
			if task != 0 && broughtAboutBy(event) == task {
				end = i + 1
			}
		}
	}
	return events[:end]
}

// broughtAboutBy is the event of the workflow task that ended with a command for this one; 0 if none did.
func broughtAboutBy(event *historypb.HistoryEvent) int64 {
	m := event.ProtoReflect()
	attributes := m.WhichOneof(m.Descriptor().Oneofs().ByName("attributes"))
	if attributes == nil {
		return 0
	}
	task := attributes.Message().Fields().ByName(protoreflect.Name("workflow_task_completed_event_id"))
	if task == nil {
		return 0
	}
	return m.Get(attributes).Message().Get(task).Int()
}
