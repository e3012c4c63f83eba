package layers

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// statsOperations is the statistics of keras.ops.numpy.
var statsOperations = []opRow{
	{name: "Median", params: "x", f: func(o *opArgs) []*graph.Value { return o.quantiles([]float64{0.5}, false, false) }},
	{name: "Quantile", params: "x q", f: func(o *opArgs) []*graph.Value { return o.quantileOp(1, false) }},
	{name: "Percentile", params: "x q", f: func(o *opArgs) []*graph.Value { return o.quantileOp(100, false) }},
	{name: "Nanmedian", params: "x", f: func(o *opArgs) []*graph.Value { return o.quantiles([]float64{0.5}, false, true) }},
	{name: "Nanquantile", params: "x q", f: func(o *opArgs) []*graph.Value { return o.quantileOp(1, true) }},
	{name: "Nanpercentile", params: "x q", f: func(o *opArgs) []*graph.Value { return o.quantileOp(100, true) }},
	{name: "Nansum", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.reduceSum(o.withoutNaN(x, 0), k, a)
	}},
	{name: "Nanprod", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		return o.Add(ops.ReduceProd{Keepdims: k}, o.withoutNaN(x, 1), o.ints(a...))
	}},
	{name: "Nanmax", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value { return o.nanExtreme(x, k, a, true) }},
	{name: "Nanmin", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value { return o.nanExtreme(x, k, a, false) }},
	{name: "Nanmean", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value { m, _ := o.nanMoments(x, k, a); return m }},
	{name: "Nanvar", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value { _, v := o.nanMoments(x, k, a); return v }},
	{name: "Nanstd", params: "x axis keepdims", f: func(o *opArgs, x *graph.Value, k bool, a []int) *graph.Value {
		_, v := o.nanMoments(x, k, a)
		return o.Add(ops.Sqrt{}, v)
	}},
	{name: "Nanargmax", params: "x axis keepdims", f: func(o *opArgs) []*graph.Value { return o.nanArg(true) }},
	{name: "Nanargmin", params: "x axis keepdims", f: func(o *opArgs) []*graph.Value { return o.nanArg(false) }},
	{name: "Max", params: "x axis keepdims", f: maximum}, {name: "Min", params: "x axis keepdims", f: minimum},
	{name: "Amax", params: "x axis keepdims", f: maximum}, {name: "Amin", params: "x axis keepdims", f: minimum},
	{name: "Prod", params: "x axis keepdims", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		x = o.cast(x, o.dtype(x.Type.DType, "dtype"))
		if x.Type.DType == tensor.Bool {
			x = o.cast(x, tensor.Int32)
		}
		return one(o.Add(ops.ReduceProd{Keepdims: o.bool(false, "keepdims", "keep_dims")}, x, o.ints(o.axes(x, "axis", "reduction_indices")...)))
	}},
	{name: "Corrcoef", params: "x", f: corrcoef},
	{name: "Correlate", params: "x1 x2", f: correlate},
	{name: "Histogram", params: "x", f: histogram},
	{name: "Norm", params: "x", f: normOp},
	{name: "Normalize", params: "x", f: normalizeOp},
	{name: "Unique", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		if o.get("axis") != nil || o.get("size") != nil || !o.bool(true, "sorted") || o.get("fill_value") != nil {
			o.Failf("axis, size, fill_value and sorted=False are not supported")
		}
		out := o.AddN(ops.Unique{Sorted: true}, o.reshapeTo(x, -1))
		if len(out) < 4 {
			return one(x)
		}
		ys := out[:1:1]
		for i, name := range []string{"return_index", "return_inverse", "return_counts"} {
			if o.bool(false, name) {
				ys = append(ys, o.cast(out[i+1], tensor.Int32))
			}
		}
		return ys
	}},
}

