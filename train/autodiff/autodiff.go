// Package autodiff writes the gradient of a graph as more graph: one reverse walk over canonical nodes,
// toward the values that are asked for and no others.
package autodiff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// ErrNoGradient is returned where operators that have no gradient lie between a result and what it is to be
// differentiated by. It names all of them.
type ErrNoGradient struct {
	Nodes []*graph.Node
}

// Error lists operator and origin of each node.
func (e *ErrNoGradient) Error() string {
	names := make([]string, len(e.Nodes))
	for i, n := range e.Nodes {
		names[i] = fmt.Sprintf("%s %q", n.Op.Name(), where(n))
	}
	return "autodiff: no gradient for " + strings.Join(names, ", ")
}

func where(n *graph.Node) string {
	if n.Origin != "" {
		return n.Origin
	}
	return n.Out[0].Name
}

// Grad appends nodes to b's graph that compute, for each of wrt, the sum over i of dys[i] times the
// derivative of ys[i]. A nil in dys (or a nil dys) stands for ones. A nil in the result is a zero: ys does
// not depend on that value. Operators without a gradient of their own are differentiated through their
// decomposition; where they have none either, the error is an *ErrNoGradient.
func Grad(b *graph.Builder, ys []*graph.Value, dys, wrt []*graph.Value) ([]*graph.Value, error) {
	if dys != nil && len(dys) != len(ys) {
		return nil, errs.Errorf("autodiff: %d cotangents for %d results", len(dys), len(ys))
	}
	if err := b.Err(); err != nil {
		return nil, err
	}
	t := &tape{b: b, grads: map[*graph.Value]*graph.Value{}}
	nodes := slices.Clone(b.Graph().Nodes)
	t.activate(nodes, wrt)
	if err := t.check(nodes, ys); err != nil {
		return nil, err
	}
	for i, y := range ys {
		if !t.active[y] {
			continue
		}
		var dy *graph.Value
		if dys != nil {
			dy = dys[i]
		}
		if dy == nil {
			dy = ones(b, y)
		}
		t.add(y, dy)
	}
	if err := t.sweep(nodes); err != nil {
		return nil, err
	}
	out := make([]*graph.Value, len(wrt))
	for i, v := range wrt {
		out[i] = t.grads[v]
	}
	return out, b.Err()
}

// tape is the state of one reverse walk.
type tape struct {
	b      *graph.Builder
	grads  map[*graph.Value]*graph.Value // nil: zero
	active map[*graph.Value]bool         // depends on wrt through real numbers
}

// activate marks what depends on wrt. Integers and booleans carry no derivative.
func (t *tape) activate(nodes []*graph.Node, wrt []*graph.Value) {
	t.active = map[*graph.Value]bool{}
	for _, v := range wrt {
		t.active[v] = v != nil
	}
	for _, n := range nodes {
		if slices.ContainsFunc(n.In, func(v *graph.Value) bool { return t.active[v] }) {
			for _, v := range n.Out {
				t.active[v] = carries(v)
			}
		}
	}
}

// carries reports whether v can have a derivative.
func carries(v *graph.Value) bool {
	return v.Type.DType.IsFloat() || v.Type.DType.IsComplex()
}

// check lists the nodes between ys and the active values that have no gradient.
func (t *tape) check(nodes []*graph.Node, ys []*graph.Value) error {
	reach := map[*graph.Value]bool{}
	for _, y := range ys {
		reach[y] = t.active[y]
	}
	var missing []*graph.Node
	for _, n := range slices.Backward(nodes) {
		if !slices.ContainsFunc(n.Out, func(v *graph.Value) bool { return reach[v] }) {
			continue
		}
		for _, v := range n.In {
			reach[v] = t.active[v]
		}
		if !differentiable(n.Op) {
			missing = append(missing, n)
		}
	}
	if missing != nil {
		slices.Reverse(missing)
		return &ErrNoGradient{missing}
	}
	return nil
}

func differentiable(op graph.Op) bool {
	if _, ok := op.(graph.Differentiable); ok {
		return true
	}
	if _, ok := op.(graph.Decomposer); ok {
		return true
	}
	return controlFlow(op)
}

