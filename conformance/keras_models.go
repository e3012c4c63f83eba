package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/autodiff"
	"github.com/nnrt/nnrt/train/data"
)

// numbered is prefix_0, prefix_1, ... of a case's data.
func (t *trainingCase) numbered(prefix string) []*tensor.Tensor {
	var out []*tensor.Tensor
	for i := 0; ; i++ {
		x := t.data[fmt.Sprintf("%s_%d", prefix, i)]
		if x == nil {
			return out
		}
		out = append(out, x)
	}
}

// runTrainedModel trains a model that Keras trained: each step's losses and metrics, and the weights before,
// after the first step, and at the end.
func runTrainedModel(ctx context.Context, c *Check, t *trainingCase) error {
	f, err := keras.ReadFile(filepath.Join(t.dir, "initial.keras"), keras.Options{})
	if err != nil {
		return err
	}
	m, err := train.FromLayers(f.Model, c.Device, 0)
	if err != nil {
		return err
	}
	opts, err := train.DecodeCompile(t.Compile, f.Model.OutputNames())
	if err != nil {
		return err
	}
	if err := m.Compile(opts); err != nil {
		return err
	}
	weights := f.Model.Weights()
	if err := t.weights(c, m, weights, "init", Tolerance{}); err != nil {
		return err
	}
	all := data.Arrays{Batch: data.Batch{X: t.numbered("x"), Y: t.numbered("y")}}
	if w := t.data["sample_weight"]; w != nil {
		all.W = []*tensor.Tensor{w}
	} else if ws := t.numbered("sample_weight"); len(ws) > 0 {
		all.W = ws
	}
	if t.Mode == "fit" {
		err = t.fit(ctx, c, m, all)
	} else {
		err = t.steps(ctx, c, m, weights, all)
	}
	if err != nil {
		return err
	}
	if err := t.weights(c, m, weights, "final", t.tol()); err != nil {
		return err
	}
	first, err := all.Range(0, min(t.BatchSize, all.Len()))
	if err != nil {
		return err
	}
	preds, err := m.PredictOnBatch(ctx, first.X...)
	if err != nil {
		return err
	}
	for j, p := range preds {
		if want := t.data[fmt.Sprintf("pred_%d", j)]; want != nil {
			if err := c.Tensor(fmt.Sprintf("pred_%d", j), p, want, t.tol()); err != nil {
				return err
			}
		}
	}
	return nil
}

