package layers

import (
	"math"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// mathOperations is keras.ops.math and keras.ops.linalg, with the products of keras.ops.numpy.
var mathOperations = []opRow{
	{name: "TopK", params: "x", f: func(o *opArgs) []*graph.Value {
		o.bool(true, "is_stable", "sorted") // equal numbers in their order is one of the orders that are allowed
		o.bool(true, "sorted")
		out := o.AddN(ops.TopK{Axis: -1, Largest: true, Sorted: true}, o.x(), o.ints(o.int(1, "k")))
		if len(out) < 2 {
			return one(o.x())
		}
		return []*graph.Value{out[0], o.cast(out[1], tensor.Int32)}
	}},
	{name: "InTopK", params: "targets predictions", f: func(o *opArgs) []*graph.Value {
		p := o.tensor(nil, "predictions")
		t := o.expandDims(o.cast(o.tensor(nil, "targets"), tensor.Int64), -1)
		top := o.AddN(ops.TopK{Axis: -1, Largest: true, Sorted: true}, p, o.ints(o.int(1, "k")))[0]
		v := o.Add(ops.GatherElements{Axis: o.rank(p) - 1}, p, t)
		return one(o.any(o.Add(ops.GreaterOrEqual{}, v, top), false, -1))
	}},
	{name: "SegmentSum", params: "data segment_ids", f: segment("add")}, {name: "SegmentMax", params: "data segment_ids", f: segment("max")},
	{name: "CDist", params: "x y", f: func(o *opArgs) []*graph.Value {
		x, y := o.floatPair()
		d := o.sub(o.expandDims(x, -2), o.expandDims(y, -3))
		return one(o.Add(ops.ReduceL2{}, d, o.ints(-1)))
	}},
	{name: "ExtractSequences", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.frames(o.x(), o.int(1, "sequence_length"), o.int(1, "sequence_stride")))
	}},
	{name: "FFT", params: "x", f: func(o *opArgs) []*graph.Value { return o.parts(o.dft(o.complexX(), ops.DFT{}, -2, nil)) }},
	{name: "FFT2", params: "x", f: func(o *opArgs) []*graph.Value {
		return o.parts(o.dft(o.dft(o.complexX(), ops.DFT{}, -2, nil), ops.DFT{}, -3, nil))
	}},
	{name: "IFFT2", params: "x", f: func(o *opArgs) []*graph.Value {
		return o.parts(o.dft(o.dft(o.complexX(), ops.DFT{Inverse: true}, -2, nil), ops.DFT{Inverse: true}, -3, nil))
	}},
	{name: "RFFT", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.expandDims(o.floatX(), -1)
		return o.parts(o.dft(x, ops.DFT{Onesided: true}, -2, o.length("fft_length")))
	}},
	{name: "IRFFT", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.complexX()
		n := o.length("fft_length")
		if k := o.dim(x, -2); n == nil && k > 0 {
			n = o.Const("length", tensor.Scalar(int64(2*(k-1))))
		}
		return one(o.squeeze(o.dft(x, ops.DFT{Inverse: true, Onesided: true}, -2, n), -1))
	}},
	{name: "STFT", params: "x", f: stftOp},

	{name: "Det", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.Add(ops.Det{}, o.floatX())) }},
	{name: "Logdet", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.Add(ops.Log{}, o.Add(ops.Det{}, o.floatX()))) }},
	{name: "Slogdet", params: "x", f: func(o *opArgs) []*graph.Value {
		d := o.Add(ops.Det{}, o.floatX())
		return []*graph.Value{o.Add(ops.Sign{}, d), o.Add(ops.Log{}, o.Add(ops.Abs{}, d))}
	}},
	{name: "Inv", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.inverse(o.floatX())) }},
	{name: "Solve", params: "a b", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		if o.rank(b) == o.rank(a)-1 {
			return one(o.squeeze(o.Add(ops.MatMul{}, o.inverse(a), o.expandDims(b, -1)), -1))
		}
		return one(o.Add(ops.MatMul{}, o.inverse(a), b))
	}},
	{name: "SolveTriangular", params: "a b", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		vector := o.rank(b) == o.rank(a)-1
		if vector {
			b = o.expandDims(b, -1)
		}
		y := o.substitute(a, b, o.bool(false, "lower"))
		if vector {
			y = o.squeeze(y, -1)
		}
		return one(y)
	}},
	{name: "Cholesky", params: "x", f: func(o *opArgs) []*graph.Value {
		l := o.cholesky(o.floatX())
		if o.bool(false, "upper") {
			l = o.swapLast(l)
		}
		return one(l)
	}},
	{name: "CholeskyInverse", params: "x", f: func(o *opArgs) []*graph.Value {
		l := o.floatX()
		a := o.Add(ops.MatMul{}, l, o.swapLast(l))
		if o.bool(false, "upper") {
			a = o.Add(ops.MatMul{}, o.swapLast(l), l)
		}
		return one(o.inverse(a))
	}},
	{name: "MatrixPower", params: "x", f: matrixPower},

	{name: "Einsum", params: "operands", f: func(o *opArgs) []*graph.Value {
		eq := strings.ReplaceAll(o.str("", "subscripts", "equation"), " ", "")
		return one(o.Add(ops.Einsum{Equation: eq}, o.sameType(o.list("operands", "inputs"))...))
	}},
	{name: "Dot", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		switch ra, rb := o.rank(a), o.rank(b); {
		case ra == 0 || rb == 0:
			return one(o.mul(a, b))
		case rb <= 2:
			return one(o.Add(ops.MatMul{}, a, b))
		default:
			return one(o.contract(a, b, []int{ra - 1}, []int{rb - 2}))
		}
	}},
	{name: "Inner", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		if o.rank(a) == 0 || o.rank(b) == 0 {
			return one(o.mul(a, b))
		}
		return one(o.contract(a, b, []int{o.rank(a) - 1}, []int{o.rank(b) - 1}))
	}},
	{name: "Vdot", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		return one(o.Add(ops.ReduceSum{}, o.mul(o.reshapeTo(a, -1), o.reshapeTo(b, -1))))
	}},
	{name: "Outer", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		return one(o.mul(o.reshapeTo(a, -1, 1), o.reshapeTo(b, 1, -1)))
	}},
	{name: "Tensordot", params: "x1 x2", f: tensordot},
	{name: "Kron", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		for o.Err() == nil && o.rank(a) < o.rank(b) {
			a = o.expandDims(a, 0)
		}
		for o.Err() == nil && o.rank(b) < o.rank(a) {
			b = o.expandDims(b, 0)
		}
		var da, db, dy []graph.Dim
		for i := range o.rank(a) {
			da = append(da, a.Type.Dims[i], graph.D(1))
			db = append(db, graph.D(1), b.Type.Dims[i])
			dy = append(dy, a.Type.Dims[i].Mul(b.Type.Dims[i]))
		}
		return one(o.reshape(o.mul(o.reshape(a, da), o.reshape(b, db)), dy, a, b))
	}},
	{name: "Cross", params: "x1 x2", f: crossOp},
}

