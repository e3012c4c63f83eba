package pb

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/internal/errs"
)

// SaveOptions steers Save; the zero value writes one file where that can be.
type SaveOptions struct {
	// External moves tensors of MinExternal bytes and more into a file beside
	// the model. That also happens, unasked, to a model over MaxSize.
	External bool
	// MinExternal is the least size of a tensor to move; default 1024.
	MinExternal int
	// DataName is the other file's name, without a folder; default the model's
	// with ".data" behind it.
	DataName string
	// maxSize stands for MaxSize in tests.
	maxSize int64
}

// Save writes m to the file of that name, which appears whole or not at all,
// after the file of its external data. m is changed while Save runs, and as
// before when it returns; its tensors are written from where they are.
func Save(name string, m *ModelProto, o SaveOptions) error {
	if o.MinExternal <= 0 {
		o.MinExternal = 1024
	}
	if o.maxSize == 0 {
		o.maxSize = MaxSize
	}
	if o.DataName == "" {
		o.DataName = filepath.Base(name) + ".data"
	}
	if !filepath.IsLocal(o.DataName) || strings.ContainsAny(o.DataName, `/\`) || o.DataName == filepath.Base(name) {
		return errs.Errorf("%s: external data can't be in %q", name, o.DataName)
	}
	e := Encode(m)
	if !o.External && e.Size() <= o.maxSize {
		return saveModel(name, e)
	}
	moved, err := m.externalise(o)
	defer func() {
		for _, t := range moved {
			*t.at = t.was
		}
	}()
	if err != nil {
		return errs.Errorf("%s: %w", name, err)
	}
	e = Encode(m)
	if e.Size() > o.maxSize {
		return errs.Errorf("%s: %d bytes remain without external data, protobuf allows %d", name, e.Size(), o.maxSize)
	}
	if len(moved) > 0 {
		if err := saveData(filepath.Join(filepath.Dir(name), o.DataName), moved); err != nil {
			return err
		}
	}
	return saveModel(name, e)
}

func saveModel(name string, e *Encoded) error {
	f, err := atomicfile.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := e.WriteTo(f); err != nil {
		return errs.Errorf("%s: %w", name, err)
	}
	return f.Commit()
}

// movedTensor is a tensor whose bytes go to the other file.
type movedTensor struct {
	at     *TensorProto
	was    TensorProto
	offset int64
}

// dataAlign is where tensors begin in the other file: on pages, as ONNX
// advises for files that will be mapped; small ones on cache lines.
func dataAlign(size int) int64 {
	if size >= 1<<20 {
		return 4096
	}
	return 64
}

// externalise turns m's large raw tensors into references. What it returns,
// also beside an error, says how to undo it.
func (m *ModelProto) externalise(o SaveOptions) (moved []movedTensor, err error) {
	end := int64(0)
	m.walkTensors(func(t *TensorProto) {
		if t.DataLocation == LocationExternal && err == nil {
			err = errs.Errorf("tensor %q: its data is in another file already", t.Name)
		}
		if len(t.RawData) < o.MinExternal || t.DataLocation == LocationExternal {
			return
		}
		size := len(t.RawData)
		align := dataAlign(size)
		offset := (end + align - 1) / align * align
		end = offset + int64(size)
		moved = append(moved, movedTensor{t, *t, offset})
		t.RawData = nil
		t.DataLocation = LocationExternal
		t.ExternalData = []*StringStringEntryProto{
			{"location", o.DataName}, {"offset", strconv.FormatInt(offset, 10)}, {"length", strconv.Itoa(size)},
		}
	})
	return moved, err
}

func saveData(name string, moved []movedTensor) error {
	f, err := atomicfile.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	at := int64(0)
	for _, t := range moved {
		if _, err := f.Write(make([]byte, t.offset-at)); err != nil {
			return errs.Errorf("%s: %w", name, err)
		}
		if _, err := f.Write(t.was.RawData); err != nil {
			return errs.Errorf("%s: %w", name, err)
		}
		at = t.offset + int64(len(t.was.RawData))
	}
	return f.Commit()
}

// walkTensors calls visit for every distinct tensor of m: initializers, sparse
// ones' parts, and attributes, in all graphs and functions.
func (m *ModelProto) walkTensors(visit func(*TensorProto)) {
	seen := map[*TensorProto]bool{}
	w := tensorWalk{func(t *TensorProto) {
		if t != nil && !seen[t] {
			seen[t] = true
			visit(t)
		}
	}}
	w.graph(m.Graph)
	for _, t := range m.TrainingInfo {
		w.graph(t.Initialization)
		w.graph(t.Algorithm)
	}
	for _, f := range m.Functions {
		w.attributes(f.AttributeProto)
		w.nodes(f.Node)
	}
}

type tensorWalk struct{ visit func(*TensorProto) }

func (w tensorWalk) graph(g *GraphProto) {
	if g == nil {
		return
	}
	for _, t := range g.Initializer {
		w.visit(t)
	}
	w.sparse(g.SparseInitializer)
	w.nodes(g.Node)
}

func (w tensorWalk) sparse(list []*SparseTensorProto) {
	for _, s := range list {
		w.visit(s.Values)
		w.visit(s.Indices)
	}
}

func (w tensorWalk) nodes(list []*NodeProto) {
	for _, n := range list {
		w.attributes(n.Attribute)
	}
}

func (w tensorWalk) attributes(list []*AttributeProto) {
	for _, a := range list {
		for _, t := range append(slices.Clone(a.Tensors), a.T) {
			w.visit(t)
		}
		for _, g := range append(slices.Clone(a.Graphs), a.G) {
			w.graph(g)
		}
		w.sparse(a.SparseTensors)
		if a.SparseTensor != nil {
			w.sparse([]*SparseTensorProto{a.SparseTensor})
		}
	}
}
