package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// controlOps is the family that holds graphs. What a graph captures from outside is passed to it as
// explicit inputs, after its own.
var controlOps = []Info{
	{If{}, "runs one of two graphs"},
	{Loop{}, "runs a graph while a condition holds"},
	{Scan{}, "runs a graph over slices of its inputs"},
	{SequenceMap{}, "runs a graph on each element of a sequence"},
}

// unaryBody is a graph that applies op to its only input.
func unaryBody(op graph.Op) *graph.Graph {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	b.Output(b.Add(op, b.Input("x", graph.UnrankedOf(tensor.Float32))))
	return g
}

// binaryBody is a graph that applies op to its two inputs.
func binaryBody(op graph.Op) *graph.Graph {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.UnrankedOf(tensor.Float32))
	b.Output(b.Add(op, x, b.Input("y", graph.UnrankedOf(tensor.Float32))))
	return g
}

// loopBody adds the state to itself and emits it.
func loopBody() *graph.Graph {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	b.Input("i", graph.TensorOf(tensor.Int64))
	cond := b.Input("cond", graph.TensorOf(tensor.Bool))
	s := b.Input("s", graph.UnrankedOf(tensor.Float32))
	next := b.Add(Add{}, s, s)
	b.Output(cond, next, b.Add(Tanh{}, next))
	return g
}

// scanBody is s' = tanh(s+x), emitted too.
func scanBody() *graph.Graph {
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	s := b.Input("s", graph.UnrankedOf(tensor.Float32))
	x := b.Input("x", graph.UnrankedOf(tensor.Float32))
	next := b.Add(Tanh{}, b.Add(Add{}, s, x))
	b.Output(next, next)
	return g
}

// If runs Then where its first input, a single bool, holds, and Else otherwise. The other inputs are the
// inputs of both graphs.
type If struct{ Then, Else *graph.Graph }

// Name implements graph.Op.
func (If) Name() string { return "If" }

// Subgraphs implements graph.Subgrapher.
func (o If) Subgraphs() []*graph.Graph { return []*graph.Graph{o.Then, o.Else} }

// WithSubgraphs implements graph.Subgrapher.
func (o If) WithSubgraphs(gs []*graph.Graph) graph.Op { return If{Then: gs[0], Else: gs[1]} }

// Infer implements graph.Op.
func (o If) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	if o.Then == nil || o.Else == nil {
		return nil, errs.Errorf("a branch is missing")
	}
	if in[0].DType != tensor.Bool {
		return nil, errs.Errorf("the condition is %v, not bool", in[0])
	}
	if c := in[0].Const; c != nil && c.Len() == 1 { // known: the other branch's shapes don't matter
		if tensor.As[bool](c)[0] {
			return o.Then.InferTypes(in[1:])
		}
		return o.Else.InferTypes(in[1:])
	}
	a, err := o.Then.InferTypes(in[1:])
	if err != nil {
		return nil, errs.Errorf("then: %w", err)
	}
	b, err := o.Else.InferTypes(in[1:])
	if err != nil {
		return nil, errs.Errorf("else: %w", err)
	}
	if len(a) != len(b) {
		return nil, errs.Errorf("then gives %d values, else %d", len(a), len(b))
	}
	out := make([]graph.Type, len(a))
	for i := range a {
		t, ok := joinBranches(a[i].WithoutValue(), b[i].WithoutValue())
		if !ok {
			return nil, errs.Errorf("output %d is %v in then and %v in else", i, a[i], b[i])
		}
		out[i] = t
	}
	return out, nil
}

// joinBranches is graph.Join, where an optional and what it may hold also agree.
func joinBranches(a, b graph.Type) (graph.Type, bool) {
	if a.Kind == graph.OptionalKind && b.Kind != graph.OptionalKind {
		return a, true
	}
	if b.Kind == graph.OptionalKind && a.Kind != graph.OptionalKind {
		return b, true
	}
	return graph.Join(a, b)
}

// Loop runs Body at most as often as its first input says (omitted: no bound), while a condition holds
// that starts as its second input (omitted: true). Then come NumCarried initial values, then captures.
// Body takes iteration number, condition, carried values, captures, and gives condition, carried values,
// and values that are stacked over the iterations. Outputs: the carried values, then the stacks.
type Loop struct {
	Body       *graph.Graph
	NumCarried int
}

// Name implements graph.Op.
func (Loop) Name() string { return "Loop" }

// Subgraphs implements graph.Subgrapher.
func (o Loop) Subgraphs() []*graph.Graph { return []*graph.Graph{o.Body} }

// WithSubgraphs implements graph.Subgrapher.
func (o Loop) WithSubgraphs(gs []*graph.Graph) graph.Op {
	o.Body = gs[0]
	return o
}

