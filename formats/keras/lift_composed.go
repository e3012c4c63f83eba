package keras

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// decomposed lifts an operator by the simpler ones that it spells itself in.
func (l *lifter) decomposed(n *graph.Node) bool {
	d, ok := n.Op.(graph.Decomposer)
	if !ok || l.depth > 8 {
		return false
	}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	b.SetOrigin(n.Origin)
	outs := d.Decompose(b, n.In)
	if b.Err() != nil || len(outs) < len(n.Out) || len(outs) == 0 {
		return false
	}
	for _, m := range g.Nodes {
		for _, v := range m.In {
			if v != nil {
				l.uses[v] = append(l.uses[v], m)
			}
		}
	}
	for i, v := range n.Out {
		l.uses[outs[i]] = append(l.uses[outs[i]], l.uses[v]...)
	}
	l.depth++
	for _, m := range g.Nodes {
		if slices.ContainsFunc(m.Out, func(v *graph.Value) bool { return constOf(v) == nil && len(l.uses[v]) > 0 }) && !l.done[m] {
			l.node(m)
		}
	}
	l.depth--
	for i, v := range n.Out {
		l.vals[v] = l.vals[outs[i]]
	}
	return l.vals[n.Out[0]] != nil
}

// composed lifts operators that are a few operations of Keras.
func (l *lifter) composed(n *graph.Node, x *layers.Tensor) bool {
	if x == nil {
		return false
	}
	stem := n.Out[0].Name
	do := func(spec string, vs ...any) *layers.Tensor { return l.apply(stem, spec, vs...) }
	var y *layers.Tensor
	switch op := n.Op.(type) {
	case ops.OneHot:
		y = l.oneHot(n, op, x)
	case ops.TopK:
		return l.topK(n, op, x)
	case ops.CumSum:
		axis, ok := float(n.In[1], 0)
		if !ok {
			return false
		}
		at := num(int(axis))
		y = x
		if op.Reverse {
			y = do("Flip axis", at, y)
		}
		y = do("Cumsum axis", at, y)
		if op.Reverse {
			y = do("Flip axis", at, y)
		}
		if op.Exclusive {
			y = do("Subtract", y, x)
		}
	case ops.Shrink:
		switch op.Bias {
		case 0:
			y = do("HardShrink threshold", op.Lambd, x)
		case op.Lambd:
			y = do("SoftShrink threshold", op.Lambd, x)
		}
	case ops.ThresholdedRelu:
		y = do("Threshold threshold default_value", op.Alpha, 0.0, x)
	case ops.ArgMin:
		y = do("Cast dtype", "int64", do("Argmin axis keepdims", num(op.Axis), op.Keepdims, x))
	case ops.ReduceLogSumExp:
		return l.reduce(n, x, "Logsumexp", op.Keepdims)
	case ops.DepthToSpace:
		y = l.blocks(n, x, op.BlockSize, op.Format, op.Mode == "CRD", true)
	case ops.SpaceToDepth:
		y = l.blocks(n, x, op.BlockSize, op.Format, false, false)
	case ops.DequantizeLinear:
		y = l.dequantize(n, op, x)
	case ops.LinearRegressor:
		return l.linearRegressor(n, op, x)
	case ops.GroupNormalization:
		return l.groupNorm(n, op.NumGroups, op.Epsilon, op.Format, x)
	}
	if y == nil {
		y = l.elements(n, x, do)
	}
	if y == nil {
		return false
	}
	l.vals[n.Out[0]] = y
	return true
}

// elements is more of composed: what moves or picks elements.
func (l *lifter) elements(n *graph.Node, x *layers.Tensor, do func(spec string, vs ...any) *layers.Tensor) *layers.Tensor {
	switch op := n.Op.(type) {
	case ops.Trilu:
		k, ok := 0.0, true
		if len(n.In) > 1 {
			k, ok = float(n.In[1], 0)
		}
		if ok {
			return do(map[bool]string{false: "Tril k", true: "Triu k"}[op.Upper], num(int(k)), x)
		}
	case ops.GatherElements:
		if idx, ok := l.operand(n, 1); ok {
			return do("TakeAlongAxis axis", num(op.Axis), x, idx)
		}
	case ops.Mod:
		if b, ok := l.operand(n, 1); ok && !op.Fmod && n.In[0].Type.DType.IsInt() {
			return do("Mod", x, b)
		}
	case ops.IsInf:
		if op.DetectNegative && op.DetectPositive {
			return do("Isinf", x)
		}
	case ops.Tile:
		if reps, ok := ints(n.In[1]); ok {
			return do("Tile repeats", nums(reps), x)
		}
	case ops.Max, ops.Min:
		for i := 1; i < len(n.In); i++ {
			a, ok := l.operand(n, i)
			if !ok {
				return nil
			}
			x = do(n.Op.Name()+"imum", x, a) // Maximum, Minimum
		}
		return x
	}
	return nil
}

// oneHot is OneHot with its two values; ONNX counts indices below zero from the end.
func (l *lifter) oneHot(n *graph.Node, op ops.OneHot, x *layers.Tensor) *layers.Tensor {
	stem := n.Out[0].Name
	depth, ok := float(n.In[1], 0)
	values := constOf(n.In[2])
	if !ok || values == nil || values.Len() != 2 || !n.In[0].Type.DType.IsInt() {
		return nil
	}
	vs, err := values.Float64s()
	if err != nil {
		return nil
	}
	dt := n.In[0].Type.DType
	below := l.apply(stem, "Less", x, array(dt, []float64{0}))
	x = l.apply(stem, "Where", below, l.apply(stem, "Add", x, array(dt, []float64{depth})), x)
	out := values.DType()
	y := l.apply(stem, "OneHot num_classes axis dtype", num(int(depth)), num(op.Axis), out.String(), x)
	if vs[0] == 0 && vs[1] == 1 {
		return y
	}
	return l.apply(stem, "Where", l.apply(stem, "Cast dtype", "bool", y), array(out, vs[1:]), array(out, vs[:1]))
}

