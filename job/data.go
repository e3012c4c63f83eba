package job

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/pretrained"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// Set is an opened dataset.
type Set struct {
	data.Dataset
	Classes  []string // of folders, and of .csv targets that are words
	pictures bool     // in folders: the targets are classes
	files    []string // of pictures, in their order
	notes    []string
}

// Open opens data for a model that is compiled, or is to be, for a loss of that name ("": one that fits).
// parts are the arrays of an .npz that are taken, the first that is there: "train" is x_train and y_train.
func (d Data) Open(m *train.Model, loss string, parts ...string) (Set, error) {
	p, err := d.open(m, loss, parts)
	if err != nil {
		return Set{}, err
	}
	return d.finish(p, m, nil)
}

// raw is data before pictures are preprocessed.
type raw struct {
	data.Dataset
	classes  []string
	pictures *data.Pictures
	notes    []string // what a user should know of how the data was read
}

func (d Data) open(m *train.Model, loss string, parts []string) (raw, error) {
	st, err := os.Stat(d.Path)
	if err != nil {
		return raw{}, err
	}
	if table := strings.ToLower(filepath.Ext(d.Path)) == ".csv"; d.Target != "" && d.Target != noTarget && (st.IsDir() || !table) {
		return raw{}, usagef("%s has no columns: a target %q is for a .csv", d.Path, d.Target)
	}
	if st.IsDir() {
		oneHot := width(m) > 1 && !strings.Contains(strings.ToLower(loss), "sparse")
		p, err := data.FolderFor(d.Path, m.Graph().Inputs[0].Type, data.FolderOptions{Scale: d.Scale, Offset: d.Offset, OneHot: oneHot,
			Unlabeled: d.Target == noTarget && flat(d.Path)})
		if err != nil {
			return raw{}, FileError{d.Path, err}
		}
		return raw{p, p.Classes, p, p.Notes()}, nil
	}
	switch strings.ToLower(filepath.Ext(d.Path)) {
	case ".csv":
		t, err := data.ReadCSV(d.Path, data.CSVOptions{Target: d.Target})
		if err != nil {
			return raw{}, FileError{d.Path, err}
		}
		a, err := oneHot(data.New(t.X, t.Y), m, loss)
		return raw{a, t.Classes, nil, t.Notes()}, wrap(d.Path, err)
	case ".npz":
		a, err := data.ReadNpz(d.Path, parts...)
		if err == nil {
			a, err = d.scaled(a)
		}
		if err == nil {
			a, err = oneHot(a, m, loss)
		}
		return raw{a, nil, nil, nil}, wrap(d.Path, err)
	}
	return raw{}, usagef("%s: data is a folder of pictures, a .csv or an .npz", d.Path)
}

// flat reports whether pictures lie in a folder itself.
func flat(dir string) bool {
	p, err := data.Folder(dir, data.FolderOptions{Height: 1, Width: 1, Unlabeled: true})
	return err == nil && p.Len() > 0
}

// noTarget is the name of no column.
const noTarget = "none"

func wrap(path string, err error) error {
	if err == nil {
		return nil
	}
	return FileError{path, err}
}

// scaled brings arrays of bytes, which are pictures, into range.
func (d Data) scaled(a data.Arrays) (data.Arrays, error) {
	scale := d.Scale
	if scale == 0 {
		scale = 1
	}
	if scale == 1 && d.Offset == 0 {
		return a, nil
	}
	for i, x := range a.X {
		if x.DType() != tensor.Uint8 {
			continue
		}
		y, err := tensor.Make(tensor.Float32, x.Shape())
		if err != nil {
			return a, err
		}
		out := tensor.As[float32](y)
		for k, v := range tensor.As[uint8](x) {
			out[k] = float32(v)*scale + d.Offset
		}
		a.X[i] = y
	}
	return a, nil
}

// oneHot turns class numbers into rows where the loss wants those.
func oneHot(a data.Arrays, m *train.Model, loss string) (data.Arrays, error) {
	name, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(loss, "_", "")), "(")
	n := width(m)
	if len(a.Y) != 1 || n < 2 || !strings.HasPrefix(name, "categorical") {
		return a, nil
	}
	y := a.Y[0]
	if y == nil || y.Rank() > 2 || y.Rank() == 2 && y.Dim(1) != 1 {
		return a, nil
	}
	t, err := data.ToCategorical(y, n)
	if err != nil {
		return a, err
	}
	a.Y = []*tensor.Tensor{t}
	return a, nil
}

// finish preprocesses and augments pictures, and decodes them ahead of time.
func (d Data) finish(p raw, m *train.Model, augment *data.Augment) (Set, error) {
	set := Set{Dataset: p.Dataset, Classes: p.classes, pictures: p.pictures != nil, notes: p.notes}
	if p.pictures != nil {
		set.files = p.pictures.Files
	}
	in := m.Graph().Inputs[0].Type
	if augment != nil {
		if in.Rank() != 4 || channelsFirst(in) {
			return set, usagef("pictures are changed at random as (batch, height, width, channels), the model takes %v", in.WithoutValue())
		}
		set.Dataset = augment.Dataset(asFloats(set.Dataset), 0)
	}
	switch mode := pretrained.Mode(d.Preprocess); mode {
	case "", pretrained.None:
	case pretrained.TF, pretrained.Caffe, pretrained.Torch:
		first := channelsFirst(in)
		set.Dataset = data.Map(set.Dataset, func(b data.Batch, _ *philox.Stream) (data.Batch, error) {
			x, err := float32s(b.X[0])
			if err != nil {
				return b, err
			}
			b.X = slices.Clone(b.X)
			b.X[0] = x
			return b, pretrained.PreprocessLayout(x, mode, first)
		})
	default:
		return set, usagef("preprocessing is tf, caffe, torch or none, not %q", d.Preprocess)
	}
	if p.pictures != nil {
		set.Dataset = data.Prefetch(set.Dataset, 2)
	}
	return set, nil
}

