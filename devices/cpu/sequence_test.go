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

// sequenceNets is attention in the ways that it is written in: each takes (N, 10, 24) and gives (N, 10, 24) or the heads of it.
func sequenceNets() map[string]func(b *netBuilder, x *graph.Value) *graph.Value {
	heads := func(b *netBuilder, x *graph.Value) *graph.Value {
		return b.Add(ops.Reshape{}, b.Add(ops.MatMul{}, x, b.weights(-.3, .3, 24, 24)), b.Ints(0, 0, 3, 8))
	}
	swap := func(b *netBuilder, x *graph.Value, perm ...int) *graph.Value {
		return b.Add(ops.Transpose{Perm: perm}, x)
	}
	mask := func(b *netBuilder) *graph.Value { return b.weights(-3, 0, 1, 1, 1, 10) }
	return map[string]func(b *netBuilder, x *graph.Value) *graph.Value{
		"pytorch": func(b *netBuilder, x *graph.Value) *graph.Value {
			s := b.Add(ops.MatMul{}, swap(b, heads(b, x), 0, 2, 1, 3), swap(b, heads(b, x), 0, 2, 3, 1))
			p := b.Add(ops.Softmax{Axis: -1}, b.Add(ops.Add{}, b.Add(ops.Div{}, s, b.Float(2.8)), mask(b)))
			return b.Add(ops.Reshape{}, swap(b, b.Add(ops.MatMul{}, p, swap(b, heads(b, x), 0, 2, 1, 3)), 0, 2, 1, 3), b.Ints(0, 0, -1))
		},
		"plain": func(b *netBuilder, x *graph.Value) *graph.Value {
			q, k, v := swap(b, heads(b, x), 0, 2, 1, 3), swap(b, heads(b, x), 0, 2, 1, 3), swap(b, heads(b, x), 0, 2, 1, 3)
			p := b.Add(ops.Softmax{Axis: 3}, b.Add(ops.Mul{}, b.Float(0.3), b.Add(ops.MatMul{}, q, swap(b, k, 0, 1, 3, 2))))
			return b.Add(ops.MatMul{}, p, v)
		},
		"keras": func(b *netBuilder, x *graph.Value) *graph.Value {
			q := b.Add(ops.Mul{}, heads(b, x), b.Float(0.35))
			s := b.Add(ops.Einsum{Equation: "aecd,abcd->acbe"}, heads(b, x), q)
			p := b.Add(ops.Softmax{Axis: -1}, b.Add(ops.Add{}, mask(b), s))
			return b.Add(ops.Einsum{Equation: "acbe,aecd->abcd"}, p, heads(b, x))
		},
		"onnx": func(b *netBuilder, x *graph.Value) *graph.Value {
			in := []*graph.Value{x}
			for range 3 {
				in = append(in, b.Add(ops.MatMul{}, x, b.weights(-.3, .3, 24, 24)))
			}
			return b.AddN(ops.Attention{QNumHeads: 6, KVNumHeads: 6, IsCausal: true, LeftWindowSize: -1, RightWindowSize: -1}, in[1:]...)[0]
		},
	}
}

// TestAttentionFusion holds that attention runs as one operator, to the results of the plain program.
func TestAttentionFusion(t *testing.T) {
	d, err := cpu.New(cpu.Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	for name, net := range sequenceNets() {
		g := &graph.Graph{}
		b := &netBuilder{graph.NewBuilder(g), rand.New(rand.NewPCG(1, 3))}
		y := net(b, b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(10), graph.D(24))))
		b.Rename(y, "y")
		b.Output(y)
		require.NoError(t, b.Err())
		in := tensor.New(tensor.Float32, 2, 10, 24)
		for i := range tensor.As[float32](in) {
			tensor.As[float32](in)[i] = float32(b.r.NormFloat64())
		}
		var outs []*tensor.Tensor
		var prof runtime.Profile
		for _, opt := range []runtime.Options{{NoFusion: true}, {}} {
			p, err := runtime.Compile(g, d, opt)
			require.NoError(t, err)
			s, err := p.NewSession()
			require.NoError(t, err)
			prof = runtime.Profile{}
			s.SetProfile(&prof)
			out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"x": in})
			require.NoError(t, err, name)
			outs = append(outs, out["y"])
		}
		found := false
		for _, s := range prof.Steps {
			found = found || s.Op == "FusedAttention"
			require.NotContains(t, []string{"Softmax", "Einsum", "Transpose"}, s.Op, name)
		}
		require.True(t, found, name)
		require.Equal(t, outs[0].Shape(), outs[1].Shape())
		for i, w := range tensor.As[float32](outs[0]) {
			require.InDelta(t, w, tensor.As[float32](outs[1])[i], 2e-5, name)
		}
	}
}

// TestSpelled holds that operators without a kernel here run as what they are made of, not on the reference's kernels.
func TestSpelled(t *testing.T) {
	d, err := cpu.New(cpu.Options{Threads: 1})
	require.NoError(t, err)
	defer d.Close()
	for name, net := range map[string]func(b *netBuilder, x *graph.Value) *graph.Value{
		"Einsum": func(b *netBuilder, x *graph.Value) *graph.Value {
			return b.Add(ops.Einsum{Equation: "abc,cde->abde"}, x, b.weights(-1, 1, 8, 2, 5))
		},
		"LpNormalization": func(b *netBuilder, x *graph.Value) *graph.Value { return b.Add(ops.LpNormalization{Axis: -1, P: 2}, x) },
	} {
		g := &graph.Graph{}
		b := &netBuilder{graph.NewBuilder(g), rand.New(rand.NewPCG(1, 4))}
		y := net(b, b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(4), graph.D(8))))
		b.Rename(y, "y")
		b.Output(y)
		require.NoError(t, b.Err(), name)
		in := tensor.New(tensor.Float32, 2, 4, 8)
		for i := range tensor.As[float32](in) {
			tensor.As[float32](in)[i] = float32(b.r.NormFloat64())
		}
		var outs [2]*tensor.Tensor
		for i := range outs {
			p, err := runtime.Compile(g, d, runtime.Options{NoFusion: i == 0})
			require.NoError(t, err)
			s, err := p.NewSession()
			require.NoError(t, err)
			var prof runtime.Profile
			s.SetProfile(&prof)
			out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"x": in})
			require.NoError(t, err)
			outs[i] = out["y"]
			for _, st := range prof.Steps {
				require.Equal(t, i == 0 && st.Op == name, st.Op == name, "%s: %s", name, st.Op)
			}
		}
		require.Equal(t, outs[0].Shape(), outs[1].Shape(), name)
		for i, w := range tensor.As[float32](outs[0]) {
			require.InDelta(t, w, tensor.As[float32](outs[1])[i], 1e-5, name)
		}
	}
}
