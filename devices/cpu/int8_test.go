package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// randInts is random 8-bit integers of either sign.
func randInts(r *rand.Rand, shape ...int) *tensor.Tensor {
	t := tensor.New([]tensor.DType{tensor.Int8, tensor.Uint8}[r.IntN(2)], shape...)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(r.IntN(256))
	}
	return t
}

// zeroLike is n zero points of t's type, or nothing.
func zeroLike(r *rand.Rand, t *tensor.Tensor, shape ...int) *tensor.Tensor {
	z := tensor.New(t.DType(), shape...)
	for i := range z.Bytes() {
		z.Bytes()[i] = byte(r.IntN(256))
	}
	return z
}

func scaleOf(r *rand.Rand, around float64, shape ...int) *tensor.Tensor {
	s := tensor.New(tensor.Float32, shape...)
	for i := range tensor.As[float32](s) {
		tensor.As[float32](s)[i] = float32(around * (0.5 + r.Float64()))
	}
	return s
}

// oneOr is the shape of a scalar or of n.
func oneOr(r *rand.Rand, n int) []int {
	if r.IntN(2) == 0 {
		return nil
	}
	return []int{n}
}

// TestIntegersLikeReference holds integer products to the reference's bits.
func TestIntegersLikeReference(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		r := rand.New(rand.NewPCG(7, 1))
		for i := range 60 {
			var op graph.Op
			var in []*tensor.Tensor
			var x, w *tensor.Tensor
			n := 0
			k, m := 1+r.IntN(40), 1+r.IntN(100)
			if i%4 < 2 {
				n = 1 + r.IntN(600)
				x, w = randInts(r, m, k), randInts(r, k, n)
			} else {
				group := 1 + r.IntN(3)
				cg, mg := 1+r.IntN(5), 1+r.IntN(20)
				if r.IntN(3) == 0 {
					cg, mg = 1, 1
				}
				n = group * mg
				x, w = randInts(r, 1+r.IntN(2), group*cg, 5+r.IntN(6), 5+r.IntN(6)), randInts(r, n, cg, 1+r.IntN(3), 1+r.IntN(3))
				op = ops.ConvInteger{Group: group, Strides: []int{1 + r.IntN(2), 1 + r.IntN(2)}, Dilations: []int{1, 1 + r.IntN(2)}, Pads: []int{r.IntN(2), r.IntN(2), 1, 0}}
			}
			az, bz := zeroLike(r, x), zeroLike(r, w, oneOr(r, n)...)
			consts := []bool{false, true, false, true}
			switch i % 4 {
			case 0:
				op, in = ops.MatMulInteger{}, []*tensor.Tensor{x, w, az, bz}
			case 2:
				in = []*tensor.Tensor{x, w, az, bz}
			default:
				y := randInts(r)
				in = []*tensor.Tensor{x, scaleOf(r, 0.02), az, w, scaleOf(r, 0.02, oneOr(r, n)...), bz, scaleOf(r, 0.5), zeroLike(r, y)}
				consts = []bool{false, false, false, true, false, true, false, false, false}
				if c, ok := op.(ops.ConvInteger); ok {
					op = ops.QLinearConv(c)
					if r.IntN(2) == 0 {
						bias := tensor.New(tensor.Int32, n)
						for j := range tensor.As[int32](bias) {
							tensor.As[int32](bias)[j] = int32(r.IntN(2000) - 1000)
						}
						in = append(in, bias)
					}
				} else {
					op = ops.QLinearMatMul{}
				}
			}
			what := fmt.Sprintf("%T%+v of %v and %v", op, op, x.Shape(), w.Shape())
			want := applyRef(t, op, in...)[0]
			got := apply(t, d, op, true, consts, in...)
			require.Equal(t, want.DType(), got.DType(), what)
			require.Equal(t, want.Bytes(), got.Bytes(), what)
		}
	})
}

func TestQuantizeLikeReference(t *testing.T) {
	d, err := New(Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	r := rand.New(rand.NewPCG(7, 2))
	for i := range 30 {
		x := randTensor(r, 1+r.IntN(3), 4, 1+r.IntN(40))
		tensor.As[float32](x)[0] = posInf
		tensor.As[float32](x)[1] = posInf - posInf
		s := scaleOf(r, 0.02, oneOr(r, 4)...)
		in := []*tensor.Tensor{x, s, zeroLike(r, randInts(r), s.Shape()...)}
		op := ops.QuantizeLinear{Axis: -2, Saturate: true}
		q := applyRef(t, op, in...)[0]
		require.Equal(t, q.Bytes(), apply(t, d, op, true, make([]bool, 3), in...).Bytes(), i)
		in[0] = q
		back := ops.DequantizeLinear{Axis: -2}
		require.Equal(t, applyRef(t, back, in...)[0].Bytes(), apply(t, d, back, true, make([]bool, 3), in...).Bytes(), i)
	}
}