// segment reduces the rows of data by their ids.
func segment(reduction string) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		x := o.tensor(nil, "data")
		ids := o.cast(o.tensor(nil, "segment_ids"), tensor.Int64)
		n := o.int(-1, "num_segments")
		o.bool(false, "sorted")
		if n < 0 || o.Err() != nil {
			o.Failf("needs num_segments")
			return one(x)
		}
		start := 0.0
		if reduction == "max" {
			start = math.Inf(-1)
			if !x.Type.DType.IsFloat() {
				start = -math.Pow(2, float64(x.Type.DType.Bits()-1))
			}
		}
		base := o.expand(o.num(x, start), append([]graph.Dim{graph.D(n)}, x.Type.Dims[1:]...), x)
		return one(o.Add(ops.ScatterND{Reduction: reduction}, base, o.expandDims(ids, -1), x))
	}
}

// frames is the windows of the last axis, as a new axis before the last.
func (o *opArgs) frames(x *graph.Value, size, stride int) *graph.Value {
	n := o.dim(x, -1)
	if n < size || size < 1 || stride < 1 {
		o.Failf("windows of %d of %v every %d", size, x.Type, stride)
		return x
	}
	count := (n-size)/stride + 1
	if !o.atMost("the number of elements in windows", count*size, maxConstant) {
		return x
	}
	at := make([]float64, count*size)
	for i := range at {
		at[i] = float64(i/size*stride + i%size)
	}
	return o.Add(ops.Gather{Axis: o.rank(x) - 1}, x, o.constant(tensor.Int64, at, count, size))
}

// complexX is a pair of real and imaginary parts with the two as a last axis.
func (o *opArgs) complexX() *graph.Value {
	vs := o.list("x")
	if len(vs) != 2 {
		o.Failf("takes a real and an imaginary part, got %d tensors", len(vs))
		return o.scalar(tensor.Float32, 0)
	}
	return o.concat(-1, o.expandDims(vs[0], -1), o.expandDims(vs[1], -1))
}

func (o *opArgs) length(name string) *graph.Value {
	if o.get(name) == nil {
		return nil
	}
	return o.Const("length", tensor.Scalar(int64(o.int(1, name))))
}

func (o *opArgs) dft(x *graph.Value, op ops.DFT, axis int, length *graph.Value) *graph.Value {
	return o.Add(op, x, length, o.Const("axis", tensor.Scalar(int64(o.axis(axis, o.rank(x))))))
}

