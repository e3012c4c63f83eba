package cpu_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// pointGraph is a random graph of elementwise operators, with data for its inputs. Where exact is set, all of them are
// rounded correctly, so that every device has to give the same bits.
func pointGraph(t *testing.T, r *rand.Rand, exact bool) (*graph.Graph, map[string]*tensor.Tensor) {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	shape := make([]int, r.IntN(5))
	for i, left := len(shape)-1, 8000; i >= 0; i-- {
		shape[i] = min(left, []int{1, 2, 3, 7, 16, 33, 130, 1100}[r.IntN(8)])
		left /= shape[i]
	}
	data := map[string]*tensor.Tensor{}
	input := func(kind tensor.DType) *graph.Value {
		s := append([]int{}, shape[r.IntN(len(shape)+1):]...)
		for i := range s {
			if r.IntN(4) == 0 {
				s[i] = 1
			}
		}
		if r.IntN(2) == 0 {
			s = shape
		}
		x := tensor.New(kind, s...)
		vs := make([]float64, x.Len())
		for i := range vs {
			vs[i] = []float64{r.NormFloat64(), r.NormFloat64() * 10, float64(r.IntN(3) - 1), math.Inf(1), math.NaN()}[min(r.IntN(64), 4)%5]
			if r.IntN(8) > 0 {
				vs[i] = r.NormFloat64()
			}
		}
		if kind == tensor.Bool {
			for i := range vs {
				vs[i] = float64(r.IntN(2))
			}
		}
		require.NoError(t, x.SetFloat64s(vs))
		if r.IntN(4) == 0 {
			return b.Const("c", x)
		}
		v := b.Input("x", graph.ConstOf(x).WithoutValue())
		data[v.Name] = x
		return v
	}
	floats := []*graph.Value{input(tensor.Float32), input(tensor.Float32), input(tensor.Float32)}
	bools := []*graph.Value{input(tensor.Bool), input(tensor.Bool)}
	f := func() *graph.Value { return floats[max(0, len(floats)-1-r.IntN(5))] }
	c := func() *graph.Value { return bools[max(0, len(bools)-1-r.IntN(3))] }
	unary := []graph.Op{ops.Relu{}, ops.Neg{}, ops.Abs{}, ops.Floor{}, ops.Ceil{}, ops.Round{}, ops.Sign{}, ops.Sqrt{}, ops.ThresholdedRelu{Alpha: 0.3}, ops.LeakyRelu{Alpha: 0.25}}
	if !exact { // and what tells zeros of different sign apart
		unary = append(unary, ops.Reciprocal{}, ops.Sigmoid{}, ops.Tanh{}, ops.Exp{}, ops.Log{}, ops.Elu{Alpha: 1.5}, ops.Selu{Alpha: 1.6, Gamma: 1.05}, ops.Celu{Alpha: 2}, ops.Softplus{},
			ops.Mish{}, ops.Swish{Alpha: 1}, ops.Swish{Alpha: 1.7}, ops.Gelu{}, ops.Gelu{Approximate: "tanh"}, ops.HardSwish{}, ops.HardSigmoid{Alpha: 0.2, Beta: 0.5},
			ops.Erf{}, ops.Rsqrt{}, ops.Expm1{}, ops.Log1p{}, ops.Sin{}, ops.Softsign{}, ops.Shrink{Lambd: 0.5, Bias: 0.1})
	}
	binary := []graph.Op{ops.Add{}, ops.Sub{}, ops.Mul{}, ops.Add{}, ops.Sub{}, ops.Mul{}, ops.Max{}, ops.Min{}}
	if !exact {
		binary = append(binary, ops.Pow{}, ops.Div{})
	}
	compare := []graph.Op{ops.Greater{}, ops.GreaterOrEqual{}, ops.Less{}, ops.LessOrEqual{}, ops.Equal{}}
	logic := []graph.Op{ops.And{}, ops.Or{}, ops.Xor{}}
	for range 3 + r.IntN(25) {
		switch r.IntN(10) {
		case 0, 1, 2:
			floats = append(floats, b.Add(unary[r.IntN(len(unary))], f()))
		case 3, 4, 5, 6:
			floats = append(floats, b.Add(binary[r.IntN(len(binary))], f(), f()))
		case 7:
			bools = append(bools, b.Add(compare[r.IntN(len(compare))], f(), f()))
			bools = append(bools, b.Add(logic[r.IntN(len(logic))], c(), c()), b.Add(ops.Not{}, c()))
		case 8:
			floats = append(floats, b.Add(ops.Where{}, c(), f(), f()), b.Add(ops.Clip{}, f(), b.Float(-1.5), nil))
		default:
			floats = append(floats, b.Add(ops.Cast{To: tensor.Float32, Saturate: true}, c()))
			bools = append(bools, b.Add(ops.Cast{To: tensor.Bool, Saturate: true}, f()), b.Add(ops.IsNaN{}, f()))
		}
		if r.IntN(6) == 0 { // a detour through something that is not elementwise
			floats = append(floats, b.Add(ops.ReduceMax{Keepdims: true}, f()))
		}
	}
	b.Output(floats[len(floats)-1])
	for range r.IntN(4) {
		b.Output(f(), c())
	}
	require.NoError(t, b.Err())
	return g, data
}

