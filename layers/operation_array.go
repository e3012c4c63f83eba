package layers

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// arrayOperations is what of keras.ops.numpy moves, sorts, joins and cuts arrays.
var arrayOperations = []opRow{
	{name: "Rot90", params: "array k axes", f: func(o *opArgs) []*graph.Value {
		x := o.tensor(nil, "array")
		ax, ok := o.intList("axes")
		if !ok {
			ax = []int{0, 1}
		}
		if len(ax) != 2 {
			o.Failf("axes %v", ax)
			return one(x)
		}
		i, j := o.axis(ax[0], o.rank(x)), o.axis(ax[1], o.rank(x))
		p := identityPerm(o.rank(x))
		if o.Err() != nil {
			return one(x)
		}
		p[i], p[j] = j, i
		switch k := ((o.int(1, "k") % 4) + 4) % 4; k {
		case 1:
			x = o.transpose(o.reverse(x, j), p...)
		case 2:
			x = o.reverse(o.reverse(x, i), j)
		case 3:
			x = o.reverse(o.transpose(x, p...), j)
		}
		return one(x)
	}},
	{name: "Fliplr", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.reverse(o.x(), 1)) }},
	{name: "Flipud", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.reverse(o.x(), 0)) }},
	{name: "Roll", params: "x", f: rollOp},
	{name: "Append", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		if o.get("axis") == nil {
			return one(o.concat(0, o.reshapeTo(a, -1), o.reshapeTo(b, -1)))
		}
		return one(o.concat(o.axis(o.int(0, "axis"), o.rank(a)), a, b))
	}},
	{name: "Hstack", params: "xs", f: stacker(1, func(o *opArgs, r int) int { return min(r-1, 1) })}, {name: "Vstack", params: "xs", f: stacker(2, func(*opArgs, int) int { return 0 })},
	{name: "Dstack", params: "xs", f: stacker(3, func(*opArgs, int) int { return 2 })}, {name: "ColumnStack", params: "xs", f: columnStack},
	{name: "Hsplit", params: "x", f: func(o *opArgs) []*graph.Value { return o.splitAlong(min(o.rank(o.x())-1, 1), true) }},
	{name: "Vsplit", params: "x", f: func(o *opArgs) []*graph.Value { return o.splitAlong(0, true) }}, {name: "Dsplit", params: "x", f: func(o *opArgs) []*graph.Value { return o.splitAlong(2, true) }},
	{name: "ArraySplit", params: "x", f: func(o *opArgs) []*graph.Value { return o.splitAlong(o.int(0, "axis"), false) }},
	{name: "Unstack", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		axis := o.axis(o.int(0, "axis"), o.rank(x))
		n := o.dim(x, axis)
		if n < 1 || o.int(n, "num") != n {
			o.Failf("num %v of %v", o.vals["num"], x.Type)
			return one(x)
		}
		ys := slices.Clone(o.split(x, axis, repeat(1, n)...))
		for i := range ys {
			ys[i] = o.squeeze(ys[i], axis)
		}
		return ys
	}},
	{name: "Diag", params: "x k", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		if o.rank(x) == 1 {
			return one(o.diagMatrix(x, o.int(0, "k")))
		}
		return one(o.diagonal(x, o.int(0, "k"), 0, 1))
	}},
	{name: "Diagflat", params: "x k", f: func(o *opArgs) []*graph.Value { return one(o.diagMatrix(o.reshapeTo(o.x(), -1), o.int(0, "k"))) }},
	{name: "Diagonal", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.diagonal(o.x(), o.int(0, "offset"), o.int(0, "axis1"), o.int(1, "axis2")))
	}},
	{name: "Trace", params: "x", f: func(o *opArgs) []*graph.Value {
		return one(o.sum(o.diagonal(o.x(), o.int(0, "offset"), o.int(0, "axis1"), o.int(1, "axis2")), false, -1))
	}},
	{name: "Tril", params: "x k", f: trilu(false)}, {name: "Triu", params: "x k", f: trilu(true)},
	{name: "Diff", params: "a", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		axis := o.axis(o.int(-1, "axis"), o.rank(x))
		for range o.int(1, "n") {
			x = o.sub(o.slice(x, axis, 1, maxInt), o.slice(x, axis, 0, -1))
		}
		return one(x)
	}},
	{name: "Argsort", params: "x", f: func(o *opArgs) []*graph.Value { _, i := o.sorted(false); return one(o.cast(i, tensor.Int32)) }},
	{name: "Sort", params: "x", f: func(o *opArgs) []*graph.Value { v, _ := o.sorted(false); return one(v) }},
	{name: "Argpartition", params: "x", f: func(o *opArgs) []*graph.Value {
		o.get("kth") // all of it sorted is one such partition
		_, i := o.sorted(false)
		return one(o.cast(i, tensor.Int32))
	}},
	{name: "TakeAlongAxis", params: "x indices", f: takeAlongAxis},
	{name: "SearchSorted", params: "sorted_sequence values", f: func(o *opArgs) []*graph.Value {
		return one(o.countBelow(o.tensor(nil, "sorted_sequence"), o.tensor(nil, "values"), o.str("left", "side") == "right"))
	}},
	{name: "Digitize", params: "x bins", f: func(o *opArgs) []*graph.Value { return one(o.countBelow(o.tensor(nil, "bins"), o.x(), true)) }},
	{name: "Nonzero", params: "x", f: func(o *opArgs) []*graph.Value { return o.nonzero(o.x()) }},
	{name: "UnravelIndex", params: "indices", f: func(o *opArgs) []*graph.Value {
		x := o.tensor(nil, "indices")
		s, _ := o.intList("shape")
		ys := make([]*graph.Value, len(s))
		for i := len(s) - 1; i >= 0; i-- {
			ys[i] = o.Add(ops.Mod{}, x, o.num(x, float64(s[i])))
			x = o.Add(ops.FloorDiv{}, x, o.num(x, float64(s[i])))
		}
		return ys
	}},
	{name: "Meshgrid", params: "x", f: meshgrid},
	{name: "Vander", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		n := o.int(max(o.dim(x, 0), 0), "N", "n")
		ps := make([]float64, n)
		for i := range ps {
			ps[i] = float64(n - 1 - i)
			if o.bool(false, "increasing") {
				ps[i] = float64(i)
			}
		}
		return one(o.Add(ops.Pow{}, o.expandDims(x, 1), o.constant(x.Type.DType, ps, n)))
	}},
	{name: "Bincount", params: "x", f: bincount}, {name: "CountNonzero", params: "x", f: countNonzero}, {name: "Average", params: "x weights", f: averageOp},
	{name: "Ptp", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.sub(o.max(x, k, a...), o.Add(ops.ReduceMin{Keepdims: k}, x, o.ints(a...)))
	}},
	{name: "Cumsum", params: "x axis", f: scanOp(ops.CumSum{}, false)}, {name: "Cumprod", params: "x axis", f: scanOp(ops.CumProd{}, false)},
	{name: "Nancumsum", params: "x axis", f: scanOp(ops.CumSum{}, true)}, {name: "Nancumprod", params: "x axis", f: scanOp(ops.CumProd{}, true)},
	{name: "Trapezoid", params: "y x", f: trapezoid},
	{name: "Scatter", params: "indices values", f: func(o *opArgs) []*graph.Value {
		v := o.tensor(nil, "values")
		s, _ := o.intList("shape")
		zero := o.Add(ops.Expand{}, o.num(v, 0), o.ints(s...))
		return one(o.Add(ops.ScatterND{Reduction: "add"}, zero, o.cast(o.tensor(nil, "indices"), tensor.Int64), v))
	}},
	{name: "ScatterUpdate", params: "inputs indices updates", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		red := o.str("none", "reduction")
		return one(o.Add(ops.ScatterND{Reduction: red}, x, o.cast(o.tensor(nil, "indices"), tensor.Int64), o.tensor(x, "updates")))
	}},
	{name: "Slice", params: "inputs start_indices", f: func(o *opArgs) []*graph.Value { x := o.x(); return one(o.sliceAt(x)) }},
	{name: "SliceUpdate", params: "inputs start_indices updates", f: sliceUpdate},
}

