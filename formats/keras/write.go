package keras

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/hdf5"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// Layout is a kind of Keras file to write.
type Layout uint8

// The layouts.
const (
	Archive   Layout = iota // .keras: a zip of config.json, metadata.json and model.weights.h5
	LegacyH5                // .h5: whole model in HDF5, as Keras 3 writes it
	WeightsH5               // .weights.h5: weights only, by attribute paths
	Keras2H5                // .h5: whole model in HDF5, as tf.keras 2 writes it
)

// kerasVersion is the version whose layout is written, where the model came from no Keras 3 file.
const kerasVersion = "3.15.1"

// WriteOptions steers writing.
type WriteOptions struct {
	// Time is date_saved of an archive; zero is now.
	Time time.Time
	// Keras2 makes WriteFile write .h5 as tf.keras 2 does.
	Keras2 bool
}

// LayoutOf is the layout that a file's name asks for.
func LayoutOf(path string) (Layout, error) {
	switch {
	case strings.HasSuffix(path, ".weights.h5"):
		return WeightsH5, nil
	case strings.HasSuffix(path, ".keras"):
		return Archive, nil
	case strings.HasSuffix(path, ".h5"), strings.HasSuffix(path, ".hdf5"):
		return LegacyH5, nil
	}
	return 0, errs.Errorf("keras: %s: the name tells no Keras format; use .keras, .h5 or .weights.h5", path)
}

// WriteFile writes f under a name, in the layout that the name asks for. What was there is replaced only
// when all is written.
func WriteFile(path string, f *File, opts WriteOptions) error {
	layout, err := LayoutOf(path)
	if err != nil {
		return err
	}
	if opts.Keras2 {
		if layout != LegacyH5 {
			return errs.Errorf("keras: %s: Keras 2's layout is for .h5 alone", path)
		}
		layout = Keras2H5
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = Write(tmp, f, layout, opts)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errs.Errorf("%s: %w", path, err)
	}
	return nil
}

// Write writes a model with its weights, compile config and optimizer state (Training and Optimizer of f)
// so that Keras 3 opens it. Weights without a value are initialized. Layers that Keras 3 has no equal for
// are refused, all of them in one error.
func Write(w io.Writer, f *File, layout Layout, opts WriteOptions) error {
	if len(f.Config) == 0 && len(f.Optimizer) == 0 { // Keras binds weights by its own order of layers, in which its files have them
		f.Model.SortLayers()
	}
	if err := f.Model.Initialize(0); err != nil {
		return err
	}
	if err := f.sameMasks(layout); err != nil {
		return err
	}
	switch layout {
	case Archive:
		return f.writeArchive(w, opts)
	case LegacyH5:
		return f.writeWhole(w, f.keras3())
	case WeightsH5:
		return f.writeVars(w)
	case Keras2H5:
		return f.writeWhole(w, f.keras2())
	}
	return errs.Errorf("keras: unknown layout %d", layout)
}

// sameMasks refuses the layout of a Keras that would compute something else from the model's masks.
func (f *File) sameMasks(layout Layout) error {
	if layout == WeightsH5 || f.Model.OldMasks == (layout == Keras2H5) {
		return nil
	}
	var items []formats.Unsupported
	for _, name := range f.Model.MaskDialect() {
		items = append(items, formats.Unsupported{What: "layer", Node: name, Detail: "its masks mean something else to Keras 2 than to Keras 3"})
	}
	if len(items) == 0 {
		return nil
	}
	return &formats.UnsupportedError{Format: formats.KerasJSON, Items: items}
}

// version is the Keras version that a written file claims.
func (f *File) version() string {
	if strings.HasPrefix(f.Version, "3.") {
		return f.Version
	}
	return kerasVersion
}

