package cpu_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// netBuilder makes convolutional nets as exporters write them.
type netBuilder struct {
	*graph.Builder
	r *rand.Rand
}

func (b *netBuilder) weights(lo, hi float64, shape ...int) *graph.Value {
	t := tensor.New(tensor.Float32, shape...)
	for i := range tensor.As[float32](t) {
		tensor.As[float32](t)[i] = float32(lo + (hi-lo)*b.r.Float64())
	}
	return b.Const("w", t)
}

func (b *netBuilder) conv(x *graph.Value, cin, cout, k, s, group int) *graph.Value {
	lim := 1.5 / float64(k*k*cin/group)
	return b.Add(ops.Conv{Strides: []int{s, s}, Pads: []int{k / 2, k / 2, k / 2, k / 2}, Group: group},
		x, b.weights(-lim, lim, cout, cin/group, k, k))
}

func (b *netBuilder) bn(x *graph.Value, c int) *graph.Value {
	return b.Add(ops.BatchNormalization{Epsilon: 1e-5}, x, b.weights(0.8, 1.2, c), b.weights(-.1, .1, c), b.weights(-.1, .1, c), b.weights(0.8, 1.2, c))
}

// nets are small relatives of the usual architectures.
func nets() map[string]func(b *netBuilder, x *graph.Value) *graph.Value {
	return map[string]func(b *netBuilder, x *graph.Value) *graph.Value{
		"resnet": func(b *netBuilder, x *graph.Value) *graph.Value {
			x = b.Add(ops.Relu{}, b.bn(b.conv(x, 3, 16, 7, 2, 1), 16))
			x = b.Add(ops.MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}, x)
			y := b.bn(b.conv(b.Add(ops.Relu{}, b.bn(b.conv(x, 16, 16, 3, 1, 1), 16)), 16, 32, 1, 1, 1), 32)
			x = b.Add(ops.Relu{}, b.Add(ops.Add{}, y, b.bn(b.conv(x, 16, 32, 1, 1, 1), 32)))
			return b.Add(ops.Flatten{Axis: 1}, b.Add(ops.GlobalAveragePool{}, x))
		},
		"mobilenet": func(b *netBuilder, x *graph.Value) *graph.Value {
			six := func(v *graph.Value) *graph.Value { return b.Add(ops.Clip{}, v, b.Float(0), b.Float(6)) }
			x = six(b.bn(b.conv(x, 3, 8, 3, 2, 1), 8))
			y := six(b.bn(b.conv(x, 8, 24, 1, 1, 1), 24))
			y = six(b.bn(b.conv(y, 24, 24, 3, 1, 24), 24))
			x = b.Add(ops.Add{}, x, b.bn(b.conv(y, 24, 8, 1, 1, 1), 8))
			return b.Add(ops.Flatten{Axis: 1}, x)
		},
		"efficientnet": func(b *netBuilder, x *graph.Value) *graph.Value {
			silu := func(v *graph.Value) *graph.Value { return b.Add(ops.Mul{}, v, b.Add(ops.Sigmoid{}, v)) }
			x = silu(b.bn(b.conv(x, 3, 16, 3, 2, 1), 16))
			y := silu(b.bn(b.conv(x, 16, 16, 5, 1, 16), 16))
			q := silu(b.conv(b.Add(ops.GlobalAveragePool{}, y), 16, 4, 1, 1, 1))
			q = b.Add(ops.Sigmoid{}, b.conv(q, 4, 16, 1, 1, 1))
			return b.Add(ops.Add{}, b.bn(b.conv(b.Add(ops.Mul{}, q, y), 16, 16, 1, 1, 1), 16), x)
		},
		"squeezenet": func(b *netBuilder, x *graph.Value) *graph.Value {
			fire := func(x *graph.Value, c, s, e int) *graph.Value {
				x = b.Add(ops.Relu{}, b.bn(b.conv(x, c, s, 1, 1, 1), s))
				return b.Add(ops.Concat{Axis: 1}, b.Add(ops.Relu{}, b.conv(x, s, e, 1, 1, 1)), b.Add(ops.Relu{}, b.conv(x, s, e, 3, 1, 1)))
			}
			x = fire(fire(b.conv(x, 3, 16, 3, 2, 1), 16, 4, 16), 32, 4, 16)
			x = b.Add(ops.MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}}, x)
			return b.Add(ops.GlobalAveragePool{}, fire(x, 32, 6, 8))
		},
		"densenet": func(b *netBuilder, x *graph.Value) *graph.Value {
			x = b.conv(x, 3, 16, 3, 1, 1)
			y := b.conv(b.Add(ops.Relu{}, b.bn(x, 16)), 16, 8, 3, 1, 1)
			x = b.Add(ops.Relu{}, b.bn(b.Add(ops.Concat{Axis: 1}, x, y), 24))
			return b.Add(ops.AveragePool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, x)
		},
	}
}

