package autodiff_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
)

// gradient is a graph with its inputs, its result and the gradients of the result's sum.
type gradient struct {
	s    *runtime.Session
	y    string
	in   []string
	dx   []string
	feed map[string]*tensor.Tensor
}

// differentiate builds f of inputs with those shapes, and its gradient by all of them.
func differentiate(t *testing.T, f func(b *graph.Builder, x []*graph.Value) *graph.Value, shapes ...[]int) gradient {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	rng := philox.New(3)
	d := gradient{feed: map[string]*tensor.Tensor{}}
	var xs []*graph.Value
	for _, s := range shapes {
		v := b.Input("x", graph.TensorOf(tensor.Float32, graph.Dims(s...)...))
		x := tensor.New(tensor.Float32, s...)
		for k := range tensor.As[float32](x) {
			tensor.As[float32](x)[k] = float32(2*rng.Float64() - 1)
		}
		d.feed[v.Name] = x
		d.in = append(d.in, v.Name)
		xs = append(xs, v)
	}
	y := f(b, xs)
	dx, err := autodiff.Grad(b, []*graph.Value{y}, nil, xs)
	require.NoError(t, err)
	b.Output(y)
	d.y = y.Name
	for i, v := range dx {
		require.NotNil(t, v, "gradient %d", i)
		out := b.Add(ops.Identity{}, v)
		b.Output(out)
		d.dx = append(d.dx, out.Name)
	}
	require.NoError(t, b.Err())
	require.NoError(t, g.Verify())
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	d.s, err = p.NewSession()
	require.NoError(t, err)
	return d
}

func (d gradient) sum(t *testing.T) float64 {
	t.Helper()
	out, err := d.s.Run(context.Background(), d.feed)
	require.NoError(t, err)
	vs, err := out[d.y].Float64s()
	require.NoError(t, err)
	var s float64
	for _, v := range vs {
		s += v
	}
	return s
}

// check compares every element of every gradient with a central difference.
func (d gradient) check(t *testing.T) {
	t.Helper()
	out, err := d.s.Run(context.Background(), d.feed)
	require.NoError(t, err)
	for i, v := range d.in {
		got := tensor.As[float32](out[d.dx[i]])
		x := tensor.As[float32](d.feed[v])
		for k := range x {
			const h = 1e-2
			old := x[k]
			x[k] = old + h
			up := d.sum(t)
			x[k] = old - h
			down := d.sum(t)
			x[k] = old
			require.InDelta(t, (up-down)/(2*h), got[k], 2e-3, "%s[%d]", v, k)
		}
	}
}

// body is a graph of float32 inputs with those shapes.
func body(t *testing.T, f func(b *graph.Builder, in []*graph.Value) []*graph.Value, types ...graph.Type) *graph.Graph {
	t.Helper()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	var in []*graph.Value
	for _, ty := range types {
		in = append(in, b.Input("in", ty))
	}
	b.Output(f(b, in)...)
	require.NoError(t, b.Err())
	return g
}

func f32(dims ...int) graph.Type { return graph.TensorOf(tensor.Float32, graph.Dims(dims...)...) }

// rnn is a state that a matrix, captured, turns: s' = tanh(s·w + x), emitted too.
func rnn(t *testing.T) *graph.Graph {
	return body(t, func(b *graph.Builder, in []*graph.Value) []*graph.Value {
		s := b.Add(ops.Tanh{}, b.Add(ops.Add{}, b.Add(ops.MatMul{}, in[0], in[2]), in[1]))
		return []*graph.Value{s, b.Add(ops.Mul{}, s, s)}
	}, f32(2, 3), f32(2, 3), f32(3, 3))
}

func TestScan(t *testing.T) {
	for name, op := range map[string]ops.Scan{
		"forward":  {},
		"backward": {ScanInputDirections: []int{1}, ScanOutputDirections: []int{1}},
		"axis":     {ScanInputAxes: []int{1}, ScanOutputAxes: []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			op.Body, op.NumStates, op.NumScanInputs = rnn(t), 1, 1
			shape := []int{4, 2, 3}
			if len(op.ScanInputAxes) > 0 {
				shape = []int{2, 4, 3}
			}
			differentiate(t, func(b *graph.Builder, x []*graph.Value) *graph.Value {
				outs := b.AddN(op, x...)
				var all ops.ReduceSum
				return b.Add(ops.Add{}, b.Add(all, outs[0]), b.Add(all, outs[1]))
			}, []int{2, 3}, shape, []int{3, 3}).check(t)
		})
	}
}

