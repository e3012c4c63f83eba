package optim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/npz"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/optim"
)

type goldenCase struct {
	Config struct {
		ClassName string          `json:"class_name"`
		Config    json.RawMessage `json:"config"`
	}
	Steps         int
	Variables     []string
	LearningRates []float64 `json:"learning_rates"`
	Iterations    int
	Slots         []struct {
		Path  string
		Shape []int
	} `json:"optimizer_variables"`
	RTol, ATol float64
}

// Every golden optimizer of Keras: each variable after each step, and all of the optimizer's own at the end.
func TestKerasGoldens(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), "optimizer_*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { golden(t, dir) })
	}
}

func golden(t *testing.T, dir string) {
	p, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	var c goldenCase
	require.NoError(t, json.Unmarshal(p, &c))
	data, err := npz.Read(filepath.Join(dir, "data.npz"))
	require.NoError(t, err)
	o, err := optim.Decode(c.Config.ClassName, c.Config.Config)
	require.NoError(t, err)
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	var vars []optim.Var
	for i, name := range c.Variables {
		w := b.Param(name, data[fmt.Sprintf("init_%d", i)])
		grad := b.Input(fmt.Sprintf("grad_%d", i), w.Type)
		vars = append(vars, optim.Var{Param: w, Grad: grad, Path: name})
	}
	lr := b.Input("lr", graph.TensorOf(tensor.Float32))
	st, err := optim.Build(b, o, vars, lr, nil)
	require.NoError(t, err)
	prog, err := runtime.Compile(g, ref.New(), runtime.Options{KeepParams: true})
	require.NoError(t, err)
	s, err := prog.NewSession()
	require.NoError(t, err)
	rate := o.Options().LearningRate
	if l, ok := o.(*optim.LossScaleOptimizer); ok {
		rate = l.Inner.Options().LearningRate
	}
	for step := range c.Steps {
		require.InDelta(t, c.LearningRates[step], rate.At(step), 1e-6*c.LearningRates[step]+1e-9)
		in := map[string]*tensor.Tensor{"lr": tensor.Scalar(float32(rate.At(step)))}
		for i := range vars {
			in[fmt.Sprintf("grad_%d", i)] = data[fmt.Sprintf("grad_%d_%d", step, i)]
		}
		_, err := s.Run(context.Background(), in)
		require.NoError(t, err)
		for i, name := range c.Variables {
			near(t, fmt.Sprintf("%s after step %d", name, step), s.Param(name), data[fmt.Sprintf("var_%d_%d", step, i)], c)
		}
	}
	checkSlots(t, c, st, s, data)
	for i, name := range c.Variables {
		if want := data[fmt.Sprintf("final_ema_%d", i)]; want != nil {
			near(t, "average of "+name, s.Param(st.Averages[name].Name), want, c)
		}
	}
}

// checkSlots compares the optimizer's own variables, in Keras' order and under Keras' names.
func checkSlots(t *testing.T, c goldenCase, st *optim.State, s *runtime.Session, data map[string]*tensor.Tensor) {
	t.Helper()
	require.Len(t, st.Slots, len(c.Slots))
	for k, slot := range st.Slots {
		want := data[fmt.Sprintf("opt_%d", k)]
		require.Equal(t, c.Slots[k].Shape, slot.Shape, c.Slots[k].Path)
		require.Equal(t, filepath.Base(c.Slots[k].Path), filepath.Base(slot.Path))
		switch {
		case slot.Zero:
			v, err := want.Float64s()
			require.NoError(t, err)
			require.Zero(t, v[0], slot.Path)
		case !slot.LearningRate:
			near(t, slot.Path, s.Param(slot.Param.Name), want, c)
		}
	}
}

func near(t *testing.T, what string, got, want *tensor.Tensor, c goldenCase) {
	t.Helper()
	require.NotNil(t, got, what)
	g, err := got.Float64s()
	require.NoError(t, err)
	w, err := want.Float64s()
	require.NoError(t, err)
	require.Len(t, g, len(w), what)
	for i := range w {
		require.LessOrEqual(t, math.Abs(g[i]-w[i]), c.ATol+c.RTol*math.Abs(w[i]), "%s [%d]: got %v, want %v", what, i, g[i], w[i])
	}
}

func TestConfigRoundTrip(t *testing.T) {
	for _, name := range []string{"SGD", "rmsprop", "adagrad", "adadelta", "adam", "AdamW", "adamax", "nadam", "ftrl", "lion",
		"lamb", "adafactor", "muon", "ScheduleFreeAdamW"} {
		o, err := optim.New(name)
		require.NoError(t, err)
		class, cfg, err := optim.Encode(o)
		require.NoError(t, err)
		back, err := optim.Decode(class, cfg)
		require.NoError(t, err)
		require.Equal(t, o, back)
	}
	_, err := optim.New("nonsense")
	require.Error(t, err)
	_, err = optim.Decode("SGD", json.RawMessage(`{"clipnorm":1,"clipvalue":1}`))
	require.Error(t, err)
}
