package onnx

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// errCannot is wrapped by an exporter's error where the target version can't say what the node does.
var errCannot = errors.New("can't be expressed")

func cannot(format string, args ...any) error {
	return errs.Errorf("%s: %w", fmt.Sprintf(format, args...), errCannot)
}

// versionOf is the version of a domain that is written.
func (w *writer) versionOf(domain string) int {
	switch domain {
	case "":
		return w.opset
	case mlDomain:
		return w.ml
	}
	return max(1, newest()[domain]) // 1 is that of an operator of the caller's
}

// node writes one node by the newest row that the target version has, and notes it where there is none.
func (x *graphWriter) node(n *graph.Node) error {
	var best *row
	oldest := 0
	for i, r := range x.byOp[reflect.TypeOf(n.Op)] {
		if oldest == 0 {
			oldest = r.since
		}
		if r.since <= x.versionOf(r.domain) {
			best = &x.byOp[reflect.TypeOf(n.Op)][i]
		}
	}
	err := x.checkTypes(n)
	switch {
	case err != nil:
	case best == nil && oldest > 0:
		err = cannot("new in operator set %d, %d is written", oldest, x.opset)
	case best == nil:
		err = cannot("ONNX has no such operator")
	case best.exp != nil:
		err = best.exp(x, *best, n)
	default:
		err = x.auto(*best, n)
	}
	if errors.Is(err, errCannot) {
		x.bad = append(x.bad, formats.Unsupported{What: n.Op.Name(), Node: n.Origin, Detail: err.Error()})
		for _, v := range n.Out {
			x.name(v)
		}
		return nil
	}
	return err
}

// emit appends a node with n's operands.
func (x *graphWriter) emit(r row, n *graph.Node, in []*graph.Value, attrs []*pb.AttributeProto) error {
	name := n.Origin
	if name == "" {
		name = r.name + "_" + x.name(n.Out[0])
	}
	p := &pb.NodeProto{OpType: r.name, Domain: r.domain, Name: x.nodeName(name), Attribute: attrs}
	if _, ok := x.domains[r.domain]; !ok {
		x.domains[r.domain] = x.versionOf(r.domain)
	}
	for _, v := range in {
		p.Input = append(p.Input, x.name(v))
	}
	for len(p.Input) > 0 && p.Input[len(p.Input)-1] == "" {
		p.Input = p.Input[:len(p.Input)-1]
	}
	outs, err := x.outputs(r, n)
	if err != nil {
		return err
	}
	p.Output = outs
	x.notes.node(p, name)
	x.out = append(x.out, p)
	return nil
}

// optionalOutputs is the first output that may be left out, and how many there are in all, of operators
// for which nnrt always has more outputs than the file may want.
var optionalOutputs = map[string]struct{ from, count int }{
	"Attention": {1, 4}, "BatchNormalization": {1, 3}, "Dropout": {1, 2}, "GRU": {0, 2}, "LSTM": {0, 3}, "LayerNormalization": {1, 3},
	"MaxPool": {1, 2}, "RNN": {0, 2}, "SoftmaxCrossEntropyLoss": {1, 2}, "Unique": {1, 4},
}

// outputs names a node's outputs; those that may be left out and that nobody reads are.
func (x *graphWriter) outputs(r row, n *graph.Node) ([]string, error) {
	opt, ok := optionalOutputs[r.name]
	var names []string
	for i, v := range n.Out {
		switch {
		case ok && i >= opt.count && x.read[v]:
			return nil, cannot("output %d (%q) is read, which ONNX does not have", i, v.Name)
		case ok && i >= opt.count:
		case ok && i >= opt.from && !x.read[v]:
			names = append(names, "")
		default:
			names = append(names, x.name(v))
		}
	}
	for len(names) > 1 && names[len(names)-1] == "" {
		names = names[:len(names)-1]
	}
	if len(names) == 1 && names[0] == "" {
		names[0] = x.name(n.Out[0])
	}
	return names, nil
}

// auto writes a node whose attributes are the operator's fields.
func (x *graphWriter) auto(r row, n *graph.Node) error {
	if err := x.checkInputs(r, n); err != nil {
		return err
	}
	attrs, err := x.attrs(r, n.Op)
	if err != nil {
		return err
	}
	return x.emit(r, n, n.In, attrs)
}

