package train_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/optim"
)

// mlp is dense layers of the given sizes with tanh between them and a softmax at the end.
func mlp(t testing.TB, seed uint64, dropout float64, sizes ...int) *graph.Graph {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	rng := philox.New(seed)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(sizes[0])))
	for i := 1; i < len(sizes); i++ {
		k, err := initializer.Make(initializer.GlorotUniform{}, tensor.Float32, []int{sizes[i-1], sizes[i]}, rng.Fork(uint64(i)))
		require.NoError(t, err)
		name := fmt.Sprintf("dense_%d", i)
		b.SetOrigin(name)
		x = b.Add(ops.MatMul{}, x, b.Param(name+"/kernel", k))
		x = b.Add(ops.Add{}, x, b.Param(name+"/bias", tensor.New(tensor.Float32, sizes[i])))
		if i < len(sizes)-1 {
			x = b.Add(ops.Tanh{}, x)
			if dropout > 0 {
				x = b.AddN(ops.Dropout{}, x, b.Float(float32(dropout)))[0]
			}
		}
	}
	y := b.Add(ops.Softmax{Axis: -1}, x)
	b.Rename(y, "y")
	b.Output(y)
	require.NoError(t, b.Err())
	return g
}

// xor is n samples of three noisy bits and their parity, one-hot.
func xor(seed uint64, n int) data.Arrays {
	rng := philox.New(seed)
	x, y := tensor.New(tensor.Float32, n, 3), tensor.New(tensor.Float32, n, 2)
	for i := range n {
		parity := 0
		for k := range 3 {
			v := rng.Float64()
			bit := 0
			if v >= 0.5 {
				bit = 1
			}
			parity ^= bit
			tensor.As[float32](x)[i*3+k] = float32(float64(bit) + 0.2*v)
		}
		tensor.As[float32](y)[i*2+parity] = 1
	}
	return data.New(x, y)
}

func newModel(t testing.TB, g *graph.Graph, dev devices.Device, o train.CompileOptions) *train.Model {
	t.Helper()
	m, err := train.NewModel(g, dev, train.Info{})
	require.NoError(t, err)
	require.NoError(t, m.Compile(o))
	return m
}

func adam(t testing.TB, lr float64) optim.Optimizer {
	t.Helper()
	o, err := optim.New("adam")
	require.NoError(t, err)
	o.Options().LearningRate.Value = lr
	return o
}

func TestFitLearns(t *testing.T) {
	m := newModel(t, mlp(t, 1, 0, 3, 16, 16, 2), ref.New(), train.CompileOptions{Optimizer: adam(t, 0.03),
		Loss: "categorical_crossentropy", Metrics: [][]any{{"accuracy"}}, Seed: 1})
	var out bytes.Buffer
	h, err := m.Fit(context.Background(), xor(1, 1500), train.FitOptions{Epochs: 30, ValidationSplit: 0.2, Shuffle: true, Verbose: 1, Output: &out})
	require.NoError(t, err)
	require.Len(t, h.Epoch, 30)
	require.Less(t, h.Last("loss"), 0.6*h.Values["loss"][0])
	require.Greater(t, h.Last("val_accuracy"), 0.85)
	require.Contains(t, out.String(), "Epoch 30/30")
	require.Contains(t, out.String(), "38/38")
	require.Contains(t, out.String(), " - val_loss: ")
	logs, err := m.Evaluate(context.Background(), xor(2, 300), train.EvaluateOptions{})
	require.NoError(t, err)
	acc, ok := logs.Get("accuracy")
	require.True(t, ok)
	require.Greater(t, acc, 0.8)
}

// Same seed, same weights, bit for bit, dropout and shuffling included.
func TestReproducible(t *testing.T) {
	run := func(seed uint64) []byte {
		m := newModel(t, mlp(t, 1, 0.3, 3, 8, 2), ref.New(), train.CompileOptions{Loss: "categorical_crossentropy", Seed: seed})
		_, err := m.Fit(context.Background(), xor(1, 100), train.FitOptions{Epochs: 2, Shuffle: true})
		require.NoError(t, err)
		return m.Value("dense_1/kernel").Bytes()
	}
	require.Equal(t, run(5), run(5))
	require.NotEqual(t, run(5), run(6))
}