func runGraph(t *testing.T, dev devices.Device, g *graph.Graph, data map[string]*tensor.Tensor, opts runtime.Options) ([]tensor.Value, *runtime.Profile) {
	p, err := runtime.Compile(g, dev, opts)
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	var prof runtime.Profile
	s.SetProfile(&prof)
	var in []tensor.Value
	for _, v := range g.Inputs {
		in = append(in, data[v.Name])
	}
	out, err := s.RunValues(context.Background(), in)
	require.NoError(t, err, g.String())
	return out, &prof
}

// TestPointwiseGraphs holds that graphs of elementwise operators give the same bits fused and not, on one thread and on
// several, and those that the reference device gives where rounding leaves no choice.
func TestPointwiseGraphs(t *testing.T) {
	one, err := cpu.New(cpu.Options{Threads: 1})
	require.NoError(t, err)
	defer one.Close()
	many, err := cpu.New(cpu.Options{Threads: 3})
	require.NoError(t, err)
	defer many.Close()
	fused := 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		exact := seed%3 == 0
		g, data := pointGraph(t, r, exact)
		want, _ := runGraph(t, one, g, data, runtime.Options{NoFusion: true})
		for _, dev := range []devices.Device{one, many} {
			got, prof := runGraph(t, dev, g, data, runtime.Options{})
			requireSameBits(t, want, got, true, fmt.Sprintf("seed %d\n%v", seed, g))
			for _, s := range prof.Steps {
				if s.Op == "Pointwise" {
					fused++
					require.Contains(t, s.Kernel, "pointwise/", "seed %d", seed)
				}
			}
		}
		if exact {
			got, _ := runGraph(t, ref.New(), g, data, runtime.Options{})
			requireSameBits(t, want, got, false, fmt.Sprintf("reference, seed %d\n%v", seed, g))
		}
	}
	require.Greater(t, fused, 150)
}

// requireSameBits compares tensors bit for bit; one NaN is as good as another, and without zeros one zero as well.
func requireSameBits(t *testing.T, want, got []tensor.Value, zeros bool, what string) {
	t.Helper()
	require.Len(t, got, len(want))
	for k := range want {
		w, g := want[k].(*tensor.Tensor), got[k].(*tensor.Tensor)
		require.Equal(t, w.DType(), g.DType(), what)
		require.Equal(t, w.Shape(), g.Shape(), what)
		if w.DType() == tensor.Bool {
			require.Equal(t, w.Bytes(), g.Bytes(), "output %d, %s", k, what)
			continue
		}
		x, y := tensor.As[float32](w), tensor.As[float32](g)
		for i := range x {
			if math.Float32bits(x[i]) != math.Float32bits(y[i]) && (x[i] == x[i] || y[i] == y[i]) && (zeros || x[i] != y[i]) {
				t.Fatalf("output %d, element %d of %v: want %v, got %v, %s", k, i, w.Shape(), x[i], y[i], what)
			}
		}
	}
}

// adamStep is an optimizer's update of a parameter, whose results replace what they are made of.
func adamStep(b *graph.Builder, n int) {
	data := tensor.New(tensor.Float32, n)
	p, m, v := b.Param("p", data), b.Param("m", data.Clone()), b.Param("v", data.Clone())
	g := b.Input("g", graph.TensorOf(tensor.Float32, graph.D(n)))
	lr := b.Input("lr", graph.TensorOf(tensor.Float32))
	m1 := b.Add(ops.Add{}, b.Add(ops.Mul{}, m, b.Float(0.9)), b.Add(ops.Mul{}, g, b.Float(0.1)))
	v1 := b.Add(ops.Add{}, b.Add(ops.Mul{}, v, b.Float(0.99)), b.Add(ops.Mul{}, b.Add(ops.Mul{}, g, g), b.Float(0.01)))
	step := b.Add(ops.Div{}, b.Add(ops.Mul{}, lr, m1), b.Add(ops.Add{}, b.Add(ops.Sqrt{}, v1), b.Float(1e-7)))
	p1 := b.Add(ops.Sub{}, p, step)
	gr := b.Graph()
	for _, u := range [][2]*graph.Value{{p, p1}, {m, m1}, {v, v1}} {
		gr.Updates = append(gr.Updates, graph.Update{Param: u[0], Value: u[1]})
	}
	b.Output(b.Add(ops.ReduceSum{}, p1))
}

