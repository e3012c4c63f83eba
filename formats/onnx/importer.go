package onnx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// importer is the state of reading one model.
type importer struct {
	opts      Options
	lim       formats.Options
	rows      rowTable
	newest    map[string]int
	custom    map[opKey]CustomOp
	functions map[functionKey]*pb.FunctionProto
	source    *pb.Source
	bad       []formats.Unsupported
	nodes     int                        // imported so far, functions expanded
	depth     int                        // subgraphs and function calls
	calling   map[*pb.FunctionProto]bool // functions whose bodies are being read
	states    map[string]string          // parameters that runs change, by the output that holds the next value
}

type functionKey struct{ domain, name, overload string }

// scope is where names mean something: a graph, a subgraph, or the body of a function.
type scope struct {
	parent  *scope // of a subgraph: the graph around it
	b       *graph.Builder
	vals    map[string]*graph.Value
	opsets  map[string]int
	attrs   map[string]*pb.AttributeProto // of a function: the call's attributes
	capture *captures                     // of a subgraph: what it reads from outside
	prefix  string                        // of a function: the call's name
	results map[string]string             // of a function: what the caller calls its outputs
	outputs map[string]bool               // of a graph: its outputs' names
	named   map[*graph.Value]bool         // values that have the file's name for them already
}

// nameOf is what a value that the scope calls name is called in the graph.
func (sc *scope) nameOf(name string) string {
	if r, ok := sc.results[name]; ok {
		return r
	}
	return sc.prefix + name
}

// poison stands for the outputs of a node that could not be loaded: its readers are looked at no further.
var poison = &graph.Value{Name: "(unsupported)"}

