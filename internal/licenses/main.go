// Command licenses reads a CycloneDX bill of materials (JSON), prints the license of each module, and fails if one has
// none that is allowed here. It knows nothing of how the bill was made: `make licenses` makes it.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

// allowed are the licenses, by SPDX identifier, that ask for no more than to be named and, of MPL-2.0, that changes to the
// module itself are published.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-Source-Code", "ISC", "MIT", "MPL-2.0", "Unlicense"}

// read are the licenses of modules in which the tool finds none, as somebody read them there.
var read = map[string]string{
	"github.com/pressly/goose/v3": "MIT",
	// Has no file that says, and comes with Temporal's SDK: generated code for its annotations.
	"github.com/nexus-rpc/nexus-proto-annotations": "none stated",
}

// bill is what is read of a CycloneDX document.
type bill struct {
	Components []struct {
		Name, Version string
		Licenses      []struct{ License struct{ ID string } }
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("want one argument: the bill of materials")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var b bill
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("read %s: %w", args[0], err)
	}
	if len(b.Components) == 0 {
		return fmt.Errorf("%s lists no modules", args[0])
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var faults []error
	for _, c := range b.Components {
		var ids []string
		for _, l := range c.Licenses {
			ids = append(ids, l.License.ID)
		}
		byHand, known := read[c.Name]
		if len(ids) == 0 && known {
			ids = []string{byHand}
		} else if !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(allowed, id) }) {
			faults = append(faults, fmt.Errorf("%s %s: license %q is not among those allowed: read it, and add it to internal/licenses, or do without the module",
				c.Name, c.Version, strings.Join(ids, ", ")))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, c.Version, strings.Join(ids, ", "))
	}
	return errors.Join(append(faults, table.Flush())...)
}
