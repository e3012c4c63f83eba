package keras

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/layers"
)

// binder puts the arrays of a legacy file into a model's weights.
type binder struct {
	file *File
	opts Options
	d    dialect
}

// target is a layer of the model with its weights in the order in which legacy files have them.
type target struct {
	layer   layers.Layer
	weights []*layers.Weight
}

// targets is the model's layers that have weights.
func (b *binder) targets() []target {
	m := b.file.Model
	var out []target
	for _, l := range m.Layers() {
		if ws := legacyWeights(m, l); len(ws) > 0 {
			out = append(out, target{l, ws})
		}
	}
	return out
}

// legacyWeights is a layer's weights as legacy files order them: trainable ones first.
func legacyWeights(m *layers.Model, l layers.Layer) []*layers.Weight {
	ws := slices.Clone(m.LayerWeights(l))
	order.Stable(ws, func(a, b *layers.Weight) int {
		return rank(m.TrainableIn(a, l)) - rank(m.TrainableIn(b, l))
	})
	return ws
}

func rank(trainable bool) int {
	if trainable {
		return 0
	}
	return 1
}

func (b *binder) byOrder(saved []savedLayer) error {
	saved = slices.DeleteFunc(saved, func(s savedLayer) bool { return len(s.weights) == 0 })
	ts := b.targets()
	if len(ts) != len(saved) {
		return formatErrorf(formats.HDF5, "the file has weights of %d layers, the model %d layers with weights: %s; %s",
			len(saved), len(ts), savedNames(saved), targetNames(ts))
	}
	for i, s := range saved {
		if err := b.bind(s, ts[i]); err != nil {
			return err
		}
	}
	return nil
}

func savedNames(saved []savedLayer) string {
	var out []string
	for _, s := range saved {
		out = append(out, s.name)
	}
	return clipList(out)
}

func targetNames(ts []target) string {
	var out []string
	for _, t := range ts {
		out = append(out, t.layer.Common().Name)
	}
	return clipList(out)
}

func clipList(s []string) string {
	if len(s) > 12 {
		s = append(slices.Clone(s[:12]), "...")
	}
	return "[" + strings.Join(s, " ") + "]"
}

func (b *binder) byName(saved []savedLayer) error {
	ts := b.targets()
	for _, s := range saved {
		if len(s.weights) == 0 {
			continue
		}
		found := false
		for _, t := range ts {
			if t.layer.Common().Name == s.name {
				found = true
				if err := b.bind(s, t); err != nil {
					return err
				}
			}
		}
		if !found {
			b.file.Report.Unused = append(b.file.Report.Unused, s.name)
		}
	}
	return nil
}

// mismatch is an error, or a line in the report.
func (b *binder) mismatch(format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if b.opts.SkipMismatch {
		b.file.Report.Mismatched = append(b.file.Report.Mismatched, msg)
		return nil
	}
	return formatErrorf(formats.HDF5, "%s", msg)
}

func (b *binder) bind(s savedLayer, t target) error {
	values, err := s.read()
	if err != nil {
		return err
	}
	values, err = b.convert(t.layer, t.weights, values)
	if err != nil {
		return errs.Errorf("keras: layer %q: %w", s.name, err)
	}
	name := t.layer.Common().Name
	if len(values) != len(t.weights) {
		return b.mismatch("layer %q of the file has %d weights, layer %q of the model %d", s.name, len(values), name, len(t.weights))
	}
	for i, w := range t.weights {
		v := values[i]
		if !slices.Equal(v.Shape(), w.Shape) {
			if err := b.mismatch("weight %q of the file has shape %v, weight %q of the model %v", s.weights[min(i, len(s.weights)-1)], v.Shape(), w.Path, w.Shape); err != nil {
				return err
			}
			continue
		}
		if err := w.SetData(v); err != nil {
			return err
		}
	}
	return nil
}

// missing notes the weights that have no value.
func (b *binder) missing() {
	for _, w := range b.file.Model.Weights() {
		if w.Data == nil {
			b.file.Report.Missing = append(b.file.Report.Missing, w.Path)
		}
	}
}
