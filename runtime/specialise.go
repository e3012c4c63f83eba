package runtime

import (
	"slices"
	"strconv"
	"time"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/runtime/internal/passes"
	"github.com/nnrt/nnrt/runtime/internal/plan"
	"github.com/nnrt/nnrt/tensor"
)

// planned is a program for inputs of certain shapes: lowered graph, prepared steps, memory plan.
type planned struct {
	g       *graph.Graph
	steps   []stepPlan
	arena   int
	scratch int                  // the most that a step takes; it lies in the arena, where nothing else is during that step
	works   []int                // arena offset of each step's scratch
	slots   map[*graph.Value]int // arena offset of each value that lives there
	inPlace map[*graph.Value]*graph.Value
	used    int
}

// stepPlan is one node of a plan. A nil step is prepared at each run, when its inputs' shapes are known.
type stepPlan struct {
	node *graph.Node
	step devices.Step
	name string // of the kernel
}

const signatureSep = '|'

// signature spells the shapes and types of values.
func signature(in []tensor.Value) string {
	b := make([]byte, 0, 64)
	for _, v := range in {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			b = append(b, '?', signatureSep)
			continue
		}
		b = strconv.AppendInt(b, int64(t.DType()), 10)
		for _, d := range t.Shape() {
			b = append(b, ',')
			b = strconv.AppendInt(b, int64(d), 10)
		}
		b = append(b, signatureSep)
	}
	return string(b)
}

// planFor finds or makes the plan for inputs.
func (p *Program) planFor(in []tensor.Value) (*planned, error) {
	key := signature(in)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick++
	if pl := p.plans[key]; pl != nil {
		pl.used = p.tick
		return pl, nil
	}
	start := time.Now()
	pl, err := p.specialise(in)
	if err != nil {
		return nil, err
	}
	p.opts.Log.Debug("planned", "graph", p.g.Name, "inputs", key, "steps", len(pl.steps), "arena", pl.arena, "took", time.Since(start))
	if len(p.plans) >= p.opts.MaxPlans {
		oldest := ""
		for k, q := range p.plans {
			if oldest == "" || q.used < p.plans[oldest].used {
				oldest = k
			}
		}
		delete(p.plans, oldest)
		p.opts.Log.Debug("dropped a plan", "graph", p.g.Name, "inputs", oldest, "plans", p.opts.MaxPlans)
	}
	pl.used = p.tick
	p.plans[key] = pl
	return pl, nil
}

// specialise infers every type anew from the inputs' own, runs the passes, and prepares the steps.
func (p *Program) specialise(in []tensor.Value) (_ *planned, err error) {
	defer guard.Catch(&err)
	g := p.g.Clone()
	for i, v := range g.Inputs {
		if t, ok := in[i].(*tensor.Tensor); ok {
			v.Type = typeOf(t, false)
		}
	}
	if err := passes.Specialise(g, p.passContext()); err != nil {
		return nil, err
	}
	pl := &planned{g: g}
	outputs, err := p.sizes(g)
	if err != nil {
		return nil, err
	}
	for _, n := range g.Nodes {
		sp, err := p.prepare(n)
		if err != nil {
			return nil, err
		}
		if sp.step != nil {
			pl.scratch = max(pl.scratch, sp.step.Scratch())
		}
		pl.steps = append(pl.steps, sp)
	}
	pl.layOut()
	if limit := p.opts.MemoryLimit; limit > 0 && int64(pl.arena)+outputs > limit {
		return nil, errs.Errorf("runtime: %w: a run takes %d bytes, the limit is %d", ErrMemory, int64(pl.arena)+outputs, limit)
	}
	return pl, nil
}

// maxValue is the most bytes that one value may have at all: sums of such sizes don't overflow.
const maxValue = 1 << 46

// sizes checks that every value of known shape can be, and gives the bytes of the outputs.
func (p *Program) sizes(g *graph.Graph) (outputs int64, err error) {
	limit := int64(maxValue)
	if l := p.opts.MemoryLimit; l > 0 {
		limit = min(limit, l)
	}
	check := func(v *graph.Value) (int64, error) {
		shape, ok := v.Type.Shape()
		if !ok {
			return 0, nil
		}
		n, err := tensor.NumElements(shape)
		if err != nil {
			return 0, err
		}
		if size := int64(v.Type.DType.Size()); size > 0 && int64(n) > limit/size {
			return 0, errs.Errorf("%w: a value of %v takes more than %d bytes", ErrMemory, v.Type.WithoutValue(), limit)
		}
		return int64(n) * int64(v.Type.DType.Size()), nil
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if _, err := check(v); err != nil {
				return 0, &devices.StepError{Node: n, Err: err}
			}
		}
	}
	for _, v := range g.Outputs {
		if v.Def == nil {
			continue
		}
		size, err := check(v)
		if err != nil {
			return 0, errs.Errorf("runtime: output %q: %w", v.Name, err)
		}
		outputs += size
	}
	return outputs, nil
}

