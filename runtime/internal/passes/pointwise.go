package passes

import (
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// The bounds of a Pointwise: past them its registers leave the cache, or its operands are too many to stream.
const (
	maxInstrs  = 64
	maxOperand = 16
)

// pointwise makes one Pointwise of elementwise operators on values of one shape that read one another, wherever that
// leaves the graph free of cycles. A value that others read too is an output of it.
func pointwise(g *graph.Graph, c Context) error {
	if !c.own(ops.Pointwise{}) {
		return nil
	}
	p := newRegions(g)
	for i, n := range g.Nodes {
		if !p.fusible(n) {
			continue
		}
		p.group[i] = i
		p.members[i] = []int{i}
		for _, v := range n.In {
			at, ok := p.producer(v)
			if !ok || p.group[at] < 0 || p.group[at] == p.group[i] || !sameShape(v, n.Out[0]) {
				continue
			}
			p.join(p.group[at], p.group[i])
		}
	}
	return p.rebuild(c)
}

// regions is a graph whose nodes are being grouped. A group goes by the index of one of its nodes.
type regions struct {
	g       *graph.Graph
	index   map[*graph.Node]int
	group   []int // of each node, -1 where it is in none
	members map[int][]int
	readers map[*graph.Value]int // how many operands are the value, and one where it leaves the graph
	mark    []int
	round   int
}

func newRegions(g *graph.Graph) *regions {
	p := &regions{g: g, index: map[*graph.Node]int{}, group: make([]int, len(g.Nodes)), members: map[int][]int{},
		readers: map[*graph.Value]int{}, mark: make([]int, len(g.Nodes))}
	for i, n := range g.Nodes {
		p.index[n] = i
		p.group[i] = -1
		for _, v := range n.In {
			p.readers[v]++
		}
	}
	for _, v := range g.Outputs {
		p.readers[v]++
	}
	for _, u := range g.Updates {
		p.readers[u.Value]++
	}
	return p
}

func (p *regions) producer(v *graph.Value) (int, bool) {
	if v == nil || v.Def == nil {
		return 0, false
	}
	i, ok := p.index[v.Def]
	return i, ok
}

// fusible reports whether a node can be an instruction of a program over float32.
func (p *regions) fusible(n *graph.Node) bool {
	if len(n.Out) != 1 || !n.Out[0].Type.Static() {
		return false
	}
	_, operands, ok := ops.PointOp(n, tensor.Float32)
	if !ok {
		return false
	}
	return !slices.ContainsFunc(n.In[:operands], func(v *graph.Value) bool { return !v.Type.Static() })
}

func sameShape(a, b *graph.Value) bool { return slices.Equal(a.Type.Dims, b.Type.Dims) }

// join makes one group of two if that is allowed.
func (p *regions) join(a, b int) {
	both := slices.Concat(p.members[a], p.members[b])
	if len(both) > maxInstrs || p.detour(a, b) || p.detour(b, a) {
		return
	}
	slices.Sort(both)
	if in, out := p.boundary(both); len(in) > maxOperand || len(out) > maxOperand {
		return
	}
	for _, i := range p.members[b] {
		p.group[i] = a
	}
	p.members[a] = both
	delete(p.members, b)
}

// detour reports whether something outside both groups reads from and is read by to, directly or not: as one they
// would be a cycle.
func (p *regions) detour(from, to int) bool {
	p.round++
	var stack []int
	enter := func(i int) bool { // whether node i, or a node of its group, is from
		if p.group[i] == from {
			return true
		}
		if p.mark[i] == p.round {
			return false
		}
		nodes := []int{i}
		if k := p.group[i]; k >= 0 {
			nodes = p.members[k]
		}
		for _, k := range nodes {
			p.mark[k] = p.round
		}
		stack = append(stack, nodes...)
		return false
	}
	visit := func(i int, start bool) bool {
		for _, v := range p.g.Nodes[i].In {
			at, ok := p.producer(v)
			if !ok || start && (p.group[at] == from || p.group[at] == to) {
				continue
			}
			if enter(at) {
				return true
			}
		}
		return false
	}
	for _, i := range p.members[to] {
		p.mark[i] = p.round
	}
	for _, i := range p.members[to] {
		if visit(i, true) {
			return true
		}
	}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if visit(i, false) {
			return true
		}
	}
	return false
}

