package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// attentionCase is random attention.
func attentionCase(r *rand.Rand) (ops.FusedAttention, []*tensor.Tensor) {
	op := ops.FusedAttention{Scale: 0.3, IsCausal: r.IntN(3) == 0, QPacked: r.IntN(2) == 0, KPacked: r.IntN(2) == 0, VPacked: r.IntN(2) == 0,
		YPacked: r.IntN(2) == 0, Zero: r.IntN(2) == 0}
	b, kh, d, dv := 1+r.IntN(2), 1+r.IntN(3), 1+r.IntN(70), 1+r.IntN(70)
	h := kh * (1 + r.IntN(2))
	q, k := 1+r.IntN(90), 1+r.IntN(90)
	if r.IntN(6) == 0 {
		k += 700
	}
	shape := func(packed bool, h, n, d int) []int {
		if packed {
			return []int{b, n, h, d}
		}
		return []int{b, h, n, d}
	}
	in := []*tensor.Tensor{randTensor(r, shape(op.QPacked, h, q, d)...), randTensor(r, shape(op.KPacked, kh, k, d)...), randTensor(r, shape(op.VPacked, kh, k, dv)...)}
	mask := [][]int{nil, {k}, {q, k}, {b, 1, 1, k}, {1, h, q, 1}, {b, 1, q, k}}[r.IntN(6)]
	switch {
	case mask == nil:
	case r.IntN(2) == 0:
		m := tensor.New(tensor.Bool, mask...)
		for i := range m.Bytes() {
			m.Bytes()[i] = byte(r.IntN(2))
		}
		in = append(in, m)
	default:
		m := randTensor(r, mask...)
		for i := range tensor.As[float32](m) {
			if r.IntN(3) == 0 {
				tensor.As[float32](m)[i] = float32(math.Inf(-1))
			}
		}
		in = append(in, m)
	}
	return op, in
}

func TestAttentionLikeReference(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		one, err := New(Options{Threads: 1, Level: d.Level()})
		require.NoError(t, err)
		defer one.Close()
		r := rand.New(rand.NewPCG(6, 1))
		for range 40 {
			op, in := attentionCase(r)
			what := fmt.Sprintf("%+v of %v, %v, %v", op, in[0].Shape(), in[1].Shape(), in[2].Shape())
			if len(in) > 3 {
				what += fmt.Sprintf(" masked by %v", in[3])
			}
			want := applyRef(t, op, in...)[0]
			got := apply(t, d, op, true, make([]bool, len(in)), in...)
			requireSame(t, want, got, 2e-5, what)
			require.Equal(t, got.Bytes(), apply(t, one, op, true, make([]bool, len(in)), in...).Bytes(), "one thread and two: "+what)
		}
	})
}

// requireSame is requireClose that takes NaN for NaN.
func requireSame(t *testing.T, want, got *tensor.Tensor, tol float64, what string) {
	t.Helper()
	w, g := tensor.As[float32](want), tensor.As[float32](got)
	require.Equal(t, want.Shape(), got.Shape(), what)
	for i := range w {
		if w[i] != w[i] {
			require.True(t, g[i] != g[i], "%s: element %d is %v, not NaN", what, i, g[i])
			continue
		}
		require.InDelta(t, w[i], g[i], tol*max(1, math.Abs(float64(w[i]))), "%s: element %d", what, i)
	}
}