// extreme is a maximum or minimum, with a number that takes part in it.
func (o *opArgs) extreme(isMax bool) []*graph.Value {
	x := o.x()
	keep, axes := o.bool(false, "keepdims", "keep_dims"), o.axes(x, "axis", "reduction_indices")
	dt := x.Type.DType
	if dt == tensor.Bool {
		x = o.cast(x, tensor.Int32)
	}
	y := o.Add(ops.ReduceMin{Keepdims: keep}, x, o.ints(axes...))
	if isMax {
		y = o.max(x, keep, axes...)
	}
	if o.get("initial") != nil {
		if v := o.cast(o.tensor(y, "initial"), y.Type.DType); isMax {
			y = o.Add(ops.Max{}, y, v)
		} else {
			y = o.Add(ops.Min{}, y, v)
		}
	}
	return one(o.cast(y, dt))
}

func maximum(o *opArgs) []*graph.Value { return o.extreme(true) }
func minimum(o *opArgs) []*graph.Value { return o.extreme(false) }

// isNaN is false everywhere for integers.
func (o *opArgs) isNaN(x *graph.Value) *graph.Value {
	if x.Type.DType.IsFloat() {
		return o.Add(ops.IsNaN{}, x)
	}
	return o.filled(x, tensor.Bool, 0)
}

func (o *opArgs) withoutNaN(x *graph.Value, neutral float64) *graph.Value {
	return o.choose(o.isNaN(x), o.num(x, neutral), x)
}

func (o *opArgs) nanExtreme(x *graph.Value, keep bool, axes []int, isMax bool) *graph.Value {
	if !x.Type.DType.IsFloat() {
		if isMax {
			return o.max(x, keep, axes...)
		}
		return o.Add(ops.ReduceMin{Keepdims: keep}, x, o.ints(axes...))
	}
	nan := o.isNaN(x)
	var y *graph.Value
	if isMax {
		y = o.max(o.choose(nan, o.num(x, math.Inf(-1)), x), keep, axes...)
	} else {
		y = o.Add(ops.ReduceMin{Keepdims: keep}, o.choose(nan, o.num(x, math.Inf(1)), x), o.ints(axes...))
	}
	all := o.Add(ops.ReduceMin{Keepdims: keep}, o.cast(nan, tensor.Int32), o.ints(axes...))
	return o.choose(all, o.num(y, math.NaN()), y)
}

func (o *opArgs) nanMoments(x *graph.Value, keep bool, axes []int) (mean, variance *graph.Value) {
	if !x.Type.DType.IsFloat() {
		x = o.cast(x, tensor.Float32)
	}
	nan := o.isNaN(x)
	in := o.sub(o.num(x, 1), o.cast(nan, x.Type.DType))
	n := o.sum(in, true, axes...)
	m := o.div(o.sum(o.choose(nan, o.num(x, 0), x), true, axes...), n)
	d := o.choose(nan, o.num(x, 0), o.sub(x, m))
	v := o.div(o.sum(o.mul(d, d), true, axes...), n)
	if !keep {
		m, v = o.squeeze(m, axes...), o.squeeze(v, axes...)
	}
	return m, v
}

func (o *opArgs) nanArg(isMax bool) []*graph.Value {
	x := o.floatX()
	keep := o.bool(false, "keepdims")
	axis := 0
	if o.get("axis") == nil {
		x = o.reshapeTo(x, -1)
	} else {
		axis = o.axis(o.int(0, "axis"), o.rank(x))
	}
	nan := o.isNaN(x)
	var y *graph.Value
	if isMax {
		y = o.Add(ops.ArgMax{Axis: axis, Keepdims: keep}, o.choose(nan, o.num(x, math.Inf(-1)), x))
	} else {
		y = o.Add(ops.ArgMin{Axis: axis, Keepdims: keep}, o.choose(nan, o.num(x, math.Inf(1)), x))
	}
	y = o.cast(y, tensor.Int32)
	all := o.Add(ops.ReduceMin{Keepdims: keep}, o.cast(nan, tensor.Int32), o.ints(axis))
	return one(o.choose(all, o.num(y, -1), y))
}