// attrs is the fields of op that differ from the row's own, or that ONNX requires.
func (x *graphWriter) attrs(r row, op graph.Op) ([]*pb.AttributeProto, error) {
	return x.fields(r, reflect.ValueOf(op), reflect.ValueOf(r.op))
}

// fields is the attributes that a struct's fields hold, and those of structs embedded in it.
func (x *graphWriter) fields(r row, v, def reflect.Value) ([]*pb.AttributeProto, error) {
	var out []*pb.AttributeProto
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous && f.IsExported() && f.Type.Kind() == reflect.Struct {
			more, err := x.fields(r, v.Field(i), def.Field(i))
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
			continue
		}
		name := attrName(f)
		if f.Type == reflect.TypeFor[ops.Format]() && !v.Field(i).IsZero() {
			return nil, cannot("its channels are last")
		}
		if name == "" {
			continue
		}
		if _, ok := presenceOf(v.Type(), f); ok {
			continue
		}
		if has := v.FieldByName("Has" + f.Name); has.IsValid() {
			if !has.Bool() {
				continue
			}
		} else if !required[r.name+"."+name] && (v.Field(i).IsZero() && zeroIsDefault(def.Field(i), name) ||
			reflect.DeepEqual(v.Field(i).Interface(), def.Field(i).Interface())) {
			continue
		}
		if late := attrSince[r.name+"."+name]; late > x.opset && r.domain == "" {
			return nil, cannot("attribute %s is new in operator set %d, %d is written", name, late, x.opset)
		}
		a, err := attribute(name, v.Field(i))
		if err != nil {
			return nil, err
		}
		if a != nil {
			out = append(out, a)
		}
	}
	return out, nil
}

// zeroIsDefault reports whether a zero field means the attribute's default: where that is zero too, and
// for lists, strings, types and groups, of which none can be meant.
func zeroIsDefault(def reflect.Value, name string) bool {
	switch def.Kind() {
	case reflect.Slice, reflect.String, reflect.Pointer, reflect.Uint8:
		return true
	}
	return def.IsZero() || name == "group" || name == "offset_group"
}

// attribute is a field as an attribute; nil where it says nothing.
func attribute(name string, v reflect.Value) (*pb.AttributeProto, error) {
	a := &pb.AttributeProto{Name: name}
	switch val := v.Interface().(type) {
	case tensor.DType:
		a.Type, a.I = pb.AttrInt, int64(pb.DataTypeOf(val))
		return a, nil
	case ops.AutoPad:
		for s, p := range autoPads {
			if p == val {
				a.S = []byte(s)
			}
		}
		a.Type = pb.AttrString
		return a, nil
	case *tensor.Tensor:
		if val == nil {
			return nil, nil
		}
		t, err := pb.FromTensor("", val)
		a.Type, a.T = pb.AttrTensor, t
		return a, err
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return attribute(name, v.Elem())
	case reflect.Bool:
		a.Type = pb.AttrInt
		if v.Bool() {
			a.I = 1
		}
	case reflect.Int, reflect.Int64, reflect.Int32:
		a.Type, a.I = pb.AttrInt, v.Int()
	case reflect.Float64, reflect.Float32:
		a.Type, a.F = pb.AttrFloat, float32(v.Float())
	case reflect.String:
		a.Type, a.S = pb.AttrString, []byte(v.String())
	case reflect.Slice:
		return a, sliceAttribute(a, v)
	default:
		return nil, errs.Errorf("onnx: no attribute for field %s of type %v", name, v.Type())
	}
	return a, nil
}

func sliceAttribute(a *pb.AttributeProto, v reflect.Value) error {
	for i := range v.Len() {
		e := v.Index(i)
		switch e.Kind() {
		case reflect.Int, reflect.Int64:
			a.Ints = append(a.Ints, e.Int())
		case reflect.Bool:
			n := int64(0)
			if e.Bool() {
				n = 1
			}
			a.Ints = append(a.Ints, n)
		case reflect.Float64, reflect.Float32:
			a.Floats = append(a.Floats, float32(e.Float()))
		case reflect.String:
			a.Strings = append(a.Strings, []byte(e.String()))
		default:
			return errs.Errorf("onnx: no attribute for a list of %v", e.Type())
		}
	}
	switch v.Type().Elem().Kind() {
	case reflect.Float64, reflect.Float32:
		a.Type = pb.AttrFloats
	case reflect.String:
		a.Type = pb.AttrStrings
	default:
		a.Type = pb.AttrInts
	}
	return nil
}

