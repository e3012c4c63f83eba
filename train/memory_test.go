package train_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// stepModel is a model with a batch for it.
type stepModel struct {
	name      string
	optimizer string
	build     func() *layers.Model
	input     []int // a sample
	words     int   // inputs are numbers below it; 0: pixels
	batch     int
}

func inputOf(shape ...int) *layers.InputLayer {
	return &layers.InputLayer{Base: layers.Named("x"), BatchShape: append([]int{-1}, shape...)}
}

var stepModels = []stepModel{
	{"mlp", "adam", func() *layers.Model {
		return layers.NewSequential("m", inputOf(200), &layers.Dense{Units: 256, Activation: "relu"}, &layers.Dropout{Rate: 0.2},
			&layers.Dense{Units: 64, Activation: "tanh"}, &layers.Dense{Units: 4, Activation: "softmax"})
	}, []int{200}, 0, 48},
	{"convnet", "sgd", func() *layers.Model {
		return layers.NewSequential("m", inputOf(20, 20, 3), &layers.Conv2D{Filters: 16, KernelSize: []int{3, 3}, Activation: "relu"},
			&layers.BatchNormalization{}, &layers.Conv2D{Filters: 32, KernelSize: []int{3, 3}, Padding: "same"}, &layers.BatchNormalization{}, &layers.ReLU{},
			&layers.MaxPooling2D{}, &layers.Conv2D{Filters: 32, KernelSize: []int{3, 3}, Activation: "relu"},
			&layers.GlobalAveragePooling2D{}, &layers.Dense{Units: 4, Activation: "softmax"})
	}, []int{20, 20, 3}, 0, 64},
	{"lstm", "adam", func() *layers.Model {
		return layers.NewSequential("m", inputOf(20), &layers.Embedding{InputDim: 500, OutputDim: 24}, &layers.LSTM{Units: 40},
			&layers.Dense{Units: 4, Activation: "softmax"})
	}, []int{20}, 500, 24},
	{"gru", "rmsprop", func() *layers.Model {
		return layers.NewSequential("m", inputOf(20), &layers.Embedding{InputDim: 500, OutputDim: 24}, &layers.GRU{Units: 40},
			&layers.Dense{Units: 4, Activation: "softmax"})
	}, []int{20}, 500, 24},
}

func (s stepModel) model(t *testing.T, threads int) (*train.Model, data.Batch) {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: threads})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dev.Close()) })
	m, err := train.FromLayers(s.build(), dev, 7)
	require.NoError(t, err)
	o, err := optim.New(s.optimizer)
	require.NoError(t, err)
	require.NoError(t, m.Compile(train.CompileOptions{Optimizer: o, Loss: "sparse_categorical_crossentropy", Seed: 3}))
	rng := philox.New(11)
	x, y := tensor.New(tensor.Float32, append([]int{s.batch}, s.input...)...), tensor.New(tensor.Int64, s.batch)
	for i := range tensor.As[float32](x) {
		v := rng.Float64()
		if s.words > 0 {
			v = float64(int(v * float64(s.words)))
		}
		tensor.As[float32](x)[i] = float32(v)
	}
	for i := range tensor.As[int64](y) {
		tensor.As[int64](y)[i] = int64(rng.Float64() * 4)
	}
	return m, data.Batch{X: []*tensor.Tensor{x}, Y: []*tensor.Tensor{y}}
}

// The planned peak of a training step is at most one and a half times what must live.
func TestMemoryOfAStep(t *testing.T) {
	for _, s := range stepModels {
		t.Run(s.name, func(t *testing.T) {
			m, b := s.model(t, 2)
			mem, err := m.Memory(b)
			require.NoError(t, err)
			require.Positive(t, mem.Parameters)
			require.Positive(t, mem.Activations)
			require.LessOrEqual(t, mem.Gradients, mem.Parameters)
			require.LessOrEqual(t, mem.Ratio(), 1.5, "%+v", mem)
			var buf bytes.Buffer
			require.NoError(t, mem.Write(&buf))
			require.Contains(t, buf.String(), "peak / must live")
		})
	}
}

// Weights after some steps are the same bits for any number of threads.
func TestStepsForAnyNumberOfThreads(t *testing.T) {
	for _, s := range stepModels {
		t.Run(s.name, func(t *testing.T) {
			var want map[string][]byte
			for threads := 1; threads <= 3; threads++ {
				m, b := s.model(t, threads)
				for range 3 {
					_, err := m.TrainOnBatch(context.Background(), b)
					require.NoError(t, err)
				}
				got := map[string][]byte{}
				for _, w := range m.Weights() {
					got[w.Name] = m.Value(w.Name).Bytes()
				}
				if want == nil {
					want = got
				}
				for name := range want {
					require.True(t, bytes.Equal(want[name], got[name]), "%s with %d threads", name, threads)
				}
			}
		})
	}
}
