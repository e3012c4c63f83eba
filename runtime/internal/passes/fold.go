package passes

import (
	"context"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// maxFold is the most bytes that folding may make of one value.
const maxFold = 1 << 30

// fold computes on the reference device what depends on constants alone, and takes known contents
// (a Shape of known dimensions) as constants.
func fold(g *graph.Graph, c Context) error {
	isOutput := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		isOutput[v] = true
	}
	var kept []*graph.Node
	for _, n := range g.Nodes {
		if err := refresh(n); err != nil {
			return err
		}
		if foldNode(n, c) {
			continue
		}
		kept = append(kept, n)
	}
	g.Nodes = kept
	return nil
}

// refresh types a node again where an input has become known since, so that its shape follows.
func refresh(n *graph.Node) error {
	for _, v := range n.In {
		if v != nil && v.Def == nil && v.Type.Const != nil {
			return reinfer(n)
		}
	}
	for _, v := range n.Out {
		if !v.Type.Static() {
			return reinfer(n)
		}
	}
	return nil
}

// foldNode makes constants of n's outputs if it can; n is then not needed any more.
func foldNode(n *graph.Node, c Context) bool {
	if s, ok := n.Op.(graph.Stateful); ok && s.Stateful() {
		return false
	}
	if takeContents(n) {
		return true
	}
	size := 0
	args := &devices.Args{Ctx: context.Background(), In: make([]tensor.Value, len(n.In)), Out: make([]tensor.Value, len(n.Out))}
	r := devices.Request{Node: n, Dev: c.Ref, Sub: c.Sub, In: make([]graph.Type, len(n.In)),
		Out: make([]graph.Type, len(n.Out)), Const: make([]*tensor.Tensor, len(n.In))}
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if !v.IsConst() {
			return false
		}
		args.In[i], r.In[i], r.Const[i] = v.Type.Const, v.Type, v.Type.Const
	}
	for i, v := range n.Out {
		shape, ok := v.Type.Shape()
		if v.Type.Kind != graph.TensorKind {
			return false
		}
		r.Out[i] = v.Type
		if !ok {
			continue
		}
		count, err := tensor.NumElements(shape)
		if size += count * v.Type.DType.Size(); err != nil || size > maxFold {
			return false
		}
		args.Out[i] = tensor.New(v.Type.DType, shape...)
	}
	k, err := c.Ref.Kernels().Select(r)
	if err != nil {
		return false
	}
	step, err := k.Prepare(r)
	if err != nil || devices.RunSteps(args.Ctx, []devices.Bound{{Step: step, Args: args, Node: n}}) != nil { // the error comes again at run time, if the node is ever run
		return false
	}
	for i, v := range n.Out {
		t, ok := args.Out[i].(*tensor.Tensor)
		if !ok {
			return false
		}
		defer makeConst(v, t)
	}
	return true
}

// takeContents makes a constant of an integer output whose elements inference found.
func takeContents(n *graph.Node) bool {
	if len(n.Out) != 1 {
		return false
	}
	v := n.Out[0]
	shape, ok := v.Type.Shape()
	if !ok || v.Type.Ints == nil || !v.Type.DType.IsInt() {
		return false
	}
	vs := make([]float64, len(v.Type.Ints))
	for i, d := range v.Type.Ints {
		k, ok := d.Const()
		if !ok || k > 1<<52 || k < -1<<52 {
			return false
		}
		vs[i] = float64(k)
	}
	t, err := tensor.Make(v.Type.DType, shape)
	if err != nil || t.Len() != len(vs) || t.SetFloat64s(vs) != nil {
		return false
	}
	makeConst(v, t)
	return true
}

func makeConst(v *graph.Value, t *tensor.Tensor) {
	v.Def, v.Data, v.Type = nil, t, graph.ConstOf(t)
}

// removeDead drops nodes none of whose outputs is used.
func removeDead(g *graph.Graph, _ Context) error {
	used := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		used[v] = true
	}
	for _, u := range g.Updates {
		used[u.Value] = true
	}
	keep := make([]bool, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		for _, v := range n.Out {
			keep[i] = keep[i] || used[v]
		}
		if !keep[i] {
			continue
		}
		for _, v := range n.In {
			if v != nil {
				used[v] = true
			}
		}
	}
	kept := g.Nodes[:0]
	for i, n := range g.Nodes {
		if keep[i] {
			kept = append(kept, n)
		}
	}
	clear(g.Nodes[len(kept):])
	g.Nodes = kept
	return nil
}