// parts is the two halves of a complex tensor.
func (o *opArgs) parts(x *graph.Value) []*graph.Value {
	return []*graph.Value{o.squeeze(o.slice(x, -1, 0, 1), -1), o.squeeze(o.slice(x, -1, 1, 2), -1)}
}

func stftOp(o *opArgs) []*graph.Value {
	x := o.floatX()
	size, stride, n := o.int(256, "sequence_length"), o.int(128, "sequence_stride"), o.int(256, "fft_length")
	if size < 1 || n < size || !o.atMost("fft_length", n, 1<<20) {
		o.Failf("sequence_length %d, fft_length %d", size, n)
		return one(x)
	}
	win := make([]float64, size)
	name := o.str("", "window")
	if w, given := o.vals["window"]; !given {
		name = "hann"
	} else if fs, err := asFloats(w); err == nil && len(fs) == size {
		win = fs
	} else if w != nil && name == "" {
		o.Failf("window %v", w)
	}
	for i := range win {
		c := math.Cos(2 * math.Pi * float64(i) / float64(size))
		switch name {
		case "hann":
			win[i] = 0.5 - 0.5*c
		case "hamming":
			win[i] = 0.54 - 0.46*c
		case "":
			if o.vals["window"] == nil {
				win[i] = 1
			}
		default:
			o.Failf("window %q", name)
		}
	}
	left := (n - size) / 2
	full := append(append(make([]float64, left), win...), make([]float64, n-size-left)...)
	if o.bool(true, "center") {
		pads := make([]int, 2*o.rank(x))
		pads[o.rank(x)-1], pads[2*o.rank(x)-1] = n/2, n/2
		x = o.Add(ops.Pad{Mode: "reflect"}, x, o.ints(pads...))
	}
	f := o.mul(o.frames(x, n, stride), o.constant(x.Type.DType, full, n))
	return o.parts(o.dft(o.expandDims(f, -1), ops.DFT{Onesided: true}, -2, nil))
}

func (o *opArgs) swapLast(x *graph.Value) *graph.Value {
	r := o.rank(x)
	p := identityPerm(r)
	if r >= 2 {
		p[r-1], p[r-2] = r-2, r-1
	}
	return o.transpose(x, p...)
}

// inverse is Gauss-Jordan elimination with the largest pivot of each column, written out.
func (o *opArgs) inverse(a *graph.Value) *graph.Value {
	n := o.dim(a, -1)
	if n < 1 || n != o.dim(a, -2) || !o.atMost("the size of a matrix to invert", n, 128) {
		o.Failf("takes square matrices of known size, got %v", a.Type)
		return a
	}
	d := a.Type.Dims
	id := o.expand(o.constant(a.Type.DType, eye(n, n, 0), n, n), d, a)
	m := o.concat(-1, a, id)
	for k := range n {
		col := o.Add(ops.Abs{}, o.slice(m, -1, k, k+1))
		below := o.constant(a.Type.DType, ramp(n, k), n, 1)
		pivot := o.Add(ops.ArgMax{Axis: -2, Keepdims: true}, o.add(o.mul(col, below), o.addN(below, -1))) // rows above count as -1
		pivot = o.squeeze(pivot, -1)
		hot := o.expandDims(o.oneHot(o.squeeze(pivot, -1), n, -1, a.Type.DType, 1, 0), -2)
		row := o.Add(ops.MatMul{}, hot, m)
		other := o.slice(m, -2, k, k+1)
		// exchange rows k and pivot
		at := o.swapLast(hot)
		ek := o.constant(a.Type.DType, unit(n, k), n, 1)
		m = o.add(m, o.mul(o.sub(ek, at), o.sub(row, other)))
		row = o.div(row, o.slice(row, -1, k, k+1))
		factor := o.mul(o.slice(m, -1, k, k+1), o.sub(o.num(ek, 1), ek))
		m = o.sub(m, o.mul(factor, row))
		m = o.add(o.mul(m, o.sub(o.num(ek, 1), ek)), o.mul(ek, row))
	}
	return o.slice(m, -1, n, 2*n)
}

// ramp is 0 before k and 1 from it on; unit is 1 at k.
func ramp(n, k int) []float64 {
	v := make([]float64, n)
	for i := k; i < n; i++ {
		v[i] = 1
	}
	return v
}

func unit(n, k int) []float64 { v := make([]float64, n); v[k] = 1; return v }

// substitute solves a triangular system row by row.
func (o *opArgs) substitute(a, b *graph.Value, lower bool) *graph.Value {
	n := o.dim(a, -1)
	if n < 1 || n != o.dim(a, -2) || !o.atMost("the size of a matrix to solve", n, 256) {
		o.Failf("takes square matrices of known size, got %v", a.Type)
		return b
	}
	rows := make([]*graph.Value, n)
	for i := range n {
		k := i
		if !lower {
			k = n - 1 - i
		}
		arow := o.slice(a, -2, k, k+1)
		rhs := o.slice(b, -2, k, k+1)
		if i > 0 {
			known, from := rows[:k], 0
			if !lower {
				known, from = rows[k+1:], k+1
			}
			rhs = o.sub(rhs, o.Add(ops.MatMul{}, o.slice(arow, -1, from, from+i), o.concat(-2, known...)))
		}
		rows[k] = o.div(rhs, o.slice(arow, -1, k, k+1))
	}
	return o.concat(-2, rows...)
}