func TestLoop(t *testing.T) {
	g := body(t, func(b *graph.Builder, in []*graph.Value) []*graph.Value {
		s := b.Add(ops.Tanh{}, b.Add(ops.Mul{}, in[2], in[3]))
		return []*graph.Value{in[1], s, b.Add(ops.Exp{}, s)}
	}, graph.TensorOf(tensor.Int64), graph.TensorOf(tensor.Bool), f32(3), f32(3))
	differentiate(t, func(b *graph.Builder, x []*graph.Value) *graph.Value {
		n, yes := b.Const("n", tensor.Scalar(int64(3))), b.Const("yes", tensor.Scalar(true))
		outs := b.AddN(ops.Loop{Body: g, NumCarried: 1}, n, yes, x[0], x[1])
		var all ops.ReduceSum
		return b.Add(ops.Add{}, b.Add(all, outs[0]), b.Add(all, outs[1]))
	}, []int{3}, []int{3}).check(t)
}

// A loop whose number of iterations the data decides.
func TestLoopUntil(t *testing.T) {
	g := body(t, func(b *graph.Builder, in []*graph.Value) []*graph.Value {
		s := b.Add(ops.Add{}, in[2], b.Add(ops.Mul{}, in[3], in[3]))
		var all ops.ReduceSum
		return []*graph.Value{b.Add(ops.Less{}, b.Add(all, s), b.Float(5)), s}
	}, graph.TensorOf(tensor.Int64), graph.TensorOf(tensor.Bool), f32(3), f32(3))
	differentiate(t, func(b *graph.Builder, x []*graph.Value) *graph.Value {
		yes := b.Const("yes", tensor.Scalar(true))
		return b.AddN(ops.Loop{Body: g, NumCarried: 1}, nil, yes, x[0], x[1])[0]
	}, []int{3}, []int{3}).check(t)
}

func TestIf(t *testing.T) {
	branch := func(op graph.Op) *graph.Graph {
		return body(t, func(b *graph.Builder, in []*graph.Value) []*graph.Value {
			return []*graph.Value{b.Add(op, b.Add(ops.Mul{}, in[0], in[1]))}
		}, f32(3), f32(3))
	}
	for _, limit := range []float32{-10, 10} {
		differentiate(t, func(b *graph.Builder, x []*graph.Value) *graph.Value {
			var all ops.ReduceSum
			cond := b.Add(ops.Greater{}, b.Add(all, x[0]), b.Float(limit))
			return b.Add(ops.If{Then: branch(ops.Tanh{}), Else: branch(ops.Exp{})}, cond, x[0], x[1])
		}, []int{3}, []int{3}).check(t)
	}
}

func TestUnusedIsZeroAndMissingIsNamed(t *testing.T) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x, z := b.Input("x", f32(3)), b.Input("z", f32(3))
	y := b.Add(ops.Tanh{}, x)
	dx, err := autodiff.Grad(b, []*graph.Value{y}, nil, []*graph.Value{x, z})
	require.NoError(t, err)
	require.NotNil(t, dx[0])
	require.Nil(t, dx[1])

	b.SetOrigin("the lookup")
	w := b.Add(noGradient{}, x)
	b.SetOrigin("another")
	w = b.Add(noGradient{}, w)
	_, err = autodiff.Grad(b, []*graph.Value{w}, nil, []*graph.Value{x})
	var missing *autodiff.ErrNoGradient
	require.True(t, errors.As(err, &missing))
	require.Len(t, missing.Nodes, 2)
	require.ErrorContains(t, err, `Opaque "the lookup", Opaque "another"`)
}

// noGradient is an operator that can't be differentiated.
type noGradient struct{}

func (noGradient) Name() string                                { return "Opaque" }
func (noGradient) Infer(in []graph.Type) ([]graph.Type, error) { return in[:1], nil }
