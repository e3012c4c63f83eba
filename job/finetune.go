package job

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// FinetuneOptions describes a transfer to other classes. Model may also be the name of a network of package
// pretrained, with Weights as the file of its weights.
type FinetuneOptions struct {
	Options
	// Unfreeze are patterns of layers (or of weights) that a second phase trains too, at FineRate, for
	// FineEpochs; none: there is no second phase. Normalizations by running statistics stay as they are.
	Unfreeze   []string
	FineRate   float64 // 0: a hundredth of the first phase's
	FineEpochs int     // 0: as many as the first phase's
	NewHead    bool    // the head begins anew even where it has the right size
	NoCache    bool    // features are computed in each epoch
	Network    Network
}

// maxCache bounds the bytes of features that are kept in memory.
const maxCache = 2 << 30

// phases of a fine-tuning, as checkpoints name them.
const (
	headPhase = "head"
	finePhase = "fine"
)

// Finetune puts a head for the data's classes on a trained model, trains it with the rest frozen (or what Freeze
// does not name), and then with part of the rest. Pictures are preprocessed as the network wants it, where that
// is known.
func Finetune(ctx context.Context, o FinetuneOptions) (*Result, error) {
	if err := o.checkFiles(); err != nil {
		return nil, err
	}
	if o.LearningRate == 0 && o.Optimizer == "" {
		o.Optimizer = "adam"
	}
	f := &finetuning{FinetuneOptions: &o}
	if err := f.open(); err != nil {
		return nil, err
	}
	m, err := f.first()
	if err != nil {
		return nil, err
	}
	r := &Result{Source: f.src, Model: m, History: &train.History{Values: map[string][]float64{}}}
	s, err := o.sets(f.src, m)
	if err != nil {
		return r, err
	}
	r.Classes = s.classes
	fine := false
	if o.Resume {
		tags, err := train.CheckpointTags(o.checkpoint())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, FileError{o.checkpoint(), err}
		}
		fine = tags["phase"] == finePhase
	}
	if !fine {
		if r.History, err = f.headPhase(ctx, m, s); err != nil {
			return r, err
		}
	}
	if len(o.Unfreeze) > 0 {
		if m, err = f.finePhase(ctx, m, s, r); err != nil {
			return r, err
		}
		r.Model = m
	}
	return r, o.save(f.src, m)
}

// finetuning is one in progress.
type finetuning struct {
	*FinetuneOptions
	src  *nnrt.Source
	kept Head     // of Keras models
	head []string // parameters of an ONNX model's
}

// open loads the model and gives it its head.
func (f *finetuning) open() error {
	classes, err := f.Data.classes()
	if err != nil {
		return err
	}
	if f.src, err = f.Network.Open(f.Model, f.Weights); err != nil {
		return err
	}
	f.preprocessing(f.src)
	if classes == 0 {
		f.logf("the targets are no classes: the model keeps its outputs")
		return nil
	}
	renewed := false
	if l := f.src.Layers(); l != nil {
		if f.kept, err = ReplaceHead(l, classes, f.NewHead); err != nil {
			return FileError{f.Model, err}
		}
		renewed = f.kept.New
		if err := l.Initialize(f.Seed); err != nil {
			return FileError{f.Model, err}
		}
		if f.src.Graph, err = l.Graph(layers.Options{Seed: f.Seed}); err != nil {
			return FileError{f.Model, err}
		}
		if renewed && f.src.Keras != nil { // how it was trained went with the old head
			f.src.Keras.Training, f.src.Keras.Optimizer = nil, nil
		}
	} else {
		if f.src.Graph, f.head, renewed, err = ReplaceGraphHead(f.src.Graph, classes, f.NewHead, f.Seed); err != nil {
			return FileError{f.Model, err}
		}
	}
	if renewed {
		f.logf("a new head for %d classes", classes)
	} else {
		f.logf("the head for %d classes is kept", classes)
	}
	return nil
}

// classes is how many classes the data has; 0 where its targets are no classes.
func (d Data) classes() (int, error) {
	st, err := os.Stat(d.Path)
	if err != nil {
		return 0, err
	}
	if st.IsDir() {
		p, err := data.Folder(d.Path, data.FolderOptions{Height: 1, Width: 1})
		if err != nil {
			return 0, FileError{d.Path, err}
		}
		return len(p.Classes), nil
	}
	var a data.Arrays
	switch strings.ToLower(filepath.Ext(d.Path)) {
	case ".csv":
		t, err := data.ReadCSV(d.Path, data.CSVOptions{Target: d.Target})
		if err != nil {
			return 0, FileError{d.Path, err}
		}
		if len(t.Classes) > 0 {
			return len(t.Classes), nil
		}
		a = data.New(t.X, t.Y)
	case ".npz":
		if a, err = data.ReadNpz(d.Path, "train"); err != nil {
			return 0, FileError{d.Path, err}
		}
	}
	if len(a.Y) != 1 || a.Y[0] == nil || a.Y[0].Len() == 0 {
		return 0, nil
	}
	if y := a.Y[0]; y.Rank() == 2 && y.Dim(1) > 1 {
		return y.Dim(1), nil
	}
	vs, err := a.Y[0].Float64s()
	if err != nil {
		return 0, nil
	}
	most := 0
	for _, v := range vs {
		if v < 0 || v != float64(int(v)) || v > 1e5 {
			return 0, nil
		}
		most = max(most, int(v)+1)
	}
	return most, nil
}