// Infer implements graph.Op.
func (o Loop) Infer(in []graph.Type) ([]graph.Type, error) {
	n := o.NumCarried
	if o.Body == nil || n < 0 || len(in) < 2+n || len(o.Body.Outputs) < 1+n {
		return nil, errs.Errorf("%d inputs are too few for %d carried values", len(in), n)
	}
	body := append([]graph.Type{graph.TensorOf(tensor.Int64), graph.TensorOf(tensor.Bool)}, in[2:]...)
	for i := range n {
		body[2+i] = body[2+i].WithoutValue()
	}
	outs, err := fixpoint(o.Body, body, 2, 1, n)
	if err != nil {
		return nil, err
	}
	trips := o.trips(in)
	res := make([]graph.Type, 0, len(outs)-1)
	for i := range n {
		res = append(res, body[2+i])
	}
	for _, t := range outs[1+n:] {
		if t.Kind != graph.TensorKind {
			return nil, errs.Errorf("a stacked value is a %v, not a tensor", t)
		}
		if t.Unranked {
			res = append(res, graph.UnrankedOf(t.DType))
			continue
		}
		res = append(res, graph.TensorOf(t.DType, append([]graph.Dim{trips}, t.Dims...)...))
	}
	return res, nil
}

// trips is the number of iterations, where the condition can't end them early.
func (o Loop) trips(in []graph.Type) graph.Dim {
	always := func(t graph.Type) bool {
		return t.Const != nil && t.Const.DType() == tensor.Bool && t.Const.Len() == 1 && tensor.As[bool](t.Const)[0]
	}
	if present(in, 1) && !always(in[1]) {
		return graph.Unknown()
	}
	if c := o.Body.Outputs[0]; c != o.Body.Inputs[1] && !always(c.Type) {
		return graph.Unknown()
	}
	if !present(in, 0) {
		return graph.Unknown()
	}
	ds, ok := in[0].Contents()
	if !ok || len(ds) != 1 {
		return graph.Unknown()
	}
	if n, ok := ds[0].Const(); ok {
		return graph.D(max(n, 0))
	}
	return ds[0]
}

// fixpoint finds types of the n carried inputs (from place at on) that the body's outputs (from place from
// on) agree with, giving up what differs between iterations. It changes in, and returns the outputs' types.
func fixpoint(body *graph.Graph, in []graph.Type, at, from, n int) ([]graph.Type, error) {
	for round := 0; ; round++ {
		outs, err := body.InferTypes(in)
		if err != nil {
			return nil, err
		}
		if len(outs) < from+n {
			return nil, errs.Errorf("the body gives %d values, %d are carried", len(outs), n)
		}
		stable := true
		for i := range n {
			old := in[at+i]
			t, ok := joinBranches(old, outs[from+i].WithoutValue())
			if !ok {
				return nil, errs.Errorf("carried value %d is %v, the body makes it %v", i, old, outs[from+i])
			}
			if t.Kind == graph.TensorKind && !sameTensorType(t, old) {
				stable = false
				if t.IsOpen() {
					t = graph.Freshen(t, fmt.Sprintf("carried%d", i))
				}
				if round >= 3 {
					t = graph.UnrankedOf(t.DType)
				}
				in[at+i] = t
			}
		}
		if stable {
			return outs, nil
		}
	}
}

func sameTensorType(a, b graph.Type) bool {
	if a.Unranked != b.Unranked || len(a.Dims) != len(b.Dims) {
		return false
	}
	for i := range a.Dims {
		if a.Dims[i] != b.Dims[i] {
			return false
		}
	}
	return true
}

// Scan runs Body once for each slice of its scan inputs, all at once. Inputs: NumStates initial states,
// NumScanInputs tensors to slice, captures. Body takes states, slices, captures, and gives states, then
// values that are stacked. Outputs: the final states, then the stacks. Axes and directions (1: backward)
// follow ONNX's Scan; empty means 0.
type Scan struct {
	Body                 *graph.Graph
	NumStates            int
	NumScanInputs        int
	ScanInputAxes        []int
	ScanInputDirections  []int
	ScanOutputAxes       []int
	ScanOutputDirections []int
}

// Name implements graph.Op.
func (Scan) Name() string { return "Scan" }

// Subgraphs implements graph.Subgrapher.
func (o Scan) Subgraphs() []*graph.Graph { return []*graph.Graph{o.Body} }

// WithSubgraphs implements graph.Subgrapher.
func (o Scan) WithSubgraphs(gs []*graph.Graph) graph.Op {
	o.Body = gs[0]
	return o
}

