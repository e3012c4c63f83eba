package keras

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/hdf5"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// archive is the parts of a .keras file.
type archive struct {
	config, metadata, weights []byte
	vocabularies              map[string][]byte // vocabulary.txt of lookup layers, by the layer's group
}

// maxRatio is how much more a member may unpack to than it takes in the archive, beyond a first megabyte.
const maxRatio = 1000

// openArchive reads the members of a .keras archive that matter.
func openArchive(b []byte, opts Options) (archive, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return archive{}, &formats.FormatError{Format: formats.KerasZip, Offset: -1, Msg: err.Error(), Err: err}
	}
	if len(z.File) > 10000 {
		return archive{}, formatErrorf(formats.KerasZip, "%d members", len(z.File))
	}
	a := archive{vocabularies: map[string][]byte{}}
	left := opts.MaxAlloc
	for _, f := range z.File {
		var dst *[]byte
		switch f.Name {
		case "config.json":
			dst = &a.config
		case "metadata.json":
			dst = &a.metadata
		case "model.weights.h5":
			dst = &a.weights
		case "model.weights.npz":
			return a, &formats.UnsupportedError{Format: formats.KerasZip, Items: []formats.Unsupported{{What: f.Name, Detail: "weights in npz"}}}
		default:
			path, isVocabulary := strings.CutSuffix(f.Name, "/vocabulary.txt")
			if path, isAsset := strings.CutPrefix(path, "assets/"); isAsset && isVocabulary {
				if a.vocabularies[path], err = member(b, f, &left); err != nil {
					return a, err
				}
			}
			continue
		}
		if *dst != nil {
			return a, formatErrorf(formats.KerasZip, "two members named %s", f.Name)
		}
		if *dst, err = member(b, f, &left); err != nil {
			return a, err
		}
	}
	if a.config == nil {
		return a, formatErrorf(formats.KerasZip, "no config.json: not a Keras archive")
	}
	return a, nil
}

// member reads one member: in place where it is stored, unpacked within the limits where not.
func member(b []byte, f *zip.File, left *int64) ([]byte, error) {
	size := f.UncompressedSize64
	if size > uint64(*left) || size > 1<<20+maxRatio*f.CompressedSize64 {
		return nil, formatErrorf(formats.KerasZip, "member %s says it unpacks to %d bytes from %d: over the limit", f.Name, size, f.CompressedSize64)
	}
	if f.Method == zip.Store {
		off, err := f.DataOffset()
		if err != nil {
			return nil, formatErrorf(formats.KerasZip, "member %s: %v", f.Name, err)
		}
		if size != f.CompressedSize64 || off < 0 || off > int64(len(b)) || size > uint64(int64(len(b))-off) {
			return nil, formatErrorf(formats.KerasZip, "member %s of %d bytes lies outside the file", f.Name, size)
		}
		return b[off : off+int64(size) : off+int64(size)], nil
	}
	*left -= int64(size)
	r, err := f.Open()
	if err != nil {
		return nil, formatErrorf(formats.KerasZip, "member %s: %v", f.Name, err)
	}
	defer r.Close()
	out := bytes.NewBuffer(make([]byte, 0, size))
	n, err := io.Copy(out, io.LimitReader(r, int64(size)+1))
	if err != nil || uint64(n) != size {
		return nil, formatErrorf(formats.KerasZip, "member %s: %d bytes of %d: %v", f.Name, n, size, err)
	}
	return out.Bytes(), nil
}

func readArchive(b []byte, opts Options) (*File, error) {
	a, err := openArchive(b, opts)
	if err != nil {
		return nil, err
	}
	f := &File{Config: a.config, Metadata: a.metadata}
	if a.metadata != nil {
		if v, err := layers.ParseJSON(a.metadata); err == nil {
			m, _ := v.(map[string]any)
			f.Version, _ = m["keras_version"].(string)
			f.Backend, _ = m["backend"].(string)
		}
	}
	if err := checkJSON(a.config, opts); err != nil {
		return nil, err
	}
	v, err := layers.ParseJSON(a.config)
	if err != nil {
		return nil, formatErrorf(formats.KerasZip, "config.json: %v", err)
	}
	if top, ok := v.(map[string]any); ok {
		if c, ok := top["compile_config"].(map[string]any); ok && len(c) > 0 {
			if f.Training, err = layers.AppendJSON(nil, c); err != nil {
				return nil, err
			}
		}
	}
	if f.Backend == "" {
		f.Backend = opts.Backend
	}
	d := dialect{major: 3, torch: f.Backend == "" || f.Backend == "torch"}
	if strings.HasPrefix(f.Version, "2.") { // tf.keras 2.12 and later wrote archives too
		d = dialect{major: 2, tf: true}
	}
	if f.Model, err = decodeModel(v, d, opts); err != nil {
		return nil, err
	}
	if len(a.vocabularies) > 0 {
		loadVocabularies(f.Model, "", a.vocabularies)
	}
	if err := f.Model.Build(); err != nil {
		return nil, err
	}
	if opts.SkipWeights {
		return f, nil
	}
	return f, f.loadArchiveWeights(a, opts)
}

func (f *File) loadArchiveWeights(a archive, opts Options) error {
	if a.weights == nil {
		return formatErrorf(formats.KerasZip, "no model.weights.h5")
	}
	h, err := openHDF5(a.weights, opts)
	if err != nil {
		return err
	}
	return f.loadVars(h, opts)
}

