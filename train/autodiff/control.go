package autodiff

import (
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// controlFlow reports whether op holds graphs that are differentiated here: operators can't, since they
// know nothing of this package.
func controlFlow(op graph.Op) bool {
	switch op.(type) {
	case ops.If, ops.Scan, ops.Loop, ops.SequenceMap:
		return true
	}
	return false
}

// control is the gradient of an operator that holds graphs.
func (t *tape) control(n *graph.Node, dy []*graph.Value, need []bool) error {
	if !slices.Contains(need, true) {
		return nil
	}
	var err error
	switch op := n.Op.(type) {
	case ops.If:
		err = t.branches(op, n, dy, need)
	case ops.Scan:
		err = t.scan(op, n, dy, need)
	case ops.Loop:
		err = t.loop(op, n, dy, need)
	case ops.SequenceMap:
		err = t.mapped(op, n, dy, need)
	}
	if err == nil {
		err = t.b.Err()
	}
	if err != nil {
		return errs.Errorf("autodiff: gradient of %s %q: %w", n.Op.Name(), where(n), err)
	}
	return nil
}

// gradBody starts a graph for a gradient, with inputs of the given values' types.
type gradBody struct {
	g *graph.Graph
	b *graph.Builder
}

func newBody() gradBody {
	g := &graph.Graph{}
	return gradBody{g, graph.NewBuilder(g)}
}

func (c gradBody) inputs(prefix string, like []*graph.Value) []*graph.Value {
	out := make([]*graph.Value, len(like))
	for i, v := range like {
		if v != nil {
			out[i] = c.b.Input(fmt.Sprintf("%s%d", prefix, i), v.Type)
		}
	}
	return out
}

// present is vs without its nils.
func present(vs []*graph.Value) []*graph.Value {
	return slices.DeleteFunc(slices.Clone(vs), func(v *graph.Value) bool { return v == nil })
}

// orZero is dv, or zeros like v.
func orZero(b *graph.Builder, dv, v *graph.Value) *graph.Value {
	if dv == nil {
		return filled(b, v, 0)
	}
	return dv
}

// branches is the gradient of If: an If over the branches' gradients.
func (t *tape) branches(op ops.If, n *graph.Node, dy []*graph.Value, need []bool) error {
	var graphs []*graph.Graph
	for _, g := range op.Subgraphs() {
		c := newBody()
		in := c.inputs("x", n.In[1:])
		dys := c.inputs("dy", dy)
		if err := c.gradients(g, in, dys, need[1:]); err != nil {
			return err
		}
		graphs = append(graphs, c.g)
	}
	args := slices.Concat(n.In[:1], present(n.In[1:]), present(dy))
	outs := t.b.AddN(ops.If{Then: graphs[0], Else: graphs[1]}, args...)
	for i, v := range n.In {
		if need[i] {
			t.add(v, outs[0])
			outs = outs[1:]
		}
	}
	return nil
}

// gradients computes g on in and makes the gradients of those of in that are needed the outputs.
func (c gradBody) gradients(g *graph.Graph, in, dys []*graph.Value, need []bool) error {
	outs := c.b.Inline(g, in...)
	var wrt []*graph.Value
	for i, v := range in {
		if need[i] {
			wrt = append(wrt, v)
		}
	}
	dx, err := gradOf(c.b, outs, dys, wrt)
	if err != nil {
		return err
	}
	for i, v := range dx {
		c.b.Output(c.b.Add(ops.Identity{}, orZero(c.b, v, wrt[i])))
	}
	return c.b.Err()
}

// gradOf is Grad where a nil cotangent means that the result does not count.
func gradOf(b *graph.Builder, ys, dys, wrt []*graph.Value) ([]*graph.Value, error) {
	var y, dy []*graph.Value
	for i, d := range dys {
		if d != nil {
			y, dy = append(y, ys[i]), append(dy, d)
		}
	}
	if len(y) == 0 {
		return make([]*graph.Value, len(wrt)), nil
	}
	return Grad(b, y, dy, wrt)
}

// mapped is the gradient of SequenceMap: a map of the body's gradient over the elements and their cotangents.
// What all elements read, tensors and captures, gets the sum of what comes of each.
func (t *tape) mapped(op ops.SequenceMap, n *graph.Node, dy []*graph.Value, need []bool) error {
	element := func(v *graph.Value) graph.Type {
		if v.Type.Kind == graph.SequenceKind && v.Type.Elem != nil {
			return *v.Type.Elem
		}
		return v.Type
	}
	c := newBody()
	in, dys := make([]*graph.Value, len(n.In)), make([]*graph.Value, len(dy))
	for i, v := range n.In[:op.NumInputs] {
		in[i] = c.b.Input("x", element(v))
	}
	for i, v := range dy {
		if v != nil {
			dys[i] = c.b.Input("dy", element(v))
		}
	}
	for i, v := range n.In[op.NumInputs:] {
		in[op.NumInputs+i] = c.b.Input("c", v.Type)
	}
	if err := c.gradients(op.Body, in, dys, need); err != nil {
		return err
	}
	args := slices.Concat(n.In[:op.NumInputs], present(dy), n.In[op.NumInputs:])
	grads := t.b.AddN(ops.SequenceMap{Body: c.g, NumInputs: len(args) - len(n.In) + op.NumInputs}, args...)
	for i, v := range n.In {
		if !need[i] {
			continue
		}
		d := grads[0]
		grads = grads[1:]
		if i >= op.NumInputs || v.Type.Kind != graph.SequenceKind {
			if v.Type.Kind != graph.TensorKind {
				return errs.Errorf("through %q (%v), which its iterations share", v.Name, v.Type)
			}
			d = t.b.Add(ops.SequenceInsert{}, d, filled(t.b, v, 0)) // the sequence may be empty
			d = t.b.Add(ops.ReduceSum{}, t.b.Add(ops.ConcatFromSequence{NewAxis: true}, d), t.b.Ints(0))
		}
		t.add(v, d)
	}
	return nil
}

// scan is the gradient of Scan: the forward node also emits the states that each iteration began with, and
// a backward Scan carries the states' gradients through them in reverse.
func (t *tape) scan(op ops.Scan, n *graph.Node, dy []*graph.Value, need []bool) error {
	ns, m := op.NumStates, op.NumScanInputs
	body := op.Body.Clone()
	bb := graph.NewBuilder(body)
	stacks := len(body.Outputs) - ns
	for _, v := range body.Inputs[:ns] {
		bb.Output(bb.Add(ops.Identity{}, v))
	}
	if err := bb.Err(); err != nil {
		return err
	}
	op.Body = body
	op.ScanOutputAxes = padded(op.ScanOutputAxes, stacks, stacks+ns)
	op.ScanOutputDirections = padded(op.ScanOutputDirections, stacks, stacks+ns)
	saved, err := t.extend(n, op, ns)
	if err != nil {
		return err
	}
	r := reverse{t: t, n: n, body: op.Body, states: n.In[:ns], saved: saved, captures: n.In[ns+m:], dy: dy, need: need,
		firstCapture: ns + m}
	for i := range m {
		r.scanned = append(r.scanned, operand{n.In[ns+i], op.At(op.ScanInputAxes, i), op.At(op.ScanInputDirections, i), ns + i})
	}
	for i := range stacks {
		r.stacks = append(r.stacks, operand{dy[ns+i], op.At(op.ScanOutputAxes, i), op.At(op.ScanOutputDirections, i), -1})
	}
	return r.build()
}

// padded is a list of axes or directions made n long, where only the first k count; beyond are zeros.
func padded(list []int, k, n int) []int {
	if len(list) == 0 {
		return nil
	}
	out := make([]int, n)
	copy(out[:k], list)
	return out
}

// extend gives n another op with extra outputs, and returns those.
func (t *tape) extend(n *graph.Node, op graph.Op, extra int) ([]*graph.Value, error) {
	types := make([]graph.Type, len(n.In))
	for i, v := range n.In {
		if v != nil {
			types[i] = v.Type
		}
	}
	outs, err := op.Infer(types)
	if err != nil {
		return nil, err
	}
	if len(outs) != len(n.Out)+extra {
		return nil, errs.Errorf("%d outputs where %d were expected", len(outs), len(n.Out)+extra)
	}
	n.Op = op
	var added []*graph.Value
	for _, ty := range outs[len(n.Out):] {
		name := t.b.Unique(where(n) + ":saved")
		added = append(added, &graph.Value{Name: name, Type: graph.Freshen(ty, name), Def: n})
	}
	n.Out = append(n.Out, added...)
	return added, nil
}

// loop is the gradient of Loop: like Scan's, over as many iterations as there were.
func (t *tape) loop(op ops.Loop, n *graph.Node, dy []*graph.Value, need []bool) error {
	nc := op.NumCarried
	body := op.Body.Clone()
	bb := graph.NewBuilder(body)
	stacks := len(body.Outputs) - 1 - nc
	bb.Output(bb.Add(ops.Identity{}, body.Inputs[0]))
	for _, v := range body.Inputs[2 : 2+nc] {
		bb.Output(bb.Add(ops.Identity{}, v))
	}
	if err := bb.Err(); err != nil {
		return err
	}
	saved, err := t.extend(n, ops.Loop{Body: body, NumCarried: nc}, nc+1)
	if err != nil {
		return err
	}
	// The body as a Scan's: states are the carried values, the iteration number is scanned, the condition
	// plays no part.
	c := newBody()
	carried := c.inputs("s", body.Inputs[2:2+nc])
	iter := c.b.Input("i", graph.TensorOf(tensor.Int64))
	capt := c.inputs("c", body.Inputs[2+nc:])
	cond := c.b.Const("true", tensor.Scalar(true))
	outs := c.b.Inline(body, slices.Concat([]*graph.Value{iter, cond}, carried, capt)...)
	c.b.Output(outs[1:]...)
	if err := c.b.Err(); err != nil {
		return err
	}
	r := reverse{t: t, n: n, body: c.g, states: n.In[2 : 2+nc], saved: saved[1:], captures: n.In[2+nc:], dy: dy, need: need,
		firstState: 2, firstCapture: 2 + nc, scanned: []operand{{saved[0], 0, 0, -1}}}
	for i := range stacks {
		r.stacks = append(r.stacks, operand{dy[nc+i], 0, 0, -1})
	}
	return r.build()
}

// operand is something that is sliced or stacked, by axis and direction; in is the place in the forward
// node's inputs, or -1.
type operand struct {
	v         *graph.Value
	axis, dir int
	in        int
}

// reverse is what the backward Scan of a Scan or Loop is made of.
type reverse struct {
	t                        *tape
	n                        *graph.Node
	body                     *graph.Graph   // inputs: states, slices, captures; outputs: states, stacks
	states, saved            []*graph.Value // initial states, and all iterations' states
	captures                 []*graph.Value
	scanned, stacks          []operand // forward's slices; the cotangents of its stacks
	dy                       []*graph.Value
	need                     []bool
	firstState, firstCapture int
}

func (r *reverse) build() error {
	b := r.t.b
	for _, v := range slices.Concat(r.states, r.captures) {
		if v.Type.Kind != graph.TensorKind && carries(v) {
			return errs.Errorf("through %q (%v), which its iterations share", v.Name, v.Type)
		}
	}
	var live, capt []int // states that have a gradient; captures that need one
	for i, v := range r.states {
		if carries(v) {
			live = append(live, i)
		}
	}
	for i, v := range r.captures {
		if r.need[r.firstCapture+i] && carries(v) {
			capt = append(capt, i)
		}
	}
	op := ops.Scan{NumStates: len(live) + len(capt)}
	var args []*graph.Value
	for _, i := range live {
		args = append(args, orZero(b, r.dy[i], r.states[i]))
	}
	for _, i := range capt {
		args = append(args, filled(b, r.captures[i], 0))
	}
	slice := func(o operand, dir int) {
		args = append(args, o.v)
		op.ScanInputAxes, op.ScanInputDirections = append(op.ScanInputAxes, o.axis), append(op.ScanInputDirections, dir)
		op.NumScanInputs++
	}
	for _, v := range r.saved {
		slice(operand{v: v}, 1)
	}
	for _, o := range r.scanned {
		slice(o, 1-o.dir)
	}
	for _, o := range r.stacks {
		if o.v != nil {
			slice(o, 1-o.dir)
		}
	}
	args = append(args, r.captures...)
	var wanted []int
	for i, o := range r.scanned {
		if o.in >= 0 && r.need[o.in] {
			wanted = append(wanted, i)
			op.ScanOutputAxes, op.ScanOutputDirections = append(op.ScanOutputAxes, o.axis), append(op.ScanOutputDirections, 1-o.dir)
		}
	}
	body, err := r.gradient(live, capt, wanted)
	if err != nil {
		return err
	}
	op.Body = body
	outs := b.AddN(op, args...)
	for k, i := range live {
		if r.need[r.firstState+i] {
			r.t.add(r.states[i], outs[k])
		}
	}
	for k, i := range capt {
		r.t.add(r.captures[i], outs[len(live)+k])
	}
	for k, i := range wanted {
		r.t.add(r.scanned[i].v, outs[op.NumStates+k])
	}
	return b.Err()
}

// gradient is the backward Scan's body: inputs are the states' gradients, the captures' sums, saved states,
// slices, stacks' cotangents, captures.
func (r *reverse) gradient(live, capt, wanted []int) (*graph.Graph, error) {
	c := newBody()
	pick := func(vs []*graph.Value, idx []int) []*graph.Value {
		out := make([]*graph.Value, len(idx))
		for k, i := range idx {
			out[k] = vs[i]
		}
		return out
	}
	dstate := c.inputs("ds", pick(r.states, live))
	dcapt := c.inputs("dc", pick(r.captures, capt))
	state := c.inputs("s", r.states)
	slices_ := make([]*graph.Value, len(r.scanned))
	for i, o := range r.scanned {
		slices_[i] = c.b.Input(fmt.Sprintf("x%d", i), without(o.v.Type, o.axis))
	}
	dys := make([]*graph.Value, len(r.body.Outputs))
	for i, o := range r.stacks {
		if o.v != nil {
			dys[len(r.states)+i] = c.b.Input(fmt.Sprintf("dy%d", i), without(o.v.Type, o.axis))
		}
	}
	captures := c.inputs("c", r.captures)
	outs := c.b.Inline(r.body, slices.Concat(state, slices_, captures)...)
	for k, i := range live {
		dys[i] = dstate[k]
	}
	wrt := slices.Concat(pick(state, live), pick(captures, capt), pick(slices_, wanted))
	dx, err := gradOf(c.b, outs, dys, wrt)
	if err != nil {
		return nil, err
	}
	for k, v := range wrt {
		d := orZero(c.b, dx[k], v)
		if j := k - len(live); j >= 0 && j < len(capt) {
			d = dcapt[j]
			if dx[k] != nil {
				d = c.b.Add(ops.Add{}, d, dx[k])
			}
		}
		c.b.Output(c.b.Add(ops.Identity{}, d))
	}
	return c.g, c.b.Err()
}

// without is the type of a slice along axis.
func without(t graph.Type, axis int) graph.Type {
	if t.Rank() < 0 {
		return graph.UnrankedOf(t.DType)
	}
	if axis < 0 {
		axis += t.Rank()
	}
	if axis < 0 || axis >= t.Rank() {
		return graph.UnrankedOf(t.DType)
	}
	return graph.TensorOf(t.DType, slices.Delete(slices.Clone(t.Dims), axis, axis+1)...)
}
