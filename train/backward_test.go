package train_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// uniformTensor is random numbers in [-scale, scale).
func uniformTensor(rng *philox.Stream, scale float64, shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.As[float32](t) {
		tensor.As[float32](t)[i] = float32((rng.Float64()*2 - 1) * scale)
	}
	return t
}

// pools is convolutions with Relu, pools whose windows overlap and hang over the edge, and a dense layer.
func pools(t *testing.T, f ops.Format) (*graph.Graph, data.Batch) {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	rng := philox.New(5)
	shape := func(c, h, w int) []int {
		if f == ops.NHWC {
			return []int{h, w, c}
		}
		return []int{c, h, w}
	}
	conv := func(name string, x *graph.Value, c, oc int, op ops.Conv) *graph.Value {
		op.Format = f
		k := []int{oc, c, 3, 3}
		if f == ops.NHWC {
			k = []int{3, 3, c, oc}
		}
		return b.Add(ops.Relu{}, b.Add(op, x, b.Param(name+".w", uniformTensor(rng, 0.3, k...)), b.Param(name+".b", uniformTensor(rng, 0.1, oc))))
	}
	dims := []graph.Dim{graph.Sym("N")}
	dims = append(dims, graph.Dims(shape(2, 31, 33)...)...)
	x := b.Input("x", graph.TensorOf(tensor.Float32, dims...))
	y := conv("c1", x, 2, 12, ops.Conv{})
	y = b.Add(ops.MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}, Format: f}, y)
	y = conv("c2", y, 12, 20, ops.Conv{Pads: []int{1, 1, 1, 1}})
	y = b.Add(ops.MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}, Format: f}, y)
	y = conv("c3", y, 20, 8, ops.Conv{Strides: []int{2, 2}})
	y = b.Add(ops.AveragePool{KernelShape: []int{2, 2}, Strides: []int{1, 1}, Pads: []int{0, 0, 1, 1}, Format: f}, y)
	y = b.Add(ops.Flatten{Axis: 1}, y)
	y = b.Add(ops.MatMul{}, y, b.Param("d", uniformTensor(rng, 0.2, 8*3*3, 3)))
	b.Output(y)
	require.NoError(t, b.Err())
	batch := data.Batch{X: []*tensor.Tensor{uniformTensor(rng, 1, append([]int{5}, shape(2, 31, 33)...)...)}, Y: []*tensor.Tensor{uniformTensor(rng, 1, 5, 3)}}
	return g, batch
}

// Weights after some steps on the fast device are those of the reference.
func TestConvnetStepsLikeReference(t *testing.T) {
	for _, f := range []ops.Format{ops.NHWC, ops.NCHW} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			fast, err := cpu.New(cpu.Options{Threads: 2})
			require.NoError(t, err)
			defer fast.Close()
			var models []*train.Model
			for _, dev := range []devices.Device{ref.New(), fast} {
				g, batch := pools(t, f)
				o, err := optim.New("sgd")
				require.NoError(t, err)
				m := newModel(t, g, dev, train.CompileOptions{Optimizer: o, Loss: "mse"})
				for range 3 {
					_, err := m.TrainOnBatch(context.Background(), batch)
					require.NoError(t, err)
				}
				models = append(models, m)
				if dev == devices.Device(fast) { // no step runs on the reference's kernels
					var plan strings.Builder
					require.NoError(t, m.WritePlan(&plan, batch))
					require.Equal(t, 3, strings.Count(plan.String(), "FusedConv"), plan.String())
					require.Contains(t, plan.String(), " 0 of them with reference kernels")
				}
			}
			for _, w := range models[0].Weights() {
				require.NoError(t, optest.Difference(models[1].Value(w.Name), models[0].Value(w.Name), optest.Tolerance{Abs: 1e-5, Rel: 1e-4}), w.Name)
			}
		})
	}
}