func (f *File) writeArchive(w io.Writer, opts WriteOptions) error {
	cfg, err := encodeModel(f.Model, false)
	if err != nil {
		return err
	}
	if c, err := f.compileConfig(); err != nil {
		return err
	} else if c != nil {
		for i := range cfg {
			if cfg[i].Key == "compile_config" {
				cfg[i].Value = c
			}
		}
	}
	config, err := layers.AppendJSON(nil, cfg)
	if err != nil {
		return err
	}
	when := opts.Time
	if when.IsZero() {
		when = time.Now()
	}
	metadata := layers.Config{{Key: "keras_version", Value: f.version()}, {Key: "date_saved", Value: when.Format("2006-01-02@15:04:05")}}
	if layers.HasPlainSamePadding(f.Model) { // an archive says nothing of it; Keras ignores other keys
		metadata = append(metadata, layers.Entry{Key: "backend", Value: f.backendAttr()})
	}
	meta, err := layers.AppendJSON(nil, metadata)
	if err != nil {
		return err
	}
	var weights bytes.Buffer
	if err := f.writeVars(&weights); err != nil {
		return err
	}
	z := zip.NewWriter(w)
	for _, m := range []struct {
		name string
		data []byte
	}{{"metadata.json", meta}, {"config.json", config}, {"model.weights.h5", weights.Bytes()}} {
		mw, err := z.CreateHeader(&zip.FileHeader{Name: m.name, Method: zip.Store})
		if err != nil {
			return err
		}
		if _, err := mw.Write(m.data); err != nil {
			return err
		}
	}
	return z.Close()
}

// writeVars writes a .weights.h5.
func (f *File) writeVars(w io.Writer) error {
	h := hdf5.NewWriter()
	if err := writeGroup(h.Root(), f.Model.Groups()); err != nil {
		return err
	}
	if state := forKeras3(f); len(state) > 0 {
		g, err := h.Root().Group("optimizer/vars")
		if err != nil {
			return err
		}
		if err := g.SetAttr("name", hdf5.String(f.optimizerName(), hdf5.UTF8)); err != nil {
			return err
		}
		for i, v := range state {
			if err := writeTensor(g, strconv.Itoa(i), v.Data); err != nil {
				return err
			}
		}
	}
	_, err := h.WriteTo(w)
	return err
}

// optimizerName is the optimizer's name in the compile config.
func (f *File) optimizerName() string {
	v, err := f.compileConfig()
	if err != nil || v == nil {
		return "optimizer"
	}
	c, _ := v.(layers.Config)
	o, _ := c.Get("optimizer")
	var cfg any
	switch o := o.(type) {
	case map[string]any:
		cfg = o["config"]
	case layers.Config:
		cfg, _ = o.Get("config")
	case string:
		return o
	}
	m, _ := cfg.(map[string]any)
	if s, ok := m["name"].(string); ok && s != "" {
		return s
	}
	return "optimizer"
}

func writeGroup(g *hdf5.GroupWriter, t *layers.Group) error {
	for i, inner := range t.Inner {
		if !saved(t, inner) {
			continue
		}
		ig, err := g.Group(innerPath(t, i))
		if err != nil {
			return err
		}
		if err := writeGroup(ig, inner); err != nil {
			return err
		}
	}
	vars, err := g.Group("vars")
	if err != nil {
		return err
	}
	if err := vars.SetAttr("name", hdf5.String(t.Layer.Common().Name, hdf5.UTF8)); err != nil {
		return err
	}
	for i, w := range t.Weights {
		if err := writeTensor(vars, strconv.Itoa(i), w.Data); err != nil {
			return err
		}
	}
	return nil
}

// hdf5Types is the HDF5 type of each element type that a weight may have.
func hdf5Type(dt tensor.DType) *hdf5.Datatype {
	switch {
	case dt == tensor.BFloat16:
		return &hdf5.Datatype{Class: hdf5.ClassOpaque, Size: 2}
	case dt == tensor.Bool:
		return hdf5.NewBool()
	case dt == tensor.Float16 || dt == tensor.Float32 || dt == tensor.Float64:
		return hdf5.NewFloat(dt.Size())
	case dt.IsInt() && dt.Bits() == 8*dt.Size():
		return hdf5.NewInteger(dt.Size(), dt.IsSigned())
	}
	return nil
}