// rollOp shifts elements around, over all of the array where no axis is given.
func rollOp(o *opArgs) []*graph.Value {
	x := o.x()
	shifts, _ := o.intList("shift")
	axes, ok := o.intList("axis")
	y := x
	if !ok {
		y, axes = o.reshapeTo(x, -1), []int{0}
	}
	if len(shifts) == 1 && len(axes) > 1 {
		shifts = repeat(shifts[0], len(axes))
	}
	if len(shifts) != len(axes) {
		o.Failf("shift %v along %v", shifts, axes)
		return one(x)
	}
	for i, a := range axes {
		a = o.axis(a, o.rank(y))
		n := o.dim(y, a)
		s := shifts[i]
		if n > 0 {
			s = ((s % n) + n) % n
		} else if n < 0 && s < 0 {
			y = o.concat(a, o.slice(y, a, -s, maxInt), o.slice(y, a, 0, -s))
			continue
		}
		if s != 0 {
			y = o.concat(a, o.slice(y, a, -s, maxInt), o.slice(y, a, 0, -s))
		}
	}
	if !ok {
		y = o.reshape(y, x.Type.Dims, x)
	}
	return one(y)
}

// stacker joins arrays along an axis, after giving them at least so many dimensions as numpy does.
func stacker(rank int, axis func(*opArgs, int) int) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		vs := slices.Clone(o.list("xs", "x"))
		for i, v := range vs {
			r := o.rank(v)
			if r < 1 {
				v, r = o.expandDims(v, 0), 1
			}
			if r < 2 && rank > 1 {
				v, r = o.expandDims(v, 0), 2
			}
			if r < 3 && rank > 2 {
				v = o.expandDims(v, 2)
			}
			vs[i] = v
		}
		if o.Err() != nil {
			return one(o.scalar(tensor.Float32, 0))
		}
		return one(o.concat(axis(o, o.rank(vs[0])), o.sameType(vs)...))
	}
}

