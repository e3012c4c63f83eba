package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// Result is what a training gave.
type Result struct {
	History *train.History
	Model   *train.Model
	Source  *nnrt.Source
	Classes []string // where the data names them
}

// Train loads a model and data, compiles, fits and writes the result. A training that ctx ends has written a
// checkpoint; the error then wraps ErrInterrupted and ctx's.
func Train(ctx context.Context, o Options) (*Result, error) {
	if err := o.checkFiles(); err != nil {
		return nil, err
	}
	src, m, err := Load(o)
	if err != nil {
		return nil, err
	}
	if m, err = o.freeze(src, m); err != nil {
		return nil, err
	}
	o.preprocessing(src)
	r := &Result{Source: src, Model: m, History: &train.History{Values: map[string][]float64{}}}
	s, err := o.sets(src, m)
	if err != nil {
		return r, err
	}
	r.Classes = s.classes
	c, own, err := o.compileOptions(src, s.set)
	if err != nil {
		return r, err
	}
	if err := m.Compile(c); err != nil {
		return r, UsageError{err}
	}
	if own {
		o.continueOptimizer(src, m)
	}
	h, err := o.fit(ctx, src, m, s, "")
	if h != nil {
		r.History = h
	}
	if err != nil {
		return r, err
	}
	return r, o.save(src, m)
}

// checkFiles refuses to write over what is there, and a checkpoint that nobody asked to go on from.
func (o *Options) checkFiles() error {
	if o.Output != "" && !o.Force {
		if _, err := os.Stat(o.Output); err == nil {
			return usagef("%s exists already; use --force to overwrite it", o.Output)
		}
	}
	ck := o.checkpoint()
	if ck == "" {
		if o.Resume {
			return usagef("going on needs a checkpoint: give its name, or that of the output")
		}
		return nil
	}
	switch _, err := os.Stat(ck); {
	case errors.Is(err, fs.ErrNotExist):
		if o.Resume {
			o.logf("there is no %s: beginning from the start", ck)
		}
	case err != nil:
		return err
	case o.Force && !o.Resume:
		return os.Remove(ck)
	case !o.Resume:
		return usagef("%s is the checkpoint of an earlier training: --resume goes on from it, --force begins anew", ck)
	}
	return nil
}

// Load reads the model of a training.
func Load(o Options) (*nnrt.Source, *train.Model, error) {
	src, err := nnrt.ImportSource(o.Model, nnrt.ImportOptions{Weights: o.Weights})
	if err != nil {
		return nil, nil, FileError{o.Model, err}
	}
	m, err := src.Trainer(o.Device, o.Seed)
	if err != nil {
		return nil, nil, FileError{o.Model, err}
	}
	return src, m, nil
}

// freeze keeps what the patterns name as it is: layers of a Keras model, whose normalizations then stay in
// inference form, or weights by their names.
func (o *Options) freeze(src *nnrt.Source, m *train.Model) (*train.Model, error) {
	var weights []string
	changed := false
	for _, p := range o.Freeze {
		if l := src.Layers(); l != nil && SetFrozen(l, p, true) > 0 {
			changed = true
			continue
		}
		weights = append(weights, p)
	}
	if changed {
		var err error
		if m, err = src.Trainer(o.Device, o.Seed); err != nil {
			return nil, FileError{o.Model, err}
		}
	}
	for _, p := range weights {
		if m.SetTrainable(p, false) == 0 {
			return nil, usagef("the pattern %q matches no layer and no weight of %s", p, o.Model)
		}
	}
	return m, nil
}

// SetFrozen freezes (or frees) the layers whose names, or paths of names, match a pattern of path.Match, and
// returns how many those are. Layers inside of others are looked at too.
func SetFrozen(m *layers.Model, pattern string, frozen bool) int {
	return setFrozen(m, "", pattern, frozen, 0)
}

func setFrozen(m *layers.Model, prefix, pattern string, frozen bool, depth int) int {
	n := 0
	for _, l := range m.Layers() {
		name := l.Common().Name
		short, _ := path.Match(pattern, name)
		if _, isInput := l.(*layers.InputLayer); !isInput && (short || train.Match(pattern, prefix+name)) {
			l.Common().Frozen = frozen
			n++
		}
		if inner, ok := l.(*layers.Model); ok && depth < 64 {
			n += setFrozen(inner, prefix+name+"/", pattern, frozen, depth+1)
		}
	}
	return n
}

// sets is the data of a training.
type sets struct {
	set     Set
	valid   data.Dataset // nil: none
	classes []string
	weights map[int]float64
}

// sets opens the data, and what is validated on.
func (o *Options) sets(src *nnrt.Source, m *train.Model) (*sets, error) {
	loss := o.lossName(src)
	all, err := o.Data.open(m, loss, []string{"train"})
	if err != nil {
		return nil, err
	}
	o.tell(o.Data.Path, all.notes)
	s := &sets{classes: all.classes}
	var held raw
	switch {
	case o.Validation != "":
		d := o.Data
		d.Path = o.Validation
		if held, err = d.open(m, loss, []string{"val", "valid", "validation", "test"}); err != nil {
			return nil, err
		}
		o.tell(o.Validation, held.notes)
		if strings.Join(held.classes, "/") != strings.Join(all.classes, "/") {
			return nil, usagef("%s has the classes %v, %s has %v", o.Data.Path, all.classes, o.Validation, held.classes)
		}
	case o.Split > 0:
		if all, held, err = all.split(o.Split, o.Seed); err != nil {
			return nil, err
		}
	}
	if held.Dataset != nil {
		v, err := o.Data.finish(held, m, nil)
		if err != nil {
			return nil, err
		}
		s.valid = v.Dataset
	}
	if s.weights, err = classWeights(o.ClassWeight, all.Dataset); err != nil {
		return nil, err
	}
	for c := range s.weights {
		if n := max(width(m), 2); c < 0 || c >= n && width(m) > 0 {
			return nil, usagef("class weights %q: the model has the classes 0 to %d", o.ClassWeight, n-1)
		}
	}
	a, err := augmentation(o.Augment)
	if err != nil {
		return nil, err
	}
	s.set, err = o.Data.finish(all, m, a)
	return s, err
}