// loadVars binds the weights of a .weights.h5 file of Keras 3, whose groups follow the layers' attributes.
func (f *File) loadVars(h *hdf5.File, opts Options) error {
	b := &binder{file: f, opts: opts, d: dialect{major: 3}}
	if err := b.vars(h.Root(), f.Model.Groups(), ""); err != nil {
		return err
	}
	b.missing()
	vs, err := readVars(h.Root(), "optimizer/vars")
	if err != nil {
		return err
	}
	for i, t := range vs {
		f.Optimizer = append(f.Optimizer, Variable{fmt.Sprint(i), t})
	}
	return nil
}

// readVars reads the datasets vars/0, vars/1, ... of a group; none where there is no such group.
func readVars(g *hdf5.Group, path string) ([]*tensor.Tensor, error) {
	vg, err := g.OpenGroup(path)
	if errors.Is(err, hdf5.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*tensor.Tensor
	for i := 0; ; i++ {
		d, err := vg.OpenDataset(fmt.Sprint(i))
		if errors.Is(err, hdf5.ErrNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		t, err := readTensor(d)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
}

// vars binds the weights of one group and those within it.
func (b *binder) vars(g *hdf5.Group, t *layers.Group, path string) error {
	values, err := readVars(g, "vars")
	if err != nil {
		return err
	}
	switch {
	case len(values) == 0 && len(t.Weights) > 0:
		for _, w := range t.Weights {
			if err := b.mismatch("weight %q: the file has nothing at %q", w.Path, path+"/vars"); err != nil {
				return err
			}
		}
	case len(values) != len(t.Weights) && len(t.Weights) > 0:
		if err := b.mismatch("layer %q: the file has %d weights at %q, the model %d", t.Layer.Common().Name, len(values), path+"/vars", len(t.Weights)); err != nil {
			return err
		}
	}
	for i, w := range t.Weights {
		if i >= len(values) {
			break
		}
		if !slices.Equal(values[i].Shape(), w.Shape) {
			if err := b.mismatch("weight %q: the file has shape %v at %q, the model %v", w.Path, values[i].Shape(), fmt.Sprintf("%s/vars/%d", path, i), w.Shape); err != nil {
				return err
			}
			continue
		}
		if err := w.SetData(values[i]); err != nil {
			return err
		}
	}
	for i, inner := range t.Inner {
		if !hasWeights(inner) {
			continue
		}
		at := innerPath(t, i)
		ig, err := g.OpenGroup(at)
		if errors.Is(err, hdf5.ErrNotFound) { // some versions name the group after the layer
			ig, err = g.OpenGroup("layers/" + inner.Layer.Common().Name)
		}
		if errors.Is(err, hdf5.ErrNotFound) {
			if err := b.mismatch("layer %q: the file has no group %q", inner.Layer.Common().Name, path+"/"+at); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := b.vars(ig, inner, path+"/"+at); err != nil {
			return err
		}
	}
	return nil
}

func hasWeights(g *layers.Group) bool {
	if len(g.Weights) > 0 {
		return true
	}
	for _, inner := range g.Inner {
		if hasWeights(inner) {
			return true
		}
	}
	return false
}

// saved reports whether an inner layer has a group of its own: operations are no layers, and a
// Sequential's InputLayer is not among its layers.
func saved(parent, inner *layers.Group) bool {
	if _, ok := inner.Layer.(*layers.Operation); ok {
		return false
	}
	if m, ok := parent.Layer.(*layers.Model); ok && m.IsSequential {
		_, isInput := inner.Layer.(*layers.InputLayer)
		return !isInput
	}
	return true
}

// innerPath is the group of inner layer i: its attribute, or, in a list, its class in snake case, counted.
func innerPath(t *layers.Group, i int) string {
	g := t.Inner[i]
	if !g.List {
		return g.Attr
	}
	stem := layers.SnakeCase(pythonClass(g.Layer))
	n := 0
	for _, other := range t.Inner[:i] {
		if other.Attr == g.Attr && other.List && saved(t, other) && layers.SnakeCase(pythonClass(other.Layer)) == stem {
			n++
		}
	}
	if n > 0 {
		return fmt.Sprintf("%s/%s_%d", g.Attr, stem, n)
	}
	return g.Attr + "/" + stem
}

// pythonClass is the name of the Python class, where Keras exports it under another one.
func pythonClass(l layers.Layer) string {
	switch name := layers.ClassName(l); name {
	case "GroupQueryAttention":
		return "GroupedQueryAttention"
	default:
		return name
	}
}

// loadVocabularies gives lookup layers the lists that an archive keeps beside the config, by the paths that
// their groups have.
func loadVocabularies(m *layers.Model, prefix string, files map[string][]byte) {
	count := map[string]int{}
	for _, l := range m.Layers() {
		if !saved(&layers.Group{Layer: m}, &layers.Group{Layer: l}) {
			continue
		}
		stem := layers.SnakeCase(pythonClass(l))
		path := prefix + "layers/" + stem
		if n := count[stem]; n > 0 {
			path += "_" + strconv.Itoa(n)
		}
		count[stem]++
		switch l := l.(type) {
		case *layers.Model:
			loadVocabularies(l, path+"/", files)
		case layers.AssetLoader:
			if b, ok := files[path]; ok {
				l.LoadVocabulary(strings.Split(strings.TrimRight(string(b), "\r\n"), "\n"))
			}
		}
	}
}