func columnStack(o *opArgs) []*graph.Value {
	vs := slices.Clone(o.list("xs", "x"))
	for i, v := range vs {
		if o.rank(v) == 1 {
			vs[i] = o.expandDims(v, 1)
		}
	}
	return one(o.concat(1, o.sameType(vs)...))
}

// splitAlong is numpy's split; without even, the first pieces are one longer where it doesn't come out.
func (o *opArgs) splitAlong(axis int, even bool) []*graph.Value {
	x := o.x()
	axis = o.axis(axis, o.rank(x))
	o.vals["axis"] = axis
	o.int(0, "axis")
	n := o.dim(x, axis)
	k, err := asInt(o.get("indices_or_sections"))
	if even || err != nil || n < 0 {
		return o.splitOp()
	}
	if k < 1 || k > n {
		o.Failf("%d parts of %v", k, x.Type)
		return one(x)
	}
	sizes := repeat(n/k, k)
	for i := range n % k {
		sizes[i]++
	}
	return o.split(x, axis, sizes...)
}

// diagMatrix is a matrix of zeros with v on diagonal k.
func (o *opArgs) diagMatrix(v *graph.Value, k int) *graph.Value {
	n := o.dim(v, 0)
	if n < 0 || n > 4096 {
		o.Failf("needs a known size, got %v", v.Type)
		return v
	}
	size := n + max(k, -k)
	m := o.mul(o.expandDims(v, 1), o.constant(v.Type.DType, eye(n, n, 0), n, n))
	pads := []int{max(-k, 0), max(k, 0), size - n - max(-k, 0), size - n - max(k, 0)}
	return o.Add(ops.Pad{}, m, o.ints(pads...), o.num(v, 0))
}

