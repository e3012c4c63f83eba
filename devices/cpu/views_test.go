package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// sameAsRef holds that the device's own kernel for op gives what the reference device does: the same bytes where tol is
// zero.
func sameAsRef(t *testing.T, d *Device, op graph.Op, known []bool, tol float64, what string, args ...*tensor.Tensor) {
	t.Helper()
	if known == nil {
		known = make([]bool, len(args))
	}
	want := applyAll(t, devices.NewTable(ref.Kernels()), op, false, known, args...)
	got := applyAll(t, d.Kernels(), op, true, known, args...)
	for i := range want {
		if tol == 0 {
			require.Equal(t, want[i].Shape(), got[i].Shape(), what)
			require.Equal(t, want[i].Bytes(), got[i].Bytes(), "output %d of %s", i, what)
			continue
		}
		requireClose(t, want[i], got[i], tol, fmt.Sprintf("output %d of %s", i, what))
	}
}

// bytesTensor is random bits in a tensor of that type.
func bytesTensor(r *rand.Rand, dt tensor.DType, shape ...int) *tensor.Tensor {
	x := tensor.New(dt, shape...)
	for i := range x.Bytes() {
		x.Bytes()[i] = byte(r.IntN(256))
		if dt == tensor.Bool {
			x.Bytes()[i] &= 1
		}
	}
	return x
}

func randShape(r *rand.Rand, rank int) []int {
	s := make([]int, rank)
	for i := range s {
		s[i] = []int{1, 2, 3, 5, 8, 17}[r.IntN(6)]
	}
	return s
}

func TestViews(t *testing.T) {
	d, err := New(Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	r := rand.New(rand.NewPCG(11, 1))
	types := []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int64, tensor.Int32, tensor.Uint8, tensor.Bool, tensor.Float16, tensor.Complex128}
	for range 200 {
		dt := types[r.IntN(len(types))]
		rank := 1 + r.IntN(4)
		shape := randShape(r, rank)
		x := bytesTensor(r, dt, shape...)
		what := fmt.Sprintf("%v%v", dt, shape)
		var starts, ends, axes, steps []int64
		for a, n := range shape {
			if r.IntN(3) == 0 {
				continue
			}
			step := []int64{1, 1, 2, -1, -2, 3}[r.IntN(6)]
			lo, hi := int64(r.IntN(n)), int64(n)
			if step < 0 {
				lo, hi = int64(n-1-r.IntN(n)/2), math.MinInt64
			}
			starts, ends, axes, steps = append(starts, lo), append(ends, hi), append(axes, int64(a-r.IntN(2)*rank)), append(steps, step)
		}
		if len(axes) > 0 {
			sameAsRef(t, d, ops.Slice{}, []bool{false, true, true, true, true}, 0, "slice "+what, x, tensor.Of(starts), tensor.Of(ends), tensor.Of(axes), tensor.Of(steps))
		}
		if dt == tensor.Int64 || dt == tensor.Int32 || dt == tensor.Uint8 {
			sameAsRef(t, d, ops.Cast{To: tensor.Float32, Saturate: true}, nil, 0, "cast "+what, x)
		}
		axis := r.IntN(rank)
		if n := shape[axis]; n > 1 {
			cut := int64(1 + r.IntN(n-1))
			sameAsRef(t, d, ops.Split{Axis: axis, NumOutputs: 2}, []bool{false, true}, 0, "split "+what, x, tensor.Of([]int64{cut, int64(n) - cut}))
		}
		reps, to := make([]int64, rank), make([]int64, rank)
		for i := range reps {
			reps[i], to[i] = int64(1+r.IntN(3)), int64(shape[i])
			if shape[i] == 1 {
				to[i] = int64(1 + r.IntN(5))
			}
		}
		sameAsRef(t, d, ops.Tile{}, []bool{false, true}, 0, "tile "+what, x, tensor.Of(reps))
		sameAsRef(t, d, ops.Expand{}, []bool{false, true}, 0, "expand "+what, x, tensor.Of(append([]int64{2}, to...)))
		idx := tensor.New(tensor.Int64, randShape(r, r.IntN(3))...)
		for i := range tensor.As[int64](idx) {
			tensor.As[int64](idx)[i] = int64(r.IntN(2*shape[axis]) - shape[axis])
		}
		sameAsRef(t, d, ops.Gather{Axis: axis - r.IntN(2)*rank}, []bool{false, false}, 0, "gather "+what, x, idx)
	}
}

