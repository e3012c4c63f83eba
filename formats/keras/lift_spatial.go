package keras

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// windows is the explicit form of a convolution's or pooling's padding: which of Keras' paddings it is, or what
// has to be added in front and behind before a valid one.
func (l *lifter) windows(n *graph.Node, auto ops.AutoPad, pads []int, rank int) (padding string, explicit []int, ok bool) {
	switch auto {
	case ops.SameUpper:
		return "same", nil, true
	case ops.Valid:
		return "valid", nil, true
	case ops.SameLower:
		return l.sameLower(n, rank)
	}
	if len(pads) == 0 || !slices.ContainsFunc(pads, func(p int) bool { return p != 0 }) {
		return "valid", nil, true
	}
	if len(pads) != 2*rank || slices.ContainsFunc(pads, func(p int) bool { return p < 0 }) {
		return "", nil, false
	}
	return "valid", pads, true
}

// sameLower is the padding that SAME_LOWER comes to; sizes have to be known.
func (l *lifter) sameLower(n *graph.Node, rank int) (string, []int, bool) {
	var size, strides, dilations []int
	var f ops.Format
	switch op := n.Op.(type) {
	case ops.Conv:
		size, strides, dilations, f = op.KernelShape, op.Strides, op.Dilations, op.Format
	case ops.MaxPool:
		size, strides, f = op.KernelShape, op.Strides, op.Format
	case ops.AveragePool:
		size, strides, f = op.KernelShape, op.Strides, op.Format
	}
	if len(size) != rank {
		return "", nil, false
	}
	strides, dilations = orOnes(strides, rank), orOnes(dilations, rank)
	pads := make([]int, 2*rank)
	for i, to := range spatialDims(n.Out[0], f) {
		d, ok1 := spatialDims(n.In[0], f)[i].Const()
		o, ok2 := to.Const()
		if !ok1 || !ok2 {
			return "", nil, false
		}
		total := max((o-1)*strides[i]+(size[i]-1)*dilations[i]+1-d, 0)
		pads[i], pads[rank+i] = total-total/2, total/2
	}
	return "valid", pads, true
}

// padded is x with zeros (or value) around its spatial dimensions, pads in ONNX's order.
func (l *lifter) padded(n *graph.Node, x *layers.Tensor, pads []int, f ops.Format, value float64) *layers.Tensor {
	rank := len(pads) / 2
	name := l.name(n.Out[0].Name+"_pad", "pad")
	pairs := make([][2]int, rank)
	for i := range pairs {
		pairs[i] = [2]int{pads[i], pads[rank+i]}
	}
	if value == 0 {
		switch rank {
		case 2:
			return l.m.Apply(&layers.ZeroPadding2D{Base: typed(name, n.In[0]), Padding: pairs, DataFormat: dataFormat(f)}, x)
		case 3:
			return l.m.Apply(&layers.ZeroPadding3D{Base: typed(name, n.In[0]), Padding: pairs, DataFormat: dataFormat(f)}, x)
		}
	}
	all := make([]any, 0, rank+2)
	zero := []any{num(0), num(0)}
	all = append(all, zero)
	if f == ops.NCHW {
		all = append(all, zero)
	}
	for _, p := range pairs {
		all = append(all, []any{num(p[0]), num(p[1])})
	}
	if f == ops.NHWC {
		all = append(all, zero)
	}
	o, args := operation(layers.Named(name), "Pad pad_width mode", []any{all, "constant", x})
	return l.m.ApplyArgs(o, args, map[string]any{"constant_values": value})
}

// kernelLast is a kernel as Keras has it, spatial dimensions first; in NCHW they are the last, behind two that change places.
func kernelLast(w *tensor.Tensor, format ops.Format) (*tensor.Tensor, error) {
	if format == ops.NHWC {
		return w, nil
	}
	var perm []int
	for i := 2; i < w.Rank(); i++ {
		perm = append(perm, i)
	}
	return transpose(w, append(perm, 1, 0)...)
}