// cholesky is the lower triangular factor, column by column.
func (o *opArgs) cholesky(a *graph.Value) *graph.Value {
	n := o.dim(a, -1)
	if n < 1 || n != o.dim(a, -2) || !o.atMost("the size of a matrix to factor", n, 128) {
		o.Failf("takes square matrices of known size, got %v", a.Type)
		return a
	}
	var cols []*graph.Value
	for k := range n {
		c := o.slice(a, -1, k, k+1)
		if k > 0 {
			l := o.concat(-1, cols...)
			c = o.sub(c, o.Add(ops.MatMul{}, l, o.swapLast(o.slice(l, -2, k, k+1))))
		}
		c = o.div(c, o.Add(ops.Sqrt{}, o.slice(c, -2, k, k+1)))
		cols = append(cols, o.mul(c, o.constant(a.Type.DType, ramp(n, k), n, 1)))
	}
	return o.concat(-1, cols...)
}

func matrixPower(o *opArgs) []*graph.Value {
	x, n := o.floatX(), o.int(1, "n")
	if n < 0 {
		x, n = o.inverse(x), -n
	}
	size := o.dim(x, -1)
	if size < 1 || !o.atMost("n", n, 1<<20) {
		o.Failf("takes matrices of known size, got %v", x.Type)
		return one(x)
	}
	y := o.expand(o.constant(x.Type.DType, eye(size, size, 0), size, size), x.Type.Dims, x)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			y = o.Add(ops.MatMul{}, y, x)
		}
		if n > 1 {
			x = o.Add(ops.MatMul{}, x, x)
		}
	}
	return one(y)
}

// contract sums over axes of both, in pairs; the rest of a comes before the rest of b.
func (o *opArgs) contract(a, b *graph.Value, aAxes, bAxes []int) *graph.Value {
	ra, rb := o.rank(a), o.rank(b)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if ra+rb > len(letters) || len(aAxes) != len(bAxes) {
		o.Failf("axes %v and %v", aAxes, bAxes)
		return a
	}
	al, bl := []byte(letters[:ra]), []byte(letters[ra:ra+rb])
	var out []byte
	for i := range aAxes {
		bl[o.axis(bAxes[i], rb)] = al[o.axis(aAxes[i], ra)]
	}
	for _, l := range al {
		if !slices.Contains(bl, l) {
			out = append(out, l)
		}
	}
	for _, l := range bl {
		if !slices.Contains(al, l) {
			out = append(out, l)
		}
	}
	return o.Add(ops.Einsum{Equation: string(al) + "," + string(bl) + "->" + string(out)}, a, b)
}

func tensordot(o *opArgs) []*graph.Value {
	a, b := o.pair()
	axes := o.get("axes")
	if axes == nil {
		axes = 2
	}
	if n, err := asInt(axes); err == nil {
		ra := o.rank(a)
		if n < 0 || n > ra {
			o.Failf("axes %d of %v", n, a.Type)
			return one(a)
		}
		return one(o.contract(a, b, identityPerm(ra)[ra-n:], identityPerm(n)))
	}
	list, _ := axes.([]any)
	if len(list) != 2 {
		o.Failf("axes %v", axes)
		return one(a)
	}
	as, err1 := asShape(list[0])
	bs, err2 := asShape(list[1])
	if err1 != nil || err2 != nil {
		o.Failf("axes %v", axes)
		return one(a)
	}
	return one(o.contract(a, b, as, bs))
}

// crossOp is the product of vectors of three along an axis.
func crossOp(o *opArgs) []*graph.Value {
	a, b := o.pair()
	axis := o.int(-1, "axis")
	if o.int(-1, "axisa") != -1 || o.int(-1, "axisb") != -1 || o.int(-1, "axisc") != -1 {
		o.Failf("axisa, axisb and axisc are not supported")
	}
	if o.dim(a, axis) != 3 || o.dim(b, axis) != 3 {
		o.Failf("takes vectors of three, got %v and %v", a.Type, b.Type)
		return one(a)
	}
	turn := func(v *graph.Value, by int) *graph.Value {
		return o.concat(o.axis(axis, o.rank(v)), o.slice(v, axis, by, 3), o.slice(v, axis, 0, by))
	}
	return one(o.sub(o.mul(turn(a, 1), turn(b, 2)), o.mul(turn(a, 2), turn(b, 1))))
}