func TestFrozenWeightsStay(t *testing.T) {
	m, err := train.NewModel(mlp(t, 1, 0, 3, 4, 2), ref.New(), train.Info{})
	require.NoError(t, err)
	require.Equal(t, 2, m.SetTrainable("dense_1*", false))
	require.NoError(t, m.Compile(train.CompileOptions{Loss: "categorical_crossentropy"}))
	frozen, free := m.Value("dense_1/kernel"), m.Value("dense_2/kernel")
	_, err = m.Fit(context.Background(), xor(1, 64), train.FitOptions{})
	require.NoError(t, err)
	require.Equal(t, frozen.Bytes(), m.Value("dense_1/kernel").Bytes())
	require.NotEqual(t, free.Bytes(), m.Value("dense_2/kernel").Bytes())
	// Unfreezing keeps what was learned.
	learned := m.Value("dense_2/kernel")
	m.SetTrainable("*", true)
	require.NoError(t, m.Compile(train.CompileOptions{Loss: "categorical_crossentropy", KeepOptimizer: true}))
	require.Equal(t, learned.Bytes(), m.Value("dense_2/kernel").Bytes())
	_, err = m.Fit(context.Background(), xor(1, 64), train.FitOptions{})
	require.NoError(t, err)
	require.NotEqual(t, frozen.Bytes(), m.Value("dense_1/kernel").Bytes())
}

// Bad data is refused, by name, before any weight changes.
func TestBadBatchesAreRefused(t *testing.T) {
	m := newModel(t, mlp(t, 1, 0, 3, 4, 2), ref.New(), train.CompileOptions{Losses: []loss.Loss{sparse(t)}})
	before := m.Value("dense_1/kernel")
	x := tensor.New(tensor.Float32, 4, 3)
	nan := x.Clone()
	tensor.As[float32](nan)[5] = float32(math.NaN())
	y := tensor.Of([]int64{0, 1, 1, 0})
	for want, a := range map[string]data.Arrays{
		"no samples":                    data.New(tensor.New(tensor.Float32, 0, 3), tensor.New(tensor.Int64, 0)),
		`batch 0: input "x": element 5`: data.New(nan, y),
		"expected float32[N,3]":         data.New(tensor.New(tensor.Float32, 4, 5), y),
		"element 2 is 2":                data.New(x, tensor.Of([]int64{0, 1, 2, 0})),
		"element 0 is -1":               data.New(x, tensor.Of([]int64{-1, 1, 1, 0})),
		"target 0 has 3 samples ([3]) where input 0 has 4": data.New(x, tensor.Of([]int64{0, 1, 1})),
		"elements are string":                              data.New(strings4(t), y),
		"there are 0, the model has 1 ou":                  data.New(x, nil),
	} {
		_, err := m.Fit(context.Background(), a, train.FitOptions{})
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, before.Bytes(), m.Value("dense_1/kernel").Bytes())
}