func writeTensor(g *hdf5.GroupWriter, name string, t *tensor.Tensor) error {
	if t == nil {
		return errs.Errorf("keras: dataset %s/%s has no value", g.Path(), name)
	}
	typ := hdf5Type(t.DType())
	if typ == nil {
		return &formats.UnsupportedError{Format: formats.HDF5, Items: []formats.Unsupported{{What: "weights of " + t.DType().String(), Node: g.Path() + "/" + name}}}
	}
	var dims []uint64
	for _, d := range t.Shape() {
		dims = append(dims, uint64(d))
	}
	d, err := g.Dataset(name, hdf5.Data{Type: typ, Dims: dims, Bytes: t.Bytes()}, hdf5.Storage{})
	if err == nil && t.DType() == tensor.BFloat16 { // by which Keras knows what the opaque bytes are
		err = d.SetAttr("dtype", hdf5.String("bfloat16", hdf5.UTF8))
	}
	return err
}

// attrLimit is what Keras puts into one attribute before it cuts the list.
const attrLimit = 64512

// setList writes a list of strings as Keras does: empty as float64, long ones cut into name0, name1, ... Keras
// cuts an array of NumPy, so that the parts are fixed-size strings whatever h5py makes of whole lists.
func setList(g *hdf5.GroupWriter, name string, list []string, fixed bool) error {
	if len(list) == 0 {
		return g.SetAttr(name, hdf5.Data{Type: hdf5.NewFloat(8), Dims: []uint64{0}, Bytes: []byte{}})
	}
	longest := 1
	for _, s := range list {
		longest = max(longest, len(s))
	}
	chunks := 1
	for (len(list)+chunks-1)/chunks*longest > attrLimit {
		chunks++
	}
	if chunks == 1 && fixed {
		return g.SetAttr(name, hdf5.FixedStrings(list))
	}
	if chunks == 1 {
		return g.SetAttr(name, hdf5.Strings(list, hdf5.ASCII))
	}
	// as numpy's array_split: the first parts are one longer, and all are of the longest name's size
	at := 0
	for i := range chunks {
		n := len(list) / chunks
		if i < len(list)%chunks {
			n++
		}
		b := make([]byte, n*longest)
		for j, s := range list[at : at+n] {
			copy(b[j*longest:], s)
		}
		d := hdf5.Data{Type: hdf5.NewFixedString(longest, hdf5.NullPad, hdf5.ASCII), Dims: []uint64{uint64(n)}, Bytes: b}
		if err := g.SetAttr(name+strconv.Itoa(i), d); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// backendAttr is the backend that a written legacy file claims: torch where a layer pads as only torch does.
func (f *File) backendAttr() string {
	if strings.HasPrefix(f.Version, "3.") && f.Backend != "" {
		return f.Backend
	}
	if layers.HasTorchPadding(f.Model) {
		return "torch"
	}
	return "tensorflow"
}

// wholeForm is what differs between the whole-model HDF5 files of Keras 2 and 3.
type wholeForm struct {
	version, backend string
	suffix           string // of weights' names
	config           func(*layers.Model) (layers.Config, error)
	training         func() (any, error)
	state            []Variable // of the optimizer, in this version's order
	fixed            bool       // lists of names under optimizer_weights are fixed-size strings
}

// keras3 is the form of Keras 3.
func (f *File) keras3() wholeForm {
	config := func(m *layers.Model) (layers.Config, error) { return encodeModel(m, true) }
	return wholeForm{f.version(), f.backendAttr(), "", config, f.trainingConfig, forKeras3(f), false}
}

// writeWhole writes a whole-model HDF5 file.
func (f *File) writeWhole(w io.Writer, d wholeForm) error {
	cfg, err := d.config(f.Model)
	if err != nil {
		return err
	}
	h := hdf5.NewWriter()
	root := h.Root()
	attrs := []struct{ name, value string }{{"keras_version", d.version}, {"backend", d.backend}}
	for _, a := range attrs {
		if err := root.SetAttr(a.name, hdf5.String(a.value, hdf5.UTF8)); err != nil {
			return err
		}
	}
	if err := setJSON(root, "model_config", cfg); err != nil {
		return err
	}
	if c, err := d.training(); err != nil {
		return err
	} else if c != nil {
		if err := setJSON(root, "training_config", c); err != nil {
			return err
		}
	}
	g, err := root.Group("model_weights")
	if err != nil {
		return err
	}
	for _, a := range attrs {
		if err := g.SetAttr(a.name, hdf5.String(a.value, hdf5.ASCII)); err != nil {
			return err
		}
	}
	if err := f.writeLayers(g, d.suffix); err != nil {
		return err
	}
	if err := f.writeOptimizer(root, d.state, d.fixed); err != nil {
		return err
	}
	_, err = h.WriteTo(w)
	return err
}

// setJSON writes a value as an attribute of JSON.
func setJSON(g *hdf5.GroupWriter, name string, v any) error {
	b, err := layers.AppendJSON(nil, v)
	if err != nil {
		return err
	}
	return g.SetAttr(name, hdf5.String(string(b), hdf5.ASCII))
}

// legacyLayers is the layers that have a group in a legacy file: a Sequential's InputLayer has none.
func legacyLayers(m *layers.Model) []layers.Layer {
	var out []layers.Layer
	for _, l := range m.Layers() {
		if _, isInput := l.(*layers.InputLayer); isInput && m.IsSequential {
			continue
		}
		if op, ok := l.(*layers.Operation); ok && !strings.HasPrefix(op.Op, "T") && op.Op != "SlicingOpLambda" {
			continue
		}
		out = append(out, l)
	}
	return out
}

// writeLayers writes each layer's weights, whose names end in suffix (Keras 2's ":0", or none).
func (f *File) writeLayers(g *hdf5.GroupWriter, suffix string) error {
	fixed := suffix != "" && f.fixedNames
	var names []string
	for _, l := range legacyLayers(f.Model) {
		name := l.Common().Name
		names = append(names, name)
		lg, err := g.Group(name)
		if err != nil {
			return err
		}
		var weights []string
		for _, w := range legacyWeights(f.Model, l) {
			n := kerasPath(f.Model, w, suffix != "")
			n += suffix
			for base, i := n, 1; slices.Contains(weights, n); i++ {
				n = strings.TrimSuffix(base, suffix) + "_" + strconv.Itoa(i) + suffix
			}
			weights = append(weights, n)
			if err := writeTensor(lg, n, w.Data); err != nil {
				return err
			}
		}
		if err := setList(lg, "weight_names", weights, fixed); err != nil {
			return err
		}
	}
	if err := setList(g, "layer_names", names, fixed); err != nil {
		return err
	}
	top, err := g.Group("top_level_model_weights")
	if err != nil {
		return err
	}
	return setList(top, "weight_names", nil, fixed)
}

func (f *File) writeOptimizer(root *hdf5.GroupWriter, state []Variable, fixed bool) error {
	if len(state) == 0 {
		return nil
	}
	g, err := root.Group("optimizer_weights")
	if err != nil {
		return err
	}
	var names []string
	for i, v := range state {
		n := v.Name
		if _, err := strconv.Atoi(n); err == nil || n == "" {
			n = fmt.Sprintf("%s/variable_%d", f.optimizerName(), i)
		}
		if slices.Contains(names, n) { // Adafactor's rows and columns of a weight; readers go by order
			n = fmt.Sprintf("%s_%d", n, i)
		}
		names = append(names, n)
		if err := writeTensor(g, n, v.Data); err != nil {
			return err
		}
	}
	return setList(g, "weight_names", names, fixed)
}
