package onnx

import (
	"reflect"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// channelsFirst brings operators whose channels are last, as Keras has them, to ONNX's order. Values
// between such operators stay channels first; transposes remain at the edges.
func channelsFirst(g *graph.Graph) (*graph.Graph, error) {
	if !hasChannelsLast(g) {
		return g, nil
	}
	c := &firster{first: map[*graph.Value]*graph.Value{}, last: map[*graph.Value]*graph.Value{}}
	out, err := rebuild(g, c.node)
	if err != nil {
		return nil, err
	}
	dropDead(out)
	return out, nil
}

// dropDead removes nodes that nobody reads.
func dropDead(g *graph.Graph) {
	read := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		read[v] = true
	}
	kept := len(g.Nodes)
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n, live := g.Nodes[i], false
		for _, v := range n.Out {
			live = live || read[v]
		}
		if !live {
			continue
		}
		for _, v := range n.In {
			read[v] = true
		}
		kept--
		g.Nodes[kept] = n
	}
	g.Nodes = g.Nodes[kept:]
}

func hasChannelsLast(g *graph.Graph) bool {
	for _, n := range g.Nodes {
		if format(n.Op) == ops.NHWC {
			return true
		}
	}
	return false
}

// format is what an operator's field of that type says.
func format(op graph.Op) ops.Format {
	v := reflect.ValueOf(op)
	if f := v.FieldByName("Format"); f.IsValid() && f.Type() == reflect.TypeFor[ops.Format]() {
		return ops.Format(f.Uint())
	}
	return ops.NCHW
}

// asNCHW is op with its Format field reset.
func asNCHW(op graph.Op) graph.Op {
	v := reflect.New(reflect.TypeOf(op)).Elem()
	v.Set(reflect.ValueOf(op))
	v.FieldByName("Format").SetUint(uint64(ops.NCHW))
	return v.Interface().(graph.Op)
}

// firster knows the other order of values: first maps a value of the source's order (which a Transpose
// makes, in case anybody asks) to its twin with channels first.
type firster struct {
	first map[*graph.Value]*graph.Value
	last  map[*graph.Value]*graph.Value
	b     *graph.Builder
}

// toFirst and toLast are the permutations between the orders of rank r.
func toFirst(r int) []int {
	p := []int{0, r - 1}
	for i := 1; i < r-1; i++ {
		p = append(p, i)
	}
	return p
}

func toLast(r int) []int {
	p := []int{0}
	for i := 2; i < r; i++ {
		p = append(p, i)
	}
	return append(p, 1)
}

// twin is a value with its channels first.
func (c *firster) twin(v *graph.Value) *graph.Value {
	if t := c.first[v]; t != nil {
		return t
	}
	t := c.transposed(v, toFirst(rank(v)))
	c.first[v] = t
	return t
}

// transposed permutes a value: a constant at once, anything else by a node.
func (c *firster) transposed(v *graph.Value, perm []int) *graph.Value {
	if v.IsConst() {
		return c.b.Const(v.Name, permute(v.Type.Const, perm))
	}
	return c.b.Add(ops.Transpose{Perm: perm}, v)
}

// permute is a copy of t with its axes in another order.
func permute(t *tensor.Tensor, perm []int) *tensor.Tensor {
	shape, from := make([]int, len(perm)), tensor.Strides(t.Shape())
	st := make([]int, len(perm))
	for i, p := range perm {
		shape[i], st[i] = t.Shape()[p], from[p]
	}
	out := tensor.New(t.DType(), shape...)
	idx := make([]int, len(perm))
	size := t.DType().Size()
	for i := range out.Len() {
		off := 0
		for a, j := range idx {
			off += j * st[a]
		}
		if t.DType() == tensor.String {
			out.Strings()[i] = t.Strings()[off]
		} else {
			copy(out.Bytes()[i*size:(i+1)*size], t.Bytes()[off*size:(off+1)*size])
		}
		for a := len(idx) - 1; a >= 0; a-- {
			if idx[a]++; idx[a] < shape[a] {
				break
			}
			idx[a] = 0
		}
	}
	return out
}

// made notes that t is a value with channels first, and gives its twin in the source's order. The twin's
// Transpose is dropped again where nobody reads it.
func (c *firster) made(t *graph.Value) *graph.Value {
	v := c.b.Add(ops.Transpose{Perm: toLast(rank(t))}, t)
	c.first[v] = t
	return v
}

// node copies a node, in the order that suits it.
func (c *firster) node(r *rebuilder, n *graph.Node, in []*graph.Value) ([]*graph.Value, error) {
	c.b = r.b
	if format(n.Op) == ops.NHWC {
		return c.spatial(n, in)
	}
	if outs := c.follow(n.Op, in); outs != nil {
		return outs, nil
	}
	return nil, nil
}

// spatial writes an operator on data with channels last.
func (c *firster) spatial(n *graph.Node, in []*graph.Value) ([]*graph.Value, error) {
	r := rank(in[0])
	if r < 2 {
		return nil, errs.Errorf("onnx: %s %q: the rank of its input is to be known: %v", n.Op.Name(), n.Origin, in[0].Type.WithoutValue())
	}
	in = append([]*graph.Value{c.twin(in[0])}, in[1:]...)
	switch op := n.Op.(type) {
	case ops.Conv, ops.ConvTranspose:
		in[1] = c.transposed(in[1], kernelPerm(r))
	case ops.MaxPool:
		if op.Indices {
			return nil, cannotLast(n)
		}
	case ops.AveragePool, ops.LpPool, ops.GlobalAveragePool, ops.GlobalMaxPool, ops.GlobalLpPool, ops.BatchNormalization,
		ops.InstanceNormalization, ops.GroupNormalization, ops.LRN, ops.DepthToSpace, ops.SpaceToDepth:
	default:
		return nil, cannotLast(n)
	}
	outs := c.b.AddN(asNCHW(n.Op), in...)
	if c.b.Err() != nil {
		return outs, nil
	}
	outs = append([]*graph.Value{}, outs...)
	outs[0] = c.made(outs[0])
	return outs, nil
}

