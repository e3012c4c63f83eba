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

// recurrentCase is a random recurrent layer with operands.
func recurrentCase(r *rand.Rand, kind int) (op graph.Op, in []*tensor.Tensor) {
	hidden := []int{1, 5, 8, 32, 72, 100, 130}[r.IntN(7)]
	dir := []string{"", "forward", "reverse", "bidirectional"}[r.IntN(4)]
	layout := r.IntN(2)
	dn, steps, n, data := ops.Directions(dir), 1+r.IntN(6), 1+r.IntN(4), 1+r.IntN(40)
	gates := []int{4, 3, 1}[kind]
	clip := 0.0
	if r.IntN(4) == 0 {
		clip = 0.3
	}
	var acts []string
	var alpha, beta []float64
	if r.IntN(3) == 0 {
		names := []string{"Sigmoid", "tanh", "Relu", "LeakyRelu", "Affine", "HardSigmoid"}
		for range dn * []int{3, 2, 1}[kind] {
			acts = append(acts, names[r.IntN(len(names))])
		}
		if r.IntN(2) == 0 {
			alpha, beta = []float64{0.3, 0.4}, []float64{0.1}
		}
	}
	switch kind {
	case 0:
		op = ops.LSTM{HiddenSize: hidden, Direction: dir, Layout: layout, Clip: clip, Activations: acts, ActivationAlpha: alpha, ActivationBeta: beta, InputForget: r.IntN(4) == 0}
	case 1:
		op = ops.GRU{HiddenSize: hidden, Direction: dir, Layout: layout, Clip: clip, Activations: acts, ActivationAlpha: alpha, ActivationBeta: beta, LinearBeforeReset: r.IntN(2) == 0}
	default:
		op = ops.RNN{HiddenSize: hidden, Direction: dir, Layout: layout, Clip: clip, Activations: acts, ActivationAlpha: alpha, ActivationBeta: beta}
	}
	x, state := randTensor(r, steps, n, data), []int{dn, n, hidden}
	lens := tensor.New(tensor.Int32, n)
	for i := range tensor.As[int32](lens) {
		tensor.As[int32](lens)[i] = int32(r.IntN(steps + 1))
	}
	if layout == 1 {
		x, state = randTensor(r, n, steps, data), []int{n, dn, hidden}
	}
	in = []*tensor.Tensor{x, randTensor(r, dn, gates*hidden, data), randTensor(r, dn, gates*hidden, hidden), randTensor(r, dn, 2*gates*hidden), lens,
		randTensor(r, state...), randTensor(r, state...), randTensor(r, dn, 3*hidden)}
	if kind > 0 {
		in = in[:6]
	}
	for i := 3; i < len(in); i++ {
		if r.IntN(2) == 0 {
			in[i] = nil
		}
	}
	for _, w := range in[1:3] {
		for i := range tensor.As[float32](w) {
			tensor.As[float32](w)[i] *= 0.02
		}
	}
	return op, in
}

// TestRecurrentLikeReference runs random layers whose weights are constant, and such whose aren't.
func TestRecurrentLikeReference(t *testing.T) {
	eachDevice(t, func(t *testing.T, d *Device) {
		one, err := New(Options{Threads: 1, Level: d.Level()})
		require.NoError(t, err)
		defer one.Close()
		r := rand.New(rand.NewPCG(4, 1))
		for i := range 60 {
			op, in := recurrentCase(r, i%3)
			consts := make([]bool, len(in))
			for j := 1; j < len(in); j++ {
				consts[j] = i%4 > 0 && (j < 4 || j == 7)
			}
			what := fmt.Sprintf("%T%+v x %v", op, op, in[0].Shape())
			want := applyRef(t, op, in...)
			got := applyAll(t, d.Kernels(), op, true, consts, in...)
			single := applyAll(t, one.Kernels(), op, true, consts, in...)
			for j := range want {
				requireClose(t, want[j], got[j], 3e-5, fmt.Sprintf("output %d of %s", j, what))
				require.Equal(t, single[j].Bytes(), got[j].Bytes(), "one thread and two: output %d of %s", j, what)
			}
		}
	})
}

// TestRecurrentRefusesLengths holds the kernel to the reference's refusal of lengths beyond the sequence.
func TestRecurrentRefusesLengths(t *testing.T) {
	s := &recurrentStep{steps: 3, n: 2}
	require.NoError(t, s.checkLens([]int32{0, 3}))
	require.ErrorContains(t, s.checkLens([]int32{0, 4}), "4 steps of 3")
	require.Error(t, s.checkLens([]int32{-1, 3}))
	require.Error(t, s.checkLens([]int32{1}))
}