// checkInputs refuses inputs that the target version doesn't have yet.
func (x *graphWriter) checkInputs(r row, n *graph.Node) error {
	late, ok := inputSince[r.name]
	if !ok || r.domain != "" || x.opset >= late.since {
		return nil
	}
	for i := late.input; i < len(n.In); i++ {
		if n.In[i] != nil {
			return cannot("input %d is new in operator set %d, %d is written", i, late.since, x.opset)
		}
	}
	return nil
}

// inputSince is where later versions of an operator added an input, without other changes of meaning.
var inputSince = map[string]struct{ input, since int }{
	"Attention": {6, 24}, "Pad": {3, 18},
}

// attrSince is the version that brought an attribute, where the operator is older than MinWriteOpset.
var attrSince = map[string]int{
	"Attention.left_window_size": 25, "Attention.right_window_size": 25, "AveragePool.dilations": 19,
	"BatchNormalization.training_mode": 14, "Cast.round_mode": 24, "Cast.saturate": 19, "CastLike.round_mode": 24, "CastLike.saturate": 19,
	"DequantizeLinear.block_size": 21, "DequantizeLinear.output_dtype": 23, "GRU.layout": 14, "LSTM.layout": 14,
	"LpPool.ceil_mode": 18, "LpPool.dilations": 18, "QuantizeLinear.block_size": 21, "QuantizeLinear.output_dtype": 21,
	"QuantizeLinear.precision": 23, "QuantizeLinear.saturate": 19, "RNN.layout": 14, "Range.stash_type": 27,
	"Reshape.allowzero": 14, "Resize.antialias": 18, "Resize.axes": 18, "Resize.keep_aspect_ratio_policy": 18,
	"RoiAlign.coordinate_transformation_mode": 16, "ScatterElements.reduction": 16, "ScatterND.reduction": 16,
	"Shape.end": 15, "Shape.start": 15,
}

// required is the attributes that ONNX wants to see whatever their value is.
var required = map[string]bool{
	"AveragePool.kernel_shape": true, "BitCast.to": true, "BitShift.direction": true, "Cast.to": true, "Concat.axis": true,
	"ConcatFromSequence.axis": true, "DepthToSpace.blocksize": true, "Einsum.equation": true, "GroupNormalization.num_groups": true,
	"LRN.size": true, "LpPool.kernel_shape": true, "MaxPool.kernel_shape": true, "MaxRoiPool.pooled_shape": true,
	"MaxUnpool.kernel_shape": true, "RandomNormal.shape": true, "RandomUniform.shape": true, "SpaceToDepth.blocksize": true,
	"TfIdfVectorizer.max_gram_length": true, "TfIdfVectorizer.max_skip_count": true, "TfIdfVectorizer.min_gram_length": true,
	"TfIdfVectorizer.mode": true, "TfIdfVectorizer.ngram_counts": true, "TfIdfVectorizer.ngram_indexes": true,
	"LinearAttention.kv_num_heads": true, "LinearAttention.q_num_heads": true, "LinearClassifier.coefficients": true,
	"Momentum.alpha": true, "Momentum.beta": true, "Momentum.mode": true, "Momentum.norm_coefficient": true,
}

// axesAsAttribute writes axes as the attribute that they were in older versions.
func axesAsAttribute(x *graphWriter, r row, n *graph.Node) error {
	attrs, err := x.attrs(r, n.Op)
	if err != nil {
		return err
	}
	if f := reflect.ValueOf(n.Op).FieldByName("NoopWithEmptyAxes"); f.IsValid() && f.Bool() {
		return cannot("noop_with_empty_axes is new in operator set 18, %d is written", x.opset)
	}
	if len(n.In) > 1 && n.In[1] != nil {
		c := n.In[1].Type.Const
		if c == nil {
			return cannot("axes that are no constant, in operator set %d", x.opset)
		}
		vs, err := c.Int64s()
		if err != nil {
			return err
		}
		if len(vs) > 0 {
			attrs = append(attrs, &pb.AttributeProto{Name: "axes", Type: pb.AttrInts, Ints: vs})
		}
	}
	return x.emit(r, n, n.In[:1], attrs)
}

