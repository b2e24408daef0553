package compensation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
)

func TestMermaid(t *testing.T) {
	t.Parallel()

	require.Equal(t, `flowchart TD
  start(["Tour"])
  start --> BookTrain
  BookFerry["BookFerry<br/>durable"]
  BookTrain --> BookHotel & BookFerry
  BookHotel & BookFerry --> afterBookHotel(( ))
  afterBookHotel --> BookGuide
  Pay{{"Pay<br/>pivot"}}
  BookGuide --> Pay
  Pay ==> SendTicket & SendMail
  SendTicket & SendMail ==> afterSendTicket(( ))
  afterSendTicket ==> completed(["completed"])
  Pay -. "PreventCharge" .-> BookGuide
  BookGuide -. "Cancel" .-> afterBookHotel
  BookFerry -. "Cancel" .-> BookTrain
  BookHotel -. "Cancel" .-> BookTrain
  BookTrain -. "Cancel" .-> start
`, tour.Mermaid())

	require.Equal(t, `flowchart TD
  start(["a #quot;b#quot; #lt;c#gt; #amp; #35;1"])
  start --> BookTrain
  BookTrain --> completed(["completed"])
  BookTrain -. "Cancel" .-> start
`, compensation.MustPlan("a \"b\" <c>\n&\n#1", tourTrain).Mermaid())
}

func TestMermaidFailAt(t *testing.T) {
	t.Parallel()

	const styles = `  classDef done fill:#dafbe1,stroke:#1a7f37,color:#116329
  classDef refused fill:#ffebe9,stroke:#cf222e,color:#82071e
`
	for step, tt := range map[string]struct{ want, classes string }{
		"BookTrain": {`flowchart TD
  start(["Tour"])
  start --> BookTrain
  BookTrain -. "refused" .-> start
`, `  class BookTrain refused
`},
		"BookHotel": {`flowchart TD
  start(["Tour"])
  start --> BookTrain
  BookFerry["BookFerry<br/>durable"]
  BookTrain --> BookHotel & BookFerry
  BookHotel -. "refused" .-> BookTrain
  Pay{{"Pay<br/>pivot"}}
  BookHotel -. "1 PreventCharge" .-> Pay
  BookFerry -. "2 Cancel" .-> BookTrain
  BookTrain -. "3 Cancel" .-> start
`, `  class BookTrain,BookFerry done
  class BookHotel refused
`},
		"Pay": {`flowchart TD
  start(["Tour"])
  start --> BookTrain
  BookFerry["BookFerry<br/>durable"]
  BookTrain --> BookHotel & BookFerry
  BookHotel & BookFerry --> afterBookHotel(( ))
  afterBookHotel --> BookGuide
  Pay{{"Pay<br/>pivot"}}
  BookGuide --> Pay
  Pay -. "1 PreventCharge" .-> BookGuide
  BookGuide -. "2 Cancel" .-> afterBookHotel
  BookFerry -. "3 Cancel" .-> BookTrain
  BookHotel -. "4 Cancel" .-> BookTrain
  BookTrain -. "5 Cancel" .-> start
`, `  class BookTrain,BookHotel,BookFerry,BookGuide done
  class Pay refused
`},
		"SendMail": {`flowchart TD
  start(["Tour"])
  start --> BookTrain
  BookFerry["BookFerry<br/>durable"]
  BookTrain --> BookHotel & BookFerry
  BookHotel & BookFerry --> afterBookHotel(( ))
  afterBookHotel --> BookGuide
  Pay{{"Pay<br/>pivot"}}
  BookGuide --> Pay
  Pay ==> SendTicket & SendMail
  SendMail -. "refused" .-> parked(["parked: waits for an operator"])
`, `  class BookTrain,BookHotel,BookFerry,BookGuide,Pay,SendTicket done
  class SendMail refused
`},
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()

			diagram, err := tour.MermaidFailAt(step)
			require.NoError(t, err)
			require.Equal(t, tt.want+styles+tt.classes, diagram)
		})
	}
}

// Without a pivot nothing is fenced.
func TestMermaidFailAtWithoutPivot(t *testing.T) {
	t.Parallel()

	diagram, err := compensation.MustPlan("Tour", tourTrain, tourHotel).MermaidFailAt("BookHotel")
	require.NoError(t, err)
	require.Equal(t, `flowchart TD
  start(["Tour"])
  start --> BookTrain
  BookTrain --> BookHotel
  BookHotel -. "refused" .-> BookTrain
  BookTrain -. "1 Cancel" .-> start
  classDef done fill:#dafbe1,stroke:#1a7f37,color:#116329
  classDef refused fill:#ffebe9,stroke:#cf222e,color:#82071e
  class BookTrain done
  class BookHotel refused
`, diagram)
}