// quantileOp takes q, a number or a list of them, as a part of whole.
func (o *opArgs) quantileOp(whole float64, ignoreNaN bool) []*graph.Value {
	q := o.get("q")
	if t, ok := q.(*graph.Value); ok {
		if t.Type.Const == nil {
			o.Failf("q is computed; only numbers are supported there")
			return one(o.x())
		}
		fs, err := t.Type.Const.Float64s()
		if err != nil {
			o.Fail(err)
		}
		for i := range fs {
			fs[i] /= whole
		}
		return o.quantiles(fs, t.Type.Rank() > 0, ignoreNaN)
	}
	fs, err := asFloats(q)
	if err != nil || len(fs) == 0 {
		o.Failf("q: %v", q)
		return one(o.x())
	}
	for i := range fs {
		fs[i] /= whole
	}
	_, err = asNumber(q)
	_, list := q.([]any)
	return o.quantiles(fs, list || err != nil, ignoreNaN)
}

// quantiles sorts along the axes, joined, and interpolates. A list of q is the first axis of the result.
func (o *opArgs) quantiles(qs []float64, list, ignoreNaN bool) []*graph.Value {
	x := o.floatX()
	r := o.rank(x)
	axes := slices.Clone(o.axes(x, "axis"))
	for i, a := range axes {
		axes[i] = o.axis(a, r)
	}
	slices.Sort(axes)
	keep, method := o.bool(false, "keepdims"), o.str("linear", "method")
	if o.Err() != nil {
		return one(x)
	}
	var perm []int
	var rest []graph.Dim
	count := graph.D(1)
	for i, d := range x.Type.Dims {
		if !slices.Contains(axes, i) {
			perm, rest = append(perm, i), append(rest, d)
		} else {
			count = count.Mul(d)
		}
	}
	n, known := count.Const()
	if !known || n < 1 || ignoreNaN && method != "linear" {
		o.Failf("quantiles need known sizes (and method linear with NaN), got %v", x.Type)
		return one(x)
	}
	flat := o.reshape(o.transpose(x, append(perm, axes...)...), append(rest, count))
	nan := o.isNaN(flat)
	if ignoreNaN {
		flat = o.choose(nan, o.num(flat, math.Inf(1)), flat)
	}
	s, _ := o.sortAlong(flat, -1, false)
	anyNaN := o.any(nan, true, -1)
	var ys []*graph.Value
	for _, q := range qs {
		var y *graph.Value
		if ignoreNaN {
			y = o.movingQuantile(s, nan, q, n)
		} else {
			y = o.pick(s, q*float64(n-1), method)
			y = o.choose(anyNaN, o.num(y, math.NaN()), y)
		}
		y = o.squeeze(y, -1)
		if keep {
			y = o.expandDims(y, axes...)
		}
		if list {
			y = o.expandDims(y, 0)
		}
		ys = append(ys, y)
	}
	return one(o.concat(0, ys...))
}

// pick is place at, which may lie between two, of the last axis of s.
func (o *opArgs) pick(s *graph.Value, at float64, method string) *graph.Value {
	lo, hi := int(math.Floor(at)), int(math.Ceil(at))
	if lo < 0 || hi > 1<<40 {
		o.Failf("a quantile outside [0, 1]")
		return s
	}
	f := at - float64(lo)
	place := func(i int) *graph.Value { return o.slice(s, -1, i, i+1) }
	switch method {
	case "linear":
	case "lower":
		return place(lo)
	case "higher":
		return place(hi)
	case "nearest":
		return place(int(math.RoundToEven(at)))
	case "midpoint":
		f = 0.5
	default:
		o.Failf("method %q", method)
	}
	if lo == hi {
		return place(lo)
	}
	a, b := place(lo), place(hi)
	return o.add(a, o.mulN(o.sub(b, a), f))
}