// exportSplit writes Split, whose number of outputs became an attribute in version 18, and whose sizes an
// input in version 13.
func exportSplit(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.Split)
	if !ok {
		return cannot("%T is no Split", n.Op)
	}
	attrs := []*pb.AttributeProto{{Name: "axis", Type: pb.AttrInt, I: int64(op.Axis)}}
	if x.opset >= 18 && (len(n.In) < 2 || n.In[1] == nil) {
		attrs = append(attrs, &pb.AttributeProto{Name: "num_outputs", Type: pb.AttrInt, I: int64(len(n.Out))})
	}
	return x.emit(r, n, n.In, attrs)
}

// unsupportedNode is the error of one node that can't be written.
func unsupportedNode(n *graph.Node, reason string) error {
	return &formats.UnsupportedError{Format: formats.ONNX, Items: []formats.Unsupported{{What: n.Op.Name(), Node: n.Origin, Detail: reason}}}
}

// subgraph writes a graph that a node holds. The values that it captures go by the names that they have
// outside.
func (x *graphWriter) subgraph(g *graph.Graph, formals int, captured []*graph.Value) (*pb.AttributeProto, error) {
	y := &graphWriter{writer: x.writer, names: x.names, noted: map[*graph.Value]bool{}, of: g, outer: x}
	g = g.Clone()
	if len(g.Inputs) != formals+len(captured) {
		return nil, errs.Errorf("onnx: a graph of %d inputs is fed %d", len(g.Inputs), formals+len(captured))
	}
	for i, v := range g.Inputs[formals:] {
		y.names[v] = x.name(captured[i])
	}
	p, err := y.graph(g, g.Inputs[:formals])
	return &pb.AttributeProto{Type: pb.AttrGraph, G: p}, err
}

// withBody writes a node that holds one graph, of whose inputs the first formals are its own; in is the
// node's inputs without what the graph captures.
func (x *graphWriter) withBody(r row, n *graph.Node, g *graph.Graph, formals, in int, attrs []*pb.AttributeProto) error {
	a, err := x.subgraph(g, formals, n.In[in:])
	if err != nil {
		return err
	}
	a.Name = "body"
	return x.emit(r, n, n.In[:in], append(attrs, a))
}

func exportIf(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.If)
	if !ok {
		return cannot("%T is no If", n.Op)
	}
	then, err := x.subgraph(op.Then, 0, n.In[1:])
	if err != nil {
		return err
	}
	els, err := x.subgraph(op.Else, 0, n.In[1:])
	if err != nil {
		return err
	}
	then.Name, els.Name = "then_branch", "else_branch"
	return x.emit(r, n, n.In[:1], []*pb.AttributeProto{then, els})
}

func exportLoop(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.Loop)
	if !ok {
		return cannot("%T is no Loop", n.Op)
	}
	return x.withBody(r, n, op.Body, 2+op.NumCarried, 2+op.NumCarried, nil)
}

func exportScan(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.Scan)
	if !ok {
		return cannot("%T is no Scan", n.Op)
	}
	attrs := []*pb.AttributeProto{{Name: "num_scan_inputs", Type: pb.AttrInt, I: int64(op.NumScanInputs)}}
	for _, l := range []struct {
		name string
		list []int
	}{{"scan_input_axes", op.ScanInputAxes}, {"scan_input_directions", op.ScanInputDirections},
		{"scan_output_axes", op.ScanOutputAxes}, {"scan_output_directions", op.ScanOutputDirections}} {
		if len(l.list) > 0 {
			a := &pb.AttributeProto{Name: l.name}
			if err := sliceAttribute(a, reflect.ValueOf(l.list)); err != nil {
				return err
			}
			attrs = append(attrs, a)
		}
	}
	k := op.NumStates + op.NumScanInputs
	return x.withBody(r, n, op.Body, k, k, attrs)
}

// exportOptional writes the type of what an empty optional would hold.
func exportOptional(x *graphWriter, r row, n *graph.Node) error {
	var attrs []*pb.AttributeProto
	if len(n.In) == 0 || n.In[0] == nil {
		t, err := typeProto(*n.Out[0].Type.Elem)
		if err != nil {
			return err
		}
		attrs = []*pb.AttributeProto{{Name: "type", Type: pb.AttrTypeProto, TP: t}}
	}
	return x.emit(r, n, n.In, attrs)
}

func exportSequenceMap(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.SequenceMap)
	if !ok {
		return cannot("%T is no SequenceMap", n.Op)
	}
	return x.withBody(r, n, op.Body, op.NumInputs, op.NumInputs, nil)
}