// TestGatherRefuses holds that an index that is out of range is an error.
func TestGatherRefuses(t *testing.T) {
	d, err := New(Options{Threads: 1})
	require.NoError(t, err)
	defer d.Close()
	for _, i := range []int64{3, -4} {
		s := &blocksStep{d: d, outer: 1, n: 3, size: 4, count: 1, rows: 1}
		err := s.Run(&devices.Args{In: []tensor.Value{tensor.New(tensor.Float32, 3), tensor.Of([]int64{i})}, Out: []tensor.Value{tensor.New(tensor.Float32, 1)}})
		require.ErrorContains(t, err, fmt.Sprint(i))
	}
}

func TestGrouped(t *testing.T) {
	d, err := New(Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	r := rand.New(rand.NewPCG(12, 1))
	for range 60 {
		n, groups, each := 1+r.IntN(3), 1+r.IntN(4), 1+r.IntN(4)
		c := groups * each
		shape := append([]int{n, c}, randShape(r, r.IntN(3))...)
		x, gain, bias := randTensor(r, shape...), randTensor(r, c), randTensor(r, c)
		what := fmt.Sprint(shape, groups)
		if prod(shape[2:]) > 1 {
			sameAsRef(t, d, ops.InstanceNormalization{Epsilon: 1e-3}, nil, 1e-4, "instance "+what, x, gain, bias)
		}
		sameAsRef(t, d, ops.GroupNormalization{Epsilon: 1e-2, NumGroups: groups, StashType: 1}, nil, 1e-4, "group "+what, x, gain, bias)
		last := shape[len(shape)-1]
		sameAsRef(t, d, ops.RMSNormalization{Axis: -1, Epsilon: 1e-5, StashType: 1}, nil, 1e-5, "rms "+what, x, randTensor(r, last))
		sameAsRef(t, d, ops.LogSoftmax{Axis: -1}, nil, 1e-5, "logsoftmax "+what, x)
		for i := range tensor.As[float32](x) {
			switch r.IntN(20) {
			case 0:
				tensor.As[float32](x)[i] = float32(math.NaN())
			case 1:
				tensor.As[float32](x)[i] = float32(math.Inf(1))
			case 2, 3, 4, 5:
				tensor.As[float32](x)[i] = 1
			}
		}
		for axis := range shape {
			sameAsRef(t, d, ops.ArgMax{Axis: axis, SelectLastIndex: r.IntN(2) == 0}, nil, 0, "argmax "+what, x)
			sameAsRef(t, d, ops.ArgMin{Axis: axis - len(shape), Keepdims: true, SelectLastIndex: r.IntN(2) == 0}, nil, 0, "argmin "+what, x)
		}
	}
}

// TestSumsOfShortRows holds that sums over all but a short last dimension are right for any number of rows.
func TestSumsOfShortRows(t *testing.T) {
	d, err := New(Options{Threads: 2})
	require.NoError(t, err)
	defer d.Close()
	r := rand.New(rand.NewPCG(13, 1))
	for range 60 {
		rows, c := 1+r.IntN(3000), 1+r.IntN(40)
		x := randTensor(r, rows, c)
		axes := tensor.Of([]int64{0})
		for _, op := range []graph.Op{ops.ReduceSum{}, ops.ReduceMax{}, ops.ReduceMean{Keepdims: true}, ops.ReduceL1{}, ops.ReduceL2{}} {
			sameAsRef(t, d, op, []bool{false, true}, 2e-4, fmt.Sprintf("%T of %d x %d", op, rows, c), x, axes)
		}
	}
}
