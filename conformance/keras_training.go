package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers/constraint"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/layers/regularizer"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/metric"
	"github.com/nnrt/nnrt/train/optim"
	"github.com/nnrt/nnrt/train/schedule"
)

// KerasTrainingSuite is what Keras computed in training: keras-golden/training, a folder a case with
// case.json and data.npz.
type KerasTrainingSuite struct{}

// Name implements Suite.
func (KerasTrainingSuite) Name() string { return "keras-training" }

// trainingCase is a case.json; each kind uses some of it.
type trainingCase struct {
	Kind, Name string
	ClassName  string          `json:"class_name"`
	Config     json.RawMessage `json:"config"`
	Kwargs     map[string]json.RawMessage
	RTol, ATol float64

	Values     json.RawMessage
	Weights    json.RawMessage
	Mean, Sum  []float64
	Statistics map[string]map[string]float64

	Steps         int
	Variables     []string
	LearningRates []float64 `json:"learning_rates"`
	Slots         []struct {
		Path  string
		Shape []int
	} `json:"optimizer_variables"`

	Compile   json.RawMessage
	BatchSize int `json:"batch_size"`
	Mode      string
	Fit       struct {
		Epochs          int
		ValidationSplit float64 `json:"validation_split"`
	}
	ClassWeight map[string]float64 `json:"class_weight"`
	History     []map[string]float64

	dir  string
	data map[string]*tensor.Tensor
}

// kerasObject is a serialized Keras object.
type kerasObject struct {
	ClassName   string          `json:"class_name"`
	Config      json.RawMessage `json:"config"`
	BuildConfig struct {
		InputShape []int `json:"input_shape"`
	} `json:"build_config"`
}

func (t *trainingCase) object() (kerasObject, error) {
	var o kerasObject
	err := json.Unmarshal(t.Config, &o)
	return o, err
}

func (t *trainingCase) tol() Tolerance {
	tol := Tolerance{Abs: t.ATol, Rel: t.RTol}
	if tol.Abs == 0 {
		tol.Abs = 1e-7
	}
	return tol
}

// Cases implements Suite.
func (s KerasTrainingSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	have := map[string]bool{}
	for _, e := range entries {
		have[e.Name()] = !e.IsDir()
	}
	if !have["case.json"] || !have["data.npz"] {
		return nil, nil
	}
	name := filepath.Base(dir)
	return []Case{{Suite: s.Name(), Name: name, Run: func(ctx context.Context, c *Check) error {
		t, err := readTrainingCase(dir)
		if err != nil {
			return err
		}
		run, ok := trainingKinds[t.Kind]
		if !ok {
			return Skip("kind %q is not known", t.Kind)
		}
		return run(ctx, c, t)
	}}}, nil
}

// trainingKinds is how each kind of case is run.
var trainingKinds = map[string]func(ctx context.Context, c *Check, t *trainingCase) error{
	"loss": runLoss, "metric": runMetric, "optimizer": runOptimizer, "schedule": runSchedule, "regularizer": runRegularizer,
	"constraint": runConstraint, "initializer": runInitializer, "normtrain": runNormTrain, "model": runTrainedModel,
}

