package onnx

import (
	"bufio"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/tensor"
)

// Versions of the default operator set that Write can target.
const (
	MinWriteOpset     = 13
	DefaultWriteOpset = 20
)

// WriteOptions steers writing. The zero value is right for other runtimes of the day.
type WriteOptions struct {
	// Opset is the version of the default operator set to write, from MinWriteOpset to Opset. 0 takes
	// DefaultWriteOpset, or the first version after it that can express the graph.
	Opset int
	// External makes WriteFile put tensors of ExternalFrom bytes and more into a file beside the model,
	// whose name is the model's with ".data" behind it. Without it that is done only where the model would
	// be larger than a protobuf message may be.
	External bool
	// ExternalFrom defaults to 1024.
	ExternalFrom int
	// Ops are operators of the caller's own; those with an Op are written as nodes of their domain, version 1.
	Ops []CustomOp
}

// Write writes a canonical graph as one ONNX file. The error lists every node that the operator set can't
// express. A parameter that runs change becomes an input, whose default is the initial value, and one output
// more, behind the graph's own: what to feed to the next run. Graphs in Keras' layout (channels last) are brought to ONNX's: the inputs and outputs stay.
func Write(w io.Writer, g *graph.Graph, opts WriteOptions) error {
	m, err := Encode(g, opts)
	if err != nil {
		return err
	}
	_, err = pb.Encode(m.proto).WriteTo(w)
	runtime.KeepAlive(m)
	return err
}

// Encoded is a model ready to be written. It aliases the graph's tensors.
type Encoded struct {
	proto *pb.ModelProto
	graph *graph.Graph // keeps the mapped file whose bytes proto aliases
	// Opset is the version of the default operator set that was chosen.
	Opset int
}

// Bytes is the whole model.
func (e *Encoded) Bytes() []byte {
	b := pb.Marshal(e.proto)
	runtime.KeepAlive(e)
	return b
}

// Encode makes a model of a canonical graph.
func Encode(g *graph.Graph, opts WriteOptions) (*Encoded, error) {
	lo, hi := opts.Opset, opts.Opset
	switch {
	case opts.Opset == 0:
		lo, hi = DefaultWriteOpset, Opset
	case opts.Opset < MinWriteOpset || opts.Opset > Opset:
		return nil, errs.Errorf("onnx: operator set %d can't be written: %d to %d can", opts.Opset, MinWriteOpset, Opset)
	}
	for v := lo; ; v++ {
		m, err := encodeAt(g, v, opts.Ops)
		if err == nil {
			return &Encoded{proto: m, graph: g, Opset: v}, nil
		}
		var un *formats.UnsupportedError
		if v >= hi || !errors.As(err, &un) {
			return nil, err
		}
	}
}