// weights compares all weights at one point of the training.
func (t *trainingCase) weights(c *Check, m *train.Model, ws []*layers.Weight, when string, tol Tolerance) error {
	for k, w := range ws {
		want := t.data[fmt.Sprintf("w_%s_%03d", when, k)]
		if want == nil {
			continue
		}
		if err := c.Tensor(fmt.Sprintf("%s %s", when, w.Path), m.Value(w.Path), want, tol); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainingCase) steps(ctx context.Context, c *Check, m *train.Model, ws []*layers.Weight, all data.Arrays) error {
	n := all.Len()
	for s, want := range t.History {
		lo := s * t.BatchSize % n
		b, err := all.Range(lo, min(lo+t.BatchSize, n))
		if err != nil {
			return err
		}
		logs, err := m.TrainOnBatch(ctx, b.Batch)
		if err != nil {
			return err
		}
		if err := t.logs(c, fmt.Sprintf("step %d", s), logs, want); err != nil {
			return err
		}
		if s == 0 {
			if err := t.weights(c, m, ws, "step1", t.tol()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *trainingCase) logs(c *Check, when string, logs train.Logs, want map[string]float64) error {
	for name, w := range want {
		v, ok := logs.Get(name)
		for _, l := range logs {
			// A metric's automatic name is numbered by how many there have been in the process.
			stem, number, cut := cutLast(l.Name, "_")
			if _, err := strconv.Atoi(number); !ok && cut && err == nil && stem == name {
				v, ok = logs.Get(l.Name)
			}
		}
		if !ok {
			return errs.Errorf("%s: no %q among %v", when, name, logs)
		}
		if err := c.scalars(when+" "+name, []float64{v}, []float64{w}, []int{}, t.tol()); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainingCase) fit(ctx context.Context, c *Check, m *train.Model, all data.Arrays) error {
	o := train.FitOptions{Epochs: t.Fit.Epochs, BatchSize: t.BatchSize, ValidationSplit: t.Fit.ValidationSplit}
	if t.ClassWeight != nil {
		o.ClassWeight = map[int]float64{}
		for k, v := range t.ClassWeight {
			class, err := strconv.Atoi(k)
			if err != nil {
				return err
			}
			o.ClassWeight[class] = v
		}
	}
	h, err := m.Fit(ctx, all, o)
	if err != nil {
		return err
	}
	for e, want := range t.History {
		for name, w := range want {
			vs := h.Values[name]
			if e >= len(vs) {
				return errs.Errorf("epoch %d: no %q", e, name)
			}
			if err := c.scalars(fmt.Sprintf("epoch %d %s", e, name), vs[e:e+1], []float64{w}, []int{}, t.tol()); err != nil {
				return err
			}
		}
	}
	return nil
}

// runNormTrain runs a normalization layer three times in training, then once in inference.
func runNormTrain(ctx context.Context, c *Check, t *trainingCase) error {
	x := t.data["x"]
	shape := []any{nil}
	for _, d := range x.Shape()[1:] {
		shape = append(shape, d)
	}
	net, err := json.Marshal(map[string]any{"class_name": "Sequential", "config": map[string]any{"name": "net", "layers": []any{
		map[string]any{"module": "keras.layers", "class_name": "InputLayer", "config": map[string]any{"batch_shape": shape, "dtype": "float32", "name": "x"}},
		t.Config}}})
	if err != nil {
		return err
	}
	l, err := keras.ReadConfig(net, keras.Options{})
	if err != nil {
		return err
	}
	if err := l.Build(); err != nil {
		return err
	}
	ws := l.Weights()
	for i, w := range ws {
		w.Data = t.data[fmt.Sprintf("w%d", i)]
	}
	g, extras, err := l.TrainingGraph(layers.Options{})
	if err != nil {
		return err
	}
	spec := train.Spec{FrozenNorm: extras.Inference}
	for _, w := range ws {
		spec.Weights = append(spec.Weights, train.Weight{Name: w.Path, Trainable: l.Trainable(w)})
	}
	form, _, err := train.TrainingForm(g, spec)
	if err != nil {
		return err
	}
	s, names, err := t.normGradient(c, form, ws)
	if err != nil {
		return err
	}
	for k := 1; k <= 3; k++ {
		out, err := s.Run(ctx, map[string]*tensor.Tensor{form.Inputs[0].Name: x, "cotangent": t.data["cotangent"]})
		if err != nil {
			return err
		}
		if k == 1 {
			for key, name := range names {
				if err := c.Tensor(key, out[name], t.data[key], t.tol()); err != nil {
					return err
				}
			}
		}
		for i, w := range ws {
			if want := t.data[fmt.Sprintf("w%d_after%d", i, k)]; want != nil {
				if err := c.Tensor(fmt.Sprintf("w%d after %d", i, k), s.Param(w.Path), want, t.tol()); err != nil {
					return err
				}
			}
		}
	}
	for _, p := range g.Params {
		p.Data = s.Param(p.Name).Clone()
	}
	out, err := evaluate(ctx, c.Device, g, map[string]*tensor.Tensor{g.Inputs[0].Name: x})
	if err != nil {
		return err
	}
	return c.Tensor("y_inference_after", out[g.Outputs[0].Name], t.data["y_inference_after"], t.tol())
}

// normGradient adds the gradients that the case has to a graph in training form, and compiles it. names is
// the outputs by the case's keys.
func (t *trainingCase) normGradient(c *Check, g *graph.Graph, ws []*layers.Weight) (*runtime.Session, map[string]string, error) {
	b := graph.NewBuilder(g)
	names := map[string]string{"y": g.Outputs[0].Name}
	cot := inputLike(b, "cotangent", t.data["cotangent"])
	wrt, keys := []*graph.Value{g.Inputs[0]}, []string{"grad_x"}
	for i, w := range ws {
		if key := fmt.Sprintf("grad_w%d", i); t.data[key] != nil {
			wrt, keys = append(wrt, g.Param(w.Path)), append(keys, key)
		}
	}
	dx, err := autodiff.Grad(b, g.Outputs[:1], []*graph.Value{cot}, wrt)
	if err != nil {
		return nil, nil, err
	}
	for i, v := range dx {
		if v == nil {
			return nil, nil, errs.Errorf("%s is zero", keys[i])
		}
		names[keys[i]] = v.Name
		b.Output(v)
	}
	p, err := runtime.Compile(g, c.Device, runtime.Options{KeepParams: true})
	if err != nil {
		return nil, nil, err
	}
	s, err := p.NewSession()
	return s, names, err
}

// KerasGradientSuite is the gradients of Keras' inference: grads.npz in keras-golden/inference.
type KerasGradientSuite struct{}

// Name implements Suite.
func (KerasGradientSuite) Name() string { return "keras-grads" }

// Cases implements Suite.
func (s KerasGradientSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = !e.IsDir()
	}
	if !have["grads.npz"] || !have["inputs.npz"] {
		return nil, nil
	}
	name := filepath.Base(dir)
	return []Case{{Suite: s.Name(), Name: name, Run: func(ctx context.Context, c *Check) error {
		file := "model.keras"
		if !have[file] {
			file = "model.h5"
		}
		return runGradients(ctx, c, dir, file)
	}}}, nil
}

// runGradients compares the gradient of the outputs' product with cotangents by weights and inputs.
func runGradients(ctx context.Context, c *Check, dir, file string) error {
	f, err := keras.ReadFile(filepath.Join(dir, file), keras.Options{})
	if err != nil {
		return err
	}
	tol, err := metaTolerance(dir)
	if err != nil {
		return err
	}
	want, err := npz.Read(filepath.Join(dir, "grads.npz"))
	if err != nil {
		return err
	}
	inputs, err := npz.Read(filepath.Join(dir, "inputs.npz"))
	if err != nil {
		return err
	}
	g, err := f.Model.Graph(layers.Options{})
	if err != nil {
		return err
	}
	in, err := numberedInputs(g, inputs)
	if err != nil {
		return err
	}
	b := graph.NewBuilder(g)
	var ys, dys []*graph.Value
	for j, y := range g.Outputs {
		if cot := want[fmt.Sprintf("cotangent_%d", j)]; cot != nil {
			name := fmt.Sprintf("cotangent_%d", j)
			if cot.DType() != y.Type.DType && y.Type.DType.IsFloat() {
				if cot, err = tensor.Cast(cot, y.Type.DType, tensor.CastOptions{}); err != nil {
					return err
				}
			}
			in[name] = cot
			ys, dys = append(ys, y), append(dys, inputLike(b, name, cot))
		}
	}
	wrt, keys := gradientTargets(g, f.Model, want)
	dx, err := autodiff.Grad(b, ys, dys, wrt)
	if err != nil {
		return err
	}
	g.Outputs = nil
	for i, v := range dx {
		if v == nil {
			v = b.Add(zeroOf(wrt[i]), wrt[i], wrt[i])
			dx[i] = v
		}
		b.Output(v)
	}
	if err := b.Err(); err != nil {
		return err
	}
	out, err := evaluate(ctx, c.Device, g, in)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if err := c.Tensor(key, out[dx[i].Name], want[key], tol); err != nil {
			return err
		}
	}
	return nil
}

// gradientTargets is the values by which grads.npz differentiates.
func gradientTargets(g *graph.Graph, m *layers.Model, want map[string]*tensor.Tensor) (wrt []*graph.Value, keys []string) {
	ws := m.Weights()
	for _, key := range sortedNames(want) {
		if s, ok := strings.CutPrefix(key, "grad_w"); ok {
			if i, err := strconv.Atoi(s); err == nil && i < len(ws) {
				wrt, keys = append(wrt, g.Param(ws[i].Path)), append(keys, key)
			}
		}
		if s, ok := strings.CutPrefix(key, "grad_input_"); ok {
			if i, err := strconv.Atoi(s); err == nil && i < len(g.Inputs) {
				wrt, keys = append(wrt, g.Inputs[i]), append(keys, key)
			}
		}
	}
	return wrt, keys
}

// zeroOf is the operator that makes zeros of a value and itself.
func zeroOf(*graph.Value) graph.Op { return ops.Sub{} }

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// metaTolerance is the tolerance in a case's meta.json. Cases whose outputs were recorded in two ways, of
// which nnrt follows the other one, have no gradients to compare with.
func metaTolerance(dir string) (Tolerance, error) {
	var meta struct {
		RTol, ATol float64
		OutputsTF  string `json:"outputs_tf"`
	}
	p, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return Tolerance{}, err
	}
	err = json.Unmarshal(p, &meta)
	if err == nil && strings.Contains(meta.OutputsTF, "prefer outputs_tf") {
		return Tolerance{}, Skip("the gradients are of outputs that outputs_tf.npz replaces")
	}
	return Tolerance{Abs: meta.ATol, Rel: meta.RTol}, err
}

// numberedInputs is a case's input_0, input_1, ... under the names and in the types of the graph's inputs.
func numberedInputs(g *graph.Graph, inputs map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	in := map[string]*tensor.Tensor{}
	for i, v := range g.Inputs {
		x := inputs[fmt.Sprintf("input_%d", i)]
		if x == nil {
			return nil, errs.Errorf("inputs.npz has no input_%d", i)
		}
		if x.DType() != v.Type.DType && x.DType() != tensor.String {
			var err error
			if x, err = tensor.Cast(x, v.Type.DType, tensor.CastOptions{}); err != nil {
				return nil, err
			}
		}
		in[v.Name] = x
	}
	return in, nil
}
