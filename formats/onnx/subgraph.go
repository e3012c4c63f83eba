package onnx

import (
	"strconv"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// captures is what a subgraph reads from the graph around it, in the order of first use. In the graph's
// own form these are explicit inputs, behind the formal ones.
type captures struct {
	outer []*graph.Value
	inner map[*graph.Value]*graph.Value
}

// add is the subgraph's own value for one outside: a constant where its contents are known, else an input.
func (c *captures) add(b *graph.Builder, outer *graph.Value) *graph.Value {
	if v := c.inner[outer]; v != nil {
		return v
	}
	v := known(b, outer)
	if v == nil {
		v = b.Input(outer.Name, outer.Type)
		c.outer = append(c.outer, outer)
	}
	c.inner[outer] = v
	return v
}

// known is a constant of what is known of a value's contents, or nil.
func known(b *graph.Builder, v *graph.Value) *graph.Value {
	if v.Type.Const != nil {
		return b.Const(v.Name, v.Type.Const)
	}
	shape, ok := v.Type.Shape()
	if v.Type.Ints == nil || !ok || v.Type.DType != tensor.Int64 {
		return nil
	}
	t := tensor.New(tensor.Int64, shape...)
	if t.Len() != len(v.Type.Ints) {
		return nil
	}
	for i, d := range v.Type.Ints {
		n, ok := d.Const()
		if !ok {
			return nil
		}
		tensor.As[int64](t)[i] = int64(n)
	}
	return b.Const(v.Name, t)
}

// subgraph imports a nested graph whose formal inputs have the given types. It is nil where something in
// it is unsupported, or wrong, which is then recorded.
func (n *Node) subgraph(p *pb.GraphProto, formals []graph.Type) (*graph.Graph, *captures) {
	im := n.im
	if im.depth++; im.depth > im.lim.MaxGraphDepth {
		n.Builder.Fail(im.fail("graphs are nested more than %d deep", im.lim.MaxGraphDepth))
	}
	defer func() { im.depth-- }()
	if n.refuse != "" || n.Err() != nil {
		return nil, nil
	}
	if len(p.Input) != len(formals) {
		n.Refuse("subgraph %q has %d inputs where %d are fed", p.Name, len(p.Input), len(formals))
		return nil, nil
	}
	g := &graph.Graph{Name: p.Name, Doc: p.DocString}
	note(g, p)
	sc := newScope(g, n.sc.opsets, p)
	sc.parent, sc.attrs, sc.capture = n.sc, n.sc.attrs, &captures{inner: map[*graph.Value]*graph.Value{}}
	bad := len(im.bad)
	if err := im.subgraphBody(sc, p, formals); err != nil {
		n.Builder.Fail(err)
	}
	if len(im.bad) > bad || n.Err() != nil {
		return nil, nil
	}
	return g, sc.capture
}

func (im *importer) subgraphBody(sc *scope, p *pb.GraphProto, formals []graph.Type) error {
	for i, in := range p.Input {
		v := sc.b.Input(in.Name, graph.Freshen(formals[i], in.Name))
		sc.vals[in.Name], sc.named[v] = v, true
	}
	if err := im.initializers(sc, p, false); err != nil {
		return err
	}
	if err := im.body(sc, p.Node); err != nil {
		return err
	}
	return im.outputs(sc, p)
}

// align gives a graph with nf formal inputs the captured inputs of order, in that order.
func align(g *graph.Graph, c *captures, nf int, order []*graph.Value) {
	b := graph.NewBuilder(g)
	ins := append([]*graph.Value{}, g.Inputs[:nf]...)
	for _, outer := range order {
		v := c.inner[outer]
		if v == nil {
			v = b.Input(outer.Name, outer.Type)
		}
		ins = append(ins, v)
	}
	g.Inputs = ins
}

// importIf reads If: what either branch captures becomes an input of both.
func importIf(n *Node) []*graph.Value {
	then, c1 := n.subgraph(n.graph("then_branch"), nil)
	els, c2 := n.subgraph(n.graph("else_branch"), nil)
	if then == nil || els == nil {
		return nil
	}
	order := append([]*graph.Value{}, c1.outer...)
	for _, v := range c2.outer {
		if in := c1.inner[v]; in == nil {
			order = append(order, v)
		}
	}
	align(then, c1, 0, order)
	align(els, c2, 0, order)
	return n.AddN(ops.If{Then: then, Else: els}, append([]*graph.Value{n.Input(0)}, order...)...)
}

// carried imports a body whose first inputs are fed back from its outputs: where a shape changes from one
// round to the next, the input's type forgets it, and the body is imported anew. out is where, among the
// body's outputs, input first is fed from.
func (n *Node) carried(p *pb.GraphProto, formals []graph.Type, first, count, out int) (*graph.Graph, *captures) {
	for try := 0; ; try++ {
		g, c := n.subgraph(p, formals)
		if g == nil {
			return nil, nil
		}
		if len(g.Outputs) < out+count {
			n.Refuse("body %q has %d outputs, at least %d are needed", p.Name, len(g.Outputs), out+count)
			return nil, nil
		}
		changed := false
		for i := range count {
			t, diff := widen(formals[first+i], g.Outputs[out+i].Type, try > 2)
			formals[first+i] = t
			changed = changed || diff
		}
		if !changed {
			return g, c
		}
		if try > 4 {
			n.Refuse("the types that body %q carries don't settle", p.Name)
			return nil, nil
		}
	}
}

// widen is the type that holds both a and b, and whether it says less than a.
func widen(a, b graph.Type, forget bool) (graph.Type, bool) {
	a, b = a.WithoutValue(), b.WithoutValue()
	if a.Kind != b.Kind {
		return a, false
	}
	if a.Elem != nil && b.Elem != nil {
		e, diff := widen(*a.Elem, *b.Elem, forget)
		a.Elem = &e
		return a, diff
	}
	if a.Kind != graph.TensorKind || a.Unranked {
		return a, false
	}
	if b.Unranked || len(a.Dims) != len(b.Dims) {
		return graph.UnrankedOf(a.DType), true
	}
	dims, diff := append([]graph.Dim{}, a.Dims...), false
	for i, d := range b.Dims {
		if d != dims[i] && (dims[i].IsConst() || forget && !dims[i].IsUnknown()) {
			dims[i], diff = graph.Unknown(), dims[i].IsConst()
		}
	}
	a.Dims = dims
	return a, diff
}

// importLoop reads Loop.
func importLoop(n *Node) []*graph.Value {
	p := n.graph("body")
	count := len(n.In) - 2
	if count < 0 {
		count = 0
	}
	cond := graph.TensorOf(tensor.Bool)
	if c := n.Input(1); c != nil {
		cond = c.Type.WithoutValue()
	}
	formals := []graph.Type{graph.TensorOf(tensor.Int64), cond}
	for i := range count {
		if n.In[2+i] == nil {
			n.Refuse("carried input %d is omitted", i)
			return nil
		}
		formals = append(formals, n.In[2+i].Type.WithoutValue())
	}
	g, c := n.carried(p, formals, 1, count+1, 0)
	if g == nil {
		return nil
	}
	in := []*graph.Value{n.Input(0), n.Input(1)}
	if count > 0 {
		in = append(in, n.In[2:]...)
	}
	return n.AddN(ops.Loop{Body: g, NumCarried: count}, append(in, c.outer...)...)
}

// importScan reads Scan from version 9 on.
func importScan(n *Node) []*graph.Value {
	p, scans := n.graph("body"), n.Int("num_scan_inputs", 0)
	states := len(n.In) - scans
	if scans < 1 || states < 0 {
		n.Refuse("num_scan_inputs is %d of %d inputs", scans, len(n.In))
		return nil
	}
	op := ops.Scan{NumStates: states, NumScanInputs: scans,
		ScanInputAxes: n.Ints("scan_input_axes"), ScanInputDirections: n.Ints("scan_input_directions"),
		ScanOutputAxes: n.Ints("scan_output_axes"), ScanOutputDirections: n.Ints("scan_output_directions")}
	formals, err := scanFormals(n.In, op)
	if err != nil {
		n.Refuse("%v", err)
		return nil
	}
	g, c := n.carried(p, formals, 0, states, 0)
	if g == nil {
		return nil
	}
	op.Body = g
	return n.AddN(op, append(append([]*graph.Value{}, n.In...), c.outer...)...)
}

// scanFormals is the types of a body's inputs: the states', and the scanned inputs' without their axis.
func scanFormals(in []*graph.Value, op ops.Scan) ([]graph.Type, error) {
	var formals []graph.Type
	for i, v := range in {
		if v == nil {
			return nil, errs.Errorf("input %d is omitted", i)
		}
		t := v.Type.WithoutValue()
		if i >= op.NumStates {
			var err error
			if t, err = dropAxis(t, op.At(op.ScanInputAxes, i-op.NumStates)); err != nil {
				return nil, errs.Errorf("input %d: %w", i, err)
			}
		}
		formals = append(formals, t)
	}
	return formals, nil
}

func dropAxis(t graph.Type, axis int) (graph.Type, error) {
	if t.Kind != graph.TensorKind || t.Unranked {
		return t, nil
	}
	if axis < 0 {
		axis += len(t.Dims)
	}
	if axis < 0 || axis >= len(t.Dims) {
		return t, errs.Errorf("there is no axis %d in %v", axis, t)
	}
	t.Dims = append(append([]graph.Dim{}, t.Dims[:axis]...), t.Dims[axis+1:]...)
	return t, nil
}

// importSequenceMap reads SequenceMap: sequences of the first one's length are walked together, tensors
// are given to each call as they are.
func importSequenceMap(n *Node) []*graph.Value {
	p := n.graph("body")
	var formals []graph.Type
	for i, v := range n.In {
		if v == nil {
			n.Refuse("input %d is omitted", i)
			return nil
		}
		t := v.Type.WithoutValue()
		if t.Kind == graph.SequenceKind && t.Elem != nil {
			t = *t.Elem
		}
		formals = append(formals, t)
	}
	g, c := n.subgraph(p, formals)
	if g == nil {
		return nil
	}
	return n.AddN(ops.SequenceMap{Body: g, NumInputs: len(n.In)}, append(append([]*graph.Value{}, n.In...), c.outer...)...)
}

// sorted is nodes in an order that defines before it uses: the file's own, where that does. Where there is
// none, it is the nodes of a cycle.
func sorted(list []*pb.NodeProto) (order []*pb.NodeProto, cycle []string) {
	maker := map[string]int{}
	for i, p := range list {
		for _, o := range p.Output {
			if _, ok := maker[o]; !ok && o != "" {
				maker[o] = i
			}
		}
	}
	s := sorter{list: list, deps: make([][]int, len(list)), state: make([]sortState, len(list))}
	inOrder := true
	for i, p := range list {
		reads(p, func(name string) {
			if j, ok := maker[name]; ok && j != i {
				s.deps[i] = append(s.deps[i], j)
				inOrder = inOrder && j < i
			}
		})
	}
	if inOrder {
		return list, nil
	}
	for i := range list {
		if cycle := s.visit(i); cycle != nil {
			return nil, cycle
		}
	}
	return s.out, nil
}

type sortState uint8

const (
	unseen sortState = iota
	open             // what it depends on is being put out
	done
)

type sorter struct {
	list  []*pb.NodeProto
	deps  [][]int
	state []sortState
	out   []*pb.NodeProto
}

// visit puts node i out behind what it depends on, without recursion: files may be deep. It returns the
// names of the nodes of a cycle that it finds.
func (s *sorter) visit(i int) []string {
	type frame struct{ node, next int }
	stack := []frame{{i, 0}}
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		if s.state[f.node] == done {
			stack = stack[:len(stack)-1]
			continue
		}
		s.state[f.node] = open
		if f.next < len(s.deps[f.node]) {
			d := s.deps[f.node][f.next]
			f.next++
			if s.state[d] == open {
				var cycle []string
				for k := len(stack) - 1; k >= 0 && len(cycle) < 20; k-- {
					cycle = append(cycle, strconv.Quote(nodeName(s.list[stack[k].node])))
					if stack[k].node == d {
						break
					}
				}
				return cycle
			}
			if s.state[d] == unseen {
				stack = append(stack, frame{d, 0})
			}
			continue
		}
		s.state[f.node] = done
		s.out = append(s.out, s.list[f.node])
		stack = stack[:len(stack)-1]
	}
	return nil
}

// reads calls f with every name that a node reads, those in its subgraphs included.
func reads(p *pb.NodeProto, f func(string)) {
	for _, name := range p.Input {
		f(name)
	}
	for _, a := range p.Attribute {
		if a.G != nil {
			graphReads(a.G, f)
		}
		for _, g := range a.Graphs {
			graphReads(g, f)
		}
	}
}

// graphReads calls f with what a subgraph reads from outside.
func graphReads(g *pb.GraphProto, f func(string)) {
	own := map[string]bool{}
	for _, v := range g.Input {
		own[v.Name] = true
	}
	for _, t := range g.Initializer {
		own[t.Name] = true
	}
	for _, p := range g.Node {
		for _, o := range p.Output {
			own[o] = true
		}
	}
	outside := func(name string) {
		if !own[name] {
			f(name)
		}
	}
	for _, p := range g.Node {
		reads(p, outside)
	}
	for _, o := range g.Output {
		outside(o.Name)
	}
}