// TestPointwiseUpdates holds that a fused optimizer step over its own parameters computes what the plain one does, in one
// step and without allocating.
func TestPointwiseUpdates(t *testing.T) {
	d, err := cpu.New(cpu.Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	var want []tensor.Value
	for _, opt := range []runtime.Options{{NoFusion: true}, {}} {
		g := &graph.Graph{}
		b := graph.NewBuilder(g)
		adamStep(b, 40_001)
		require.NoError(t, b.Err())
		p, err := runtime.Compile(g, d, opt)
		require.NoError(t, err)
		s, err := p.NewSession()
		require.NoError(t, err)
		grad := tensor.New(tensor.Float32, 40_001)
		for i := range tensor.As[float32](grad) {
			tensor.As[float32](grad)[i] = float32(math.Sin(float64(i)))
		}
		in := []tensor.Value{grad, tensor.Scalar(float32(0.01))}
		ctx := context.Background()
		out, err := s.RunValues(ctx, in)
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, s.RunInto(ctx, in, out))
		}
		var prof runtime.Profile
		s.SetProfile(&prof)
		require.NoError(t, s.RunInto(ctx, in, out))
		s.SetProfile(nil)
		if opt.NoFusion {
			want = append(out, s.Param("p"), s.Param("m"), s.Param("v"))
			continue
		}
		require.Len(t, prof.Steps, 2)
		requireSameBits(t, want, append(out, s.Param("p"), s.Param("m"), s.Param("v")), true, "Adam")
		require.Zero(t, testing.AllocsPerRun(20, func() {
			if err := s.RunInto(ctx, in, out); err != nil {
				panic(err)
			}
		}))
	}
}

// TestConvTranspose holds that transposed convolutions, which run as gradients, are what the reference device gives.
func TestConvTranspose(t *testing.T) {
	d, err := cpu.New(cpu.Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	fast := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := &graph.Graph{}
		b := &netBuilder{graph.NewBuilder(g), r}
		c, m, rank := 1+r.IntN(5), 1+r.IntN(6), 1+r.IntN(2)
		op := ops.ConvTranspose{Format: ops.Format(r.IntN(2)), AutoPad: ops.AutoPad(r.IntN(3))}
		kernel, data := []int{}, []int{}
		for range rank {
			k, s := 1+r.IntN(4), 1+r.IntN(3)
			kernel, data = append(kernel, k), append(data, 2+r.IntN(6))
			op.Strides = append(op.Strides, s)
			op.OutputPadding = append(op.OutputPadding, r.IntN(s))
		}
		if op.AutoPad == ops.Explicit {
			for range 2 * rank {
				op.Pads = append(op.Pads, r.IntN(2))
			}
		}
		x, w := append([]int{2, c}, data...), append([]int{c, m}, kernel...)
		if op.Format == ops.NHWC {
			x, w = append(append([]int{2}, data...), c), append(append([]int{}, kernel...), m, c)
		}
		v := b.Input("x", graph.TensorOf(tensor.Float32, graph.Dims(x...)...))
		y := b.Add(ops.Relu{}, b.Add(op, v, b.weights(-1, 1, w...), b.weights(-1, 1, m)))
		b.Output(y)
		if b.Err() != nil {
			continue // sizes below one
		}
		in := map[string]*tensor.Tensor{"x": b.weights(-1, 1, x...).Data}
		want, _ := runGraph(t, ref.New(), g, in, runtime.Options{})
		got, prof := runGraph(t, d, g, in, runtime.Options{})
		for i, e := range tensor.As[float32](want[0].(*tensor.Tensor)) {
			require.InDelta(t, e, tensor.As[float32](got[0].(*tensor.Tensor))[i], 1e-4, "seed %d %+v", seed, op)
		}
		if prof.Steps[0].Op != "ConvTranspose" {
			fast++
		}
	}
	require.Greater(t, fast, 20)
}