// boundary is the values that a group reads, and those of its own that others read.
func (p *regions) boundary(members []int) (in, out []*graph.Value) {
	own := map[*graph.Value]int{}
	for _, i := range members {
		own[p.g.Nodes[i].Out[0]] = 0
	}
	seen := map[*graph.Value]bool{}
	for _, i := range members {
		n := p.g.Nodes[i]
		_, operands, _ := ops.PointOp(n, tensor.Float32)
		for k, v := range n.In {
			if _, ok := own[v]; ok {
				own[v]++
			} else if !seen[v] && k < operands {
				seen[v] = true
				in = append(in, v)
			}
		}
	}
	for _, i := range members {
		if v := p.g.Nodes[i].Out[0]; own[v] < p.readers[v] {
			out = append(out, v)
		}
	}
	return in, out
}

// rebuild lists the nodes anew, each group as one node.
func (p *regions) rebuild(c Context) error {
	nodes := p.g.Nodes
	fused := map[int]*graph.Node{}
	for k, members := range p.members {
		if len(members) < 2 {
			for _, i := range members {
				p.group[i] = -1
			}
			continue
		}
		fused[k] = p.node(members)
		if !supported(fused[k], c) {
			for _, i := range members {
				p.group[i] = -1
			}
		}
	}
	var out []*graph.Node
	done := make([]bool, len(nodes))
	var emit func(i int)
	emit = func(i int) {
		if done[i] {
			return
		}
		n, members := nodes[i], []int{i}
		if k := p.group[i]; k >= 0 {
			n, members = fused[k], p.members[k]
		}
		for _, k := range members {
			done[k] = true
		}
		for _, k := range members {
			for _, v := range nodes[k].In {
				if at, ok := p.producer(v); ok {
					emit(at)
				}
			}
		}
		out = append(out, n)
	}
	for i := range nodes {
		// A group comes with its last member, or when something needs it.
		if k := p.group[i]; k < 0 || p.members[k][len(p.members[k])-1] == i {
			emit(i)
		}
	}
	for _, n := range out {
		for _, v := range n.Out {
			v.Def = n
		}
	}
	p.g.Nodes = out
	return nil
}

// node is a group as one node.
func (p *regions) node(members []int) *graph.Node {
	in, out := p.boundary(members)
	op := ops.Pointwise{Float: tensor.Float32}
	place := map[*graph.Value]int{}
	for i, v := range in {
		place[v] = -1 - i
	}
	for k, i := range members {
		n := p.g.Nodes[i]
		e, operands, _ := ops.PointOp(n, tensor.Float32)
		for _, v := range n.In[:operands] {
			e.X = append(e.X, place[v])
		}
		place[n.Out[0]] = k
		op.Expr = append(op.Expr, e)
	}
	for _, v := range out {
		op.Results = append(op.Results, place[v])
	}
	return &graph.Node{Op: op, In: in, Out: out, Origin: p.g.Nodes[members[len(members)-1]].Origin}
}

// supported reports whether the device has a kernel of its own for a node.
func supported(n *graph.Node, c Context) bool {
	r := devices.Request{Node: n, Dev: c.Dev, Packs: c.Packs, Const: make([]*tensor.Tensor, len(n.In))}
	for i, v := range n.In {
		r.In = append(r.In, v.Type)
		if v.IsConst() {
			r.Const[i] = v.Type.Const
		}
	}
	for _, v := range n.Out {
		r.Out = append(r.Out, v.Type)
	}
	k, err := c.Dev.Kernels().Select(r)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(c.Ref.Kernels().Candidates(n.Op), func(other devices.Kernel) bool { return other.Name == k.Name })
}