// movingQuantile is a quantile of the numbers before the NaNs, which are last in s.
func (o *opArgs) movingQuantile(s, nan *graph.Value, q float64, n int) *graph.Value {
	count := o.sub(o.num(s, float64(n)), o.sum(o.cast(nan, s.Type.DType), true, -1))
	at := o.mulN(o.Add(ops.Max{}, o.addN(count, -1), o.num(count, 0)), q)
	lo := o.Add(ops.Floor{}, at)
	a := o.Add(ops.GatherElements{Axis: o.rank(s) - 1}, s, o.cast(lo, tensor.Int64))
	b := o.Add(ops.GatherElements{Axis: o.rank(s) - 1}, s, o.cast(o.Add(ops.Ceil{}, at), tensor.Int64))
	same := o.Add(ops.Equal{}, a, b)
	y := o.choose(same, a, o.add(a, o.mul(o.choose(same, o.num(a, 0), o.sub(b, a)), o.sub(at, lo))))
	return o.choose(o.Add(ops.Equal{}, count, o.num(count, 0)), o.num(y, math.NaN()), y)
}

func corrcoef(o *opArgs) []*graph.Value {
	x := o.floatX()
	if o.rank(x) == 1 {
		x = o.expandDims(x, 0)
	}
	if !o.wantRank(x, 2) {
		return one(x)
	}
	d := o.sub(x, o.mean(x, true, 1))
	cov := o.Add(ops.MatMul{}, d, o.transpose(d, 1, 0))
	norm := o.Add(ops.Sqrt{}, o.sum(o.mul(d, d), true, 1))
	y := o.within(o.div(cov, o.mul(norm, o.transpose(norm, 1, 0))), -1, 1)
	if n := o.dim(x, 0); n == 1 {
		y = o.squeeze(y)
	}
	return one(y)
}

// correlate is the sliding product of two vectors.
func correlate(o *opArgs) []*graph.Value {
	a, b := o.floatPair()
	n, m := o.dim(a, 0), o.dim(b, 0)
	if !o.wantRank(a, 1) || !o.wantRank(b, 1) || n < 1 || m < 1 {
		o.Failf("takes two vectors of known sizes, got %v and %v", a.Type, b.Type)
		return one(a)
	}
	y := o.conv(o.reshapeTo(a, 1, n, 1), o.reshapeTo(b, m, 1, 1), nil, convSpec{strides: []int{1}, dilations: []int{1}, padding: "causal", groups: 1})
	// causal padding is m-1 in front; the rest of the full correlation needs as much behind
	full := o.Add(ops.Pad{}, o.reshapeTo(a, 1, n, 1), o.ints(0, m-1, 0, 0, m-1, 0), o.num(a, 0))
	y = o.reshapeTo(o.conv(full, o.reshapeTo(b, m, 1, 1), nil, convSpec{strides: []int{1}, dilations: []int{1}, groups: 1}), n+m-1)
	size := n + m - 1
	switch o.str("valid", "mode") {
	case "valid":
		size = max(n, m) - min(n, m) + 1
	case "same":
		size = n
	case "full":
	default:
		o.Failf("mode %q", o.str("", "mode"))
	}
	from := (n + m - 1 - size) / 2
	return one(o.slice(y, 0, from, from+size))
}

