// Package onnx reads ONNX models into canonical graphs and writes canonical graphs as ONNX models.
//
// Reading normalises: whatever operator-set version a file has, its graph means the newest one, and
// nothing of versions is left. Subgraphs get what they capture as explicit inputs, functions of the
// model's own are expanded, float initializers become parameters under their names, and every node keeps
// the file's name as its origin. What nnrt has no equal for is refused in one error that lists all of it.
package onnx

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/internal/mmap"
)

// Opset is the newest version of the default operator set that is read, and the default of Write.
const Opset = 28

// Options steers reading. The zero value is right for files one has no doubts about and for those one has.
type Options struct {
	// Limits bound what reading may cost.
	Limits formats.Options
	// Ops are operators of the caller's own. They go before those of this package.
	Ops []CustomOp
	// NoExternal refuses models whose tensors lie in files beside them.
	NoExternal bool
}

// CustomOp gives nodes of an operator that this package doesn't know a meaning. Its kernel goes to the device
// (nnrt.Options.Kernels, cpu.Options.Kernels); a gradient is the operator's own method (graph.Differentiable).
type CustomOp struct {
	// Domain and Name are the node's.
	Domain, Name string
	// Op is the caller's operator, its fields at the attributes' defaults. A field KernelShape is the
	// attribute kernel_shape; the tag `onnx:"name"` names another, `onnx:"-"` none. With it, nodes are read
	// without Import, and written (WriteOptions.Ops).
	Op graph.Op
	// Import, where it is not nil, adds what the node means to the graph, through n.Add and n.AddN, with
	// operators of nnrt's or of the caller's, and returns the values of the node's outputs. It says by
	// n.Refuse what it can't do.
	Import func(n *Node) []*graph.Value
}

// Read reads the size bytes of a model. Tensors in other files are refused: only ReadFile and ReadFS know
// where to look for them.
func Read(r io.ReaderAt, size int64, opts Options) (*graph.Graph, error) {
	if size < 0 || size > 1<<40 {
		return nil, &formats.FormatError{Format: formats.ONNX, Offset: -1, Msg: fmt.Sprintf("a size of %d bytes", size)}
	}
	b := make([]byte, size)
	if n, err := r.ReadAt(b, 0); int64(n) < size {
		return nil, &formats.FormatError{Format: formats.ONNX, Offset: int64(n), Msg: fmt.Sprintf("reading: %v", err), Err: err}
	}
	return ReadBytes(b, opts)
}

// ReadBytes reads a model. Its tensors alias b, which must not change afterwards.
func ReadBytes(b []byte, opts Options) (*graph.Graph, error) {
	return read(b, opts, pb.Source{})
}

// ReadFile reads a model from a file, which is mapped, not copied; tensors in files beside it are found.
func ReadFile(path string, opts Options) (*graph.Graph, error) {
	f, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	g, err := read(f.Bytes(), opts, pb.Source{Keep: f, External: pb.NewExternal(root)})
	return g, inFile(path, err)
}

// ReadFS reads a model from a file system; tensors in files beside it are found.
func ReadFS(fsys fs.FS, name string, opts Options) (*graph.Graph, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	dir, err := fs.Sub(fsys, path.Dir(name))
	if err != nil {
		return nil, err
	}
	g, err := read(b, opts, pb.Source{External: pb.NewExternalFS(dir)})
	return g, inFile(name, err)
}

// inFile puts the file's name before an error.
func inFile(name string, err error) error {
	if err == nil {
		return nil
	}
	return errs.Errorf("%s: %w", name, err)
}

func read(b []byte, opts Options, source pb.Source) (_ *graph.Graph, err error) {
	defer guard.CatchAs(&err, func(e error) error {
		return &formats.FormatError{Format: formats.ONNX, Offset: -1, Msg: e.Error(), Err: e}
	})
	lim := opts.Limits.WithDefaults(int64(len(b)))
	m := &pb.ModelProto{}
	err = pb.Unmarshal(b, m, pb.Limits{MaxAlloc: lim.MaxAlloc, MaxDepth: lim.MaxDepth, MaxString: lim.MaxString,
		MaxNodes: lim.MaxNodes, MaxGraphDepth: lim.MaxGraphDepth})
	if err != nil {
		fe := &formats.FormatError{Format: formats.ONNX, Offset: -1, Msg: err.Error(), Err: err}
		if at := (*pb.Error)(nil); errors.As(err, &at) {
			fe.Offset, fe.Msg = at.Offset, at.Path+": "+at.Msg
			if at.Path == "" {
				fe.Msg = outermost(at)
			}
		}
		return nil, fe
	}
	if opts.NoExternal {
		source.External = nil
	}
	source.MaxDense = lim.MaxAlloc
	im := &importer{opts: opts, lim: lim, rows: newRowTable(rows()), newest: newest(), source: &source,
		custom: map[opKey]CustomOp{}, functions: map[functionKey]*pb.FunctionProto{},
		calling: map[*pb.FunctionProto]bool{}}
	for _, c := range opts.Ops {
		if c.Import == nil {
			if c.Op == nil {
				return nil, errs.Errorf("onnx: custom operator %s.%s has neither Op nor Import", c.Domain, c.Name)
			}
			c.Import = auto(c.Name, 1, c.Op).imp
		}
		im.custom[opKey{domain(c.Domain), c.Name}] = c
	}
	return im.model(m)
}

// outermost spells an error about a field of the file's outermost message: where one reaches beyond the end,
// the file was cut.
func outermost(e *pb.Error) string {
	if e.Cut == 0 {
		return e.Msg
	}
	name := map[int]string{1: "ir_version", 2: "producer_name", 3: "producer_version", 4: "domain", 5: "model_version", 6: "doc_string",
		7: "graph", 8: "opset_import", 14: "metadata_props", 20: "training_info", 25: "functions"}[e.Cut]
	return fmt.Sprintf("the file is cut short, in its field %s: %s", name, e.Msg)
}
