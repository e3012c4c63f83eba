package ref_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/conformance/optest"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func run(t *testing.T, op graph.Op, in ...*tensor.Tensor) []float64 {
	t.Helper()
	vals := make([]tensor.Value, len(in))
	for i, x := range in {
		if x != nil {
			vals[i] = x
		}
	}
	out, err := optest.Run(ref.New(), op, vals, optest.Nothing)
	require.NoError(t, err)
	vs, err := out[0].(*tensor.Tensor).Float64s()
	require.NoError(t, err)
	return vs
}

func f64(vs ...float64) *tensor.Tensor { return tensor.Of(vs) }

func i64(vs ...int64) *tensor.Tensor { return tensor.Of(vs) }

// TestOwnOperators pins the operators that ONNX does not have, which its cases don't cover. The values of
// digamma and lgamma are from Abramowitz and Stegun, tables 6.1 and 6.3, and from the reflection formula.
func TestOwnOperators(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for name, c := range map[string]struct {
		op   graph.Op
		in   []*tensor.Tensor
		want []float64
	}{
		"digamma": {ops.Digamma{}, []*tensor.Tensor{f64(1, 0.5, 2, 10, -0.5, 0, -1)},
			[]float64{-0.5772156649015329, -1.9635100260214235, 0.42278433509846714, 2.2517525890667211, 0.03648997397857652, nan, nan}},
		"lgamma":                   {ops.Lgamma{}, []*tensor.Tensor{f64(1, 0.5, 5, -0.5, 0)}, []float64{0, 0.5723649429247001, 3.1780538303479458, 1.2655121234846454, inf}},
		"expm1":                    {ops.Expm1{}, []*tensor.Tensor{f64(1e-12, 0, -inf)}, []float64{1e-12, 0, -1}},
		"log1p":                    {ops.Log1p{}, []*tensor.Tensor{f64(1e-12, -1, -2)}, []float64{1e-12, -inf, nan}},
		"atan2":                    {ops.Atan2{}, []*tensor.Tensor{f64(1, 0, -1, 0), f64(0, -1, 0, 1)}, []float64{math.Pi / 2, math.Pi, -math.Pi / 2, 0}},
		"rsqrt":                    {ops.Rsqrt{}, []*tensor.Tensor{f64(4, 0, inf)}, []float64{0.5, inf, 0}},
		"floor division":           {ops.FloorDiv{}, []*tensor.Tensor{i64(7, -7, 7, -7, 6), i64(2, 2, -2, -2, -3)}, []float64{3, -4, -4, 3, -2}},
		"floor division of floats": {ops.FloorDiv{}, []*tensor.Tensor{f64(7, -7), f64(2, 2)}, []float64{3, -4}},
		"truncating":               {ops.Div{}, []*tensor.Tensor{i64(7, -7, 7, -7), i64(2, 2, -2, -2)}, []float64{3, -3, -3, 3}},
		"mod of floats":            {ops.Mod{}, []*tensor.Tensor{f64(5.5, -5.5, 5.5, -5.5), f64(2, 2, -2, -2)}, []float64{1.5, 0.5, -0.5, -1.5}},
		"softmax entropy":          {ops.SoftmaxCrossEntropy{Axis: -1}, []*tensor.Tensor{tensor.Of([]float64{1000, 0, 0, 0}, 2, 2), tensor.Of([]float64{0, 1, 0.5, 0.5}, 2, 2)}, []float64{1000, math.Ln2}},
		"sigmoid entropy":          {ops.SigmoidCrossEntropy{}, []*tensor.Tensor{f64(1000, -1000, 0), f64(0, 1, 0.5)}, []float64{1000, 1000, math.Ln2}},
		"cofactors":                {ops.Cofactor{}, []*tensor.Tensor{tensor.Of([]float64{1, 2, 3, 4}, 2, 2)}, []float64{4, -3, -2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, c.op, c.in...)
			require.Len(t, got, len(c.want))
			for i, w := range c.want {
				if math.IsNaN(w) {
					require.True(t, math.IsNaN(got[i]), "element %d is %v", i, got[i])
				} else if math.IsInf(w, 0) {
					require.Equal(t, w, got[i])
				} else {
					require.InDelta(t, w, got[i], 1e-13*math.Max(1, math.Abs(w)))
				}
			}
		})
	}
}