func histogram(o *opArgs) []*graph.Value {
	x := o.reshapeTo(o.floatX(), -1)
	bins, err := asInt(o.get("bins"))
	if o.get("bins") == nil {
		bins, err = 10, nil
	}
	if err != nil || bins < 1 || !o.atMost("bins", bins, 1<<16) {
		o.Failf("bins %v", o.vals["bins"])
		return one(x)
	}
	lo, hi := o.Add(ops.ReduceMin{}, x), o.Add(ops.ReduceMax{}, x)
	if r, err := asFloats(o.get("range")); err == nil && len(r) == 2 {
		lo, hi = o.num(x, r[0]), o.num(x, r[1])
	}
	ts := make([]float64, bins+1)
	for i := range ts {
		ts[i] = float64(i) / float64(bins)
	}
	edges := o.add(lo, o.mul(o.sub(hi, lo), o.constant(x.Type.DType, ts, bins+1)))
	at := o.countBelow(edges, x, true)
	last := o.Add(ops.Equal{}, x, hi) // the last bin holds its upper edge
	at = o.choose(last, o.num(at, float64(bins)), at)
	hot := o.oneHot(o.addN(at, -1), bins, -1, x.Type.DType, 1, 0)
	return []*graph.Value{o.sum(hot, false, 0), edges}
}

// normOp is the norm of vectors (one axis, or all of the array) or matrices (two axes).
func normOp(o *opArgs) []*graph.Value {
	x := o.floatX()
	keep := o.bool(false, "keepdims")
	axes, given := o.intList("axis")
	ord := o.get("ord")
	if !given {
		axes = identityPerm(o.rank(x))
		if ord != nil && len(axes) > 2 {
			o.Failf("ord %v of %v without an axis", ord, x.Type)
			return one(x)
		}
	}
	return one(o.norm(x, ord, keep, axes))
}

func (o *opArgs) norm(x *graph.Value, ord any, keep bool, axes []int) *graph.Value {
	if ord == nil || ord == "fro" {
		return o.Add(ops.ReduceL2{Keepdims: keep}, x, o.ints(axes...))
	}
	p, err := asNumber(ord)
	if err != nil || len(axes) > 2 {
		o.Failf("ord %v along %v", ord, axes)
		return x
	}
	abs := o.Add(ops.Abs{}, x)
	if len(axes) == 2 { // sums along one axis, then the largest or smallest
		rows, cols := o.axis(axes[0], o.rank(x)), o.axis(axes[1], o.rank(x))
		along, over := rows, cols
		if math.IsInf(p, 0) {
			along, over = cols, rows
		} else if p != 1 && p != -1 {
			o.Failf("the matrix norm %v is of singular values: not supported", ord)
			return x
		}
		s := o.sum(abs, true, along)
		y := o.Add(ops.ReduceMin{Keepdims: true}, s, o.ints(over))
		if p > 0 {
			y = o.max(s, true, over)
		}
		if !keep {
			y = o.squeeze(y, rows, cols)
		}
		return y
	}
	switch {
	case math.IsInf(p, 1):
		return o.max(abs, keep, axes...)
	case math.IsInf(p, -1):
		return o.Add(ops.ReduceMin{Keepdims: keep}, abs, o.ints(axes...))
	case p == 0:
		return o.sum(o.cast(o.notEqual(x, 0), x.Type.DType), keep, axes...)
	case p == 1:
		return o.Add(ops.ReduceL1{Keepdims: keep}, x, o.ints(axes...))
	case p == 2:
		return o.Add(ops.ReduceL2{Keepdims: keep}, x, o.ints(axes...))
	}
	s := o.sum(o.Add(ops.Pow{}, abs, o.num(x, p)), keep, axes...)
	return o.Add(ops.Pow{}, s, o.num(s, 1/p))
}

func normalizeOp(o *opArgs) []*graph.Value {
	x := o.floatX()
	axes, ok := o.intList("axis")
	if !ok {
		axes = []int{-1}
	}
	order, eps := o.float(2, "order"), o.float(1e-7, "epsilon")
	if order == 2 {
		s := o.sum(o.mul(x, x), true, axes...)
		return one(o.div(x, o.Add(ops.Sqrt{}, o.Add(ops.Max{}, s, o.num(s, eps*eps)))))
	}
	n := o.norm(x, order, true, axes)
	return one(o.div(x, o.Add(ops.Max{}, n, o.num(n, eps))))
}