func cannotLast(n *graph.Node) error {
	return unsupportedNode(n, "ONNX has no form of it with channels last")
}

// kernelPerm brings a kernel from spatial..., in, out to out, in, spatial... (transposed convolutions: from
// spatial..., out, in to in, out, spatial...).
func kernelPerm(r int) []int {
	p := []int{r - 1, r - 2}
	for i := range r - 2 {
		p = append(p, i)
	}
	return p
}

// follow writes an operator that works in either order with channels first, where its data are there in
// that order already; nil where it is to stay as it is.
func (c *firster) follow(op graph.Op, in []*graph.Value) []*graph.Value {
	r := 0
	for _, v := range in {
		if c.first[v] != nil && !v.IsConst() {
			r = rank(v)
		}
	}
	if r < 3 {
		return nil
	}
	switch op := op.(type) {
	case ops.Concat:
		axis := op.Axis
		if axis < 0 {
			axis += r
		}
		for _, v := range in {
			if rank(v) != r {
				return nil
			}
		}
		return one(c.made(c.b.Add(ops.Concat{Axis: placeOf(axis, r)}, c.twins(in)...)))
	case ops.Pad:
		return c.pad(op, in, r)
	case ops.Softmax:
		if axis := op.Axis; axis == -1 || axis == r-1 {
			return one(c.made(c.b.Add(ops.Softmax{Axis: 1}, c.twin(in[0]))))
		}
		return nil
	case ops.Resize:
		return nil
	}
	if !elementwise[reflect.TypeOf(op)] {
		return nil
	}
	args := make([]*graph.Value, len(in))
	for i, v := range in {
		if args[i] = c.aligned(v, r); v != nil && args[i] == nil {
			return nil
		}
	}
	return one(c.made(c.b.Add(op, args...)))
}

func (c *firster) twins(in []*graph.Value) []*graph.Value {
	out := make([]*graph.Value, len(in))
	for i, v := range in {
		out[i] = c.twin(v)
	}
	return out
}

// placeOf is where an axis of the source's order is with channels first.
func placeOf(axis, r int) int {
	for i, p := range toFirst(r) {
		if p == axis {
			return i
		}
	}
	return axis
}

// aligned is an operand of an elementwise operator so that it broadcasts against channels-first data of
// rank r as it did before; nil where that can't be told.
func (c *firster) aligned(v *graph.Value, r int) *graph.Value {
	switch {
	case v == nil:
		return nil
	case rank(v) == r:
		return c.twin(v)
	case rank(v) == 0:
		return v
	case rank(v) == 1:
		if n, ok := v.Type.Dims[0].Const(); ok && n == 1 {
			return v
		}
		axes := make([]int64, r-2)
		for i := range axes {
			axes[i] = int64(i + 1)
		}
		if v.IsConst() {
			shape := append([]int{v.Type.Const.Len()}, ones(r-2)...)
			if t, err := v.Type.Const.Reshape(shape...); err == nil {
				return c.b.Const(v.Name, t)
			}
		}
		return c.b.Add(ops.Unsqueeze{}, v, c.b.Ints(axes...))
	}
	return nil
}

func ones(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

// pad moves the constant pads of all axes to their new places.
func (c *firster) pad(op ops.Pad, in []*graph.Value, r int) []*graph.Value {
	if len(in) < 2 || in[1].Type.Const == nil || len(in) > 3 && in[3] != nil || c.first[in[0]] == nil {
		return nil
	}
	pads, err := in[1].Type.Const.Int64s()
	if err != nil || len(pads) != 2*r {
		return nil
	}
	moved := make([]int64, 2*r)
	for i, p := range toFirst(r) {
		moved[i], moved[r+i] = pads[p], pads[r+p]
	}
	args := append([]*graph.Value{c.twin(in[0]), c.b.Ints(moved...)}, in[2:]...)
	return one(c.made(c.b.Add(op, args...)))
}

// elementwise is the operators that neither know nor change the order of axes.
var elementwise = typeSet(
	ops.Abs{}, ops.Add{}, ops.And{}, ops.Cast{}, ops.Ceil{}, ops.Celu{}, ops.Clip{}, ops.Cos{}, ops.Div{}, ops.Elu{},
	ops.Equal{}, ops.Erf{}, ops.Exp{}, ops.Floor{}, ops.Gelu{}, ops.Greater{}, ops.GreaterOrEqual{}, ops.HardSigmoid{},
	ops.HardSwish{}, ops.Identity{}, ops.LeakyRelu{}, ops.Less{}, ops.LessOrEqual{}, ops.Log{}, ops.Max{}, ops.Mean{},
	ops.Min{}, ops.Mish{}, ops.Mul{}, ops.Neg{}, ops.Not{}, ops.Or{}, ops.PRelu{}, ops.Pow{}, ops.Reciprocal{}, ops.Relu{},
	ops.Round{}, ops.Selu{}, ops.Shrink{}, ops.Sigmoid{}, ops.Sign{}, ops.Sin{}, ops.Softplus{}, ops.Softsign{}, ops.Sqrt{},
	ops.Sub{}, ops.Sum{}, ops.Swish{}, ops.Tan{}, ops.Tanh{}, ops.ThresholdedRelu{}, ops.Where{}, ops.Xor{},
)

func typeSet(list ...graph.Op) map[reflect.Type]bool {
	set := map[reflect.Type]bool{}
	for _, op := range list {
		set[reflect.TypeOf(op)] = true
	}
	return set
}
