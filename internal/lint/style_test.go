package lint

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	maxFileLines = 600
	maxFuncLines = 70
)

// longFiles and longFuncs are over the limits for a reason; tables, generated code and kernels are exempt
// by their place.
var longFiles = map[string]string{}

var longFuncs = map[string]string{}

func exempt(name string) bool {
	return strings.HasPrefix(name, "devices/cpu/internal/kern/") || strings.HasSuffix(name, "_test.go")
}

func TestSizes(t *testing.T) {
	root := moduleRoot(t)
	goFiles(t, root, func(name string) {
		if exempt(name) {
			return
		}
		src, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		if n := bytes.Count(src, []byte("\n")); n > maxFileLines && longFiles[name] == "" {
			t.Errorf("%s has %d lines, the limit is %d: make two of it", name, n, maxFileLines)
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fd, ok := d.(*ast.FuncDecl)
			if !ok || fd.Body == nil {
				continue
			}
			n := fset.Position(fd.End()).Line - fset.Position(fd.Pos()).Line + 1
			if n > maxFuncLines && longFuncs[name+":"+fd.Name.Name] == "" && !isTable(fd) {
				t.Errorf("%s: %s has %d lines, the limit is %d", name, fd.Name.Name, n, maxFuncLines)
			}
		}
	})
}

// isTable reports whether a function only returns a literal: a table that needs a function around it.
func isTable(fd *ast.FuncDecl) bool {
	if len(fd.Body.List) != 1 {
		return false
	}
	r, ok := fd.Body.List[0].(*ast.ReturnStmt)
	return ok && len(r.Results) == 1
}

func TestNoInit(t *testing.T) {
	root := moduleRoot(t)
	goFiles(t, root, func(name string) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.FuncDecl); ok && fd.Recv == nil && fd.Name.Name == "init" {
				t.Errorf("%s has an init function: tables are literals, devices are values", name)
			}
		}
	})
}

// TestOpsetStaysInONNX holds that after import nothing knows what an opset is.
func TestOpsetStaysInONNX(t *testing.T) {
	root := moduleRoot(t)
	goFiles(t, root, func(name string) {
		dir := path.Dir(name)
		if strings.HasPrefix(dir, "formats") || strings.HasPrefix(dir, "cmd") || strings.HasPrefix(dir, "conformance") ||
			strings.HasPrefix(dir, "internal/lint") || strings.HasPrefix(dir, "ops") || dir == "." || strings.HasSuffix(name, "_test.go") {
			return
		}
		src, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		if bytes.Contains(bytes.ToLower(src), []byte("opset")) {
			t.Errorf("%s speaks of opsets, which end at import", name)
		}
	})
}

// TestExportedDocs holds that every exported identifier says what it is.
func TestExportedDocs(t *testing.T) {
	root := moduleRoot(t)
	goFiles(t, root, func(name string) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			for _, id := range undocumented(d) {
				t.Errorf("%s: exported %s has no doc comment", name, id)
			}
		}
	})
}

// wellKnown methods implement an interface that documents them.
var wellKnown = map[string]bool{"Error": true, "Unwrap": true, "String": true, "Name": true, "Infer": true, "VJP": true,
	"MayAlias": true, "Decompose": true, "Stateful": true, "Subgraphs": true, "WithSubgraphs": true, "Scratch": true, "Run": true}

func undocumented(d ast.Decl) (ids []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && receiverExported(d) && !(d.Recv != nil && wellKnown[d.Name.Name]) {
			ids = append(ids, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
					ids = append(ids, s.Name.Name)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && s.Doc == nil && d.Doc == nil && s.Comment == nil {
					ids = append(ids, s.Names[0].Name)
				}
			}
		}
	}
	return ids
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if x, ok := t.(*ast.IndexExpr); ok {
		t = x.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}