func (l *lifter) conv(n *graph.Node, op ops.Conv) {
	x, w := l.in(n, 0), constOf(n.In[1])
	if x == nil || w == nil || w.Rank() < 3 || w.Rank() > 5 {
		l.refuse(n, "its kernel is computed, or it has no Keras layer of its rank")
		return
	}
	rank := w.Rank() - 2
	w, err := kernelLast(w, op.Format)
	if err != nil {
		l.refuse(n, "%v", err)
		return
	}
	padding, pads, ok := l.windows(n, op.AutoPad, op.Pads, rank)
	if !ok {
		l.refuse(n, "its padding %v is not one of Keras'", op.Pads)
		return
	}
	b := l.base(n)
	if pads != nil {
		x = l.padded(n, x, pads, op.Format, 0)
	}
	in, out := w.Dim(rank), w.Dim(rank+1)
	groups := max(op.Group, 1)
	weights := map[string]*tensor.Tensor{}
	var bias *tensor.Tensor
	if len(n.In) > 2 && n.In[2] != nil {
		if bias = constOf(n.In[2]); bias == nil {
			l.refuse(n, "its bias is computed")
			return
		}
		weights["bias"] = bias
	}
	strides, dilations := orOnes(op.Strides, rank), orOnes(op.Dilations, rank)
	if groups > 1 && in == 1 && rank <= 2 { // kernels of spatial..., channels, multiplier
		k, err := w.Reshape(append(slices.Clone(w.Shape()[:rank]), groups, out/groups)...)
		if err == nil {
			weights["kernel"] = k
			c := layers.DepthwiseConfig{Base: b, DepthMultiplier: out / groups, KernelSize: slices.Clone(w.Shape()[:rank]), Strides: strides, Padding: padding,
				DataFormat: dataFormat(op.Format), DilationRate: dilations, NoBias: bias == nil}
			var layer layers.Layer = (*layers.DepthwiseConv2D)(&c)
			if rank == 1 {
				layer = (*layers.DepthwiseConv1D)(&c)
			}
			l.put(n, layer, weights, x)
			return
		}
	}
	weights["kernel"] = w
	c := layers.ConvConfig{Base: b, Filters: out, KernelSize: slices.Clone(w.Shape()[:rank]), Strides: strides, Padding: padding,
		DataFormat: dataFormat(op.Format), DilationRate: dilations, Groups: groups, NoBias: bias == nil}
	var layer layers.Layer
	switch rank {
	case 1:
		layer = (*layers.Conv1D)(&c)
	case 2:
		layer = (*layers.Conv2D)(&c)
	default:
		layer = (*layers.Conv3D)(&c)
	}
	l.put(n, layer, weights, x)
}

func orOnes(v []int, rank int) []int {
	if len(v) == rank {
		return slices.Clone(v)
	}
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	return out
}

// shapes lifts what moves elements.
func (l *lifter) shapes(n *graph.Node, x *layers.Tensor) bool {
	switch op := n.Op.(type) {
	case ops.Flatten:
		if x == nil || op.Axis != 1 {
			return false
		}
		l.put(n, &layers.Flatten{Base: l.base(n)}, nil, x)
	case ops.Reshape:
		return x != nil && l.reshape(n, x)
	case ops.Transpose:
		if x == nil {
			return false
		}
		if len(op.Perm) > 1 && op.Perm[0] == 0 {
			l.put(n, &layers.Permute{Base: l.base(n), Dims: slices.Clone(op.Perm[1:])}, nil, x)
			return true
		}
		perm := any(nums(op.Perm))
		if len(op.Perm) == 0 {
			perm = nil
		}
		l.op(n, "Transpose axes", perm, x)
	case ops.Concat:
		return l.concat(n, op)
	case ops.Squeeze, ops.Unsqueeze:
		if x == nil || len(n.In) < 2 {
			return false
		}
		as, ok := ints(n.In[1])
		if !ok {
			return false
		}
		if _, sq := op.(ops.Squeeze); sq {
			l.op(n, "Squeeze axis", nums(as), x)
		} else {
			l.op(n, "ExpandDims axis", nums(as), x)
		}
	case ops.Split:
		return x != nil && l.split(n, op, x)
	case ops.Slice:
		return x != nil && l.slice(n, x)
	case ops.Pad:
		return x != nil && l.pad(n, op, x)
	case ops.Add, ops.Mul, ops.Max, ops.Min:
		return l.merge(n)
	default:
		return false
	}
	return true
}

// reshape keeps the batch where it can.
func (l *lifter) reshape(n *graph.Node, x *layers.Tensor) bool {
	in, out := n.In[0].Type.Dims, n.Out[0].Type.Dims
	if len(in) < 1 || len(out) < 1 || n.Out[0].Type.Unranked {
		return false
	}
	target, open := []int{}, 0
	for _, d := range out[1:] {
		k, ok := d.Const()
		if !ok {
			k = -1
			open++
		}
		target = append(target, k)
	}
	if out[0] == in[0] && open <= 1 {
		l.put(n, &layers.Reshape{Base: l.base(n), TargetShape: target}, nil, x)
		return true
	}
	if first, ok := out[0].Const(); ok && open <= 1 {
		l.op(n, "Reshape newshape", nums(append([]int{first}, target...)), x)
		return true
	}
	if open == 0 { // the batch is mixed into the first dimension
		l.op(n, "Reshape newshape", nums(append([]int{-1}, target...)), x)
		return true
	}
	return false
}