// prepare selects and prepares a node's kernel, if its types are known.
func (p *Program) prepare(n *graph.Node) (_ stepPlan, err error) {
	defer guard.CatchAs(&err, func(e error) error { return &devices.StepError{Node: n, Err: e} })
	r := p.request(n)
	for i, t := range r.In {
		if n.In[i] != nil && (t.Kind != graph.TensorKind || !t.Static()) {
			return stepPlan{node: n}, nil
		}
	}
	for _, o := range n.Out {
		if !o.Type.Static() { // values still to come decide the shape: prepared at each run
			return stepPlan{node: n}, nil
		}
	}
	if makesNothing(n, r.Out) {
		return stepPlan{node: n, step: nothing{}, name: "nothing"}, nil
	}
	k, err := p.dev.Kernels().Select(r)
	if err != nil {
		return stepPlan{}, err
	}
	step, err := k.Prepare(r)
	if err != nil {
		return stepPlan{}, &devices.StepError{Node: n, Err: err}
	}
	return stepPlan{node: n, step: step, name: k.Name}, nil
}

// makesNothing reports whether outputs have no elements at all, as with a batch of no rows: there is then
// nothing to do, and kernels need not be fit for it.
func makesNothing(n *graph.Node, outs []graph.Type) bool {
	if s, ok := n.Op.(graph.Stateful); ok && s.Stateful() {
		return false
	}
	for _, t := range outs {
		shape, ok := t.Shape()
		if t.Kind != graph.TensorKind || !ok {
			return false
		}
		if count, err := tensor.NumElements(shape); count > 0 || err != nil {
			return false
		}
	}
	return true
}

// nothing is the step of such a node.
type nothing struct{}

// Scratch implements devices.Step.
func (nothing) Scratch() int { return 0 }

// Run implements devices.Step.
func (nothing) Run(*devices.Args) error { return nil }

// request describes a node by the types in the graph.
func (p *Program) request(n *graph.Node) devices.Request {
	r := devices.Request{Node: n, Dev: p.dev, Packs: p.opts.Packs, Sub: p.sub, Exact: p.opts.Exact, Lean: len(p.g.Updates) > 0,
		In: make([]graph.Type, len(n.In)), Out: make([]graph.Type, len(n.Out)),
		Const: make([]*tensor.Tensor, len(n.In))}
	for i, v := range n.In {
		if v == nil {
			continue
		}
		r.In[i] = v.Type
		if v.IsConst() {
			r.Const[i] = v.Type.Const
		}
	}
	for i, v := range n.Out {
		r.Out[i] = v.Type
	}
	return r
}

// typeOf is the type of a value at hand. With contents, small tensors are known by value too.
func typeOf(v tensor.Value, contents bool) graph.Type {
	switch v := v.(type) {
	case *tensor.Tensor:
		t := graph.TensorOf(v.DType(), graph.Dims(v.Shape()...)...)
		if contents && v.Len() <= 4096 {
			t.Const = v
		}
		return t
	case *tensor.Sequence:
		return graph.SequenceOf(elemType(v.Elems, v.DType))
	case *tensor.Optional:
		if v.Elem == nil {
			return graph.OptionalOf(graph.UnrankedOf(tensor.Float32))
		}
		return graph.OptionalOf(typeOf(v.Elem, false))
	case *tensor.Map:
		return graph.Type{Kind: graph.MapKind, Key: v.Keys.DType(), DType: v.Values.DType()}
	}
	return graph.Type{}
}

func elemType(elems []tensor.Value, dt tensor.DType) graph.Type {
	if len(elems) > 0 {
		t := typeOf(elems[0], false)
		if t.Kind == graph.TensorKind {
			return graph.UnrankedOf(t.DType)
		}
		return t
	}
	return graph.UnrankedOf(dt)
}