func (l *lifter) topK(n *graph.Node, op ops.TopK, x *layers.Tensor) bool {
	k, ok := float(n.In[1], 0)
	if !ok || !op.Largest || op.Axis != -1 && op.Axis != n.In[0].Type.Rank()-1 {
		return false
	}
	t := l.apply(n.Out[0].Name, "TopK k sorted", num(int(k)), true, x)
	l.vals[n.Out[0]] = t
	if len(n.Out) > 1 {
		l.vals[n.Out[1]] = l.apply(n.Out[1].Name, "Cast dtype", "int64", t.Out(1))
	}
	return true
}

// blocks moves blocks of pixels from the channels (DepthToSpace) or into them.
func (l *lifter) blocks(n *graph.Node, x *layers.Tensor, b int, f ops.Format, crd, apart bool) *layers.Tensor {
	if n.In[0].Type.Rank() != 4 || f != ops.NCHW || b < 1 {
		return nil
	}
	size := make([]int, 3)
	for i := range size {
		var ok bool
		if size[i], ok = n.In[0].Type.Dims[i+1].Const(); !ok {
			return nil
		}
	}
	c, h, w := size[0], size[1], size[2]
	cut, perm, to := []int{-1, b, b, c / (b * b), h, w}, []int{0, 3, 4, 1, 5, 2}, []int{-1, c / (b * b), h * b, w * b}
	switch {
	case !apart:
		cut, perm, to = []int{-1, c, h / b, b, w / b, b}, []int{0, 3, 5, 1, 2, 4}, []int{-1, c * b * b, h / b, w / b}
	case crd:
		cut, perm = []int{-1, c / (b * b), b, b, h, w}, []int{0, 1, 4, 2, 5, 3}
	}
	stem := n.Out[0].Name
	x = l.apply(stem, "Reshape newshape", nums(cut), x)
	x = l.apply(stem, "Transpose axes", nums(perm), x)
	return l.apply(stem, "Reshape newshape", nums(to), x)
}

// dequantize is (x - zero point) * scale, the scale one number or one for each place of an axis.
func (l *lifter) dequantize(n *graph.Node, op ops.DequantizeLinear, x *layers.Tensor) *layers.Tensor {
	scale := constOf(n.In[1])
	dt, r := n.Out[0].Type.DType, n.In[0].Type.Rank()
	if scale == nil || op.BlockSize != 0 || scale.Rank() > 1 || dt != tensor.Float32 || r < 1 || n.In[0].Type.DType == tensor.Int32 {
		return nil
	}
	shape := []int{}
	if scale.Len() > 1 {
		axis := op.Axis
		if axis < 0 {
			axis += r
		}
		shape = orOnes(nil, r)
		shape[axis] = scale.Len()
	}
	stem := n.Out[0].Name
	side := func(t *tensor.Tensor) any {
		vs, err := t.Float64s()
		if err != nil || len(vs) != scale.Len() {
			return nil
		}
		return array(dt, vs, shape...)
	}
	y := l.apply(stem, "Cast dtype", dt.String(), x)
	if len(n.In) > 2 && n.In[2] != nil {
		zero := constOf(n.In[2])
		if zero == nil || side(zero) == nil {
			return nil
		}
		y = l.apply(stem, "Subtract", y, side(zero))
	}
	s := side(scale)
	if s == nil {
		return nil
	}
	return l.apply(stem, "Multiply", y, s)
}

// linearRegressor is a Dense.
func (l *lifter) linearRegressor(n *graph.Node, op ops.LinearRegressor, x *layers.Tensor) bool {
	units := max(op.Targets, 1)
	if op.PostTransform != "" && op.PostTransform != "NONE" || len(op.Coefficients)%units != 0 || n.In[0].Type.DType != tensor.Float32 || n.In[0].Type.Rank() != 2 ||
		len(op.Intercepts) != 0 && len(op.Intercepts) != units {
		return false
	}
	in := len(op.Coefficients) / units
	k, b := make([]float32, in*units), make([]float32, units)
	for u := range units {
		for i := range in {
			k[i*units+u] = float32(op.Coefficients[u*in+i])
		}
		if len(op.Intercepts) > 0 {
			b[u] = float32(op.Intercepts[u])
		}
	}
	l.put(n, &layers.Dense{Base: l.base(n), Units: units}, map[string]*tensor.Tensor{"kernel": tensor.Of(k, in, units), "bias": tensor.Of(b, units)}, x)
	return true
}

// groupNorm makes a GroupNormalization of scale and shift that are known; -1 groups is one for each channel.
func (l *lifter) groupNorm(n *graph.Node, groups int, epsilon float64, format ops.Format, x *layers.Tensor) bool {
	gamma, beta := constOf(n.In[1]), constOf(n.In[2])
	if gamma == nil || beta == nil {
		return false
	}
	axis := 1
	if format == ops.NHWC {
		axis = -1
	}
	l.put(n, &layers.GroupNormalization{Base: l.base(n), Groups: groups, Axis: &axis, Epsilon: &epsilon}, map[string]*tensor.Tensor{"gamma": gamma, "beta": beta}, x)
	return true
}