// TestFusion holds that fused, channels-last programs compute what the plain ones do, and that no transposition
// is left between convolutions.
func TestFusion(t *testing.T) {
	d, err := cpu.New(cpu.Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	for name, net := range nets() {
		t.Run(name, func(t *testing.T) {
			g := &graph.Graph{}
			b := &netBuilder{graph.NewBuilder(g), rand.New(rand.NewPCG(1, 2))}
			x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(3), graph.D(33), graph.D(37)))
			y := net(b, x)
			b.Rename(y, "y")
			b.Output(y)
			require.NoError(t, b.Err())
			in := tensor.New(tensor.Float32, 2, 3, 33, 37)
			for i := range tensor.As[float32](in) {
				tensor.As[float32](in)[i] = float32(b.r.NormFloat64())
			}
			var outs []*tensor.Tensor
			for _, opt := range []runtime.Options{{NoFusion: true}, {}, {Exact: true}} {
				p, err := runtime.Compile(g, d, opt)
				require.NoError(t, err)
				s, err := p.NewSession()
				require.NoError(t, err)
				var prof runtime.Profile
				s.SetProfile(&prof)
				out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"x": in})
				require.NoError(t, err)
				outs = append(outs, out["y"])
				if opt == (runtime.Options{}) {
					requireLean(t, &prof)
				}
			}
			for _, got := range outs[1:] {
				require.Equal(t, outs[0].Shape(), got.Shape())
				for i, w := range tensor.As[float32](outs[0]) {
					require.InDelta(t, w, tensor.As[float32](got)[i], 2e-4)
				}
			}
		})
	}
}

func requireLean(t *testing.T, p *runtime.Profile) {
	t.Helper()
	transposes, concats := 0, 0
	for _, s := range p.Steps {
		if s.Op == "Transpose" {
			transposes++
		}
		if s.Op == "Concat" {
			concats++
		}
		require.NotContains(t, []string{"Conv", "BatchNormalization", "Sigmoid", "Relu", "Clip"}, s.Op)
		require.False(t, strings.HasPrefix(s.Kernel, "ref/"), s.Op)
	}
	require.LessOrEqual(t, transposes, 2)
	require.LessOrEqual(t, concats, 1)
}

// TestNoAllocations holds that a run into the caller's memory allocates nothing.
func TestNoAllocations(t *testing.T) {
	d, err := cpu.New(cpu.Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	for name, net := range nets() {
		g := &graph.Graph{}
		b := &netBuilder{graph.NewBuilder(g), rand.New(rand.NewPCG(1, 2))}
		b.Output(net(b, b.Input("x", graph.TensorOf(tensor.Float32, graph.D(1), graph.D(3), graph.D(32), graph.D(32)))))
		require.NoError(t, b.Err())
		p, err := runtime.Compile(g, d, runtime.Options{})
		require.NoError(t, err)
		s, err := p.NewSession()
		require.NoError(t, err)
		in := []tensor.Value{tensor.New(tensor.Float32, 1, 3, 32, 32)}
		out, err := s.RunValues(context.Background(), in)
		require.NoError(t, err)
		ctx := context.Background()
		n := testing.AllocsPerRun(20, func() {
			if err := s.RunInto(ctx, in, out); err != nil {
				panic(err)
			}
		})
		require.Zero(t, n, name)
	}
}

// TestExact holds that a program compiled exactly takes no minimal filtering, on a device that would.
func TestExact(t *testing.T) {
	g := &graph.Graph{}
	b := &netBuilder{graph.NewBuilder(g), rand.New(rand.NewPCG(1, 2))}
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Dims(1, 64, 32, 32)...))
	b.Output(b.conv(x, 64, 64, 3, 1, 1))
	require.NoError(t, b.Err())
	in := tensor.New(tensor.Float32, 1, 64, 32, 32)
	for i := range tensor.As[float32](in) {
		tensor.As[float32](in)[i] = float32(b.r.NormFloat64())
	}
	run := func(exactDevice, exactProgram bool) []float32 {
		d, err := cpu.New(cpu.Options{Exact: exactDevice})
		require.NoError(t, err)
		defer d.Close()
		p, err := runtime.Compile(g, d, runtime.Options{Exact: exactProgram})
		require.NoError(t, err)
		s, err := p.NewSession()
		require.NoError(t, err)
		out, err := s.RunValues(context.Background(), []tensor.Value{in})
		require.NoError(t, err)
		return tensor.As[float32](out[0].(*tensor.Tensor))
	}
	plain := run(true, true)
	require.Equal(t, plain, run(false, true))
	require.Equal(t, plain, run(true, false))
	if d, _ := cpu.New(cpu.Options{}); d.Level() != "generic" {
		require.NotEqual(t, plain, run(false, false), "minimal filtering would have been taken")
	}
}
