package passes

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Bounds of what is computed twice in training.
const (
	rematFrom   = 128 << 20 // bytes saved for the gradient from which on memory counts more than a second pass over them
	rematValue  = 64 << 10  // bytes below which a value is kept in any case
	rematNodes  = 24        // most nodes that make a value again
	rematLeaves = 5         // most large values that they read
	rematReach  = 24        // how many nodes on a value made again is made anew rather than kept
)

// rematerialize makes values that gradients read anew where they are read, instead of keeping them since the forward pass: what
// elementwise operators and normalizations made of values that are kept anyway. The gradient of a convolutional network
// with normalization then needs the convolutions' results alone.
func rematerialize(g *graph.Graph, c Context) error {
	if len(g.Updates) == 0 || !c.own(ops.Pointwise{}) {
		return nil
	}
	first, rest := outputsFirst(g)
	m := &rematerializer{g: g, saved: map[*graph.Value]bool{}, dropped: map[*graph.Value]bool{}}
	total := m.find(first, rest)
	if total < rematFrom {
		return nil
	}
	for _, n := range first {
		for _, v := range n.Out {
			if m.saved[v] {
				cost := &rematCost{leaves: map[*graph.Value]bool{}}
				m.dropped[v] = m.again(v, true, cost) && cost.nodes <= rematNodes && len(cost.leaves) <= rematLeaves
			}
		}
	}
	g.Nodes = slices.Clone(first)
	type copied struct {
		v  *graph.Value
		at int
	}
	ready := map[*graph.Value]copied{}
	for i, n := range rest {
		for k, v := range n.In {
			if !m.dropped[v] {
				continue
			}
			r, ok := ready[v]
			if !ok || i-r.at > rematReach {
				r = copied{m.make(v, map[*graph.Value]*graph.Value{}, true), i}
				ready[v] = r
			}
			n.In[k] = r.v
		}
		g.Nodes = append(g.Nodes, n)
	}
	return m.err
}

// rematCost is what making a value again takes.
type rematCost struct {
	nodes  int
	leaves map[*graph.Value]bool
}

type rematerializer struct {
	g       *graph.Graph
	saved   map[*graph.Value]bool // large values of the forward pass that the rest reads
	dropped map[*graph.Value]bool // those of them that are made again
	err     error
}

// find lists the large saved values, and adds up their bytes.
func (m *rematerializer) find(first, rest []*graph.Node) (total int) {
	forward := map[*graph.Value]bool{}
	for _, n := range first {
		for _, v := range n.Out {
			forward[v] = true
		}
	}
	for _, v := range m.g.Outputs {
		delete(forward, v)
	}
	for _, u := range m.g.Updates {
		delete(forward, u.Value)
	}
	for _, n := range rest {
		for _, v := range n.In {
			if forward[v] && !m.saved[v] && large(v) {
				m.saved[v] = true
				total += valueBytes(v)
			}
		}
	}
	return total
}

// valueBytes is the size of a value of known shape, or 0.
func valueBytes(v *graph.Value) int {
	shape, ok := v.Type.Shape()
	if !ok {
		return 0
	}
	n := v.Type.DType.Size()
	for _, d := range shape {
		n *= d
	}
	return n
}

func large(v *graph.Value) bool { return valueBytes(v) > rematValue }

// again reports whether v can be made again from values that are kept: itself, where top is set, or by being kept.
func (m *rematerializer) again(v *graph.Value, top bool, cost *rematCost) bool {
	if v.Def == nil {
		return true
	}
	if !top && !large(v) {
		return v.Type.Static()
	}
	if !top && m.saved[v] && !m.dropped[v] {
		cost.leaves[v] = true
		return true
	}
	if cost.nodes++; cost.nodes > rematNodes || !cheap(v.Def) || v.Def.Out[0] != v {
		return false
	}
	for _, x := range v.Def.In {
		if x != nil && !m.again(x, false, cost) {
			return false
		}
	}
	return true
}

// cheap reports whether a node may run twice: it is elementwise, or a normalization of the batch, which the statistics that it
// also gives make elementwise.
func cheap(n *graph.Node) bool {
	if op, ok := n.Op.(ops.BatchNormalization); ok {
		return op.TrainingMode && !slices.ContainsFunc(n.In, func(v *graph.Value) bool { return v.Type.DType != tensor.Float32 })
	}
	_, _, ok := ops.PointOp(n, tensor.Float32)
	return ok
}

// make adds the nodes that make v again, and gives their value.
func (m *rematerializer) make(v *graph.Value, made map[*graph.Value]*graph.Value, top bool) *graph.Value {
	if w := made[v]; w != nil {
		return w
	}
	if v == nil || v.Def == nil || !top && (!large(v) || m.saved[v] && !m.dropped[v]) {
		return v
	}
	n := v.Def
	in := make([]*graph.Value, len(n.In))
	for i, x := range n.In {
		if i > 0 && isBatchNorm(n) {
			in[i] = x
			continue
		}
		in[i] = m.make(x, made, false)
	}
	var w *graph.Value
	if op, ok := n.Op.(ops.BatchNormalization); ok {
		w = m.normalized(n, op, in[0])
	} else {
		w = m.add(n, n.Op, in...)
	}
	made[v] = w
	return w
}

func isBatchNorm(n *graph.Node) bool {
	_, ok := n.Op.(ops.BatchNormalization)
	return ok
}

// normalized is the result of a normalization of x, by the statistics that n found.
func (m *rematerializer) normalized(n *graph.Node, op ops.BatchNormalization, x *graph.Value) *graph.Value {
	per := func(v *graph.Value) *graph.Value {
		if r := x.Type.Rank(); op.Format == ops.NCHW && r > 2 {
			axes := make([]int64, r-2)
			for i := range axes {
				axes[i] = int64(i + 1)
			}
			t := tensor.Of(axes)
			return m.add(n, ops.Unsqueeze{}, v, &graph.Value{Name: "axes", Type: graph.ConstOf(t), Data: t})
		}
		return v
	}
	gain := m.add(n, ops.Mul{}, n.In[1], n.Out[4])
	y := m.add(n, ops.Mul{}, m.add(n, ops.Sub{}, x, per(n.Out[3])), per(gain))
	return m.add(n, ops.Add{}, y, per(n.In[2]))
}

// add adds a node in the place of like.
func (m *rematerializer) add(like *graph.Node, op graph.Op, in ...*graph.Value) *graph.Value {
	n := &graph.Node{Op: op, In: in, Origin: like.Origin, Out: []*graph.Value{{Name: like.Out[0].Name + "~again"}}}
	n.Out[0].Def = n
	if err := reinfer(n); err != nil && m.err == nil {
		m.err = errs.Errorf("rematerialize: %w", err)
	}
	m.g.Nodes = append(m.g.Nodes, n)
	return n.Out[0]
}