// eye is a matrix with ones on diagonal k.
func eye(rows, cols, k int) []float64 {
	m := make([]float64, rows*cols)
	for i := range rows {
		if j := i + k; j >= 0 && j < cols {
			m[i*cols+j] = 1
		}
	}
	return m
}

// diagonal is diagonal k of the matrices over two axes, as a new last axis.
func (o *opArgs) diagonal(x *graph.Value, k, axis1, axis2 int) *graph.Value {
	r := o.rank(x)
	a, b := o.axis(axis1, r), o.axis(axis2, r)
	if o.Err() != nil || a == b {
		o.Failf("axes %d and %d of %v", axis1, axis2, x.Type)
		return x
	}
	var perm []int
	for i := range r {
		if i != a && i != b {
			perm = append(perm, i)
		}
	}
	x = o.transpose(x, append(perm, a, b)...)
	rows, cols := o.dim(x, -2), o.dim(x, -1)
	if rows < 0 || cols < 0 {
		o.Failf("needs known sizes, got %v", x.Type)
		return x
	}
	n := min(rows-max(-k, 0), cols-max(k, 0))
	if n < 1 {
		o.Failf("diagonal %d of %v", k, x.Type)
		return x
	}
	x = o.slice(o.slice(x, -2, max(-k, 0), max(-k, 0)+n), -1, max(k, 0), max(k, 0)+n)
	return o.sum(o.mul(x, o.constant(x.Type.DType, eye(n, n, 0), n, n)), false, -1)
}

func trilu(upper bool) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		return one(o.Add(ops.Trilu{Upper: upper}, o.x(), o.Const("k", tensor.Scalar(int64(o.int(0, "k"))))))
	}
}

// sorted is x in order along an axis with the places it came from; equal numbers keep theirs.
func (o *opArgs) sorted(largest bool) (v, index *graph.Value) {
	x := o.x()
	axis := o.int(-1, "axis")
	if a, given := o.vals["axis"]; given && a == nil {
		x, axis = o.reshapeTo(x, -1), 0
	}
	return o.sortAlong(x, axis, largest)
}

func (o *opArgs) sortAlong(x *graph.Value, axis int, largest bool) (v, index *graph.Value) {
	axis = o.axis(axis, o.rank(x))
	if o.Err() != nil {
		return x, x
	}
	dt := x.Type.DType
	if dt == tensor.Bool {
		x = o.cast(x, tensor.Int32)
	}
	out := o.AddN(ops.TopK{Axis: axis, Largest: largest, Sorted: true}, x, o.dimValue(x.Type.Dims[axis], x))
	if len(out) < 2 {
		return x, x
	}
	return o.cast(out[0], dt), out[1]
}

func takeAlongAxis(o *opArgs) []*graph.Value {
	x, idx := o.x(), o.cast(o.tensor(nil, "indices"), tensor.Int64)
	if o.get("axis") == nil {
		return one(o.Add(ops.GatherElements{}, o.reshapeTo(x, -1), o.reshapeTo(idx, -1)))
	}
	axis := o.axis(o.int(0, "axis"), o.rank(x))
	if o.Err() != nil || o.rank(idx) != o.rank(x) {
		o.Failf("indices %v for %v", idx.Type, x.Type)
		return one(x)
	}
	// the other dimensions broadcast
	xd, id := slices.Clone(x.Type.Dims), slices.Clone(idx.Type.Dims)
	for i := range xd {
		if i == axis {
			continue
		}
		if xd[i] == graph.D(1) {
			xd[i] = id[i]
		} else {
			id[i] = xd[i]
		}
	}
	if !slices.Equal(xd, x.Type.Dims) {
		x = o.expand(x, xd, idx)
	}
	if !slices.Equal(id, idx.Type.Dims) {
		idx = o.expand(idx, id, x)
	}
	return one(o.Add(ops.GatherElements{Axis: axis}, x, idx))
}