// At is element i of an axes or directions list; 0 where the list is empty.
func (Scan) At(list []int, i int) int {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// Infer implements graph.Op.
func (o Scan) Infer(in []graph.Type) ([]graph.Type, error) {
	n, m := o.NumStates, o.NumScanInputs
	if o.Body == nil || n < 0 || m < 1 || len(in) < n+m {
		return nil, errs.Errorf("%d inputs for %d states and %d scan inputs", len(in), n, m)
	}
	body := append([]graph.Type{}, in...)
	trips := graph.Unknown()
	for i := range n {
		body[i] = body[i].WithoutValue()
	}
	for i := range m {
		t := in[n+i]
		if t.Rank() < 0 {
			body[n+i] = graph.UnrankedOf(t.DType)
			continue
		}
		axis, err := normAxis(o.At(o.ScanInputAxes, i), t.Rank())
		if err != nil {
			return nil, errs.Errorf("scan input %d: %w", i, err)
		}
		if d := t.Dims[axis]; trips.IsUnknown() || d.IsConst() {
			if trips.IsConst() && trips != d {
				return nil, errs.Errorf("scan inputs have %v and %v slices", trips, d)
			}
			trips = d
		}
		rest := append(append([]graph.Dim{}, t.Dims[:axis]...), t.Dims[axis+1:]...)
		body[n+i] = graph.TensorOf(t.DType, rest...)
	}
	outs, err := fixpoint(o.Body, body, 0, 0, n)
	if err != nil {
		return nil, err
	}
	res := append([]graph.Type{}, body[:n]...)
	for i, t := range outs[n:] {
		if t.Rank() < 0 {
			res = append(res, graph.UnrankedOf(t.DType))
			continue
		}
		axis, err := normAxis(o.At(o.ScanOutputAxes, i), t.Rank()+1)
		if err != nil {
			return nil, errs.Errorf("scan output %d: %w", i, err)
		}
		dims := append(append(append([]graph.Dim{}, t.Dims[:axis]...), trips), t.Dims[axis:]...)
		res = append(res, graph.TensorOf(t.DType, dims...))
	}
	return res, nil
}

// SequenceMap runs Body on each element of its first input, a sequence. The next NumInputs-1 inputs are
// sequences, walked along, or tensors, passed whole; the rest are captures. Outputs are sequences.
type SequenceMap struct {
	Body      *graph.Graph
	NumInputs int
}

// Name implements graph.Op.
func (SequenceMap) Name() string { return "SequenceMap" }

// Subgraphs implements graph.Subgrapher.
func (o SequenceMap) Subgraphs() []*graph.Graph { return []*graph.Graph{o.Body} }

// WithSubgraphs implements graph.Subgrapher.
func (o SequenceMap) WithSubgraphs(gs []*graph.Graph) graph.Op {
	o.Body = gs[0]
	return o
}

// Infer implements graph.Op.
func (o SequenceMap) Infer(in []graph.Type) ([]graph.Type, error) {
	if o.Body == nil || o.NumInputs < 1 || len(in) < o.NumInputs {
		return nil, errs.Errorf("%d inputs where %d are mapped", len(in), o.NumInputs)
	}
	if in[0].Kind != graph.SequenceKind {
		return nil, errs.Errorf("input 0 is a %v, not a sequence", in[0])
	}
	body := append([]graph.Type{}, in...)
	for i, t := range body[:o.NumInputs] {
		if t.Kind == graph.SequenceKind && t.Elem != nil {
			body[i] = *t.Elem
		}
	}
	outs, err := o.Body.InferTypes(body)
	if err != nil {
		return nil, err
	}
	for i, t := range outs {
		outs[i] = graph.SequenceOf(t.WithoutValue())
	}
	return outs, nil
}

// controlSamples is the cases of controlOps.
func controlSamples() map[string][]Sample {
	return map[string][]Sample{
		"If": {Case(If{Then: unaryBody(Relu{}), Else: unaryBody(Tanh{})},
			TV(tensor.Scalar(true)), F(2, 3))},
		"Loop": {Case(Loop{Body: loopBody(), NumCarried: 1},
			TV(tensor.Scalar(int64(3))), TV(tensor.Scalar(true)), F(2))},
		"Scan": {Case(Scan{Body: scanBody(), NumStates: 1, NumScanInputs: 1},
			F(2), F(4, 2))},
		"SequenceMap": {
			Case(SequenceMap{Body: unaryBody(Relu{}), NumInputs: 1}, SV(F(2), F(3))),
			Case(SequenceMap{Body: binaryBody(Mul{}), NumInputs: 2}, SV(F(2), F(2)), F(2)),
			Case(SequenceMap{Body: binaryBody(Mul{}), NumInputs: 2}, SV(F(2), F(3)), SV(F(2), F(3))),
			Case(SequenceMap{Body: binaryBody(Mul{}), NumInputs: 1}, SV(F(2), F(2)), F(2))},
	}
}
