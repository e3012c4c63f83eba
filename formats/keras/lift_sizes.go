package keras

import (
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Keras' functional models know no tensor of sizes: the operators that make tensors of computed shapes are
// spelled by ones that have the sizes of a tensor at hand.

// operation is a keras.ops node by its class and the names in its config, as "Flip axis"; the first of vs are the
// config's values, and the others the arguments of a call, which it returns.
func operation(b layers.Base, spec string, vs []any) (*layers.Operation, []any) {
	words := strings.Fields(spec)
	config := map[string]any{}
	for i, key := range words[1:] {
		config[key] = vs[i]
	}
	return &layers.Operation{Base: b, Op: words[0], Module: module(words[0]), Config: config}, vs[len(words)-1:]
}

// apply makes a keras.ops node that stands for a part of an operator.
func (l *lifter) apply(stem, spec string, vs ...any) *layers.Tensor {
	class, _, _ := strings.Cut(spec, " ")
	o, args := operation(layers.Named(l.name(stem+"_"+layers.SnakeCase(class), class)), spec, vs)
	return l.m.ApplyArgs(o, args, nil)
}

// array is numbers of a shape as an argument of an operation.
func array(dt tensor.DType, vs []float64, shape ...int) any {
	return map[string]any{"class_name": "__numpy__", "config": map[string]any{"value": nested(vs, shape), "dtype": dt.String()}}
}

// whole is the part of an index that takes an axis as it is.
func whole() any { return sliceOf(nil, nil, nil) }

func sliceOf(start, stop, step any) any {
	return map[string]any{"class_name": "__slice__", "config": map[string]any{"start": start, "stop": stop, "step": step}}
}

// withSize finds a tensor of the model with an axis of that size.
func (l *lifter) withSize(d graph.Dim) (t *layers.Tensor, axis, rank int) {
	look := func(v *graph.Value) bool {
		t, axis, rank = l.vals[v], slices.Index(v.Type.Dims, d), len(v.Type.Dims)
		return t != nil && axis >= 0
	}
	if slices.ContainsFunc(l.g.Inputs, look) {
		return t, axis, rank
	}
	for _, n := range l.g.Nodes {
		if slices.ContainsFunc(n.Out, look) {
			return t, axis, rank
		}
	}
	return nil, 0, 0
}

// ones is a vector of ones of that size; nil where no tensor has it.
func (l *lifter) ones(stem string, d graph.Dim, dt tensor.DType) *layers.Tensor {
	t, axis, rank := l.withSize(d)
	if t == nil {
		return nil
	}
	if rank > 1 {
		key := make([]any, rank)
		for i := range key {
			key[i] = num(0)
		}
		key[axis] = whole()
		t = l.apply(stem, "GetItem", t, key)
	}
	return l.apply(stem, "OnesLike dtype", dt.String(), t)
}

// spread is a (a tensor or constant whose axes, the last aligned, have the wanted size or 1) in the sizes
// dims: times ones, or and true.
func (l *lifter) spread(stem string, a any, from, dims []graph.Dim, dt tensor.DType) (*layers.Tensor, bool) {
	class, r := "Multiply", len(dims)
	if dt == tensor.Bool {
		class = "LogicalAnd"
	}
	t, _ := a.(*layers.Tensor)
	join := func(f any) {
		if t == nil {
			t = l.apply(stem, class, a, f)
		} else {
			t = l.apply(stem, class, t, f)
		}
	}
	rank := len(from)
	for _, known := range []bool{false, true} { // constants need a tensor to be combined with
		for i, d := range dims {
			if j := i - r + len(from); j >= 0 && from[j] == d || d == graph.D(1) && rank >= r-i {
				continue
			}
			k, isConst := d.Const()
			if isConst != known {
				continue
			}
			var f any
			if known {
				if k < 1 || k > maxInline || t == nil {
					return nil, false
				}
				shape := orOnes(nil, r-i)
				shape[0] = k
				f = array(dt, slices.Repeat([]float64{1}, k), shape...)
			} else {
				v := l.ones(stem, d, dt)
				if v == nil {
					return nil, false
				}
				if i < r-1 {
					var axes []any
					for j := 1; j < r-i; j++ {
						axes = append(axes, num(j))
					}
					v = l.apply(stem, "ExpandDims axis", axes, v)
				}
				f = v
			}
			join(f)
			rank = max(rank, r-i)
		}
	}
	return t, t != nil
}

// stored is a large constant as the weights of an Embedding that is asked for all its rows, for one use with
// another tensor.
func (l *lifter) stored(n *graph.Node, i int) (*layers.Tensor, bool) {
	c := constOf(n.In[i])
	if c == nil || c.DType() != tensor.Float32 || c.Rank() < 1 || c.Len() == 0 {
		return nil, false
	}
	cols := c.Dim(c.Rank() - 1)
	rows := c.Len() / cols
	table, err := c.Reshape(rows, cols)
	if err != nil || rows > maxInline || len(l.g.Inputs) == 0 {
		return nil, false
	}
	stem := l.base(n).Name + "_constant"
	in := l.g.Inputs[0]
	first := slices.Repeat([]any{num(0)}, in.Type.Rank())
	one := l.apply(stem, "OnesLike dtype", "int32", l.apply(stem, "GetItem", l.vals[in], first))
	places := make([]float64, rows)
	for k := range places {
		places[k] = float64(k)
	}
	idx := l.apply(stem, "Multiply", one, array(tensor.Int32, places, rows))
	e := &layers.Embedding{Base: layers.Named(l.name(stem, "constant")), InputDim: rows, OutputDim: cols}
	t := l.m.Apply(e, idx)
	l.pending = append(l.pending, pendingWeights{e, map[string]*tensor.Tensor{"embeddings": table}})
	if c.Rank() != 2 {
		t = l.apply(stem, "Reshape newshape", nums(c.Shape()), t)
	}
	return t, true
}

// sized lifts the operators whose output's shape is computed.
func (l *lifter) sized(n *graph.Node) bool {
	out := n.Out[0].Type
	if out.Unranked {
		return false
	}
	stem := n.Out[0].Name
	var t *layers.Tensor
	ok := false
	switch op := n.Op.(type) {
	case ops.Expand:
		a, known := l.operand(n, 0)
		if !known {
			return false
		}
		t, ok = l.spread(stem, a, n.In[0].Type.Dims, out.Dims, out.DType)
	case ops.ConstantOfShape:
		vs, err := op.Fill().Float64s()
		if err != nil || len(vs) != 1 {
			return false
		}
		t, ok = l.spread(stem, array(out.DType, vs), nil, out.Dims, out.DType)
	case ops.Range:
		start, ok1 := float(n.In[0], 0)
		delta, ok2 := float(n.In[2], 1)
		if !ok1 || !ok2 || len(out.Dims) != 1 {
			return false
		}
		t, ok = l.counted(stem, out.Dims[0], out.DType, start, delta)
	case ops.Shape:
		t, ok = l.shape(stem, n)
	}
	if ok {
		l.vals[n.Out[0]] = t
	}
	return ok
}

// counted is start, start+delta, ... of that many.
func (l *lifter) counted(stem string, d graph.Dim, dt tensor.DType, start, delta float64) (*layers.Tensor, bool) {
	one := l.ones(stem, d, dt)
	if one == nil {
		return nil, false
	}
	t := l.apply(stem, "Cumsum axis", num(0), one)
	if delta != 1 {
		t = l.apply(stem, "Multiply", t, array(dt, []float64{delta}))
	}
	if start != delta {
		t = l.apply(stem, "Add", t, array(dt, []float64{start - delta}))
	}
	return t, true
}

// shape is the sizes of a tensor as numbers: constants, and sums of ones.
func (l *lifter) shape(stem string, n *graph.Node) (*layers.Tensor, bool) {
	var parts []any
	dims := n.Out[0].Type.Ints
	for _, d := range dims {
		if k, ok := d.Const(); ok {
			parts = append(parts, array(tensor.Int64, []float64{float64(k)}))
			continue
		}
		one := l.ones(stem, d, tensor.Int64)
		if one == nil {
			return nil, false
		}
		parts = append(parts, l.apply(stem, "Sum axis keepdims", nil, false, one))
	}
	if len(parts) == 0 {
		return nil, false
	}
	return l.apply(stem, "Stack axis", num(0), parts), true
}
