package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = `package sample

import "errors"

const most = 5

type pair struct {
	a int ` + "`json:\"a\"`" + `
}

func (p *pair) less(n int) bool { return p.a < n && n > 0 }

func check(n int) (int, error) {
	if n == 3 {
		return 0, errors.New("three")
	}
	total := 0
	for i := 0; i < n; i++ {
		if i >= most || !fine(i) {
			continue
		}
		total += i
	}
	defer note(total)
	f := func() error {
		return errors.New("inner")
	}
	err := f()
	return total, err
}

func pass() error { return note(1) }
`

// TestMutants: each has a name that describes its change, and changes only that.
func TestMutants(t *testing.T) {
	t.Parallel()

	found, err := mutantsIn("/sample.go", "sample/sample.go", []byte(sample))
	require.NoError(t, err)
	changes := map[string]string{}
	for _, m := range found {
		_, twice := changes[m.ID]
		require.False(t, twice, m.ID)
		lines := strings.Split(string(m.apply([]byte(sample))), "\n")
		changes[m.ID] = strings.TrimSpace(lines[m.Line-1])
	}
	require.Equal(t, map[string]string{
		"sample/sample.go: one more `5`":                                                                          "const most = 6",
		"sample/sample.go: (*pair).less: only the left of `p.a < n && n > 0`":                                     "func (p *pair) less(n int) bool { return p.a < n }",
		"sample/sample.go: (*pair).less: only the right of `p.a < n && n > 0`":                                    "func (p *pair) less(n int) bool { return n > 0 }",
		"sample/sample.go: (*pair).less: write <= in `p.a < n`":                                                   "func (p *pair) less(n int) bool { return p.a <= n && n > 0 }",
		"sample/sample.go: (*pair).less: write >= in `n > 0`":                                                     "func (p *pair) less(n int) bool { return p.a < n && n >= 0 }",
		"sample/sample.go: (*pair).less: one more `0`":                                                            "func (p *pair) less(n int) bool { return p.a < n && n > 1 }",
		"sample/sample.go: check: write != in `n == 3`":                                                           "if n != 3 {",
		"sample/sample.go: check: one more `3`":                                                                   "if n == 4 {",
		"sample/sample.go: check: one more `0`":                                                                   `return 1, errors.New("three")`,
		"sample/sample.go: check: forget the error in `return 0, errors.New(\"three\")`: `errors.New(\"three\")`": "return 0, nil",
		"sample/sample.go: check: one more `0` #2":                                                                "total := 1",
		"sample/sample.go: check: one more `0` #3":                                                                "for i := 1; i < n; i++ {",
		"sample/sample.go: check: never loop `i < n`":                                                             "for i := 0; false; i++ {",
		"sample/sample.go: check: write <= in `i < n`":                                                            "for i := 0; i <= n; i++ {",
		"sample/sample.go: check: drop `i++`":                                                                     "for i := 0; i < n;  {",
		"sample/sample.go: check: negate `i >= most || !fine(i)`":                                                 "if !(i >= most || !fine(i)) {",
		"sample/sample.go: check: only the left of `i >= most || !fine(i)`":                                       "if i >= most {",
		"sample/sample.go: check: only the right of `i >= most || !fine(i)`":                                      "if !fine(i) {",
		"sample/sample.go: check: write > in `i >= most`":                                                         "if i > most || !fine(i) {",
		"sample/sample.go: check: drop `continue`":                                                                "",
		"sample/sample.go: check: drop `total += i`":                                                              "",
		"sample/sample.go: check: drop `defer note(total)`":                                                       "",
		"sample/sample.go: check: forget the error in `return total, err`: `err`":                                 "return total, nil",
		"sample/sample.go: pass: one more `1`":                                                                    "func pass() error { return note(2) }",
	}, changes)
}

func TestSome(t *testing.T) {
	t.Parallel()

	all := make([]mutant, 10)
	for i := range all {
		all[i].Line = i
	}
	require.Len(t, some(all, 0), 10)
	require.Len(t, some(all, 11), 10)
	require.Equal(t, []mutant{{Line: 0}, {Line: 3}, {Line: 6}}, some(all, 3))
}