func (im *importer) fail(format string, args ...any) error {
	err := errs.Errorf(format, args...)
	return &formats.FormatError{Format: formats.ONNX, Offset: -1, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// model makes the graph of a whole file. Where something in it is wrong and something else unsupported, the error
// lists both.
func (im *importer) model(m *pb.ModelProto) (*graph.Graph, error) {
	g, err := im.whole(m)
	if err != nil && im.bad != nil {
		what := err.Error()
		if fe := (*formats.FormatError)(nil); errors.As(err, &fe) {
			what = fe.Msg
		}
		im.unsupported(what, "", "")
	}
	if im.bad != nil {
		return nil, &formats.UnsupportedError{Format: formats.ONNX, Items: im.bad}
	}
	return g, err
}

func (im *importer) whole(m *pb.ModelProto) (*graph.Graph, error) {
	if m.Graph == nil {
		return nil, im.fail("the model has no graph: the file ends before it, or is no model")
	}
	opsets, err := im.opsets(m)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Functions {
		k := functionKey{domain(f.Domain), f.Name, f.Overload}
		if im.functions[k] != nil {
			return nil, im.fail("function %s is defined twice", f.Name)
		}
		im.functions[k] = f
	}
	g := &graph.Graph{Name: m.Graph.Name, Doc: m.Graph.DocString, Meta: modelMeta(m)}
	note(g, m.Graph)
	im.states = statesOf(m)
	sc := newScope(g, opsets, m.Graph)
	if err := im.initializers(sc, m.Graph, true); err != nil {
		return nil, err
	}
	if err := im.inputs(sc, m.Graph); err != nil {
		return nil, err
	}
	if err := im.body(sc, m.Graph.Node); err != nil {
		return nil, err
	}
	if err := im.outputs(sc, m.Graph); err != nil {
		return nil, err
	}
	if len(m.TrainingInfo) > 0 {
		im.unsupported("training_info", "", "the file carries a training graph beside the model")
	}
	if err := sc.b.Err(); err != nil || im.bad != nil {
		return nil, err
	}
	if len(im.states) > 0 {
		return g, im.closeStates(g, m)
	}
	return g, nil
}

func (im *importer) unsupported(what, node, format string, args ...any) {
	im.bad = append(im.bad, formats.Unsupported{What: what, Node: node, Detail: fmt.Sprintf(format, args...)})
}

// opsetOfIR is the newest operator set published with each version of the file format, for files that
// don't say which one they mean (https://github.com/onnx/onnx/blob/main/docs/Versioning.md).
var opsetOfIR = []int{1: 1, 2: 1, 3: 8, 4: 9, 5: 10, 6: 11, 7: 14, 8: 18, 9: 20, 10: 22, 11: 23, 12: 24, 13: 27}

// opsets is the version of each domain's operator set that the file asks for. Versions newer than the
// rows know are refused; a missing default domain gets the one of the file's time.
func (im *importer) opsets(m *pb.ModelProto) (map[string]int, error) {
	out := map[string]int{}
	for _, o := range m.OpsetImport {
		if d := domain(o.Domain); o.Version < 0 || o.Version == 0 && d == "" {
			return nil, im.fail("operator set %d of domain %q is imported: there is none before 1", o.Version, cmp.Or(d, "ai.onnx"))
		}
		out[domain(o.Domain)] = int(o.Version)
	}
	if _, ok := out[""]; !ok {
		v := m.IRVersion
		if v < 0 {
			return nil, im.fail("ir_version is %d", v)
		}
		out[""] = opsetOfIR[min(int(v), len(opsetOfIR)-1)]
		if v == 0 {
			out[""] = 1
		}
	}
	for d, v := range out {
		if have, ok := im.newest[d]; ok && v > have {
			im.unsupported("operator set", cmp.Or(d, "ai.onnx"), "version %d is newer than %d, the last that is known", v, have)
		}
	}
	return out, nil
}

func domain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// modelMeta is what a file says of itself beyond the graph. Keys with a prefix keep the fields apart from
// the file's own metadata.
func modelMeta(m *pb.ModelProto) map[string]string {
	out := map[string]string{}
	set := func(k, v string) {
		if v != "" {
			out[k] = v
		}
	}
	for _, e := range m.MetadataProps {
		if strings.HasPrefix(e.Key, metaState) {
			continue // closeStates reads it
		}
		out[e.Key] = e.Value
	}
	set(metaProducer, m.ProducerName)
	set(metaProducerVersion, m.ProducerVersion)
	set(metaDomain, m.Domain)
	set(metaDoc, m.DocString)
	if m.ModelVersion != 0 {
		set(metaVersion, fmt.Sprint(m.ModelVersion))
	}
	for _, o := range m.OpsetImport {
		d := o.Domain
		if d == "" {
			d = "ai.onnx"
		}
		set(metaOpset+d, fmt.Sprint(o.Version))
	}
	return out
}

// Keys of graph.Graph.Meta that hold a model's own fields.
const (
	metaProducer        = "onnx.producer_name"
	metaProducerVersion = "onnx.producer_version"
	metaDomain          = "onnx.domain"
	metaDoc             = "onnx.doc_string"
	metaVersion         = "onnx.model_version"
	metaOpset           = "onnx.opset."
)

// initializers defines the graph's constants: floats as parameters (where params is set), the rest as
// constants.
func (im *importer) initializers(sc *scope, g *pb.GraphProto, params bool) error {
	steering, states := map[string]bool{}, map[string]bool{}
	if params {
		im.steering(sc, g, steering)
		for _, name := range im.states {
			states[name] = true
		}
	}
	add := func(name string, t *tensor.Tensor) error {
		if sc.vals[name] != nil {
			return im.fail("initializer %q is defined twice", name)
		}
		if params && t.DType().IsFloat() && !steering[name] || states[name] {
			sc.vals[name] = sc.b.Param(name, t)
		} else {
			sc.vals[name] = sc.b.Const(name, t)
		}
		sc.named[sc.vals[name]] = true
		return nil
	}
	for _, p := range g.Initializer {
		t, err := im.tensor(p)
		if err != nil {
			return im.fail("initializer %q: %w", p.Name, errors.Unwrap(err)) // the name stands twice otherwise
		}
		if err := add(p.Name, t); err != nil {
			return err
		}
	}
	for _, p := range g.SparseInitializer {
		if p.Values == nil {
			return im.fail("a sparse initializer has no values")
		}
		t, err := im.sparse(p)
		if err != nil {
			return im.fail("sparse initializer %q: %w", p.Values.Name, err)
		}
		if err := add(p.Values.Name, t); err != nil {
			return err
		}
	}
	return nil
}

// steering collects the initializers that decide shapes.
func (im *importer) steering(sc *scope, g *pb.GraphProto, set map[string]bool) {
	for _, p := range g.Node {
		r, ok := im.rows.find(domain(p.Domain), p.OpType, sc.opsets[domain(p.Domain)])
		if !ok {
			continue
		}
		for _, i := range r.steer {
			if i < len(p.Input) {
				set[p.Input[i]] = true
			}
		}
	}
}

// inputs defines the graph's inputs, but for those that are initializers, which are weights.
func (im *importer) inputs(sc *scope, g *pb.GraphProto) error {
	for _, p := range g.Input {
		if sc.vals[p.Name] != nil {
			if sc.vals[p.Name].Data == nil {
				return im.fail("input %q is defined twice", p.Name)
			}
			continue
		}
		t, err := typeOf(p.Type)
		if err != nil {
			if errors.Is(err, errors.ErrUnsupported) {
				im.unsupported("input", p.Name, "%v", err)
				sc.vals[p.Name] = poison
				continue
			}
			return im.fail("input %q: %w", p.Name, err)
		}
		v := sc.b.Input(p.Name, graph.Freshen(t, p.Name))
		sc.vals[p.Name], sc.named[v] = v, true
	}
	return nil
}

// outputs marks the graph's outputs.
func (im *importer) outputs(sc *scope, g *pb.GraphProto) error {
	for _, p := range g.Output {
		v, err := sc.lookup(p.Name)
		if err == nil && v == nil {
			err = errOmitted
		}
		if err != nil {
			return im.fail("output %q: %w", p.Name, err)
		}
		if v == poison {
			continue
		}
		if t, err := typeOf(p.Type); err == nil && t.Kind == graph.TensorKind && v.Type.Kind == t.Kind && v.Type.DType != t.DType {
			return im.fail("output %q is declared as %v, what makes it gives %v", p.Name, t, v.Type.WithoutValue())
		}
		sc.b.Output(im.declared(sc, v, p))
	}
	return nil
}

// declared is an output as the file declares it: a loop that starts with an empty optional and ends with
// a value gives that value.
func (im *importer) declared(sc *scope, v *graph.Value, p *pb.ValueInfoProto) *graph.Value {
	if v.Type.Kind != graph.OptionalKind || p.Type == nil || p.Type.OptionalType != nil ||
		p.Type.SequenceType == nil && p.Type.TensorType == nil {
		return v
	}
	former := sc.b.SetOrigin(p.Name)
	defer sc.b.SetOrigin(former)
	w := sc.b.Add(ops.OptionalGetElement{}, v)
	sc.b.Rename(v, sc.b.Unique(v.Name+"_optional"))
	sc.b.Rename(w, p.Name)
	return w
}

// newScope is the scope of a graph or subgraph.
func newScope(g *graph.Graph, opsets map[string]int, p *pb.GraphProto) *scope {
	sc := &scope{b: graph.NewBuilder(g), vals: map[string]*graph.Value{}, opsets: opsets,
		outputs: map[string]bool{}, named: map[*graph.Value]bool{}}
	for _, o := range p.Output {
		sc.outputs[o.Name] = true
	}
	return sc
}

var (
	errUndefined = errors.New("nothing defines it")
	errOwn       = errors.New("it is the node's own output")
	errOmitted   = errors.New("it is an input that the function's call omits")
)

// lookup finds the value of a name, in the graphs around a subgraph too: what is found there becomes an
// input of the subgraph, or a constant of its own. It is nil for an input that a function's call omits.
func (sc *scope) lookup(name string) (*graph.Value, error) {
	if v, ok := sc.vals[name]; ok {
		return v, nil
	}
	if sc.parent == nil {
		return nil, errUndefined
	}
	outer, err := sc.parent.lookup(name)
	if err != nil || outer == poison || outer == nil {
		return outer, err
	}
	v := sc.capture.add(sc.b, outer)
	sc.vals[name] = v
	return v, nil
}

// body imports nodes in an order that defines before it uses.
func (im *importer) body(sc *scope, list []*pb.NodeProto) error {
	for _, p := range list {
		for _, name := range p.Output {
			if name != "" {
				sc.b.Reserve(sc.nameOf(name))
			}
		}
	}
	order, cycle := sorted(list)
	if cycle != nil {
		return im.fail("the nodes %s form a cycle: each reads what the one before it makes", strings.Join(cycle, ", "))
	}
	for i, p := range order {
		if im.nodes++; im.nodes > im.lim.MaxNodes {
			return im.fail("more than %d nodes, functions expanded", im.lim.MaxNodes)
		}
		err := im.node(sc, p)
		if err == nil {
			err = sc.b.Err()
		}
		if err != nil {
			im.survey(sc, order[i+1:])
			return err
		}
	}
	return nil
}

// survey notes which of the nodes behind one that ended the import, and in the graphs that they hold, have no
// meaning: all of them are to be told at once.
func (im *importer) survey(sc *scope, list []*pb.NodeProto) {
	for _, p := range list {
		if im.nodes++; im.nodes > im.lim.MaxNodes || len(im.bad) > 100 {
			return
		}
		if _, _, why := im.meaning(sc, p); why != "" {
			im.unsupported(opName(p), sc.prefix+nodeName(p), "%s", why)
		}
		for _, a := range p.Attribute {
			if a.G != nil {
				im.survey(sc, a.G.Node)
			}
		}
	}
}

// node imports one node and names its outputs.
func (im *importer) node(sc *scope, p *pb.NodeProto) error {
	origin := sc.prefix + nodeName(p)
	outs, err := im.apply(sc, p, origin)
	if err != nil {
		return err
	}
	for i, name := range p.Output {
		if name == "" {
			continue
		}
		if sc.vals[name] != nil {
			return im.fail("node %q (%s): value %q is defined twice", origin, p.OpType, name)
		}
		switch {
		case outs == nil:
			sc.vals[name] = poison
		case i >= len(outs) || outs[i] == nil:
			im.unsupported(opName(p), origin, "it has no output %d (%q)", i, name)
			sc.vals[name] = poison
		default:
			sc.vals[name] = im.named(sc, outs[i], name)
		}
	}
	return nil
}

// named gives a value the file's name for it. A value that has one already is taken under both, but where
// the second is to be seen from outside it becomes a value of its own.
func (im *importer) named(sc *scope, v *graph.Value, name string) *graph.Value {
	if sc.named[v] || v.Def == nil && v.Data == nil {
		if !sc.outputs[name] || v.Name == sc.nameOf(name) && v.Def != nil {
			return v
		}
		v = sc.b.Add(ops.Identity{}, v)
	}
	sc.named[v] = true
	sc.b.Rename(v, sc.nameOf(name))
	return v
}

// apply makes the values of a node; nil where something about it, or before it, is unsupported.
func (im *importer) apply(sc *scope, p *pb.NodeProto, origin string) ([]*graph.Value, error) {
	n := &Node{Builder: sc.b, im: im, sc: sc, p: p, asked: map[string]bool{}, attrs: map[string]*pb.AttributeProto{}}
	dead := false
	for _, name := range p.Input {
		var v *graph.Value
		if name != "" {
			var err error
			if v, err = sc.lookup(name); err != nil && slices.Contains(p.Output, name) {
				err = errOwn
			}
			if err != nil {
				return nil, im.fail("node %q (%s) reads %q: %w", origin, p.OpType, name, err)
			}
		}
		dead = dead || v == poison
		n.In = append(n.In, v)
	}
	for len(n.In) > 0 && n.In[len(n.In)-1] == nil {
		n.In = n.In[:len(n.In)-1]
	}
	for i, name := range p.Output {
		if name != "" {
			n.NumOut = i + 1
		}
	}
	if err := n.resolveAttrs(); err != nil {
		return nil, im.fail("node %q (%s): %w", origin, p.OpType, err)
	}
	former := sc.b.SetOrigin(origin)
	defer sc.b.SetOrigin(former)
	return im.dispatch(n, origin, dead)
}

// resolveAttrs puts a function call's attributes where the function's body refers to them.
func (n *Node) resolveAttrs() error {
	for _, a := range n.p.Attribute {
		if n.attrs[a.Name] != nil {
			return errs.Errorf("attribute %s is given twice", a.Name)
		}
		if a.RefAttrName != "" {
			of := n.sc.attrs[a.RefAttrName]
			if of == nil {
				continue // the call leaves it out: the operator's own default holds
			}
			named := *of
			named.Name = a.Name
			a = &named
		}
		n.attrs[a.Name] = a
	}
	return nil
}

// dispatch makes the values of a node by what gives it its meaning.
func (im *importer) dispatch(n *Node, origin string, dead bool) ([]*graph.Value, error) {
	n.Opset = n.sc.opsets[domain(n.p.Domain)]
	imp, f, why := im.meaning(n.sc, n.p)
	switch {
	case f != nil:
		return im.call(n, f, origin)
	case why != "":
		im.unsupported(opName(n.p), origin, "%s", why)
		return nil, nil
	case dead:
		return nil, nil
	}
	return im.finish(n, origin, imp)
}

// meaning finds what gives a node its meaning: an operator of the caller's, a row, or a function; or why nothing
// does.
func (im *importer) meaning(sc *scope, p *pb.NodeProto) (imp func(*Node) []*graph.Value, f *pb.FunctionProto, why string) {
	d := domain(p.Domain)
	if c, ok := im.custom[opKey{d, p.OpType}]; ok {
		return c.Import, nil, ""
	}
	opset := sc.opsets[d]
	if d != "" && opset == 0 {
		opset = 1 // exporters leave out what they take for granted
	}
	r, ok := im.rows.find(d, p.OpType, opset)
	if f := im.functions[functionKey{d, p.OpType, p.Overload}]; f != nil && (!ok || d != "") {
		return nil, f, ""
	}
	if !ok {
		return nil, nil, im.whyNot(d, p.OpType, opset, r)
	}
	return r.imp, nil, ""
}

// whyNot says why there is no row for an operator.
func (im *importer) whyNot(d, name string, opset int, r row) string {
	list := im.rows[opKey{d, name}]
	switch {
	case len(list) > 0 && r.until > 0:
		return fmt.Sprintf("removed after operator set %d, the model has %d", r.until, opset)
	case len(list) > 0:
		return fmt.Sprintf("new in operator set %d, the model has %d", list[0].since, opset)
	case d != "" && im.newest[d] == 0:
		return fmt.Sprintf("unknown operator of domain %q (operator set %d)", d, opset)
	}
	return fmt.Sprintf("unknown operator (operator set %d)", opset)
}

// finish runs an import function and collects what it refuses. A panic in it, or in an operator's
// inference, is a mistake in nnrt that a file has found: the file is refused.
func (im *importer) finish(n *Node, origin string, imp func(*Node) []*graph.Value) (outs []*graph.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			outs, err = nil, im.fail("node %q (%s): internal error: %v", origin, n.p.OpType, r)
		}
	}()
	if len(n.p.Output) == 0 {
		return nil, im.fail("node %q (%s) has no outputs", origin, n.p.OpType)
	}
	if n.Opset < 9 {
		n.Ignore("consumed_inputs") // a hint about memory, which some exporters went on writing after version 5
	}
	bad := len(im.bad)
	outs = imp(n)
	if outs == nil && len(im.bad) > bad && n.Err() == nil {
		return nil, nil
	}
	if n.refuse == "" {
		if extra := n.unasked(); extra != nil {
			n.Refuse("unknown attribute %s", joined(extra))
		}
	}
	if n.refuse != "" {
		im.unsupported(opName(n.p), origin, "%s (operator set %d)", n.refuse, n.Opset)
		return nil, nil
	}
	if err := n.Err(); err != nil {
		if te := (*graph.TypeError)(nil); errors.As(err, &te) && te.Origin == origin && te.Op != n.p.OpType {
			te.Op = n.p.OpType + " (as " + te.Op + ")"
		}
		return nil, err
	}
	if outs == nil && n.NumOut > 0 {
		return nil, im.fail("node %q (%s) gave no values", origin, n.p.OpType)
	}
	return outs, nil
}