func (l *lifter) concat(n *graph.Node, op ops.Concat) bool {
	var ts []*layers.Tensor
	var args []any
	for i := range n.In {
		a, ok := l.operand(n, i)
		if !ok {
			return false
		}
		if t, isTensor := a.(*layers.Tensor); isTensor {
			ts = append(ts, t)
		}
		args = append(args, a)
	}
	if len(ts) == len(args) && len(ts) > 1 && op.Axis != 0 {
		axis := op.Axis
		l.vals[n.Out[0]] = l.m.ApplyArgs(&layers.Concatenate{Base: l.base(n), Axis: &axis}, []any{args}, nil)
		return true
	}
	if len(ts) == 1 && len(args) == 1 {
		l.vals[n.Out[0]] = ts[0]
		return true
	}
	l.op(n, "Concatenate axis", num(op.Axis), args)
	return true
}

func (l *lifter) split(n *graph.Node, op ops.Split, x *layers.Tensor) bool {
	if len(n.Out) < 2 {
		return false
	}
	var at []any
	sum := 0
	for _, v := range n.Out[:len(n.Out)-1] {
		axis := op.Axis
		if axis < 0 {
			axis += v.Type.Rank()
		}
		if axis < 0 || axis >= len(v.Type.Dims) {
			return false
		}
		k, ok := v.Type.Dims[axis].Const()
		if !ok {
			return false
		}
		sum += k
		at = append(at, num(sum))
	}
	l.op(n, "Split indices_or_sections axis", at, num(op.Axis), x)
	return true
}

func (l *lifter) slice(n *graph.Node, x *layers.Tensor) bool {
	starts, ok1 := ints(n.In[1])
	ends, ok2 := ints(n.In[2])
	r := n.In[0].Type.Rank()
	axes, steps := make([]int, len(starts)), orOnes(nil, len(starts))
	for i := range axes {
		axes[i] = i
	}
	if len(n.In) > 3 && n.In[3] != nil {
		var ok bool
		if axes, ok = ints(n.In[3]); !ok {
			return false
		}
	}
	if len(n.In) > 4 && n.In[4] != nil {
		var ok bool
		if steps, ok = ints(n.In[4]); !ok {
			return false
		}
	}
	if !ok1 || !ok2 || r < 1 || len(axes) != len(starts) || len(ends) != len(starts) || len(steps) != len(starts) {
		return false
	}
	key := make([]any, r)
	for i := range key {
		key[i] = whole()
	}
	for i, a := range axes {
		if a < 0 {
			a += r
		}
		if a < 0 || a >= r {
			return false
		}
		last := starts[i] == -1 || starts[i] >= math.MaxInt32
		if len(axes) == 1 && steps[i] == -1 && last && ends[i] <= -math.MaxInt32 { // PyTorch has no steps below 0
			l.op(n, "Flip axis", num(a), x)
			return true
		}
		var start, stop any = num(starts[i]), num(ends[i])
		if steps[i] < 0 && starts[i] >= math.MaxInt32 {
			start = nil
		}
		if ends[i] >= math.MaxInt32 || ends[i] <= -math.MaxInt32 {
			stop = nil
		}
		key[a] = sliceOf(start, stop, num(steps[i]))
	}
	l.op(n, "GetItem", x, key)
	return true
}

func (l *lifter) pad(n *graph.Node, op ops.Pad, x *layers.Tensor) bool {
	pads, ok := ints(n.In[1])
	r := n.In[0].Type.Rank()
	value := 0.0
	if len(n.In) > 2 && n.In[2] != nil {
		var ok bool
		if value, ok = float(n.In[2], 0); !ok {
			return false
		}
	}
	if !ok || len(n.In) > 3 && n.In[3] != nil || len(pads) != 2*r || slices.ContainsFunc(pads, func(p int) bool { return p < 0 }) {
		return false
	}
	mode := op.Mode
	if mode == "" {
		mode = "constant"
	}
	if mode != "constant" && mode != "reflect" && mode != "edge" {
		return false
	}
	width := make([]any, r)
	for i := range width {
		width[i] = []any{num(pads[i]), num(pads[r+i])}
	}
	o, args := operation(l.base(n), "Pad pad_width mode", []any{width, mode, x})
	kwargs := map[string]any{}
	if mode == "constant" {
		kwargs["constant_values"] = value
	}
	l.vals[n.Out[0]] = l.m.ApplyArgs(o, args, kwargs)
	return true
}