// countBelow is for each of x the number of edges below it, or not above it.
func (o *opArgs) countBelow(edges, x *graph.Value, equal bool) *graph.Value {
	dt := promote(edges.Type.DType, x.Type.DType)
	edges, x = o.cast(edges, dt), o.cast(x, dt)
	var in *graph.Value
	if equal {
		in = o.Add(ops.LessOrEqual{}, edges, o.expandDims(x, -1))
	} else {
		in = o.Add(ops.Less{}, edges, o.expandDims(x, -1))
	}
	return o.sum(o.cast(in, tensor.Int32), false, -1)
}

// nonzero is the places of x that aren't zero, one output for each dimension.
func (o *opArgs) nonzero(x *graph.Value) []*graph.Value {
	at := o.cast(o.Add(ops.NonZero{}, x), tensor.Int32)
	ys := make([]*graph.Value, o.rank(x))
	for i := range ys {
		ys[i] = o.squeeze(o.slice(at, 0, i, i+1), 0)
	}
	return ys
}

func meshgrid(o *opArgs) []*graph.Value {
	vs := o.list("x")
	xy := o.str("xy", "indexing") == "xy" && len(vs) > 1
	var dims []graph.Dim
	for _, v := range vs {
		if o.rank(v) > 1 || o.Err() != nil {
			o.Failf("takes vectors, got %v", v.Type)
			return one(v)
		}
		dims = append(dims, graph.Product(v.Type.Dims))
	}
	if xy {
		dims[0], dims[1] = dims[1], dims[0]
	}
	out := make([]*graph.Value, len(vs))
	for i, v := range vs {
		at := i
		if xy && i < 2 {
			at = 1 - i
		}
		shape := repeat(1, len(vs))
		shape[at] = -1
		out[i] = o.expand(o.reshapeTo(v, shape...), dims, vs...)
	}
	return out
}

func bincount(o *opArgs) []*graph.Value {
	x := o.cast(o.x(), tensor.Int64)
	top := o.addN(o.Add(ops.ReduceMax{}, x), 1)
	top = o.Add(ops.Max{}, top, o.num(top, float64(o.int(0, "minlength"))))
	places := o.Add(ops.Range{}, o.num(top, 0), top, o.num(top, 1))
	hot := o.Add(ops.Equal{}, o.expandDims(x, -1), places)
	if o.get("weights") == nil {
		return one(o.sum(o.cast(hot, tensor.Int32), false, -2))
	}
	w := o.tensor(nil, "weights")
	return one(o.sum(o.mul(o.cast(hot, w.Type.DType), o.expandDims(w, -1)), false, -2))
}

func countNonzero(o *opArgs) []*graph.Value {
	x := o.x()
	return one(o.sum(o.cast(o.notEqual(x, 0), tensor.Int32), false, o.axes(x, "axis")...))
}

func averageOp(o *opArgs) []*graph.Value {
	x := o.floatX()
	axes := o.axes(x, "axis")
	if o.get("weights") == nil {
		return one(o.mean(x, false, axes...))
	}
	w := o.tensor(x, "weights")
	dt := promote(x.Type.DType, w.Type.DType)
	x, w = o.cast(x, dt), o.cast(w, dt)
	if o.rank(w) == 1 && o.rank(x) > 1 {
		if len(axes) != 1 {
			o.Failf("weights %v along %v", w.Type, axes)
			return one(x)
		}
		shape := repeat(1, o.rank(x))
		shape[o.axis(axes[0], len(shape))] = -1
		w = o.reshapeTo(w, shape...)
	}
	return one(o.div(o.sum(o.mul(x, w), false, axes...), o.sum(w, false, axes...)))
}