func TestExplained(t *testing.T) {
	t.Parallel()

	read := func(text string) (map[string]string, error) {
		path := filepath.Join(t.TempDir(), "explained.txt")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return readExplained(path)
	}
	reasons, err := read("# about\n\na/b.go: f: drop `g()`\n  The log is\n  for people.\n\na/b.go: f: drop `h()`\n\tNothing reads it.\n")
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"a/b.go: f: drop `g()`": "The log is for people.", "a/b.go: f: drop `h()`": "Nothing reads it.",
	}, reasons)
	for text, fault := range map[string]string{
		"a/b.go: f: drop `g()`\n":                        "a/b.go: f: drop `g()` is not explained",
		"a/b.go: f: drop `g()`\na/b.go: f: drop `h()`\n": "line 2: a/b.go: f: drop `g()` is not explained",
		"  because\n": "line 1: an explanation of what",
	} {
		_, err := read(text)
		require.ErrorContains(t, err, fault)
	}
}

// TestRun runs the tests of a package on its mutants.
func TestRun(t *testing.T) {
	t.Parallel()

	if testing.Short() {
		t.Skip("builds a package once for each mutant")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("go.mod", "module sample\n\ngo 1.26\n")
	write("sample.go", "package sample\n\nfunc Less(a, b int) bool { return a < b }\n\nfunc Log() { println(true) }\n")
	test := "package sample\n\nimport \"testing\"\n\nfunc TestLess(t *testing.T) {\n\tif !Less(1, 2) {\n\t\tt.Fatal()\n\t}\n%s}\n"
	write("sample_test.go", strings.Replace(test, "%s", "", 1))
	explained := write("explained.txt", "")
	kept := filepath.Join(dir, "kept", "notes.jsonl")
	mutants := func() (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), []string{"-kept", kept, "-explained", explained, "-for", "10m", dir}, &out)
		return strings.ReplaceAll(out.String(), filepath.ToSlash(dir), "sample"), err
	}
	tries := func() int {
		text, err := os.ReadFile(kept)
		require.NoError(t, err)
		return strings.Count(string(text), "\n")
	}

	out, err := mutants()
	require.ErrorContains(t, err, "3 mutants survive without an explanation")
	require.Contains(t, out, "sample: 0 killed, 3 survive (0 explained), 0 are no program, 0 left\n")
	require.Equal(t, 3, tries())

	// Only survivors are tried again with new tests.
	write("sample_test.go", strings.Replace(test, "%s", "\tif Less(2, 2) {\n\t\tt.Fatal()\n\t}\n", 1))
	out, err = mutants()
	require.ErrorContains(t, err, "2 mutants survive without an explanation")
	require.Contains(t, out, "  sample/sample.go: Log: drop `println(true)`\n  sample/sample.go: Log: turn `true`\n")
	require.Equal(t, 6, tries())

	prefix := filepath.ToSlash(dir) + "/sample.go: Log: "
	write("explained.txt", prefix+"drop `println(true)`\n  Nobody reads it.\n"+prefix+"turn `true`\n  Nobody reads it.\n")
	out, err = mutants()
	require.NoError(t, err)
	require.Equal(t, "sample: 1 killed, 2 survive (2 explained), 0 are no program, 0 left\n", out)
	require.Equal(t, 6, tries(), "what is known is not tried again")

	write("sample.go", "package sample\n\nfunc Less(a, b int) bool { return a < b }\n\nfunc Log() {\n\tvar unused int\n\tunused = 1\n\tprintln(unused)\n}\n")
	_, err = mutants()
	require.ErrorContains(t, err, "explains a mutant that is not there: "+prefix)
	write("explained.txt", "")
	out, err = mutants()
	require.ErrorContains(t, err, "survive without an explanation")
	require.Contains(t, out, "sample: 1 killed, 2 survive (0 explained), 1 are no program, 0 left", "a file that changed is tried again")
}

func TestCommandLine(t *testing.T) {
	t.Parallel()

	for fault, args := range map[string][]string{
		"name the folders of the packages": {},
		"-parallel is 0":                   {"-parallel", "0", "fence"},
		"flag provided but not defined":    {"-what", "fence"},
		"no such file":                     {"-explained", "none", "fence"},
	} {
		var out bytes.Buffer
		require.ErrorContains(t, run(t.Context(), args, &out), fault)
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-help"}, &out))
	require.Contains(t, out.String(), "usage: mutants [flags] folder")
}
