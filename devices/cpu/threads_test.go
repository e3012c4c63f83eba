package cpu_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// TestThreadsGiveTheSameBits holds that how work is cut for a number of threads does not show in results.
func TestThreadsGiveTheSameBits(t *testing.T) {
	six := func(b *netBuilder, v *graph.Value) *graph.Value { return b.Add(ops.Clip{}, v, b.Float(0), b.Float(6)) }
	silu := func(b *netBuilder, v *graph.Value) *graph.Value { return b.Add(ops.Mul{}, v, b.Add(ops.Sigmoid{}, v)) }
	// inverted is an inverted bottleneck with a factor for each channel.
	inverted := func(b *netBuilder, x *graph.Value, c, mid, out, k, s int) *graph.Value {
		y := silu(b, b.bn(b.conv(x, c, mid, 1, 1, 1), mid))
		y = silu(b, b.bn(b.conv(y, mid, mid, k, s, mid), mid))
		q := silu(b, b.conv(b.Add(ops.GlobalAveragePool{}, y), mid, 8, 1, 1, 1))
		q = b.Add(ops.Sigmoid{}, b.conv(q, 8, mid, 1, 1, 1))
		return b.bn(b.conv(b.Add(ops.Mul{}, q, y), mid, out, 1, 1, 1), out)
	}
	for name, c := range map[string]struct {
		c, h int
		net  func(b *netBuilder, x *graph.Value) *graph.Value
	}{
		"minimal filtering in blocks": {32, 40, func(b *netBuilder, x *graph.Value) *graph.Value {
			return b.Add(ops.Relu{}, b.conv(b.Add(ops.Relu{}, b.conv(x, 32, 32, 3, 1, 1)), 32, 48, 3, 1, 1))
		}},
		"stem and bands": {3, 97, func(b *netBuilder, x *graph.Value) *graph.Value {
			x = six(b, b.bn(b.conv(x, 3, 32, 3, 2, 1), 32))
			return inverted(b, inverted(b, x, 32, 96, 24, 3, 2), 24, 144, 40, 5, 2)
		}},
		"channels": {48, 14, func(b *netBuilder, x *graph.Value) *graph.Value {
			return inverted(b, inverted(b, x, 48, 240, 80, 5, 1), 80, 200, 64, 3, 2)
		}},
		"products": {96, 15, func(b *netBuilder, x *graph.Value) *graph.Value {
			x = b.conv(b.Add(ops.Relu{}, b.conv(x, 96, 160, 1, 1, 1)), 160, 176, 1, 2, 1)
			x = b.Add(ops.Flatten{Axis: 1}, b.Add(ops.MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, x))
			return b.Add(ops.MatMul{}, x, b.weights(-.01, .01, 176*16, 200))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &graph.Graph{}
			b := &netBuilder{graph.NewBuilder(g), rand.New(rand.NewPCG(1, 2))}
			b.Output(c.net(b, b.Input("x", graph.TensorOf(tensor.Float32, graph.Dims(1, c.c, c.h, c.h)...))))
			require.NoError(t, b.Err())
			in := tensor.New(tensor.Float32, 1, c.c, c.h, c.h)
			for i := range tensor.As[float32](in) {
				tensor.As[float32](in)[i] = float32(b.r.NormFloat64())
			}
			var want []float32
			for _, threads := range []int{1, 2, 3, 5} {
				d, err := cpu.New(cpu.Options{Threads: threads})
				require.NoError(t, err)
				defer d.Close()
				p, err := runtime.Compile(g, d, runtime.Options{})
				require.NoError(t, err)
				s, err := p.NewSession()
				require.NoError(t, err)
				out, err := s.RunValues(context.Background(), []tensor.Value{in})
				require.NoError(t, err)
				got := tensor.As[float32](out[0].(*tensor.Tensor))
				if want == nil {
					want = append([]float32(nil), got...)
				}
				require.Equal(t, want, got, "%d threads", threads)
			}
		})
	}
}