// WriteFile writes a model to a file, which is replaced only once the new one is complete.
func WriteFile(path string, g *graph.Graph, opts WriteOptions) error {
	m, err := Encode(g, opts)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(m)
	if opts.External || pb.Encode(m.proto).Size() > pb.MaxSize {
		if err := m.externalise(path+".data", opts.ExternalFrom); err != nil {
			return err
		}
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	if _, err := pb.Encode(m.proto).WriteTo(f); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Commit()
}

// externalAlign is where external tensors start: a page, so that readers can map them.
const externalAlign = 4096

// externalise moves the bytes of large initializers to another file.
func (e *Encoded) externalise(path string, from int) error {
	if from <= 0 {
		from = 1024
	}
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	w, at := bufio.NewWriter(f), int64(0)
	for _, p := range e.proto.Graph.Initializer {
		if len(p.RawData) < from {
			continue
		}
		pad := (externalAlign - at%externalAlign) % externalAlign
		if _, err := w.Write(make([]byte, pad)); err != nil {
			return errors.Join(err, f.Close())
		}
		at += pad
		p.DataLocation = pb.LocationExternal
		p.ExternalData = []*pb.StringStringEntryProto{{Key: "location", Value: filepath.Base(path)},
			{Key: "offset", Value: strconv.FormatInt(at, 10)}, {Key: "length", Value: strconv.Itoa(len(p.RawData))}}
		if _, err := w.Write(p.RawData); err != nil {
			return errors.Join(err, f.Close())
		}
		at += int64(len(p.RawData))
		p.RawData = nil
	}
	if err := w.Flush(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Commit()
}

// writer is the state of writing one graph at one operator-set version.
type writer struct {
	opset   int
	ml      int // version of ai.onnx.ml
	byOp    map[reflect.Type][]row
	domains map[string]int
	bad     []formats.Unsupported
	used    map[string]bool // names of values
	nodes   map[string]bool // names of nodes
	homes   map[*tensor.Tensor]*graph.Graph
	large   map[*tensor.Tensor]string // names of large constants
}

// graphWriter is one graph or subgraph of it.
type graphWriter struct {
	*writer
	names  map[*graph.Value]string
	consts []*graph.Value // in the order of first use
	out    []*pb.NodeProto
	noted  map[*graph.Value]bool
	read   map[*graph.Value]bool // values that something reads
	notes  *notes
	of     *graph.Graph // what is written
	outer  *graphWriter // of a subgraph
}

// exporter writes a node whose operator's row it belongs to.
type exporter func(x *graphWriter, r row, n *graph.Node) error

func encodeAt(g *graph.Graph, opset int, custom []CustomOp) (*pb.ModelProto, error) {
	w := &writer{opset: opset, ml: versionOfML(g), byOp: map[reflect.Type][]row{}, domains: map[string]int{"": opset},
		used: map[string]bool{}, nodes: map[string]bool{}, homes: map[*tensor.Tensor]*graph.Graph{}, large: map[*tensor.Tensor]string{}}
	for _, r := range rows() {
		if r.op != nil {
			w.byOp[reflect.TypeOf(r.op)] = append(w.byOp[reflect.TypeOf(r.op)], r)
		}
	}
	for _, c := range custom {
		if c.Op != nil {
			r := auto(c.Name, 1, c.Op)
			r.domain = domain(c.Domain)
			w.byOp[reflect.TypeOf(c.Op)] = []row{r}
		}
	}
	for _, list := range w.byOp {
		order.Stable(list, func(a, b row) int { return a.since - b.since })
	}
	g, states, err := openStates(g)
	if err != nil {
		return nil, err
	}
	if g, err = w.prepare(g, 0); err != nil {
		return nil, err
	}
	w.findHomes(g)
	x := &graphWriter{writer: w, names: map[*graph.Value]string{}, noted: map[*graph.Value]bool{}, of: g}
	x.reserve(g)
	formals := slices.Clone(g.Inputs)
	for _, i := range states {
		formals = append(formals, g.Params[i])
	}
	p, err := x.graph(g, formals)
	if err != nil {
		return nil, err
	}
	if w.bad != nil {
		return nil, &formats.UnsupportedError{Format: formats.ONNX, Items: w.bad}
	}
	m := w.model(g, p)
	noteStates(m, len(g.Inputs), len(g.Outputs)-len(states))
	return m, nil
}

// irOf is the version of the file format that came with each version of the operator set.
func irOf(opset int) int64 {
	switch {
	case opset <= 14:
		return 7
	case opset <= 18:
		return 8
	case opset <= 20:
		return 9
	case opset <= 22:
		return 10
	case opset == 23:
		return 11
	case opset == 24:
		return 12
	}
	return 13
}

func (w *writer) model(g *graph.Graph, p *pb.GraphProto) *pb.ModelProto {
	m := &pb.ModelProto{IRVersion: irOf(w.opset), ProducerName: "nnrt", Graph: p}
	var domains []string
	for d := range w.domains {
		domains = append(domains, d)
	}
	slices.Sort(domains)
	for _, d := range domains {
		m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: d, Version: int64(w.domains[d])})
	}
	var keys []string
	for k := range g.Meta {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := g.Meta[k]
		switch {
		case k == metaProducer:
			m.ProducerName = v
		case k == metaProducerVersion:
			m.ProducerVersion = v
		case k == metaDomain:
			m.Domain = v
		case k == metaDoc:
			m.DocString = v
		case k == metaVersion:
			m.ModelVersion, _ = strconv.ParseInt(v, 10, 64)
		case isNote(k): // about nodes and values, with which it is written
		case strings.HasPrefix(k, metaOpset): // what the model was written for says nothing of this one
		default:
			m.MetadataProps = append(m.MetadataProps, &pb.StringStringEntryProto{Key: k, Value: v})
		}
	}
	return m
}