// float32s is a copy of x in that type, which may be changed.
func float32s(x *tensor.Tensor) (*tensor.Tensor, error) {
	if x.DType() == tensor.Float32 {
		return x.Clone(), nil
	}
	return tensor.Cast(x, tensor.Float32, tensor.CastOptions{})
}

func asFloats(d data.Dataset) data.Dataset {
	return data.Map(d, func(b data.Batch, _ *philox.Stream) (data.Batch, error) {
		x, err := float32s(b.X[0])
		b.X = slices.Clone(b.X)
		b.X[0] = x
		return b, err
	})
}

// channelsFirst reports whether pictures of that type are (batch, channels, height, width).
func channelsFirst(t graph.Type) bool {
	if t.Rank() != 4 {
		return false
	}
	c := func(i int) bool { n, ok := t.Dims[i].Const(); return ok && (n == 1 || n == 3) }
	return c(1) && !c(3)
}

// width is the size of the model's first output, 0 where it is open.
func width(m *train.Model) int {
	d := m.Graph().Outputs[0].Type.Dims
	if len(d) == 0 {
		return 0
	}
	n, _ := d[len(d)-1].Const()
	return n
}

// augmentation reads "flip,rotation=0.1": Keras' random layers by name, with their factors.
func augmentation(s string) (*data.Augment, error) {
	if s == "" {
		return nil, nil
	}
	a := &data.Augment{ValueRange: [2]float64{0, 255}}
	for _, part := range strings.Split(s, ",") {
		name, val, given := strings.Cut(strings.TrimSpace(part), "=")
		v, err := strconv.ParseFloat(val, 64)
		if given && (err != nil || v < 0 || v > 1) {
			return nil, usagef("augmentation %q: a factor from 0 to 1 is wanted", part)
		}
		factor := map[string]*float64{"rotation": &a.Rotation, "zoom": &a.Zoom, "translation": &a.Translation,
			"contrast": &a.Contrast, "brightness": &a.Brightness}[name]
		switch {
		case name == "flip" && !given:
			a.FlipHorizontal = true
		case name == "flip_vertical" && !given:
			a.FlipVertical = true
		case factor != nil && given:
			*factor = v
		default:
			return nil, usagef("augmentation %q: there are flip, flip_vertical, rotation=F, zoom=F, translation=F, contrast=F, brightness=F", part)
		}
	}
	return a, nil
}

// split divides data for training and validation.
func (p raw) split(part float64, seed uint64) (set, held raw, err error) {
	if part < 0 || part >= 1 {
		return p, p, usagef("a validation split of %v is not between 0 and 1", part)
	}
	if p.pictures != nil {
		a, b := p.pictures.Split(part, seed)
		if a.Len() == 0 || b.Len() == 0 {
			return p, p, usagef("a validation split of %v leaves %d pictures to train on and %d to validate on", part, a.Len(), b.Len())
		}
		return raw{a, p.classes, a, p.notes}, raw{b, p.classes, b, nil}, nil
	}
	a, ok := p.Dataset.(data.Arrays)
	if !ok {
		return p, p, errs.Errorf("job: can't split a %T", p.Dataset)
	}
	if err := a.Check(); err != nil {
		return p, p, err
	}
	at := int(float64(a.Len()) * (1 - part)) // as Keras cuts: at the end, before shuffling
	if at == 0 || at == a.Len() {
		return p, p, usagef("a validation split of %v leaves %d of %d samples to train on", part, at, a.Len())
	}
	first, err := a.Range(0, at)
	if err != nil {
		return p, p, err
	}
	last, err := a.Range(at, a.Len())
	return raw{first, p.classes, nil, p.notes}, raw{last, p.classes, nil, nil}, err
}

// classWeights reads "0:1,1:2.5", or counts the classes for "balanced": n / (classes * count), so that all
// classes weigh the same.
func classWeights(s string, d data.Dataset) (map[int]float64, error) {
	if s == "" {
		return nil, nil
	}
	out := map[int]float64{}
	if s != "balanced" {
		for _, part := range strings.Split(s, ",") {
			c, w, ok := strings.Cut(strings.TrimSpace(part), ":")
			class, err1 := strconv.Atoi(c)
			weight, err2 := strconv.ParseFloat(w, 64)
			if !ok || err1 != nil || err2 != nil || weight < 0 || weight-weight != 0 {
				return nil, usagef("class weights %q: want CLASS:WEIGHT,... or balanced", s)
			}
			out[class] = weight
		}
		return out, nil
	}
	labels, err := labelsOf(d)
	if err != nil {
		return nil, err
	}
	return data.ClassWeights(tensor.Of(labels))
}

// labelsOf is the class of each sample.
func labelsOf(d data.Dataset) ([]int64, error) {
	var out []int64
	if p, ok := d.(*data.Pictures); ok {
		for _, c := range p.Labels {
			out = append(out, int64(c))
		}
		return out, nil
	}
	for b, err := range d.Batches(data.Order{BatchSize: 1024}) {
		if err != nil {
			return nil, err
		}
		if len(b.Y) != 1 || b.Y[0].Rank() > 2 {
			return nil, usagef("one target with a class a sample is wanted")
		}
		labels, err := data.Labels(b.Y[0])
		if err != nil {
			return nil, UsageError{err}
		}
		for _, c := range labels {
			out = append(out, int64(c))
		}
	}
	return out, nil
}
