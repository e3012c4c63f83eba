package onnx_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// undefined is what a schema's types allow and nothing defines, or what the way that examples are varied
// makes of them: the operators, what the message says, and why it is no gap.
var undefined = []struct{ ops, says, why string }{
	{"Cast|CastLike", "not a number", "the strings fed spell no numbers"},
	{"Cast|CastLike", "in the widest type", "a cast's result depends on the type"},
	{"BitCast", "same width", "types of another width can't share bits"},
	{"Bernoulli|RandomNormalLike|RandomUniformLike|Multinomial", "in the widest type", "draws differ without a seed"},
	{"Col2Im|GridSample|Resize|Upsample|ScatterElements|ScatterND", "string elements are no real numbers", "strings have no sum, product or average"},
	{"ScatterElements|ScatterND", "which has no order", "complex numbers have no order"},
	{"QuantizeLinear", "in the widest type", "the type decides where it saturates"},
	{"ReduceMax|ReduceMin|ReduceLogSum|ReduceLogSumExp", "in the widest type", "infinities of an empty set have no integer"},
	{"TfIdfVectorizer", "the pool holds", "the pool's type is the attribute's, not the input's"},
	{"LabelEncoder", "keys of", "the keys' type is the attribute's, not the input's"},
	{"Imputer", "no imputed values for", "the type is the attribute's, not the input's"},
	{"OneHotEncoder", "categories of another type", "the type is the attribute's, not the input's"},
	{"ImageDecoder", "JPEG 2000", "no decoder of it in Go"},
	{"If|Loop|Scan|SequenceMap", "", "the bodies of the examples are of one type"},
	{"SequenceInsert", "into a sequence of", "sequence and element change one at a time here"},
	{"FlexAttention", "is to be float32", "the modifier of the example is of one type"},
	{"Upsample|Scatter|GroupNormalization|TreeEnsembleClassifier|TreeEnsembleRegressor", "no example", "deprecated: the document says nothing of them"},
	{"Gradient", "no example", "its inputs are named by attributes: conformance runs cases of it"},
	{"CastMap|DictVectorizer", "no example", "their input is a map: tests of package ops run them"},
}

func isUndefined(op, msg string) bool {
	return slices.ContainsFunc(undefined, func(u struct{ ops, says, why string }) bool {
		return slices.Contains(strings.Split(u.ops, "|"), op) && strings.Contains(msg, u.says)
	})
}

// TestEverySchemaType runs every version of every operator of ONNX's on every element type that its schema
// allows: cases of the published suite, with the version and one type changed at a time.
func TestEverySchemaType(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	all, cases := schemas(t), examples(t)
	written(t, cases)
	fast, err := cpu.New(cpu.Options{})
	require.NoError(t, err)
	defer fast.Close()
	runs, newer := 0, map[string]int{}
	for _, s := range all {
		newer[s.domain+s.name] = max(newer[s.domain+s.name], s.since)
	}
	for _, s := range all {
		bad := map[string]bool{}
		list := pick(s, all, cases[[2]string{s.domain, s.name}])
		if len(list) == 0 && !isUndefined(s.name, "no example") {
			bad["no example"] = true
		}
		for k, e := range list {
			for _, v := range variants(s, e) {
				old := newer[s.domain+s.name] > s.since
				if old && k > 0 {
					break // for time, older versions have their types tried on one example
				}
				var dev devices.Device = fast
				if runs++; old {
					v.wide, dev = nil, ref.New() // and not against the widest type
				}
				if err := v.check(dev); err != nil && !isUndefined(s.name, err.Error()) {
					bad[fmt.Sprintf("%s %s: %v", e.name, v.what, err)] = true
				}
			}
		}
		for _, msg := range slices.Sorted(maps.Keys(bad)) {
			t.Errorf("%s: %s", s.key(), msg)
		}
	}
	t.Logf("%d runs", runs)
	require.Greater(t, runs, 3000)
}

// pick is the examples of an operator that tell most about a version of it.
func pick(s *schema, all []*schema, list []*example) []*example {
	var own, other []*example
	for _, e := range list {
		since := 0
		for _, o := range all {
			if o.domain == s.domain && o.name == s.name && o.since <= e.opset() {
				since = max(since, o.since)
			}
		}
		if s.fits(e) {
			if since == s.since {
				own = append(own, e)
			} else {
				other = append(other, e)
			}
		}
	}
	hand := func(e *example) bool { return strings.HasPrefix(e.name, "written") }
	slices.SortStableFunc(own, func(a, b *example) int {
		switch {
		case hand(a) && !hand(b):
			return -1
		case hand(b) && !hand(a):
			return 1
		}
		return 0
	})
	own = own[:min(2, len(own))]
	if own == nil {
		own = other[:min(1, len(other))]
	}
	return own
}

