package passes

import "github.com/nnrt/nnrt/graph"

// hasten puts what outputs need first, and moves what makes parameters' new values to where its operands are there and nobody
// else reads the parameters any more: gradients then live no longer than they must, and new values take the old ones' places.
func hasten(g *graph.Graph, _ Context) error {
	if len(g.Updates) == 0 {
		return nil
	}
	h := &hastener{users: map[*graph.Value][]*graph.Node{}, updates: map[*graph.Value][]*graph.Value{}, makers: map[*graph.Value][]*graph.Node{},
		placed: map[*graph.Node]bool{}}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil {
				h.users[v] = append(h.users[v], n)
			}
		}
	}
	for _, u := range g.Updates {
		h.updates[u.Value] = append(h.updates[u.Value], u.Param)
		if u.Value.Def != nil {
			h.makers[u.Param] = append(h.makers[u.Param], u.Value.Def)
		}
	}
	first, rest := outputsFirst(g)
	for _, n := range first {
		h.place(n)
	}
	for _, n := range rest {
		if h.placed[n] {
			continue
		}
		if h.makes(n) && !h.ready(n) {
			h.waiting = append(h.waiting, n)
			continue
		}
		h.place(n)
		h.wake(n)
	}
	for _, n := range h.waiting { // what waits for each other keeps its order
		if !h.placed[n] {
			h.place(n)
		}
	}
	g.Nodes = h.out
	return nil
}

// outputsFirst is the nodes that outputs and effects need, then the others, each in their order.
func outputsFirst(g *graph.Graph) (first, rest []*graph.Node) {
	wanted := map[*graph.Value]bool{}
	for _, v := range g.Outputs {
		wanted[v] = true
	}
	needed := make([]bool, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		s, ok := n.Op.(graph.Stateful)
		needed[i] = ok && s.Stateful()
		for _, v := range n.Out {
			needed[i] = needed[i] || wanted[v]
		}
		if !needed[i] {
			continue
		}
		for _, v := range n.In {
			if v != nil {
				wanted[v] = true
			}
		}
	}
	for i, n := range g.Nodes {
		if needed[i] {
			first = append(first, n)
		} else {
			rest = append(rest, n)
		}
	}
	return first, rest
}

type hastener struct {
	users   map[*graph.Value][]*graph.Node
	updates map[*graph.Value][]*graph.Value // parameters that take a value
	makers  map[*graph.Value][]*graph.Node  // of a parameter's new value
	placed  map[*graph.Node]bool
	waiting []*graph.Node
	out     []*graph.Node
}

// place puts n behind those of its operands that are not there yet.
func (h *hastener) place(n *graph.Node) {
	if h.placed[n] {
		return
	}
	h.placed[n] = true
	for _, v := range n.In {
		if v != nil && v.Def != nil {
			h.place(v.Def)
		}
	}
	h.out = append(h.out, n)
}

// makes reports whether n makes a parameter's new value.
func (h *hastener) makes(n *graph.Node) bool {
	for _, v := range n.Out {
		if len(h.updates[v]) > 0 {
			return true
		}
	}
	return false
}

// wake places the makers of new values that were only waiting for n: for its outputs, or for it to have read a parameter.
func (h *hastener) wake(n *graph.Node) {
	try := func(ms []*graph.Node) {
		for _, m := range ms {
			if !h.placed[m] && h.makes(m) && h.ready(m) {
				h.place(m)
				h.wake(m)
			}
		}
	}
	for _, v := range n.Out {
		try(h.users[v])
	}
	for _, v := range n.In {
		if v != nil && v.Def == nil {
			try(h.makers[v])
		}
	}
}

// smallValue is the size up to which a value may be made earlier than it was, for the sake of who waits for it.
const smallValue = 4096

// there reports whether v is made, or can be from what is, in small steps.
func (h *hastener) there(v *graph.Value, depth int) bool {
	if v == nil || v.Def == nil || h.placed[v.Def] {
		return true
	}
	if depth == 0 || h.makes(v.Def) {
		return false
	}
	for _, o := range v.Def.Out {
		shape, ok := o.Type.Shape()
		if !ok {
			return false
		}
		n := o.Type.DType.Size()
		for _, d := range shape {
			n *= d
		}
		if n > smallValue {
			return false
		}
	}
	for _, w := range v.Def.In {
		if !h.there(w, depth-1) {
			return false
		}
	}
	return true
}

// ready reports whether n's operands are there, and nobody else still has to read the parameters that it changes.
func (h *hastener) ready(n *graph.Node) bool {
	for _, v := range n.In {
		if !h.there(v, 12) {
			return false
		}
	}
	for _, v := range n.Out {
		for _, p := range h.updates[v] {
			for _, m := range h.users[p] {
				if m != n && !h.placed[m] {
					return false
				}
			}
		}
	}
	return true
}