// add adds dv to the gradient of v.
func (t *tape) add(v, dv *graph.Value) {
	if dv == nil || v == nil {
		return
	}
	if old := t.grads[v]; old != nil {
		dv = plus(t.b, old, dv)
	}
	t.grads[v] = dv
}

// plus is the sum of two gradients, tensors or sequences.
func plus(b *graph.Builder, x, y *graph.Value) *graph.Value {
	if x.Type.Kind == graph.SequenceKind {
		return ops.MapSequence(b, func(b *graph.Builder, in []*graph.Value) *graph.Value { return b.Add(ops.Add{}, in...) }, x, y)
	}
	return b.Add(ops.Add{}, x, y)
}

// sweep walks nodes backward.
func (t *tape) sweep(nodes []*graph.Node) error {
	for _, n := range slices.Backward(nodes) {
		dy := make([]*graph.Value, len(n.Out))
		live := false
		for i, v := range n.Out {
			if t.active[v] {
				dy[i] = t.grads[v]
			}
			live = live || dy[i] != nil
		}
		if !live {
			continue
		}
		if err := t.node(n, dy); err != nil {
			return err
		}
	}
	return nil
}

// node adds what n passes on to its operands' gradients.
func (t *tape) node(n *graph.Node, dy []*graph.Value) error {
	defer t.b.SetOrigin(t.b.SetOrigin(n.Origin))
	need := make([]bool, len(n.In))
	for i, v := range n.In {
		need[i] = v != nil && t.active[v]
	}
	if controlFlow(n.Op) {
		return t.control(n, dy, need)
	}
	d, ok := n.Op.(graph.Differentiable)
	if !ok {
		return t.decomposed(n, dy)
	}
	dx := d.VJP(t.b, n, dy, need)
	if err := t.b.Err(); err != nil {
		return errs.Errorf("autodiff: gradient of %s %q: %w", n.Op.Name(), where(n), err)
	}
	if len(dx) > len(n.In) {
		return errs.Errorf("autodiff: gradient of %s %q: %d results for %d operands", n.Op.Name(), where(n), len(dx), len(n.In))
	}
	for i, dv := range dx {
		if need[i] {
			t.add(n.In[i], dv)
		}
	}
	return nil
}

// decomposed differentiates n through its spelling in simpler operators.
func (t *tape) decomposed(n *graph.Node, dy []*graph.Value) error {
	from := len(t.b.Graph().Nodes)
	outs := n.Op.(graph.Decomposer).Decompose(t.b, n.In)
	if err := t.b.Err(); err != nil {
		return errs.Errorf("autodiff: decomposition of %s %q: %w", n.Op.Name(), where(n), err)
	}
	if outs == nil {
		return &ErrNoGradient{[]*graph.Node{n}}
	}
	nodes := slices.Clone(t.b.Graph().Nodes[from:])
	for _, m := range nodes {
		if slices.ContainsFunc(m.In, func(v *graph.Value) bool { return t.active[v] }) {
			for _, v := range m.Out {
				t.active[v] = carries(v)
			}
		}
	}
	var live []*graph.Value
	for i, d := range dy {
		if d != nil && i < len(outs) && outs[i] != nil {
			live = append(live, outs[i])
		}
	}
	if err := t.check(nodes, live); err != nil {
		return err
	}
	for i, d := range dy {
		if d != nil && i < len(outs) && outs[i] != nil {
			t.add(outs[i], d)
		}
	}
	return t.sweep(nodes)
}

// ones is a tensor of ones in y's shape.
func ones(b *graph.Builder, y *graph.Value) *graph.Value { return filled(b, y, 1) }

// filled is a tensor, or a sequence of tensors, of c in y's shape and type.
func filled(b *graph.Builder, y *graph.Value, c float64) *graph.Value {
	if y.Type.Kind == graph.SequenceKind {
		return ops.MapSequence(b, func(b *graph.Builder, in []*graph.Value) *graph.Value { return filled(b, in[0], c) }, y)
	}
	s := tensor.New(y.Type.DType)
	if err := s.SetFloat64s([]float64{c}); err != nil {
		b.Fail(errs.Errorf("autodiff: %w", err))
	}
	v := b.Const("fill", s)
	if y.Type.Rank() == 0 {
		return v
	}
	return b.Add(ops.Expand{}, v, b.Add(ops.Shape{}, y))
}
