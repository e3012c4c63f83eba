package lint

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/nnrt/nnrt"

// layers is the import order: a package may import packages of rows above its own, of its own row only
// where the row says so, and internal/ leaves. A pattern ending in /... takes everything below.
var layers = []struct {
	packages []string
	within   bool // packages of this row may import each other
}{
	{packages: []string{"internal/half", "internal/cpuid", "internal/par", "internal/mmap", "internal/philox", "internal/mt19937", "internal/testdata",
		"internal/atomicfile", "internal/order", "internal/guard", "internal/pixels", "internal/sha1", "internal/csvtext", "internal/errs", "internal/classes", "internal/fingerprint"}, within: true},
	{packages: []string{"tensor"}},
	{packages: []string{"internal/npz"}},
	{packages: []string{"graph"}},
	{packages: []string{"graph/rewrite"}},
	{packages: []string{"ops", "ops/..."}, within: true},
	{packages: []string{"devices"}},
	{packages: []string{"devices/ref", "devices/cpu", "devices/cpu/...", "devices/cuda", "devices/cuda/..."}, within: true},
	{packages: []string{"runtime/internal/plan"}},
	{packages: []string{"runtime/internal/passes"}},
	{packages: []string{"runtime"}},
	{packages: []string{"internal/goldentest"}},
	{packages: []string{"formats", "formats/hdf5", "formats/hdf5/..."}, within: true},
	{packages: []string{"formats/onnx/internal/pb"}},
	{packages: []string{"layers/initializer", "layers/regularizer", "layers/constraint"}, within: true},
	{packages: []string{"layers", "layers/..."}, within: true},
	{packages: []string{"train/autodiff"}},
	{packages: []string{"formats/onnx", "formats/keras", "formats/keras/..."}, within: true},
	{packages: []string{"train", "train/..."}, within: true},
	{packages: []string{"pretrained", "pretrained/...", "vision", "vision/..."}, within: true},
	{packages: []string{"feed"}},
	{packages: []string{""}},
	{packages: []string{"bench", "inspect", "job"}, within: true},
	{packages: []string{"conformance", "conformance/...", "cmd/...", "examples/...", "internal/lint"}, within: true},
}

// exceptions to the rows, each with its reason.
var exceptions = map[string]string{
	"formats/onnx/internal/pb -> formats": "errors of one kind",
}

// forbidden imports: a pattern of packages and what none of them may import.
var forbidden = []struct{ from, imp, why string }{
	{"formats/...", module + "/runtime", "import is testable without executing"},
	{"graph", module + "/ops", "the IR knows interfaces, not operators"},
	{"", module + "/devices/cuda", "an embedder who asks for no GPU keeps a static binary"},
	{"...", "C", "no cgo"},
	{"...", "github.com/ebitengine/purego", "FFI lives in devices/cuda/internal/driver"},
}

func TestImports(t *testing.T) {
	for pkg, imports := range packages(t) {
		row := rowOf(pkg)
		require.GreaterOrEqual(t, row, 0, "package %q has no row in layers", pkg)
		for _, imp := range imports {
			for _, f := range forbidden {
				if match(f.from, pkg) && imp == f.imp && !strings.HasPrefix(pkg, "devices/cuda") {
					t.Errorf("%s imports %s: %s", pkg, imp, f.why)
				}
			}
			own, ok := strings.CutPrefix(imp, module)
			if !ok {
				continue
			}
			own = strings.TrimPrefix(own, "/")
			to := rowOf(own)
			if to < row || to == row && layers[row].within || exceptions[pkg+" -> "+own] != "" {
				continue
			}
			t.Errorf("%s may not import %s: it stands in a lower or equal row", pkg, own)
		}
	}
}

// TestSmallTree holds that the library pulls in few modules: heavy ones stay behind cmd, examples and tests.
func TestSmallTree(t *testing.T) {
	heavy := []string{"github.com/spf13/", "gonum.org/", "github.com/schollz/", "google.golang.org/grpc", "github.com/prometheus/"}
	for pkg, imports := range packages(t) {
		if strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "examples/") {
			continue
		}
		for _, imp := range imports {
			for _, h := range heavy {
				if strings.HasPrefix(imp, h) {
					t.Errorf("%s imports %s: heavy modules stay behind cmd/", pkg, imp)
				}
			}
		}
	}
}

func rowOf(pkg string) int {
	best, length := -1, -1
	for i, l := range layers {
		for _, p := range l.packages {
			if match(p, pkg) && len(p) > length {
				best, length = i, len(p)
			}
		}
	}
	return best
}

func match(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, base+"/")
	}
	return pattern == pkg
}

// packages maps each package of the module, tests left out, to what it imports.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	root := moduleRoot(t)
	out := map[string][]string{}
	goFiles(t, root, func(name string) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
		require.NoError(t, err)
		pkg := path.Dir(name)
		if pkg == "." {
			pkg = ""
		}
		for _, s := range f.Imports {
			p, err := strconv.Unquote(s.Path.Value)
			require.NoError(t, err)
			out[pkg] = append(out[pkg], p)
		}
	})
	return out
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return root
}

// goFiles visits every Go file of this module, by slash-separated path from its root.
func goFiles(t *testing.T, root string, visit func(name string)) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." {
			if strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata" || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(root, p, "go.mod")); err == nil {
				return fs.SkipDir // a nested module
			}
		}
		if strings.HasSuffix(p, ".go") {
			visit(p)
		}
		return nil
	}))
}