// first makes the trainable model of the first phase: all frozen but the head, or what the patterns name.
func (f *finetuning) first() (*train.Model, error) {
	l := f.src.Layers()
	if l != nil && len(f.Freeze) == 0 && f.kept.Layers != nil {
		freezeBut(l, f.kept.Layers, 0)
	}
	m, err := f.src.Trainer(f.Device, f.Seed)
	if err != nil {
		return nil, FileError{f.Model, err}
	}
	if l == nil && len(f.Freeze) == 0 && f.head != nil {
		m.SetTrainable("*", false)
		for _, p := range f.head {
			m.SetTrainable(p, true)
		}
	}
	return f.Options.freeze(f.src, m)
}

// headPhase trains the first phase, on features computed once where the frozen part comes first.
func (f *finetuning) headPhase(ctx context.Context, m *train.Model, s *sets) (*train.History, error) {
	c, own, err := f.compileOptions(f.src, s.set)
	if err != nil {
		return nil, err
	}
	if err := m.Compile(c); err != nil {
		return nil, UsageError{err}
	}
	if own {
		f.continueOptimizer(f.src, m)
	}
	front, rest, ok, err := f.front(m, s)
	if err != nil {
		return nil, err
	}
	if !ok {
		return f.fit(ctx, f.src, m, s, headPhase)
	}
	f.logf("computing the features of %d samples once", s.set.Len())
	cached := *s
	set, err := front.Features(ctx, s.set.Dataset, f.batch())
	if err != nil {
		return nil, f.refused(err)
	}
	cached.set.Dataset = set
	if s.valid != nil {
		if cached.valid, err = front.Features(ctx, s.valid, f.batch()); err != nil {
			return nil, err
		}
	}
	if err := rest.Compile(c); err != nil {
		return nil, UsageError{err}
	}
	h, err := f.fit(ctx, f.src, rest, &cached, headPhase)
	if err != nil {
		return h, err
	}
	return h, m.Adopt(rest)
}

// front splits the model, where its features fit into memory.
func (f *finetuning) front(m *train.Model, s *sets) (*train.Front, *train.Model, bool, error) {
	if f.NoCache || f.Augment != "" {
		return nil, nil, false, nil
	}
	front, rest, ok, err := m.Front()
	if err != nil || !ok {
		return nil, nil, false, err
	}
	n := s.set.Len()
	if s.valid != nil {
		n += s.valid.Len()
	}
	return front, rest, n > 0 && front.Size < maxCache/4/n, nil
}

// finePhase trains the second phase.
func (f *finetuning) finePhase(ctx context.Context, m *train.Model, s *sets, r *Result) (*train.Model, error) {
	if err := f.src.Update(m); err != nil {
		return m, err
	}
	m, err := f.unfreeze(m)
	if err != nil {
		return m, err
	}
	o := f.Options
	c, _, err := o.compileOptions(f.src, s.set)
	if err != nil {
		return m, err
	}
	rate := f.FineRate
	if rate == 0 {
		rate = rates(c.Optimizer).LearningRate.At(0) / 100
	}
	rates(c.Optimizer).LearningRate = optim.Rate{Value: rate}
	if err := m.Compile(c); err != nil {
		return m, UsageError{err}
	}
	if f.FineEpochs > 0 {
		o.Epochs = f.FineEpochs
	}
	o.logf("training what %q names too, at a rate of %g", f.Unfreeze, rate)
	before := &prior{r.History}
	h, err := o.fit(ctx, f.src, m, s, finePhase, before)
	if h != nil {
		r.History = before.h.Then(h)
	}
	return m, err
}

// prior keeps the history of the first phase in the checkpoints of the second.
type prior struct{ h *train.History }

// Keep implements train.Keeper.
func (p *prior) Keep() (json.RawMessage, error) { return json.Marshal(p.h) }

// Take implements train.Keeper.
func (p *prior) Take(raw json.RawMessage) error { return json.Unmarshal(raw, &p.h) }

// unfreeze makes the model of the second phase.
func (f *finetuning) unfreeze(m *train.Model) (*train.Model, error) {
	if l := f.src.Layers(); l != nil {
		n := 0
		for _, p := range f.Unfreeze {
			n += SetFrozen(l, p, false)
		}
		if n == 0 {
			return m, usagef("the patterns %q match no layer of %s", f.Unfreeze, f.Model)
		}
		freezeNorms(l, 0)
		m, err := f.src.Trainer(f.Device, f.Seed)
		if err != nil {
			return nil, FileError{f.Model, err}
		}
		return m, nil
	}
	n := 0
	for _, p := range f.Unfreeze {
		n += m.SetTrainable(p, true)
	}
	if n == 0 {
		return m, usagef("the patterns %q match no weight of %s", f.Unfreeze, f.Model)
	}
	for _, node := range f.src.Graph.Nodes {
		if _, ok := node.Op.(ops.BatchNormalization); !ok {
			continue
		}
		for _, v := range node.In[1:] {
			if v != nil && slices.ContainsFunc(f.src.Graph.Params, func(p *graph.Value) bool { return p == v }) {
				m.SetTrainable(v.Name, false)
			}
		}
	}
	return m, nil
}
