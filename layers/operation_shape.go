package layers

import (
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (o *opArgs) normAxes(axes []int, rank int) []int {
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i] = o.axis(a, rank)
	}
	if len(out) != rank {
		o.Failf("axes %v for rank %d", axes, rank)
		return identityPerm(rank)
	}
	return out
}

func (o *opArgs) moveaxis() []*graph.Value {
	x := o.x()
	src, _ := o.intList("source")
	dst, _ := o.intList("destination")
	r := o.rank(x)
	if len(src) != len(dst) || o.Err() != nil {
		o.Failf("source %v, destination %v", src, dst)
		return one(x)
	}
	perm := repeat(-1, r)
	used := map[int]bool{}
	for i := range src {
		s, d := o.axis(src[i], r), o.axis(dst[i], r)
		perm[d], used[s] = s, true
	}
	next := 0
	for i := range perm {
		if perm[i] >= 0 {
			continue
		}
		for used[next] {
			next++
		}
		perm[i] = next
		next++
	}
	return one(o.transpose(x, perm...))
}

// reshapeOp is x in the named shape, in which one size may be -1 and null stands for the batch.
func (o *opArgs) reshapeOp(names ...string) *graph.Value {
	x := o.x()
	if list, ok := o.get(names...).([]any); ok && len(leaves(nil, list)) > 0 {
		return o.Add(ops.Reshape{Allowzero: true}, x, o.shapeList(list))
	}
	if v, ok := o.get(names...).(*graph.Value); ok && v.Type.Const == nil {
		return o.Add(ops.Reshape{Allowzero: true}, x, o.cast(v, tensor.Int64))
	}
	sizes, _ := o.intList(names...)
	open := 0
	dims := make([]graph.Dim, len(sizes))
	for i, n := range sizes {
		dims[i] = graph.D(n)
		if n < 0 {
			open++
		}
	}
	if open > 1 && sizes[0] == -1 { // null batch and a -1
		sizes[0] = 0
	}
	if slices.Contains(sizes, 0) && open <= 1 {
		return o.Add(ops.Reshape{Allowzero: true}, x, o.ints(sizes...))
	}
	return o.reshapeTo(x, sizes...)
}

// shapeList joins numbers and computed sizes to a shape.
func (o *opArgs) shapeList(list []any) *graph.Value {
	parts := make([]*graph.Value, len(list))
	for i, e := range list {
		if v, ok := e.(*graph.Value); ok {
			parts[i] = o.reshapeTo(o.cast(v, tensor.Int64), 1)
			continue
		}
		n, err := asInt(e)
		if err != nil {
			o.Failf("shape: %v", err)
		}
		parts[i] = o.ints(n)
	}
	return o.concat(0, parts...)
}

func (o *opArgs) sameType(vs []*graph.Value) []*graph.Value {
	dt := vs[0].Type.DType
	for _, v := range vs {
		dt = promote(dt, v.Type.DType)
	}
	out := make([]*graph.Value, len(vs))
	for i, v := range vs {
		out[i] = o.cast(v, dt)
	}
	return out
}

func (o *opArgs) concatOp(names ...string) *graph.Value {
	vs := o.list(names...)
	if len(vs) == 0 {
		return o.x()
	}
	return o.concat(o.axis(o.int(0, "axis", "concat_dim"), o.rank(vs[0])), o.sameType(vs)...)
}

func (o *opArgs) stackOp(names ...string) *graph.Value {
	vs := o.list(names...)
	if len(vs) == 0 {
		return o.x()
	}
	axis := o.axis(o.int(0, "axis"), o.rank(vs[0])+1)
	vs = o.sameType(vs)
	for i := range vs {
		vs[i] = o.expandDims(vs[i], axis)
	}
	return o.concat(axis, vs...)
}

func (o *opArgs) splitOp() []*graph.Value {
	x := o.x()
	axis := o.axis(o.int(0, "axis"), o.rank(x))
	n := o.dim(x, axis)
	at, _ := o.intList("indices_or_sections", "num_or_size_splits")
	if n < 0 || len(at) == 0 {
		o.Failf("splits %v of %v", at, x.Type)
		return one(x)
	}
	_, isList := o.get("indices_or_sections", "num_or_size_splits").([]any)
	var sizes []int
	switch {
	case !isList:
		if at[0] < 1 || n%at[0] != 0 {
			o.Failf("%d can't be split into %d", n, at[0])
			return one(x)
		}
		sizes = repeat(n/at[0], at[0])
	case o.vals["num_or_size_splits"] != nil:
		sizes = at
	default:
		prev := 0
		for _, i := range append(at, n) {
			sizes = append(sizes, i-prev)
			prev = i
		}
	}
	return o.split(x, axis, sizes...)
}

func (o *opArgs) whereOp() []*graph.Value {
	cond := o.cast(o.tensor(nil, "condition"), tensor.Bool)
	a, b := o.pair()
	return one(o.Add(ops.Where{}, cond, a, b))
}

func (o *opArgs) fillLike(v float64) *graph.Value {
	x := o.x()
	return o.expand(o.scalar(o.dtype(x.Type.DType, "dtype"), v), x.Type.Dims, x)
}