// layOut places every value of known size in the arena. Outputs get memory of their own at each run.
func (pl *planned) layOut() {
	g := pl.g
	pl.slots, pl.inPlace = map[*graph.Value]int{}, map[*graph.Value]*graph.Value{}
	outside := map[*graph.Value]bool{} // values that don't live in the arena
	for _, v := range g.Outputs {
		outside[v] = true
	}
	last := map[*graph.Value]int{}
	for i, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil {
				last[v] = i
			}
		}
	}
	for _, u := range g.Updates {
		last[u.Value] = len(g.Nodes)
	}
	pl.updateInPlace(last, outside)
	root := map[*graph.Value]*graph.Value{}
	life := map[*graph.Value]*plan.Use{}
	var order []*graph.Value
	for i, n := range g.Nodes {
		for o, v := range n.Out {
			if outside[v] || !v.Type.Static() || v.Type.DType == tensor.String || pl.inPlace[v] != nil {
				continue
			}
			end := max(i, last[v])
			if r := aliasOf(n, o, i, root, life); r != nil {
				root[v] = r
				life[r].Last = max(life[r].Last, end)
				continue
			}
			root[v] = v
			life[v] = &plan.Use{Size: byteSize(v.Type), First: i, Last: end}
			order = append(order, v)
		}
	}
	uses := make([]plan.Use, len(order), len(order)+len(pl.steps))
	for i, v := range order {
		uses[i] = *life[v]
	}
	for i, sp := range pl.steps {
		size := 0
		if sp.step != nil {
			size = sp.step.Scratch()
		}
		uses = append(uses, plan.Use{Size: size, First: i, Last: i})
	}
	offsets, size := plan.Assign(uses, tensor.Align)
	pl.works = offsets[len(order):]
	for i, v := range order {
		pl.slots[v] = offsets[i]
	}
	for v, r := range root {
		pl.slots[v] = pl.slots[r]
	}
	pl.arena = size
}

// aliasOf is the arena value whose memory output o of node i may take over: one of the same size that the
// op may overwrite, with no later use of anything in its class.
func aliasOf(n *graph.Node, o, i int, root map[*graph.Value]*graph.Value, life map[*graph.Value]*plan.Use) *graph.Value {
	a, ok := n.Op.(graph.Aliaser)
	if !ok {
		return nil
	}
	for j, v := range n.In {
		if v == nil || root[v] == nil || !a.MayAlias(j, o) {
			continue
		}
		r := root[v]
		if life[r].Last != i || byteSize(v.Type) != byteSize(n.Out[o].Type) || life[r].Size != byteSize(v.Type) {
			continue
		}
		if count(n.In, root, r) == 1 && !takenBy(n, o, root, r) {
			return r
		}
	}
	return nil
}

// count is how many inputs live in class r: a binary op may overwrite one side only where the other is
// not the same memory under another shape.
func count(in []*graph.Value, root map[*graph.Value]*graph.Value, r *graph.Value) int {
	c := 0
	for _, v := range in {
		if v != nil && root[v] == r {
			c++
		}
	}
	return c
}

func takenBy(n *graph.Node, o int, root map[*graph.Value]*graph.Value, r *graph.Value) bool {
	for _, v := range n.Out[:o] {
		if root[v] == r {
			return true
		}
	}
	return false
}

// updateInPlace lets the node that makes a parameter's new value write over the parameter, where it is
// the last to read it and may alias it.
func (pl *planned) updateInPlace(last map[*graph.Value]int, outside map[*graph.Value]bool) {
	index := map[*graph.Node]int{}
	for i, n := range pl.g.Nodes {
		index[n] = i
	}
	isOutput := map[*graph.Value]bool{}
	for _, v := range pl.g.Outputs {
		isOutput[v] = true
	}
	taken := map[*graph.Value]bool{}
	for _, u := range pl.g.Updates {
		n := u.Value.Def
		if n == nil || isOutput[u.Value] || isOutput[u.Param] || taken[u.Value] || !u.Value.Type.Static() {
			continue
		}
		a, ok := n.Op.(graph.Aliaser)
		if !ok || last[u.Param] != index[n] {
			continue
		}
		uses, at := 0, -1
		for j, v := range n.In {
			if v == u.Param {
				uses, at = uses+1, j
			}
		}
		if uses == 1 && a.MayAlias(at, slices.Index(n.Out, u.Value)) && byteSize(u.Value.Type) == byteSize(u.Param.Type) &&
			usedAsUpdate(pl.g, u.Param) == 1 {
			pl.inPlace[u.Value] = u.Param
			taken[u.Value] = true
		}
	}
}

// usedAsUpdate counts the updates of param v.
func usedAsUpdate(g *graph.Graph, v *graph.Value) int {
	c := 0
	for _, u := range g.Updates {
		if u.Param == v {
			c++
		}
	}
	return c
}

func byteSize(t graph.Type) int {
	shape, ok := t.Shape()
	if !ok {
		return 0
	}
	n := t.DType.Size()
	for _, d := range shape {
		n *= d
	}
	return n
}
