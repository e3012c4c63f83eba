package optim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/goldentest"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/optim"
)

type recorded struct {
	Steps         int
	Variables     []string
	LearningRates []float64 `json:"learning_rates"`
	Slots         []struct {
		Path  string
		Shape []int
	} `json:"optimizer_variables"`
}

// Every golden optimizer of Keras: each variable after each step, and all of the optimizer's own at the end.
func TestKerasGoldens(t *testing.T) {
	goldentest.Each(t, "optimizer", golden)
}

func golden(t *testing.T, c goldentest.Case) {
	var r recorded
	c.Read(t, &r)
	data := c.Data
	o, err := optim.Decode(c.Config.ClassName, c.Config.Config)
	require.NoError(t, err)
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	var vars []optim.Var
	for i, name := range r.Variables {
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
	for step := range r.Steps {
		require.InDelta(t, r.LearningRates[step], rate.At(step), 1e-6*r.LearningRates[step]+1e-9)
		in := map[string]*tensor.Tensor{"lr": tensor.Scalar(float32(rate.At(step)))}
		for i := range vars {
			in[fmt.Sprintf("grad_%d", i)] = data[fmt.Sprintf("grad_%d_%d", step, i)]
		}
		_, err := s.Run(context.Background(), in)
		require.NoError(t, err)
		for i, name := range r.Variables {
			c.Near(t, fmt.Sprintf("%s after step %d", name, step), s.Param(name), data[fmt.Sprintf("var_%d_%d", step, i)])
		}
	}
	checkSlots(t, c, r, st, s)
	for i, name := range r.Variables {
		if want := data[fmt.Sprintf("final_ema_%d", i)]; want != nil {
			c.Near(t, "average of "+name, s.Param(st.Averages[name].Name), want)
		}
	}
}

// checkSlots compares the optimizer's own variables, in Keras' order and under Keras' names.
func checkSlots(t *testing.T, c goldentest.Case, r recorded, st *optim.State, s *runtime.Session) {
	t.Helper()
	require.Len(t, st.Slots, len(r.Slots))
	for k, slot := range st.Slots {
		want := c.Data[fmt.Sprintf("opt_%d", k)]
		require.Equal(t, r.Slots[k].Shape, slot.Shape, r.Slots[k].Path)
		require.Equal(t, filepath.Base(r.Slots[k].Path), filepath.Base(slot.Path))
		switch {
		case slot.Zero:
			require.Zero(t, goldentest.Floats(t, want)[0], slot.Path)
		case !slot.LearningRate:
			c.Near(t, slot.Path, s.Param(slot.Param.Name), want)
		}
	}
}

func TestConfigRoundTrip(t *testing.T) {
	for _, name := range []string{"SGD", "rmsprop", "adagrad", "adadelta", "adam", "AdamW", "adamax", "nadam", "ftrl", "lion",
		"lamb", "adafactor", "muon", "ScheduleFreeAdamW"} {
		o, err := optim.New(name)
		require.NoError(t, err)
		goldentest.RoundTrip(t, o, optim.Encode, optim.Decode)
	}
	_, err := optim.New("nonsense")
	require.Error(t, err)
	_, err = optim.Decode("SGD", json.RawMessage(`{"clipnorm":1,"clipvalue":1}`))
	require.Error(t, err)
}