func (o *opArgs) oneHotOp(names ...string) *graph.Value {
	x := o.tensor(nil, "x", "indices")
	dt := o.dtype(tensor.Float32, "dtype")
	return o.oneHot(x, o.int(0, names...), o.int(-1, "axis"), dt, o.float(1, "on_value"), o.float(0, "off_value"))
}

// oneHot is on at the place that x names along a new axis, off elsewhere; x outside is off everywhere.
func (c *Call) oneHot(x *graph.Value, depth, axis int, dt tensor.DType, on, off float64) *graph.Value {
	if depth < 1 || !c.atMost("the length of a one-hot code", depth, maxConstant) {
		c.Failf("a one-hot code of %d places", depth)
		return x
	}
	ids := make([]float64, depth)
	for i := range ids {
		ids[i] = float64(i)
	}
	shape := repeat(1, c.rank(x)+1)
	a := c.axis(axis, c.rank(x)+1)
	shape[a] = depth
	x = c.cast(x, tensor.Int64)
	eq := c.Add(ops.Equal{}, c.expandDims(x, a), c.constant(tensor.Int64, ids, shape...))
	y := c.cast(eq, dt)
	if on == 1 && off == 0 {
		return y
	}
	return c.addN(c.mulN(y, on-off), off)
}

func (o *opArgs) padOp() []*graph.Value {
	x := o.x()
	r := o.rank(x)
	pairs, err := asPairs(o.get("pad_width", "paddings"))
	if err != nil {
		o.Failf("pad_width: %v", err)
		return one(x)
	}
	if len(pairs) == 2 && pairs[1] == [2]int{-1, -1} {
		pairs = pairs[:1]
	}
	for len(pairs) == 1 && len(pairs) < r {
		p := pairs[0]
		pairs = nil
		for range r {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) != r {
		o.Failf("pad_width has %d pairs for %v", len(pairs), x.Type)
		return one(x)
	}
	pads := make([]int, 2*r)
	for i, p := range pairs {
		pads[i], pads[r+i] = p[0], p[1]
	}
	mode := strings.ToLower(o.str("constant", "mode"))
	if mode != "constant" && mode != "reflect" && mode != "edge" {
		o.Failf("pad mode %q is not supported", mode)
	}
	return one(o.Add(ops.Pad{Mode: mode}, x, o.ints(pads...), o.num(x, o.float(0, "constant_values"))))
}

// getItem is x[key] for integers, slices, None and the ellipsis.
func (o *opArgs) getItem() []*graph.Value {
	x := o.x()
	key, ok := o.get("key").([]any)
	if !ok {
		key = []any{o.vals["key"]}
	}
	return one(o.index2(x, key))
}

// index2 applies a Python index: each part an integer, null (a new axis), {"slice": ...} as Keras writes
// slices, or "...".
func (o *opArgs) index2(x *graph.Value, key []any) *graph.Value {
	r := o.rank(x)
	consumed := 0
	for _, k := range key {
		if k != nil && !isEllipsis(k) {
			consumed++
		}
	}
	axis, out := 0, x
	var drop, add []int
	outAxis := 0
	for _, k := range key {
		switch {
		case k == nil:
			add = append(add, outAxis)
			outAxis++
		case isEllipsis(k):
			axis += r - consumed
			outAxis += r - consumed
		default:
			if start, stop, step, isSlice := sliceParts(k); isSlice {
				s, e, st := 0, maxInt, orInt(step, 1)
				if st < 0 {
					s, e = maxInt, -maxInt
				}
				out = o.Add(ops.Slice{}, out, o.ints(orInt(start, s)), o.ints(orInt(stop, e)), o.ints(axis), o.ints(st))
				axis++
				outAxis++
				continue
			}
			n, err := asInt(k)
			if err != nil {
				o.Failf("index %v: %v", k, err)
				return x
			}
			end := n + 1
			if n == -1 {
				end = maxInt
			}
			out = o.slice(out, axis, n, end)
			drop = append(drop, axis)
			axis++
		}
	}
	if len(drop) > 0 {
		out = o.squeeze(out, drop...)
	}
	if len(add) > 0 {
		out = o.expandDims(out, add...)
	}
	return out
}

func isEllipsis(k any) bool {
	if s, ok := k.(string); ok {
		return s == "..." || s == "Ellipsis"
	}
	if m, ok := k.(map[string]any); ok {
		return m["class_name"] == "__ellipsis__"
	}
	return false
}

// sliceParts reads a slice in Keras 3's form ({"class_name": "__slice__", "config": {...}}) or tf.keras'
// ({"start":, "stop":, "step":}).
func sliceParts(k any) (start, stop, step *int, ok bool) {
	m, isMap := k.(map[string]any)
	if !isMap {
		return nil, nil, nil, false
	}
	if cfg, has := m["config"].(map[string]any); has {
		m = cfg
	}
	part := func(name string) *int {
		n, err := asInt(m[name])
		if m[name] == nil || err != nil {
			return nil
		}
		return &n
	}
	_, hasStart := m["start"]
	_, hasStop := m["stop"]
	return part("start"), part("stop"), part("step"), hasStart || hasStop
}
