package train_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// convnetFile is an ONNX file of a small convolutional network with normalization, channels first as all of ONNX.
func convnetFile(t *testing.T) []byte {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	rng := philox.New(3)
	vec := func(name string, n int, v float32) *graph.Value {
		p := tensor.New(tensor.Float32, n)
		for i := range n {
			tensor.As[float32](p)[i] = v
		}
		return b.Param(name, p)
	}
	x := b.Input("picture", graph.TensorOf(tensor.Float32, append([]graph.Dim{graph.Sym("N")}, graph.Dims(1, 12, 12)...)...))
	y := b.Add(ops.Conv{Pads: []int{1, 1, 1, 1}}, x, b.Param("stem.weight", uniformTensor(rng, 0.5, 8, 1, 3, 3)), vec("stem.bias", 8, 0))
	y = b.Add(ops.BatchNormalization{Epsilon: 1e-3, Momentum: 0.9}, y, vec("norm.weight", 8, 1), vec("norm.bias", 8, 0), vec("norm.running_mean", 8, 0), vec("norm.running_var", 8, 1))
	y = b.Add(ops.MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, b.Add(ops.Relu{}, y))
	y = b.Add(ops.Relu{}, b.Add(ops.Conv{}, y, b.Param("body.weight", uniformTensor(rng, 0.2, 12, 8, 3, 3)), vec("body.bias", 12, 0)))
	y = b.Add(ops.Flatten{Axis: 1}, b.Add(ops.GlobalAveragePool{}, y))
	y = b.Add(ops.Gemm{TransB: true, Alpha: 1, Beta: 1}, y, b.Param("head.weight", uniformTensor(rng, 0.5, 2, 12)), vec("head.bias", 2, 0))
	y = b.Add(ops.Softmax{Axis: -1}, y)
	b.Rename(y, "classes")
	b.Output(y)
	require.NoError(t, b.Err())
	var file bytes.Buffer
	require.NoError(t, onnx.Write(&file, g, onnx.WriteOptions{}))
	return file.Bytes()
}

// stripes is pictures of horizontal and vertical stripes, with noise.
func stripes(n int) data.Arrays {
	rng := philox.New(9)
	x, y := tensor.New(tensor.Float32, n, 1, 12, 12), tensor.New(tensor.Int64, n)
	for i := range n {
		class, phase := i%2, rng.IntN(3)
		tensor.As[int64](y)[i] = int64(class)
		for k := range 144 {
			at := []int{k / 12, k % 12}[class]
			v := float32(0)
			if (at+phase)%3 == 0 {
				v = 1
			}
			tensor.As[float32](x)[i*144+k] = v + float32(rng.Norm()*0.3)
		}
	}
	return data.New(x, y)
}

// A network from an ONNX file trains what patterns name, goes back to ONNX, and comes back with the same numbers.
func TestONNXConvnetTrains(t *testing.T) {
	ctx := context.Background()
	g, err := onnx.ReadBytes(convnetFile(t), onnx.Options{})
	require.NoError(t, err)
	dev, err := cpu.New(cpu.Options{Threads: 2})
	require.NoError(t, err)
	defer dev.Close()
	m, err := train.NewModel(g, dev, train.Info{})
	require.NoError(t, err)
	require.Equal(t, 10, m.SetTrainable("*", false))
	require.Equal(t, 2, m.SetTrainable("body.*", true))
	require.Equal(t, 2, m.SetTrainable("head.*", true))
	require.Equal(t, 2, m.SetTrainable("norm.[wb]*", true))
	o, err := optim.New("adam")
	require.NoError(t, err)
	o.(*optim.Adam).LearningRate.Value = 0.01
	o.(*optim.Adam).Factors = []optim.Factor{{Pattern: "body.*", By: 0.5}}
	require.NoError(t, m.Compile(train.CompileOptions{Optimizer: o, Loss: "sparse_categorical_crossentropy", Metrics: [][]any{{"accuracy"}}, Seed: 1}))
	before := map[string]*tensor.Tensor{}
	for _, w := range m.Weights() {
		before[w.Name] = m.Value(w.Name)
	}
	set := stripes(96)
	h, err := m.Fit(ctx, set, train.FitOptions{BatchSize: 16, Epochs: 12})
	require.NoError(t, err)
	losses := h.Values["loss"]
	require.Less(t, losses[len(losses)-1], losses[0]/2)
	for name, old := range before {
		same := bytes.Equal(old.Bytes(), m.Value(name).Bytes())
		require.Equal(t, name == "stem.weight" || name == "stem.bias", same, "%s after training", name)
	}
	logs, err := m.Evaluate(ctx, stripes(40), train.EvaluateOptions{BatchSize: 8})
	require.NoError(t, err)
	acc, _ := logs.Get("accuracy")
	require.Greater(t, acc, 0.9)

	var file bytes.Buffer
	require.NoError(t, onnx.Write(&file, m.Graph(), onnx.WriteOptions{}))
	again, err := onnx.ReadBytes(file.Bytes(), onnx.Options{})
	require.NoError(t, err)
	m2, err := train.NewModel(again, dev, train.Info{})
	require.NoError(t, err)
	for name := range before {
		require.True(t, bytes.Equal(m.Value(name).Bytes(), m2.Value(name).Bytes()), name)
	}
	x := set.X[0]
	want, err := m.PredictOnBatch(ctx, x)
	require.NoError(t, err)
	got, err := m2.PredictOnBatch(ctx, x)
	require.NoError(t, err)
	require.NoError(t, optest.Difference(got[0], want[0], optest.Tolerance{}))
}
