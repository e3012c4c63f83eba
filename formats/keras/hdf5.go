package keras

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/hdf5"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

func openHDF5(b []byte, opts Options) (*hdf5.File, error) {
	return hdf5.OpenBytes(b, hdf5.Options{Keep: opts.Keep, MaxValueBytes: opts.MaxAlloc, MaxTotalBytes: opts.MaxAlloc, MaxAttrBytes: min(opts.MaxAlloc, 256<<20)})
}

// readHDF5 reads a whole-model file.
func readHDF5(b []byte, opts Options) (*File, error) {
	h, err := openHDF5(b, opts)
	if err != nil {
		return nil, err
	}
	f := &File{}
	config, ok, err := attrString(h.Root(), "model_config")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, formatErrorf(formats.HDF5, "no model_config: the file has weights only; give the architecture as JSON too (nnrt import ARCHITECTURE.json --weights FILE; in Go, LoadWeights)")
	}
	f.Config = []byte(config)
	if err := f.readVersion(h); err != nil {
		return nil, err
	}
	if training, ok, err := attrString(h.Root(), "training_config"); err != nil {
		return nil, err
	} else if ok {
		f.Training = []byte(training)
	}
	if err := checkJSON(f.Config, opts); err != nil {
		return nil, err
	}
	v, err := layers.ParseJSON(f.Config)
	if err != nil {
		return nil, formatErrorf(formats.HDF5, "model_config: %v", err)
	}
	d := dialectOf(f.Version, f.backend(h), v)
	if f.Model, err = decodeModel(v, d, opts); err != nil {
		return nil, err
	}
	if err := f.Model.Build(); err != nil {
		return nil, err
	}
	if opts.SkipWeights {
		return f, nil
	}
	if err := f.loadHDF5Weights(h, opts); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) readVersion(h *hdf5.File) error {
	for _, g := range weightRoots(h) {
		for name, dst := range map[string]*string{"keras_version": &f.Version, "backend": &f.Backend} {
			if *dst != "" {
				continue
			}
			s, _, err := attrString(g, name)
			if err != nil {
				return err
			}
			*dst = s
		}
	}
	return nil
}

// weightRoots is the groups that may say who wrote the file, and hold its weights.
func weightRoots(h *hdf5.File) []*hdf5.Group {
	out := []*hdf5.Group{h.Root()}
	if g, err := h.Root().OpenGroup("model_weights"); err == nil {
		out = append(out, g)
	}
	return out
}

// backend is what the weights were made on. Keras 1 doesn't say: its weights on TensorFlow have names that
// end in ":0", on Theano not.
func (f *File) backend(h *hdf5.File) string {
	if f.Backend != "" || f.Version != "" && !strings.HasPrefix(f.Version, "1.") && !strings.HasPrefix(f.Version, "0.") {
		return f.Backend
	}
	roots := weightRoots(h)
	g := roots[len(roots)-1]
	names, err := attrList(g, "layer_names")
	if err != nil {
		return ""
	}
	for _, n := range names {
		lg, err := g.OpenGroup(n)
		if err != nil {
			continue
		}
		ws, err := attrList(lg, "weight_names")
		if err != nil || len(ws) == 0 {
			continue
		}
		if strings.Contains(ws[0], ":") {
			return "tensorflow"
		}
		return "theano"
	}
	return ""
}