// fit runs the training; phase tells several of one job apart.
func (o *Options) fit(ctx context.Context, src *nnrt.Source, m *train.Model, s *sets, phase string, more ...train.Callback) (*train.History, error) {
	f := train.FitOptions{Epochs: o.epochs(), BatchSize: o.batch(), ValidationData: s.valid, ValidationFreq: o.ValidationFreq,
		Shuffle: !o.NoShuffle, ClassWeight: s.weights, StepsPerEpoch: o.StepsPerEpoch, Verbose: o.Verbose, Plain: o.Plain, Output: o.Log}
	if o.Log == nil {
		f.Verbose = 0
	}
	for _, spec := range o.Callbacks {
		c, err := train.CallbackOf(spec)
		if err != nil {
			return nil, UsageError{err}
		}
		if k, ok := c.(*train.ModelCheckpoint); ok {
			if !strings.HasSuffix(k.Path, ".npz") { // those are weights by name
				k.Save = func(path string, m *train.Model) error { return write(src, m, path) }
			}
		}
		f.Callbacks = append(f.Callbacks, c)
	}
	if o.OnEpoch != nil {
		f.Callbacks = append(f.Callbacks, &epochs{o.OnEpoch})
	}
	f.Callbacks = append(f.Callbacks, more...)
	ck := o.checkpoint()
	if ck != "" {
		tags, err := o.tags(m, s, phase)
		if err != nil {
			return nil, err
		}
		// The checkpoint of an earlier phase stays until this one has its own.
		old, err := train.CheckpointTags(ck)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, FileError{ck, err}
		}
		// The last of the callbacks, so that it holds what the others have come to.
		f.Callbacks = append(f.Callbacks, &train.BackupAndRestore{Path: ck, SaveFreq: o.CheckpointEvery, Keep: true, Tags: tags,
			Fresh: old != nil && old["phase"] != phase})
	}
	h, err := m.Fit(ctx, s.set.Dataset, f)
	if err == nil || ctx.Err() == nil {
		return h, o.refused(err)
	}
	if ck == "" {
		return h, errs.Errorf("%w; nothing was kept, for there was neither an output nor a checkpoint to write: %w", ErrInterrupted, err)
	}
	return h, errs.Errorf("%w after a step; --resume goes on from %s: %w", ErrInterrupted, ck, err)
}

// epochs tells of each epoch.
type epochs struct {
	f func(epoch int, logs train.Logs) error
}

// OnEpochEnd implements train.EpochEnder.
func (e *epochs) OnEpochEnd(_ *train.Fit, epoch int, logs train.Logs) error {
	return e.f(epoch+1, logs)
}

// tags is what has to be the same for a training to go on from a checkpoint.
func (o *Options) tags(m *train.Model, s *sets, phase string) (map[string]string, error) {
	c, err := m.CompileConfig()
	if err != nil {
		return nil, err
	}
	frozen := 0
	for _, w := range m.Weights() {
		if !w.Trainable {
			frozen++
		}
	}
	held := 0
	if s.valid != nil {
		held = s.valid.Len()
	}
	return map[string]string{
		"phase":                phase,
		"batch size":           fmt.Sprint(o.batch()),
		"seed":                 fmt.Sprint(o.Seed),
		"order":                map[bool]string{true: "as it is", false: "shuffled"}[o.NoShuffle],
		"samples":              fmt.Sprint(s.set.Len()),
		"validation samples":   fmt.Sprint(held),
		"steps per epoch":      fmt.Sprint(o.StepsPerEpoch),
		"compile config":       string(c),
		"class weights":        fmt.Sprint(s.weights),
		"pictures":             fmt.Sprintf("scaled by %v plus %v, preprocessed %q, augmented %q", o.Data.Scale, o.Data.Offset, o.Data.Preprocess, o.Augment),
		"weights, frozen ones": fmt.Sprintf("%d, %d", len(m.Weights()), frozen),
	}, nil
}

// save writes the result and, once it is there, removes the checkpoint.
func (o *Options) save(src *nnrt.Source, m *train.Model) error {
	if o.Output == "" {
		return nil
	}
	if err := write(src, m, o.Output); err != nil {
		return err
	}
	o.logf("wrote %s", o.Output)
	if err := os.Remove(o.checkpoint()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write saves a model with what it has learnt.
func write(src *nnrt.Source, m *train.Model, path string) error {
	if err := src.Update(m); err != nil {
		return err
	}
	if err := src.UpdateTraining(m); err != nil {
		return err
	}
	if err := src.Export(path, onnx.WriteOptions{}); err != nil {
		if errors.Is(err, nnrt.ErrEnding) {
			return UsageError{err}
		}
		return FileError{path, err}
	}
	return nil
}