// TestKeyedDraws holds that draws with a key are the words of internal/philox, on any run.
func TestKeyedDraws(t *testing.T) {
	n := int64(5000)
	key := i64(42, 7)
	u := run(t, ops.PhiloxUniform{Dtype: tensor.Float32, Low: 2, High: 4}, i64(n), key)
	for i := range 9 {
		require.Equal(t, float64(2+2*philox.Unit(philox.At(42, 7, uint64(i)))), u[i])
	}
	require.NotEqual(t, u[:9], run(t, ops.PhiloxUniform{Dtype: tensor.Float32, Low: 2, High: 4}, i64(n), i64(42, 8))[:9])
	sum, sq := 0.0, 0.0
	for _, v := range run(t, ops.PhiloxNormal{Dtype: tensor.Float64, Mean: 3, Scale: 2}, i64(n), key) {
		sum += v
		sq += (v - 3) * (v - 3)
	}
	require.InDelta(t, 3, sum/float64(n), 0.1)
	require.InDelta(t, 4, sq/float64(n), 0.3)

	x := tensor.New(tensor.Float32, int(n))
	for i := range tensor.As[float32](x) {
		tensor.As[float32](x)[i] = 1
	}
	ratio, train := tensor.Scalar(float32(0.25)), tensor.Scalar(true)
	got, kept := run(t, ops.Dropout{}, x, ratio, train, key), 0
	for i, v := range got {
		want := 0.0
		if philox.Unit(philox.At(42, 7, uint64(i))) >= 0.25 {
			want = float64(float32(1 / 0.75))
			kept++
		}
		require.Equal(t, want, v)
	}
	require.InDelta(t, 0.75, float64(kept)/float64(n), 0.03)
	require.Equal(t, make([]float64, n), run(t, ops.Dropout{}, x, tensor.Scalar(float32(1)), train, key))
}

// TestSeededDraws holds that a seeded operator draws what numpy.random.RandomState(seed) does.
func TestSeededDraws(t *testing.T) {
	u := run(t, ops.RandomUniform{Dtype: tensor.Float64, High: 1, Seed: 0, HasSeed: true, Shape: []int{3}})
	require.Equal(t, []float64{0.5488135039273248, 0.7151893663724195, 0.6027633760716439}, u)
	a := run(t, ops.RandomUniform{Dtype: tensor.Float64, High: 1, Shape: []int{3}})
	require.NotEqual(t, a, run(t, ops.RandomUniform{Dtype: tensor.Float64, High: 1, Shape: []int{3}}))
	// classes of which one is sure
	logp := tensor.Of([]float32{-100, 0, -100, 0, -100, -100}, 2, 3)
	require.Equal(t, []float64{1, 1, 0, 0}, run(t, ops.Multinomial{Dtype: tensor.Int32, SampleSize: 2}, logp))
}

// TestErrorsNotPanics holds that impossible contents are refused.
func TestErrorsNotPanics(t *testing.T) {
	for name, c := range map[string]struct {
		op graph.Op
		in []tensor.Value
	}{
		"integer division by zero": {ops.Div{}, []tensor.Value{i64(1), i64(0)}},
		"integer mod by zero":      {ops.Mod{}, []tensor.Value{i64(1), i64(0)}},
		"axis outside":             {ops.CumSum{}, []tensor.Value{f64(1), tensor.Scalar(int64(3))}},
		"reduced axis outside":     {ops.ReduceSum{}, []tensor.Value{f64(1), i64(-2)}},
		"label outside":            {ops.NegativeLogLikelihoodLoss{Reduction: "sum"}, []tensor.Value{tensor.New(tensor.Float32, 1, 2), i64(2)}},
		"nothing to pick from":     {ops.ArgMax{}, []tensor.Value{tensor.New(tensor.Float32, 0, 2)}},
		"a negative shape":         {ops.PhiloxUniform{Dtype: tensor.Float32}, []tensor.Value{i64(-3), i64(1, 1)}},
		"no classes":               {ops.Multinomial{Dtype: tensor.Int32, SampleSize: 1}, []tensor.Value{tensor.New(tensor.Float32, 2, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := optest.Run(ref.New(), c.op, c.in, optest.Nothing)
			require.Error(t, err)
		})
	}
}