// What cannot be trained on is refused by everything that takes data, naming batch, tensor and what was expected;
// weights, running statistics and the optimizer stay as they were.
func TestRefusalsAreComplete(t *testing.T) {
	m := newModel(t, mlp(t, 1, 0, 3, 2), ref.New(), train.CompileOptions{Losses: []loss.Loss{sparse(t)}})
	require.NoError(t, m.SetValue("dense_1/kernel", must(tensor.Of([]float32{9, 8, 7, 6, 5, -4}).Reshape(3, 2))))
	ctx := context.Background()
	good := data.Batch{X: []*tensor.Tensor{tensor.New(tensor.Float32, 4, 3)}, Y: []*tensor.Tensor{tensor.Of([]int64{0, 1, 1, 0})}}
	_, err := m.TrainOnBatch(ctx, good)
	require.NoError(t, err)
	state := func() string {
		vs, err := m.OptimizerVariables()
		require.NoError(t, err)
		s := ""
		for _, w := range m.Weights() {
			s += string(m.Value(w.Name).Bytes())
		}
		for _, v := range vs {
			s += string(v.Value.Bytes())
		}
		return s
	}
	before := state()
	f32 := func(vs ...float32) *tensor.Tensor {
		x, err := tensor.Of(vs).Reshape(1, 3)
		require.NoError(t, err)
		return x
	}
	one := tensor.Of([]int64{0})
	for _, c := range []struct {
		x, y    *tensor.Tensor
		want    []string
		targets bool // only where targets are looked at
	}{
		{f32(0, float32(math.NaN()), 0), one, []string{"batch 0", `input "x"`, "float32[N,3]", "element 1"}, false},
		{f32(0, 0, float32(math.Inf(-1))), one, []string{"batch 0", `input "x"`, "element 2"}, false},
		{tensor.New(tensor.Float32, 2, 5), tensor.Of([]int64{0, 1}), []string{"batch 0", `input "x"`, "[2 5]", "float32[N,3]"}, false},
		{tensor.New(tensor.Float32, 0, 3), tensor.New(tensor.Int64, 0), []string{"batch 0", "no samples", `"x"`}, false},
		{f32(1, 2, 3), tensor.Of([]int64{2}), []string{"batch 0", `target of output "y"`, "element 0 is 2", "[0, 2)", "[N,2]"}, true},
		{f32(1, 2, 3), tensor.Of([]float32{0.5}), []string{"batch 0", "element 0 is 0.5"}, true},
		{f32(3e38, 3e38, -3e38), one, []string{"batch 0", "the loss is NaN", `input "x"`, "float32[N,3]", "no weight was changed"}, true},
	} {
		b := data.Batch{X: []*tensor.Tensor{c.x}, Y: []*tensor.Tensor{c.y}}
		_, trainErr := m.TrainOnBatch(ctx, b)
		_, fitErr := m.Fit(ctx, data.Arrays{Batch: b}, train.FitOptions{})
		_, evalErr := m.Evaluate(ctx, data.Arrays{Batch: b}, train.EvaluateOptions{})
		_, predErr := m.Predict(ctx, data.Arrays{Batch: b}, train.EvaluateOptions{})
		errs := map[string]error{"TrainOnBatch": trainErr, "Fit": fitErr}
		nan := strings.Contains(strings.Join(c.want, " "), "the loss")
		if !nan { // a loss that is NaN is what evaluating such a model gives
			errs["Evaluate"] = evalErr
		}
		if !c.targets {
			errs["Predict"] = predErr
		}
		for what, err := range errs {
			require.Error(t, err, what)
			for _, w := range c.want {
				require.ErrorContains(t, err, w, what)
			}
		}
		require.Equal(t, before, state())
	}
	h, err := m.Fit(ctx, data.New(f32(3e38, 3e38, -3e38), one), train.FitOptions{Epochs: 3, Callbacks: []train.Callback{train.TerminateOnNaN{}}})
	require.NoError(t, err)
	require.Equal(t, []int{0}, h.Epoch)
	require.True(t, math.IsNaN(h.Last("loss")))
	require.Equal(t, before, state())
}

func strings4(t *testing.T) *tensor.Tensor {
	s, err := tensor.FromStrings(strings.Split("a b c d e f g h i j k l", " "), 4, 3)
	require.NoError(t, err)
	return s
}

func sparse(t testing.TB) loss.Loss {
	t.Helper()
	l, err := loss.New("sparse_categorical_crossentropy")
	require.NoError(t, err)
	return l
}

func TestCancelEndsAfterTheStep(t *testing.T) {
	m := newModel(t, mlp(t, 1, 0, 3, 4, 2), ref.New(), train.CompileOptions{Loss: "categorical_crossentropy"})
	ctx, cancel := context.WithCancel(context.Background())
	batches := 0
	_, err := m.Fit(ctx, xor(1, 320), train.FitOptions{Epochs: 5, Callbacks: []train.Callback{&train.Lambda{
		BatchEnd: func(f *train.Fit, batch int, _ train.Logs) error {
			if batches++; batches == 3 {
				cancel()
			}
			return nil
		}}}})
	require.True(t, errors.Is(err, context.Canceled))
	require.Equal(t, 3, batches)
}

func TestClassWeights(t *testing.T) {
	a := xor(1, 64)
	run := func(cw map[int]float64) []byte {
		m := newModel(t, mlp(t, 1, 0, 3, 4, 2), ref.New(), train.CompileOptions{Loss: "categorical_crossentropy"})
		_, err := m.Fit(context.Background(), a, train.FitOptions{ClassWeight: cw})
		require.NoError(t, err)
		return m.Value("dense_2/kernel").Bytes()
	}
	require.Equal(t, run(nil), run(map[int]float64{0: 1}))
	require.NotEqual(t, run(nil), run(map[int]float64{0: 5}))
}

func must(t *tensor.Tensor, err error) *tensor.Tensor {
	if err != nil {
		panic(err)
	}
	return t
}