// attrString is a scalar string attribute; ok is false where there is none.
func attrString(g *hdf5.Group, name string) (s string, ok bool, err error) {
	a, err := g.Attr(name)
	if errors.Is(err, hdf5.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	list, err := a.ReadStrings()
	if err != nil {
		return "", false, errs.Errorf("keras: attribute %q: %w", name, err)
	}
	if len(list) != 1 {
		return "", false, formatErrorf(formats.HDF5, "attribute %q has %d values, want 1", name, len(list))
	}
	return list[0], true, nil
}

// attrList is a list of strings, which Keras cuts into name0, name1, ... where it is over 64 KB.
func attrList(g *hdf5.Group, name string) ([]string, error) {
	read := func(name string) ([]string, bool, error) {
		a, err := g.Attr(name)
		if errors.Is(err, hdf5.ErrNotFound) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		if n, ok := a.Space().NumElems(); ok && n == 0 { // an empty list is of float64
			return nil, true, nil
		}
		list, err := a.ReadStrings()
		return list, true, err
	}
	list, ok, err := read(name)
	if err != nil || ok {
		return list, err
	}
	for i := 0; ; i++ {
		part, ok, err := read(fmt.Sprintf("%s%d", name, i))
		if err != nil {
			return nil, err
		}
		if !ok {
			if i == 0 {
				return nil, errs.Errorf("keras: group %q: attribute %q: %w", g.Path(), name, hdf5.ErrNotFound)
			}
			return list, nil
		}
		list = append(list, part...)
	}
}

// readTensor reads a dataset.
func readTensor(d *hdf5.Dataset) (*tensor.Tensor, error) {
	var shape []int
	for _, n := range d.Dims() {
		shape = append(shape, int(n))
	}
	dt, ok := typeOf(d.Type())
	if !ok {
		fs, err := d.ReadFloat32s()
		if err != nil {
			return nil, errs.Errorf("keras: dataset %q: %w", d.Path(), err)
		}
		t := tensor.New(tensor.Float32, shape...)
		copy(tensor.As[float32](t), fs)
		return t, nil
	}
	if _, err := tensor.NumElements(shape); err != nil {
		return nil, errs.Errorf("keras: dataset %q: %w", d.Path(), err)
	}
	if sp := d.Space(); sp.Null {
		return nil, formatErrorf(formats.HDF5, "dataset %q has a null space", d.Path())
	}
	raw, err := d.ReadRaw()
	if err != nil {
		return nil, errs.Errorf("keras: dataset %q: %w", d.Path(), err)
	}
	return tensor.FromBytes(dt, shape, raw, d)
}

// typeOf is the element type that a little-endian HDF5 type is as it stands.
func typeOf(t *hdf5.Datatype) (tensor.DType, bool) {
	if t.Size > 1 && t.Order != hdf5.LittleEndian {
		return 0, false
	}
	switch {
	case t.IsBFloat16(), t.Class == hdf5.ClassOpaque && t.Size == 2 && t.Tag == "": // h5py's form of NumPy's bfloat16
		return tensor.BFloat16, true
	case t.IsIEEE():
		return map[int]tensor.DType{2: tensor.Float16, 4: tensor.Float32, 8: tensor.Float64}[t.Size], t.Size <= 8
	case t.IsBool():
		return tensor.Bool, t.Size == 1
	case t.Class == hdf5.ClassInteger && t.Precision == 8*t.Size && t.BitOffset == 0:
		if t.Signed {
			dt, ok := map[int]tensor.DType{1: tensor.Int8, 2: tensor.Int16, 4: tensor.Int32, 8: tensor.Int64}[t.Size]
			return dt, ok
		}
		dt, ok := map[int]tensor.DType{1: tensor.Uint8, 2: tensor.Uint16, 4: tensor.Uint32, 8: tensor.Uint64}[t.Size]
		return dt, ok
	}
	return 0, false
}

// loadHDF5Weights binds the weights of an HDF5 file of either layout.
func (f *File) loadHDF5Weights(h *hdf5.File, opts Options) error {
	if err := f.readVersion(h); err != nil {
		return err
	}
	for _, g := range slices.Backward(weightRoots(h)) {
		if _, err := attrList(g, "layer_names"); err == nil {
			return f.loadLegacy(h, g, opts)
		} else if !errors.Is(err, hdf5.ErrNotFound) {
			return err
		}
	}
	return f.loadVars(h, opts)
}

// loadLegacy binds the weights of a file with layer_names and weight_names: by order, or by name.
func (f *File) loadLegacy(h *hdf5.File, g *hdf5.Group, opts Options) error {
	b := &binder{file: f, opts: opts, d: dialectOf(f.Version, f.backend(h), nil)}
	if f.Version == "" && b.d.theano { // no version and names without ":0": Keras 1
		b.d.major = 1
	}
	if f.Version == "" && f.Backend == "" {
		b.d.major = 1
	}
	names, err := attrList(g, "layer_names")
	if err != nil {
		return err
	}
	if a, err := g.Attr("layer_names"); err == nil {
		f.fixedNames = a.Type().Class == hdf5.ClassString
	}
	var saved []savedLayer
	for _, n := range names {
		s, err := readSaved(g, n)
		if err != nil {
			return err
		}
		saved = append(saved, s)
	}
	if opts.ByName {
		err = b.byName(saved)
	} else {
		err = b.byOrder(saved)
	}
	if err != nil {
		return err
	}
	b.missing()
	return f.readOptimizer(h)
}

// savedLayer is a layer's weights in a file.
type savedLayer struct {
	name    string
	group   *hdf5.Group
	weights []string
}

func readSaved(g *hdf5.Group, name string) (savedLayer, error) {
	lg, err := g.OpenGroup(name)
	if err != nil {
		return savedLayer{}, errs.Errorf("keras: layer %q: %w", name, err)
	}
	ws, err := attrList(lg, "weight_names")
	if errors.Is(err, hdf5.ErrNotFound) {
		err = nil
	}
	return savedLayer{name, lg, ws}, err
}

func (s savedLayer) read() ([]*tensor.Tensor, error) {
	out := make([]*tensor.Tensor, len(s.weights))
	for i, n := range s.weights {
		d, err := s.group.OpenDataset(n)
		if err != nil {
			return nil, errs.Errorf("keras: layer %q: %w", s.name, err)
		}
		if out[i], err = readTensor(d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readOptimizer reads an optimizer's state, if the file has one.
func (f *File) readOptimizer(h *hdf5.File) error {
	g, err := h.Root().OpenGroup("optimizer_weights")
	if errors.Is(err, hdf5.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	names, err := attrList(g, "weight_names")
	if errors.Is(err, hdf5.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		d, err := g.OpenDataset(n)
		if err != nil {
			return errs.Errorf("keras: optimizer: %w", err)
		}
		t, err := readTensor(d)
		if err != nil {
			return err
		}
		f.Optimizer = append(f.Optimizer, Variable{n, t})
	}
	return nil
}