// reserve gives the values of the outermost graph their own names, before subgraphs take any.
func (x *graphWriter) reserve(g *graph.Graph) {
	give := func(v *graph.Value) {
		if v != nil && x.names[v] == "" {
			x.names[v] = x.unique(v.Name)
		}
	}
	for _, list := range [][]*graph.Value{g.Inputs, g.Params, g.Outputs} {
		for _, v := range list {
			give(v)
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			give(v)
		}
	}
}

// unique is name, or name with a number where another value of the file has it.
func (w *writer) unique(name string) string {
	if name == "" {
		name = "v"
	}
	got := name
	for i := 1; w.used[got]; i++ {
		got = name + "_" + strconv.Itoa(i)
	}
	w.used[got] = true
	return got
}

// name is what the file calls a value; a constant is noted at its first use.
func (x *graphWriter) name(v *graph.Value) string {
	if v == nil {
		return ""
	}
	if v.IsConst() && !x.noted[v] {
		x.noted[v] = true
		x.constant(v)
	}
	if x.names[v] == "" {
		x.names[v] = x.unique(v.Name)
	}
	return x.names[v]
}

// graph writes a graph. Of a subgraph only the formal inputs are inputs of the file's graph too.
func (x *graphWriter) graph(g *graph.Graph, formals []*graph.Value) (*pb.GraphProto, error) {
	x.notes = newNotes(g)
	p := &pb.GraphProto{Name: g.Name, DocString: g.Doc, MetadataProps: x.notes.props[graphMeta]}
	if p.Name == "" {
		p.Name = "graph"
	}
	x.read = map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			x.read[v] = true
		}
	}
	for _, v := range g.Outputs {
		x.read[v] = true
	}
	for _, v := range formals {
		info, err := x.info(v)
		if err != nil {
			return nil, err
		}
		p.Input = append(p.Input, info)
	}
	for _, n := range g.Nodes {
		if err := x.node(n); err != nil {
			return nil, err
		}
	}
	for i, v := range g.Outputs {
		out, err := x.output(v, slices.Contains(g.Outputs[:i], v))
		if err != nil {
			return nil, err
		}
		p.Output = append(p.Output, out)
	}
	if err := x.initializers(p, g); err != nil {
		return nil, err
	}
	p.Node = append(p.Node, x.out...)
	if g.Meta[infoNote] != "" {
		return p, x.valueInfo(p, g)
	}
	return p, nil
}

// valueInfo describes the values between nodes, as the file that the graph came from did.
func (x *graphWriter) valueInfo(p *pb.GraphProto, g *graph.Graph) error {
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if x.names[v] == "" || !x.read[v] || slices.Contains(g.Outputs, v) {
				continue
			}
			info, err := x.info(v)
			if err != nil {
				return err
			}
			p.ValueInfo = append(p.ValueInfo, info)
		}
	}
	return nil
}

// output describes a graph's output. One that is given twice, and one of a subgraph that no node in it
// makes, goes through an Identity, which other runtimes want; so does a parameter, which may be changed.
func (x *graphWriter) output(v *graph.Value, twice bool) (*pb.ValueInfoProto, error) {
	info, err := x.info(v)
	if err != nil || !twice && (v.Def != nil || x.outer == nil && v.Data == nil) {
		return info, err
	}
	from := info.Name
	info.Name = x.unique(from + "_out")
	x.out = append(x.out, &pb.NodeProto{OpType: "Identity", Name: x.nodeName(info.Name), Input: []string{from}, Output: []string{info.Name}})
	return info, nil
}