// scanOp is a running sum or product; without an axis, of all elements in order.
func scanOp(op graph.Op, ignoreNaN bool) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		x := o.x()
		axis := 0
		if o.get("axis") == nil {
			x = o.reshapeTo(x, -1)
		} else {
			axis = o.axis(o.int(0, "axis"), o.rank(x))
		}
		if x.Type.DType == tensor.Bool {
			x = o.cast(x, tensor.Int32)
		}
		x = o.cast(x, o.dtype(x.Type.DType, "dtype"))
		if _, sum := op.(ops.CumSum); ignoreNaN && x.Type.DType.IsFloat() {
			neutral := 1.0
			if sum {
				neutral = 0
			}
			x = o.choose(o.Add(ops.IsNaN{}, x), o.num(x, neutral), x)
		}
		if o.bool(false, "exclusive") || o.bool(false, "reverse") {
			o.Failf("an exclusive or reversed running sum is not supported")
		}
		return one(o.Add(op, x, o.Const("axis", tensor.Scalar(int64(axis)))))
	}
}

func trapezoid(o *opArgs) []*graph.Value {
	y := o.tensor(nil, "y")
	if !y.Type.DType.IsFloat() {
		y = o.cast(y, tensor.Float32)
	}
	axis := o.axis(o.int(-1, "axis"), o.rank(y))
	mid := o.mulN(o.add(o.slice(y, axis, 1, maxInt), o.slice(y, axis, 0, -1)), 0.5)
	if o.get("x") == nil {
		return one(o.mulN(o.sum(mid, false, axis), o.float(1, "dx")))
	}
	o.get("dx")
	x := o.cast(o.tensor(y, "x"), y.Type.DType)
	at := axis
	if o.rank(x) == 1 {
		at = 0
	}
	d := o.sub(o.slice(x, at, 1, maxInt), o.slice(x, at, 0, -1))
	if o.rank(x) == 1 {
		shape := repeat(1, o.rank(y))
		shape[axis] = -1
		d = o.reshapeTo(d, shape...)
	}
	return one(o.sum(o.mul(mid, d), false, axis))
}

// starts is start_indices as an int64 vector.
func (o *opArgs) starts() *graph.Value {
	if list, ok := o.get("start_indices").([]any); ok {
		return o.shapeList(list)
	}
	return o.reshapeTo(o.cast(o.tensor(nil, "start_indices"), tensor.Int64), -1)
}

func (o *opArgs) sliceAt(x *graph.Value) *graph.Value {
	s, _ := o.intList("shape")
	if len(s) != o.rank(x) {
		o.Failf("shape %v of %v", s, x.Type)
		return x
	}
	from := o.starts()
	size := o.ints(s...)
	for i, n := range s {
		if n < 0 { // all that there is
			s[i] = math.MaxInt32
			size = o.ints(s...)
		}
	}
	y := o.Add(ops.Slice{}, x, from, o.add(from, size), o.ints(identityPerm(len(s))...))
	if o.Err() == nil && !slices.Contains(s, math.MaxInt32) {
		y = o.reshapeTo(y, s...)
	}
	return y
}

// sliceUpdate writes updates over a part of inputs: the flat places of that part are scattered to.
func sliceUpdate(o *opArgs) []*graph.Value {
	x := o.x()
	u := o.tensor(x, "updates")
	from := o.starts()
	shape, part := make([]int, o.rank(x)), make([]int, o.rank(u))
	for i := range shape {
		shape[i], part[i] = o.dim(x, i), o.dim(u, i)
		if shape[i] < 0 || part[i] < 0 {
			o.Failf("needs known sizes, got %v and %v", x.Type, u.Type)
			return one(x)
		}
	}
	n := 1
	for _, d := range part {
		n *= d
	}
	if !o.atMost("the size of updates", n*len(part), maxConstant) {
		return one(x)
	}
	index := make([]float64, n*len(part))
	for i := range n {
		for j, rest := len(part)-1, i; j >= 0; j-- {
			index[i*len(part)+j] = float64(rest % part[j])
			rest /= part[j]
		}
	}
	at := o.add(o.constant(tensor.Int64, index, n, len(part)), from)
	return one(o.Add(ops.ScatterND{}, x, at, o.reshapeTo(o.cast(u, x.Type.DType), n)))
}