func readTrainingCase(dir string) (*trainingCase, error) {
	p, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		return nil, err
	}
	t := &trainingCase{dir: dir}
	if err := json.Unmarshal(p, t); err != nil {
		return nil, errs.Errorf("case.json: %w", err)
	}
	if st, err := os.Stat(filepath.Join(dir, "data.npz")); err == nil && st.Size() > 22 { // an empty zip has 22 bytes
		if t.data, err = npz.Read(filepath.Join(dir, "data.npz")); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// evaluate compiles a small graph and runs it once.
func evaluate(ctx context.Context, dev devices.Device, g *graph.Graph, in map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	p, err := runtime.Compile(g, dev, runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := p.NewSession()
	if err != nil {
		return nil, err
	}
	return s.Run(ctx, in)
}

func inputLike(b *graph.Builder, name string, t *tensor.Tensor) *graph.Value {
	return b.Input(name, graph.TensorOf(t.DType(), graph.Dims(t.Shape()...)...))
}

func runLoss(ctx context.Context, c *Check, t *trainingCase) error {
	o, err := t.object()
	if err != nil {
		return err
	}
	cfg := map[string]json.RawMessage{}
	if err := json.Unmarshal(o.Config, &cfg); err != nil {
		return err
	}
	for k, v := range t.Kwargs { // Keras leaves some arguments out of the config
		cfg[k] = v
	}
	keys := sortedNames(t.data)
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, "value_")
		if !ok {
			continue
		}
		var weight *tensor.Tensor
		reduction := rest
		if r, ok := strings.CutSuffix(rest, "_swe"); ok {
			weight, reduction = t.data["sample_weight_elem"], r
		} else if r, ok := strings.CutSuffix(rest, "_sw"); ok {
			weight, reduction = t.data["sample_weight"], r
		}
		cfg["reduction"] = json.RawMessage(strconv.Quote(reduction))
		raw, err := json.Marshal(cfg)
		if err != nil {
			return err
		}
		l, err := loss.Decode(o.ClassName, raw)
		if err != nil {
			return err
		}
		if err := t.loss(ctx, c, l, weight, rest); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainingCase) loss(ctx context.Context, c *Check, l loss.Loss, weight *tensor.Tensor, rest string) error {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	in := map[string]*tensor.Tensor{"t": t.data["y_true"], "p": t.data["y_pred"]}
	yt, yp := inputLike(b, "t", in["t"]), inputLike(b, "p", in["p"])
	var w *graph.Value
	if weight != nil {
		in["w"] = weight
		w = inputLike(b, "w", weight)
	}
	v := loss.Build(b, l, yt, yp, w, nil)
	dx, err := autodiff.Grad(b, []*graph.Value{v}, nil, []*graph.Value{yp})
	if err != nil {
		return err
	}
	b.Output(v, dx[0])
	out, err := evaluate(ctx, c.Device, g, in)
	if err != nil {
		return err
	}
	if err := c.Tensor("value_"+rest, out[v.Name], t.data["value_"+rest], t.tol()); err != nil {
		return err
	}
	if t.data["grad_"+rest] == nil {
		return nil
	}
	return c.Tensor("grad_"+rest, out[dx[0].Name], t.data["grad_"+rest], t.tol())
}

func sortedNames(m map[string]*tensor.Tensor) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func runMetric(_ context.Context, c *Check, t *trainingCase) error {
	if t.Values != nil {
		return runReductions(c, t)
	}
	raw, err := json.Marshal(t.Kwargs)
	if err != nil {
		return err
	}
	for _, suffix := range []string{"", "_sw"} {
		m, err := metric.Decode(t.ClassName, raw)
		if err != nil {
			return err
		}
		for b := 0; t.data[fmt.Sprintf("y_pred_%d", b)] != nil; b++ {
			key := fmt.Sprintf("result_%d%s", b, suffix)
			if t.data[key] == nil {
				continue
			}
			var w *tensor.Tensor
			if suffix != "" {
				w = t.data[fmt.Sprintf("sample_weight_%d", b)]
			}
			if err := m.Update(t.data[fmt.Sprintf("y_true_%d", b)], t.data[fmt.Sprintf("y_pred_%d", b)], w); err != nil {
				return err
			}
			want, err := t.data[key].Float64s()
			if err != nil {
				return err
			}
			if err := c.scalars(key, m.Result(), want, t.data[key].Shape(), t.tol()); err != nil {
				return err
			}
		}
	}
	return nil
}

func runReductions(c *Check, t *trainingCase) error {
	var values, weights [][]float64
	if err := errors.Join(json.Unmarshal(t.Values, &values), json.Unmarshal(t.Weights, &weights)); err != nil {
		return err
	}
	for class, want := range map[string][]float64{"Mean": t.Mean, "Sum": t.Sum} {
		m, err := metric.Decode(class, nil)
		if err != nil {
			return err
		}
		for i, v := range values {
			var w *tensor.Tensor
			if weights[i] != nil {
				w = tensor.Of(weights[i])
			}
			if err := m.Update(nil, tensor.Of(v), w); err != nil {
				return err
			}
			if err := c.scalars(class, m.Result(), want[i:i+1], []int{}, Tolerance{Abs: 1e-6, Rel: 1e-5}); err != nil {
				return err
			}
		}
	}
	return nil
}

func runOptimizer(ctx context.Context, c *Check, t *trainingCase) error {
	obj, err := t.object()
	if err != nil {
		return err
	}
	o, err := optim.Decode(obj.ClassName, obj.Config)
	if err != nil {
		return err
	}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	var vars []optim.Var
	for i, name := range t.Variables {
		w := b.Param(name, t.data[fmt.Sprintf("init_%d", i)])
		vars = append(vars, optim.Var{Param: w, Grad: b.Input(fmt.Sprintf("grad_%d", i), w.Type), Path: name})
	}
	lr := b.Input("lr", graph.TensorOf(tensor.Float32))
	st, err := optim.Build(b, o, vars, lr, nil)
	if err != nil {
		return err
	}
	prog, err := runtime.Compile(g, c.Device, runtime.Options{KeepParams: true})
	if err != nil {
		return err
	}
	s, err := prog.NewSession()
	if err != nil {
		return err
	}
	rate := o.Options().LearningRate
	if l, ok := o.(*optim.LossScaleOptimizer); ok {
		rate = l.Inner.Options().LearningRate
	}
	for step := range t.Steps {
		if err := c.scalars("learning rate", []float64{rate.At(step)}, t.LearningRates[step:step+1], []int{}, Tolerance{1e-9, 1e-6}); err != nil {
			return err
		}
		in := map[string]*tensor.Tensor{"lr": tensor.Scalar(float32(rate.At(step)))}
		for i := range vars {
			in[fmt.Sprintf("grad_%d", i)] = t.data[fmt.Sprintf("grad_%d_%d", step, i)]
		}
		if _, err := s.Run(ctx, in); err != nil {
			return err
		}
		for i, name := range t.Variables {
			if err := c.Tensor(fmt.Sprintf("%s after step %d", name, step), s.Param(name), t.data[fmt.Sprintf("var_%d_%d", step, i)], t.tol()); err != nil {
				return err
			}
		}
	}
	for i, name := range t.Variables {
		if want := t.data[fmt.Sprintf("final_ema_%d", i)]; want != nil && st.Averages[name] != nil {
			if err := c.Tensor("average of "+name, s.Param(st.Averages[name].Name), want, t.tol()); err != nil {
				return err
			}
		}
	}
	return t.optimizerSlots(c, st, s)
}

// optimizerSlots compares the optimizer's own variables, in Keras' order.
func (t *trainingCase) optimizerSlots(c *Check, st *optim.State, s *runtime.Session) error {
	if len(st.Slots) != len(t.Slots) {
		return errs.Errorf("the optimizer has %d variables, want %d", len(st.Slots), len(t.Slots))
	}
	for k, slot := range st.Slots {
		want := t.data[fmt.Sprintf("opt_%d", k)]
		if !slices.Equal(slot.Shape, t.Slots[k].Shape) {
			return errs.Errorf("optimizer variable %d (%s) is %v, want %v", k, slot.Path, slot.Shape, t.Slots[k].Shape)
		}
		if slot.Param == nil || want == nil {
			continue
		}
		w, err := want.Float64s()
		if err != nil {
			return err
		}
		got, err := s.Param(slot.Param.Name).Float64s()
		if err != nil {
			return err
		}
		if err := c.scalars(slot.Path, got, w, want.Shape(), t.tol()); err != nil {
			return err
		}
	}
	return nil
}

func runSchedule(_ context.Context, c *Check, t *trainingCase) error {
	o, err := t.object()
	if err != nil {
		return err
	}
	s, err := schedule.Decode(o.ClassName, o.Config)
	if err != nil {
		return err
	}
	var want []float64
	if err := json.Unmarshal(t.Values, &want); err != nil {
		return err
	}
	got := make([]float64, len(want))
	for i := range got {
		got[i] = s.At(i)
	}
	return c.scalars("values", got, want, []int{len(want)}, Tolerance{Abs: 1e-8, Rel: 1e-5})
}

func runRegularizer(ctx context.Context, c *Check, t *trainingCase) error {
	o, err := t.object()
	if err != nil {
		return err
	}
	r, err := regularizer.Decode(o.ClassName, o.Config)
	if err != nil {
		return err
	}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	w := inputLike(b, "w", t.data["w"])
	v := r.Penalty(b, w)
	dx, err := autodiff.Grad(b, []*graph.Value{v}, nil, []*graph.Value{w})
	if err != nil {
		return err
	}
	b.Output(v, dx[0])
	out, err := evaluate(ctx, c.Device, g, map[string]*tensor.Tensor{"w": t.data["w"]})
	if err != nil {
		return err
	}
	if err := c.Tensor("value", out[v.Name], t.data["value"], t.tol()); err != nil {
		return err
	}
	if t.data["grad"] == nil {
		return nil
	}
	return c.Tensor("grad", out[dx[0].Name], t.data["grad"], t.tol())
}

func runConstraint(ctx context.Context, c *Check, t *trainingCase) error {
	o, err := t.object()
	if err != nil {
		return err
	}
	con, err := constraint.Decode(o.ClassName, o.Config)
	if err != nil {
		return err
	}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	v := con.Apply(b, inputLike(b, "w", t.data["w"]))
	b.Output(v)
	if err := b.Err(); err != nil {
		return err
	}
	out, err := evaluate(ctx, c.Device, g, map[string]*tensor.Tensor{"w": t.data["w"]})
	if err != nil {
		return err
	}
	return c.Tensor("out", out[v.Name], t.data["out"], t.tol())
}

// runInitializer compares statistics: the numbers themselves differ by backend.
func runInitializer(_ context.Context, c *Check, t *trainingCase) error {
	o, err := t.object()
	if err != nil {
		return err
	}
	in, err := initializer.Decode(o.ClassName, o.Config)
	if err != nil {
		return err
	}
	for name, want := range t.Statistics {
		var shape []int
		for _, s := range strings.Split(name, "x") {
			n, err := strconv.Atoi(s)
			if err != nil {
				return err
			}
			shape = append(shape, n)
		}
		if id, ok := in.(initializer.Identity); ok { // the config does not keep its gain
			id.Gain = want["max"]
			in = id
		}
		x, err := initializer.Make(in, tensor.Float32, shape, philox.New(1))
		if err != nil {
			return err
		}
		if err := statistics(c, name, tensor.As[float32](x), want); err != nil {
			return err
		}
	}
	return nil
}

func statistics(c *Check, name string, v []float32, want map[string]float64) error {
	sorted := slices.Sorted(slices.Values(v))
	var sum, sq float64
	for _, x := range v {
		sum += float64(x)
		sq += float64(x) * float64(x)
	}
	n := float64(len(v))
	mean, std := sum/n, want["std"]
	got := map[string]float64{"mean": mean, "std": math.Sqrt(max(0, sq/n-mean*mean))}
	for key, q := range map[string]float64{"q01": 0.01, "q25": 0.25, "q99": 0.99} {
		got[key] = float64(sorted[int(q*(n-1))])
	}
	// Means and quantiles of n samples scatter by about std/sqrt(n); the tails' by some times that.
	scatter := std / math.Sqrt(n)
	tol := map[string]float64{"mean": 6 * scatter, "std": 8 * scatter, "q01": 40 * scatter, "q25": 12 * scatter, "q99": 40 * scatter}
	for key := range got {
		w, ok := want[key]
		if !ok {
			continue
		}
		if err := c.scalars(name+" "+key, []float64{got[key]}, []float64{w}, []int{}, Tolerance{Abs: tol[key] + 1e-7}); err != nil {
			return err
		}
	}
	return nil
}

// scalars is numbers for what is no tensor.
func (c *Check) scalars(name string, got, want []float64, shape []int, tol Tolerance) error {
	c.compared++
	if len(got) != len(want) {
		return errs.Errorf("%s: got %d numbers, want %d", name, len(got), len(want))
	}
	return c.numbers(name, got, want, shape, tol)
}