// initializers writes parameters and constants: floats first, so that reading finds the same order.
func (x *graphWriter) initializers(p *pb.GraphProto, g *graph.Graph) error {
	var list []*graph.Value
	for _, float := range []bool{true, false} {
		for _, v := range g.Params {
			if v.Data.DType().IsFloat() == float {
				list = append(list, v)
			}
		}
		for _, v := range x.consts {
			if v.Type.DType.IsFloat() == float && isLarge(v.Type.Const) {
				list = append(list, v)
			}
		}
	}
	for _, v := range list {
		data := v.Data
		if v.Type.Const != nil {
			data = v.Type.Const
		}
		t, err := pb.FromTensor(x.names[v], data)
		if err != nil {
			return err
		}
		t.DocString, t.MetadataProps = x.notes.meta[valueDoc+v.Name], x.notes.props[valueMeta+v.Name]
		p.Initializer = append(p.Initializer, t)
	}
	for _, v := range x.consts {
		if isLarge(v.Type.Const) {
			continue
		}
		t, err := pb.FromTensor("", v.Type.Const)
		if err != nil {
			return err
		}
		p.Node = append(p.Node, &pb.NodeProto{OpType: "Constant", Output: []string{x.names[v]}, Name: x.nodeName(x.names[v]),
			Attribute: []*pb.AttributeProto{{Name: "value", Type: pb.AttrTensor, T: t}}})
	}
	return nil
}

// nodeName makes a node's name unique.
func (w *writer) nodeName(name string) string {
	got := name
	for i := 1; w.nodes[got]; i++ {
		got = name + "_" + strconv.Itoa(i)
	}
	w.nodes[got] = true
	return got
}

// info describes an input or output.
func (x *graphWriter) info(v *graph.Value) (*pb.ValueInfoProto, error) {
	t, err := typeProto(v.Type)
	if err != nil {
		return nil, errs.Errorf("onnx: %q: %w", v.Name, err)
	}
	p := &pb.ValueInfoProto{Name: x.name(v), Type: t}
	x.notes.value(p, v.Name)
	return p, nil
}

// typeProto is a type as files have it.
func typeProto(t graph.Type) (*pb.TypeProto, error) {
	switch t.Kind {
	case graph.SequenceKind, graph.OptionalKind:
		if t.Elem == nil {
			return nil, errs.Errorf("%v has no element type", t)
		}
		e, err := typeProto(*t.Elem)
		if t.Kind == graph.SequenceKind {
			return &pb.TypeProto{SequenceType: &pb.SequenceType{ElemType: e}}, err
		}
		return &pb.TypeProto{OptionalType: &pb.OptionalType{ElemType: e}}, err
	case graph.MapKind:
		v, err := typeProto(graph.TensorOf(t.DType))
		return &pb.TypeProto{MapType: &pb.MapType{KeyType: pb.DataTypeOf(t.Key), ValueType: v}}, err
	}
	dt := pb.DataTypeOf(t.DType)
	if dt == pb.Undefined {
		return nil, errs.Errorf("no ONNX type for %v", t.DType)
	}
	tt := &pb.TensorType{ElemType: dt}
	if !t.Unranked {
		tt.Shape = &pb.TensorShapeProto{}
		for _, d := range t.Dims {
			dim := &pb.Dimension{}
			if n, ok := d.Const(); ok {
				dim.Kind, dim.Value = pb.DimIsValue, int64(n)
			} else {
				dim.Kind, dim.Param = pb.DimIsParam, d.String()
			}
			tt.Shape.Dim = append(tt.Shape.Dim, dim)
		}
	}
	return &pb.TypeProto{TensorType: tt}, nil
}
