package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A mutant is one small change of a source file.
type mutant struct {
	// ID names the mutant by its change, and not by its line: it stays the same while other code changes.
	ID string
	// Line is its present line.
	Line int

	file       string // its path
	start, end int    // the bytes that are replaced
	text       string // the replacement
}

// apply returns the file's source with the change.
func (m mutant) apply(source []byte) []byte {
	return slices.Concat(source[:m.start], []byte(m.text), source[m.end:])
}

// mutantsOf finds the mutants of the package in dir, in the order of its files and of their lines. IDs begin with name.
func mutantsOf(dir, name string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var all []mutant
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found, err := mutantsIn(path, name+"/"+filepath.Base(path), source)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// mutantsIn finds the mutants of one file.
func mutantsIn(path, name string, source []byte) ([]mutant, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f := &finder{file: files.File(tree.Pos()), path: path, name: name, source: source, seen: map[string]int{}}
	for _, decl := range tree.Decls {
		f.function, f.fails = "", false
		if fn, ok := decl.(*ast.FuncDecl); ok {
			f.function = fn.Name.Name
			if fn.Recv != nil {
				f.function = "(" + f.text(fn.Recv.List[0].Type) + ")." + fn.Name.Name
			}
			f.fails = lastIsError(fn.Type)
		}
		if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.IMPORT {
			continue
		}
		ast.Walk(f, decl)
	}
	slices.SortStableFunc(f.found, func(a, b mutant) int { return a.start - b.start })
	return f.found, nil
}

// A finder finds the mutants of one declaration.
type finder struct {
	file     *token.File
	path     string
	name     string
	source   []byte
	function string
	// fails is set where the function's last result is an error.
	fails bool
	seen  map[string]int
	found []mutant
}

// Visit implements [ast.Visitor].
func (f *finder) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.FuncLit:
		inner := *f
		inner.fails = lastIsError(n.Type)
		ast.Walk(&inner, n.Body)
		f.found = inner.found
		return nil
	case *ast.IfStmt:
		f.negate(n.Cond)
	case *ast.ForStmt:
		if n.Cond != nil {
			f.replace(n.Cond, "false", "never loop")
		}
	case *ast.CaseClause:
		for _, e := range n.List {
			if _, binary := e.(*ast.BinaryExpr); binary {
				f.negate(e)
			}
		}
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.ReturnStmt:
		f.returns(n)
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
		f.replace(n, "", "drop")
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			f.replace(n, "", "drop")
		}
	case *ast.BasicLit:
		if v, err := strconv.ParseInt(n.Value, 0, 64); n.Kind == token.INT && err == nil {
			f.replace(n, strconv.FormatInt(v+1, 10), "one more")
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			f.replace(n, "false", "turn")
		case "false":
			f.replace(n, "true", "turn")
		}
	case *ast.Field: // a tag is not code
		return nil
	}
	return f
}

func (f *finder) negate(cond ast.Expr) {
	if n, ok := cond.(*ast.BinaryExpr); ok && (n.Op == token.EQL || n.Op == token.NEQ) {
		return // binary does the same
	}
	f.replace(cond, "!("+f.text(cond)+")", "negate")
}

// boundaries are the replacements of comparisons.
var boundaries = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.ADD: token.SUB, token.SUB: token.ADD,
}

func (f *finder) binary(n *ast.BinaryExpr) {
	switch n.Op {
	case token.LAND, token.LOR:
		f.replace(n, f.text(n.X), "only the left of")
		f.replace(n, f.text(n.Y), "only the right of")
	default:
		if other, ok := boundaries[n.Op]; ok {
			f.replace(n, f.text(n.X)+" "+other.String()+" "+f.text(n.Y), "write "+other.String()+" in")
		}
	}
}

// returns drops an error.
func (f *finder) returns(n *ast.ReturnStmt) {
	if !f.fails || len(n.Results) == 0 {
		return
	}
	last := n.Results[len(n.Results)-1]
	if name, ok := last.(*ast.Ident); ok && name.Name == "nil" {
		return
	}
	if _, call := last.(*ast.CallExpr); call && len(n.Results) == 1 {
		return // this may have several results
	}
	f.replace(last, "nil", "forget the error in `"+oneLine(f.text(n))+"`:")
}

func (f *finder) replace(n ast.Node, text, doing string) {
	start, end := f.file.Offset(n.Pos()), f.file.Offset(n.End())
	id := fmt.Sprintf("%s: %s: %s `%s`", f.name, f.function, doing, oneLine(string(f.source[start:end])))
	if f.function == "" {
		id = fmt.Sprintf("%s: %s `%s`", f.name, doing, oneLine(string(f.source[start:end])))
	}
	f.seen[id]++
	if n := f.seen[id]; n > 1 {
		id += " #" + strconv.Itoa(n)
	}
	f.found = append(f.found, mutant{ID: id, Line: f.file.Line(n.Pos()), file: f.path, start: start, end: end, text: text})
}

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.file.Offset(n.Pos()):f.file.Offset(n.End())])
}

// oneLine returns code on one line, shortened.
func oneLine(code string) string {
	code = strings.Join(strings.Fields(code), " ")
	if runes := []rune(code); len(runes) > 80 {
		return string(runes[:77]) + "..."
	}
	return code
}

func lastIsError(t *ast.FuncType) bool {
	if t.Results == nil {
		return false
	}
	last, ok := t.Results.List[len(t.Results.List)-1].Type.(*ast.Ident)
	return ok && last.Name == "error"
}