// variant is an example with another version or type.
type variant struct {
	what  string
	model *pb.ModelProto
	in    []tensor.Value
	err   error
	wide  *variant // the same in the widest type of the kind
}

// undeclare takes the element types of a graph's outputs out, which are the former type's, and of those in it.
func undeclare(g *pb.GraphProto) {
	for _, o := range g.Output {
		if o.Type != nil && o.Type.TensorType != nil {
			o.Type.TensorType.ElemType = pb.Undefined
		}
	}
	for _, n := range g.Node {
		for _, a := range n.Attribute {
			if a.G != nil {
				undeclare(a.G)
			}
		}
	}
}

// run gives the outputs.
func (v *variant) run(dev devices.Device) ([]tensor.Value, error) {
	if v.err != nil {
		return nil, v.err
	}
	undeclare(v.model.Graph)
	g, err := onnx.ReadBytes(pb.Marshal(v.model), onnx.Options{})
	if err != nil {
		return nil, err
	}
	p, err := runtime.Compile(g, dev, runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := p.NewSession()
	if err != nil {
		return nil, err
	}
	return s.RunValues(context.Background(), v.in)
}

// check runs the variant, and on the reference device with the same numbers in the widest type of the kind:
// both are to agree.
func (v *variant) check(dev devices.Device) error {
	got, err := v.run(dev)
	if err != nil || v.wide == nil {
		return err
	}
	wide, err := v.wide.run(ref.New())
	if err != nil {
		return fmt.Errorf("in the widest type: %w", err)
	}
	for i := range got {
		a, ok1 := got[i].(*tensor.Tensor)
		b, ok2 := wide[i].(*tensor.Tensor)
		if !ok1 || !ok2 {
			continue
		}
		if !slices.Equal(a.Shape(), b.Shape()) {
			return fmt.Errorf("output %d is %v, in the widest type %v", i, a.Shape(), b.Shape())
		}
		if err := near(a, b); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// precision is what a float type keeps of a number.
var precision = map[tensor.DType]float64{tensor.Float64: 1e-4, tensor.Float32: 1e-4, tensor.Float16: 1.0 / 256, tensor.BFloat16: 1.0 / 32,
	tensor.Float8E4M3FN: 0.25, tensor.Float8E4M3FNUZ: 0.25, tensor.Float8E5M2: 0.5, tensor.Float8E5M2FNUZ: 0.5, tensor.Float4E2M1: 1, tensor.Float8E8M0: 1}

// near compares a result with one that was computed in a wider type.
func near(a, b *tensor.Tensor) error {
	if a.DType() == tensor.String || a.DType().IsComplex() || b.DType() == tensor.String || b.DType().IsComplex() {
		return nil
	}
	if a.DType().IsInt() {
		var err error
		if b, err = tensor.Cast(b, a.DType(), tensor.CastOptions{}); err != nil {
			return err
		}
	}
	x, err := a.Float64s()
	if err != nil {
		return err
	}
	y, err := b.Float64s()
	if err != nil {
		return err
	}
	tol, most := precision[a.DType()], 0.0
	for _, v := range y {
		if !math.IsInf(v, 0) {
			most = max(most, math.Abs(v))
		}
	}
	for i := range x {
		if d := math.Abs(x[i] - y[i]); d > tol*(1e-3+most) && !math.IsInf(x[i], 0) {
			return fmt.Errorf("element %d is %v, in the widest type %v", i, x[i], y[i])
		}
	}
	return nil
}

// variants is the example at the schema's version, once as it is and once for each other element type.
func variants(s *schema, e *example) []*variant {
	out := []*variant{retyped(s, e, "", 0), spelled(s, e)}
	var vars []string
	for v := range s.types {
		vars = append(vars, v)
	}
	slices.Sort(vars)
	for _, v := range vars {
		have := e.typeOf(s, v)
		shape, dt, ok := split(have)
		for _, typ := range s.types[v] {
			sh, to, known := split(typ)
			switch {
			case have != "" && (!ok || !known || sh != shape || to == dt):
			case have == "" && (!known || sh != "tensor(%)"):
			default:
				r := retyped(s, e, v, to)
				r.widen(s, v, to)
				out = append(out, r)
			}
		}
	}
	return out
}

// spelled is the example with every attribute that has a default given, as its default.
func spelled(s *schema, e *example) *variant {
	out := retyped(s, e, "", 0)
	out.what = "with all defaults"
	n := out.model.Graph.Node[0]
	for name, def := range s.defaults {
		if n.Attr(name) != nil {
			continue
		}
		a := &pb.AttributeProto{Name: name}
		switch s.attrs[name] {
		case "int":
			a.Type = pb.AttrInt
			a.I, _ = strconv.ParseInt(def, 10, 64)
		case "float":
			a.Type = pb.AttrFloat
			f, _ := strconv.ParseFloat(def, 32)
			a.F = float32(f)
		case "string":
			a.Type, a.S = pb.AttrString, []byte(strings.Replace(def, "foward", "forward", 1))
		default:
			continue
		}
		n.Attribute = append(n.Attribute, a)
	}
	if s.attrs["consumed_inputs"] != "" {
		setAttr(n, &pb.AttributeProto{Name: "consumed_inputs", Type: pb.AttrInts, Ints: []int64{0}})
	}
	return out
}

// typeOf is what a type variable stands for in the example, "" where only an attribute says it.
func (e *example) typeOf(s *schema, v string) string {
	for i, name := range e.node().Input {
		if p, ok := at(s.in, i); !ok || p.typ != v {
			continue
		}
		for _, in := range e.model.Graph.Input {
			if in.Name == name {
				return spell(in.Type)
			}
		}
	}
	return ""
}

// retyped is the example at the schema's version with variable v standing for element type to.
func retyped(s *schema, e *example, v string, to pb.DataType) *variant {
	out := &variant{what: fmt.Sprintf("%s=%v", v, to), model: &pb.ModelProto{}}
	if out.err = pb.Unmarshal(pb.Marshal(e.model), out.model, pb.Limits{}); out.err != nil {
		return out
	}
	out.model.OpsetImport = []*pb.OperatorSetIdProto{{Domain: s.domain, Version: int64(s.since)}}
	if s.domain != "" {
		out.model.OpsetImport = append(out.model.OpsetImport, &pb.OperatorSetIdProto{Version: 22})
	}
	n := out.model.Graph.Node[0]
	fed := map[string]bool{}
	for i, name := range n.Input {
		if p, ok := at(s.in, i); ok && p.typ == v && v != "" {
			fed[name] = true
		}
	}
	if len(fed) == 0 && v != "" && !asAttribute(n, s, v, to) {
		out.what, v = out.what+" (no attribute says it)", ""
	}
	for i, in := range out.model.Graph.Input[:min(len(e.in), len(out.model.Graph.Input))] {
		val, err := value(e.in[i], in.Type)
		if err == nil && fed[in.Name] {
			setElem(in.Type, to)
			val, err = convert(val, to)
		}
		if err != nil {
			out.err = err
			return out
		}
		out.in = append(out.in, val)
	}
	for _, in := range out.model.Graph.Input[min(len(e.in), len(out.model.Graph.Input)):] {
		if in.Type.OptionalType != nil {
			out.in = append(out.in, &tensor.Optional{})
		}
	}
	return out
}

// widen makes the same with the inputs of variable v in the widest type of the kind.
func (r *variant) widen(s *schema, v string, to pb.DataType) {
	dt, err := to.DType()
	wider := pb.Int64
	if err == nil && dt.IsFloat() {
		wider = pb.Double
	}
	if err != nil || r.err != nil || !dt.IsFloat() && !dt.IsInt() || to == wider || to == pb.Uint64 {
		return
	}
	typ := pb.Float
	for _, name := range s.types[v] {
		if _, t, ok := split(name); ok && t == wider {
			typ = wider
		}
	}
	if typ != wider && (!dt.IsFloat() || to == pb.Float) {
		return
	}
	w := &variant{what: r.what, model: &pb.ModelProto{}}
	if pb.Unmarshal(pb.Marshal(r.model), w.model, pb.Limits{}) != nil {
		return
	}
	n, found := w.model.Graph.Node[0], false
	for i, in := range w.model.Graph.Input[:min(len(r.in), len(r.model.Graph.Input))] {
		val := r.in[i]
		for j, name := range n.Input {
			if p, ok := at(s.in, j); ok && p.typ == v && name == in.Name {
				setElem(in.Type, typ)
				if val, err = convert(r.in[i], typ); err != nil {
					return
				}
				found = true
			}
		}
		w.in = append(w.in, val)
	}
	if found {
		r.wide = w
	}
}

// asAttribute sets the attribute that says a type which no input has.
func asAttribute(n *pb.NodeProto, s *schema, v string, to pb.DataType) bool {
	if len(s.out) == 0 || s.out[0].typ != v {
		return false
	}
	for _, name := range []string{"to", "dtype", "output_dtype", "output_datatype"} {
		switch s.attrs[name] {
		case "int":
			setAttr(n, &pb.AttributeProto{Name: name, Type: pb.AttrInt, I: int64(to)})
			return true
		case "string":
			setAttr(n, &pb.AttributeProto{Name: name, Type: pb.AttrString, S: []byte(to.String())})
			return true
		}
	}
	if s.attrs["value"] != "tensor" {
		return false
	}
	dt, err := to.DType()
	if err != nil {
		return false
	}
	p, err := pb.FromTensor("value", tensor.New(dt, 1))
	if err != nil {
		return false
	}
	setAttr(n, &pb.AttributeProto{Name: "value", Type: pb.AttrTensor, T: p})
	return true
}

func setAttr(n *pb.NodeProto, a *pb.AttributeProto) {
	n.Attribute = slices.DeleteFunc(n.Attribute, func(b *pb.AttributeProto) bool { return b.Name == a.Name })
	n.Attribute = append(n.Attribute, a)
}

// value reads an input of a case.
func value(b []byte, typ *pb.TypeProto) (tensor.Value, error) {
	t, err := onnx.TypeOf(typ)
	if err != nil {
		return nil, err
	}
	return onnx.ReadValue(b, t)
}

func setElem(p *pb.TypeProto, to pb.DataType) {
	switch {
	case p.TensorType != nil:
		p.TensorType.ElemType = to
	case p.SequenceType != nil:
		setElem(p.SequenceType.ElemType, to)
	case p.OptionalType != nil:
		setElem(p.OptionalType.ElemType, to)
	}
}

// convert gives a value's tensors another element type, with numbers that the type has.
func convert(v tensor.Value, to pb.DataType) (tensor.Value, error) {
	dt, err := to.DType()
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case *tensor.Tensor:
		return convertTensor(v, dt)
	case *tensor.Sequence:
		out := &tensor.Sequence{DType: dt}
		for _, e := range v.Elems {
			c, err := convert(e, to)
			if err != nil {
				return nil, err
			}
			out.Elems = append(out.Elems, c)
		}
		return out, nil
	case *tensor.Optional:
		if v.Elem == nil {
			return v, nil
		}
		c, err := convert(v.Elem, to)
		return &tensor.Optional{Elem: c}, err
	}
	return nil, fmt.Errorf("a value %T", v)
}

func convertTensor(t *tensor.Tensor, dt tensor.DType) (*tensor.Tensor, error) {
	if t.DType() == dt {
		return t, nil
	}
	if dt == tensor.String {
		out := make([]string, t.Len())
		for i := range out {
			out[i] = fmt.Sprint("s", i)
		}
		return tensor.FromStrings(out, t.Shape()...)
	}
	if t.DType() == tensor.String {
		t = tensor.New(tensor.Int8, t.Shape()...)
		for i := range tensor.As[int8](t) {
			tensor.As[int8](t)[i] = int8(i % 3)
		}
	}
	if t.DType().IsComplex() {
		return nil, fmt.Errorf("from complex numbers")
	}
	if t.DType() == tensor.Bool || dt == tensor.Bool || dt.IsComplex() {
		return tensor.Cast(t, dt, tensor.CastOptions{})
	}
	wide, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	for i, v := range wide {
		if dt.IsInt() {
			if math.IsNaN(v) {
				v = 0
			}
			if dt.IsUnsigned() {
				v = math.Abs(v)
			}
			most := math.Ldexp(1, min(dt.Bits(), 32)-1) - 1
			v = max(-most, min(most, math.Trunc(v)))
		}
		wide[i] = v
	}
	f := tensor.New(tensor.Float64, t.Shape()...)
	copy(tensor.As[float64](f), wide)
	return tensor.Cast(f, dt, tensor.CastOptions{})
}

func TestSchemasAreRead(t *testing.T) {
	for _, s := range schemas(t) {
		for _, p := range append(slices.Clone(s.in), s.out...) {
			if !strings.Contains(p.typ, "(") {
				require.Contains(t, s.types, p.typ, s.key())
			}
		}
	}
}
