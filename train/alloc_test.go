package train

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// A training step on a batch like the one before allocates nothing but its outputs.
func TestStepAllocatesNothing(t *testing.T) {
	for _, c := range []struct {
		optimizer string
		layers    []layers.Layer
		shape     []int
	}{
		{"adam", []layers.Layer{&layers.Conv2D{Filters: 12, KernelSize: []int{3, 3}, Activation: "relu"}, &layers.MaxPooling2D{},
			&layers.BatchNormalization{}, &layers.Dropout{Rate: 0.3}, &layers.Flatten{}, &layers.Dense{Units: 3, Activation: "softmax"}}, []int{10, 10, 2}},
		{"sgd", []layers.Layer{&layers.LSTM{Units: 9}, &layers.LayerNormalization{}, &layers.Dense{Units: 3, Activation: "softmax"}}, []int{7, 5}},
	} {
		t.Run(c.optimizer, func(t *testing.T) {
			dev, err := cpu.New(cpu.Options{Threads: 2})
			require.NoError(t, err)
			defer dev.Close()
			in := &layers.InputLayer{Base: layers.Named("x"), BatchShape: append([]int{-1}, c.shape...)}
			m, err := FromLayers(layers.NewSequential("m", append([]layers.Layer{in}, c.layers...)...), dev, 1)
			require.NoError(t, err)
			o, err := optim.New(c.optimizer)
			require.NoError(t, err)
			require.NoError(t, m.Compile(CompileOptions{Optimizer: o, Loss: "sparse_categorical_crossentropy"}))
			x := tensor.New(tensor.Float32, append([]int{4}, c.shape...)...)
			for i := range tensor.As[float32](x) {
				tensor.As[float32](x)[i] = float32(i%7) - 3
			}
			p, feed, err := m.stepFor(data.Batch{X: []*tensor.Tensor{x}, Y: []*tensor.Tensor{tensor.Of([]int64{0, 1, 2, 1})}})
			require.NoError(t, err)
			ctx := context.Background()
			out, err := p.sess.RunValues(ctx, feed)
			require.NoError(t, err)
			require.Zero(t, testing.AllocsPerRun(20, func() {
				if err := p.sess.RunInto(ctx, feed, out); err != nil {
					panic(err)
				}
			}))
		})
	}
}