// merge is a merging layer where both operands are tensors of one shape.
func (l *lifter) merge(n *graph.Node) bool {
	var ts []*layers.Tensor
	for i := range n.In {
		t := l.in(n, i)
		if t == nil || !slices.Equal(n.In[i].Type.Dims, n.In[0].Type.Dims) || len(n.In[i].Type.Dims) < 2 {
			return false
		}
		ts = append(ts, t)
	}
	if len(ts) < 2 {
		return false
	}
	var layer layers.Layer
	switch n.Op.(type) {
	case ops.Add:
		layer = &layers.Add{Base: l.base(n)}
	case ops.Mul:
		layer = &layers.Multiply{Base: l.base(n)}
	case ops.Max:
		layer = &layers.Maximum{Base: l.base(n)}
	default:
		layer = &layers.Minimum{Base: l.base(n)}
	}
	args := make([]any, len(ts))
	for i, t := range ts {
		args[i] = t
	}
	l.vals[n.Out[0]] = l.m.ApplyArgs(layer, []any{args}, nil)
	return true
}

// convTranspose is a valid transposed convolution, cropped.
func (l *lifter) convTranspose(n *graph.Node, op ops.ConvTranspose) bool {
	x, w := l.in(n, 0), constOf(n.In[1])
	if x == nil || w == nil || w.Rank() < 3 || w.Rank() > 5 || max(op.Group, 1) != 1 || op.AutoPad != ops.Explicit && op.AutoPad != ops.Valid || len(op.OutputShape) > 0 {
		return false
	}
	rank := w.Rank() - 2
	w, err := kernelLast(w, op.Format)
	if err != nil {
		return false
	}
	strides, dilations := orOnes(op.Strides, rank), orOnes(op.Dilations, rank)
	crop, extra, any := make([][2]int, rank), make([]int, rank), false
	for i := range rank {
		if len(op.Pads) == 2*rank {
			crop[i] = [2]int{op.Pads[i], op.Pads[rank+i]}
		}
		if len(op.OutputPadding) == rank {
			extra[i] = op.OutputPadding[i]
		}
		if crop[i][0] < 0 || crop[i][1] < 0 || extra[i] >= strides[i] && extra[i] > 0 {
			return false
		}
		any = any || crop[i] != [2]int{}
	}
	weights := map[string]*tensor.Tensor{"kernel": w}
	if len(n.In) > 2 && n.In[2] != nil {
		if weights["bias"] = constOf(n.In[2]); weights["bias"] == nil {
			return false
		}
	}
	b := l.base(n)
	c := layers.ConvTransposeConfig{Base: b, Filters: w.Dim(rank), KernelSize: slices.Clone(w.Shape()[:rank]), Strides: strides, DilationRate: dilations,
		OutputPadding: extra, DataFormat: dataFormat(op.Format), NoBias: weights["bias"] == nil}
	name := l.name(b.Name+"_crop", "crop")
	var layer, cut layers.Layer
	switch rank {
	case 1:
		layer = (*layers.Conv1DTranspose)(&c)
		cut = &layers.Cropping1D{Base: typed(name, n.In[0]), Cropping: crop}
		if any && op.Format == ops.NCHW { // Cropping1D knows channels last alone
			turn := func(suffix string, t *layers.Tensor) *layers.Tensor {
				return l.m.Apply(&layers.Permute{Base: typed(l.name(b.Name+suffix, "permute"), n.In[0]), Dims: []int{2, 1}}, t)
			}
			l.put(n, layer, weights, x)
			l.vals[n.Out[0]] = turn("_back", l.m.Apply(cut, turn("_turned", l.vals[n.Out[0]])))
			return true
		}
	case 2:
		layer, cut = (*layers.Conv2DTranspose)(&c), &layers.Cropping2D{Base: typed(name, n.In[0]), Cropping: crop, DataFormat: dataFormat(op.Format)}
	default:
		layer, cut = (*layers.Conv3DTranspose)(&c), &layers.Cropping3D{Base: typed(name, n.In[0]), Cropping: crop, DataFormat: dataFormat(op.Format)}
	}
	l.put(n, layer, weights, x)
	if any {
		l.vals[n.Out[0]] = l.m.Apply(cut, l.vals[n.Out[0]])
	}
	return true
}
