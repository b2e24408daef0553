package api

import (
	"embed"
	"encoding/json"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// exampleFiles have for each operation what is asked, such as place-order.request.json, and what is answered, such as
// place-order.202.json. A test sends the requests and compares the answers; make generate writes these again.
//
//go:embed examples
var exampleFiles embed.FS

const exampleFolder = "examples"

// describeExamples adds the examples to the description, and one of each problem.
func describeExamples(api huma.API) {
	doc := api.OpenAPI()
	operations := map[string]*huma.Operation{}
	for _, path := range doc.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post} {
			if op != nil {
				operations[op.OperationID] = op
			}
		}
	}
	files, err := exampleFiles.ReadDir(exampleFolder)
	if err != nil {
		panic("api: its own examples: " + err.Error())
	}
	for _, file := range files {
		text, err := exampleFiles.ReadFile(exampleFolder + "/" + file.Name())
		if err != nil {
			panic("api: its own examples: " + err.Error())
		}
		id, part, _ := strings.Cut(strings.TrimSuffix(file.Name(), ".json"), ".")
		op := operations[id]
		if op == nil {
			panic("api: an example of no operation: " + file.Name())
		}
		content := map[string]*huma.MediaType{}
		if part == "request" {
			content = op.RequestBody.Content
		} else if answer := op.Responses[part]; answer != nil {
			content = answer.Content
		}
		if content["application/json"] == nil {
			panic("api: an example of nothing: " + file.Name())
		}
		content["application/json"].Example = json.RawMessage(text)
	}
}
