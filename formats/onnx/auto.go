package onnx

import (
	"reflect"
	"strings"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// plain is an operator all of whose attributes are fields of its own: autos makes a row of it.
type plain struct {
	name  string
	since int
	op    graph.Op
}

// autos is the rows of operators, and some more.
func autos(list []plain, more ...row) []row {
	rows := make([]row, len(list), len(list)+len(more))
	for i, p := range list {
		rows[i] = auto(p.name, p.since, p.op)
	}
	return append(rows, more...)
}

// auto is a row whose attributes are op's exported fields: KernelShape is kernel_shape. The values that op
// has are the attributes' defaults.
//
//go:noinline
func auto(name string, since int, op graph.Op) row {
	return row{name: name, since: since, op: op, imp: func(n *Node) []*graph.Value {
		op := fill(n, op)
		if n.refuse != "" {
			return nil
		}
		return n.AddN(op, n.In...)
	}}
}

// adjusting gives an automatic row a last word on the operator, for what is no attribute of the same name.
//
//go:noinline
func (r row) adjusting(fix func(n *Node, op graph.Op) graph.Op) row {
	op := r.op
	r.imp = func(n *Node) []*graph.Value {
		filled := fill(n, op)
		if n.refuse != "" {
			return nil
		}
		return n.AddN(fix(n, filled), n.In...)
	}
	return r
}

// ignoring makes a row take attributes that say nothing about the result.
//
//go:noinline
func (r row) ignoring(names ...string) row {
	imp := r.imp
	r.imp = func(n *Node) []*graph.Value {
		n.Ignore(names...)
		return imp(n)
	}
	return r
}

// steering marks inputs that decide shapes.
func (r row) steering(inputs ...int) row {
	r.steer = inputs
	return r
}

// exports sets how the row's operator is written.
func (r row) exports(exp exporter) row {
	r.exp = exp
	return r
}

// fill is a copy of op with the fields for which the node has attributes.
func fill(n *Node, op graph.Op) graph.Op {
	v := reflect.New(reflect.TypeOf(op)).Elem()
	v.Set(reflect.ValueOf(op))
	fillFields(n, v)
	return v.Interface().(graph.Op)
}

// fillFields sets the fields of a struct, and of those embedded in it.
func fillFields(n *Node, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous && f.IsExported() && f.Type.Kind() == reflect.Struct {
			fillFields(n, v.Field(i))
			continue
		}
		name := attrName(f)
		if name == "" {
			continue
		}
		if flag, ok := presenceOf(v.Type(), f); ok {
			if n.Has(flag) {
				v.Field(i).SetBool(true)
			}
			continue
		}
		setField(n, name, v.Field(i))
	}
}

// presenceOf is the attribute whose presence the field f says: HasEnd beside End.
func presenceOf(t reflect.Type, f reflect.StructField) (string, bool) {
	rest, ok := strings.CutPrefix(f.Name, "Has")
	if !ok || rest == "" || f.Type.Kind() != reflect.Bool {
		return "", false
	}
	if of, ok := t.FieldByName(rest); ok {
		return attrName(of), true
	}
	return "", false
}

// attrName is the attribute that a field holds, "" if it holds none. The tag `onnx:"name"` overrides the
// field's own name; `onnx:"-"` says that it holds none.
func attrName(f reflect.StructField) string {
	if !f.IsExported() || f.Type == reflect.TypeFor[ops.Format]() || f.Type == reflect.TypeFor[*graph.Graph]() {
		return ""
	}
	if tag, ok := f.Tag.Lookup("onnx"); ok {
		if tag == "-" {
			return ""
		}
		return tag
	}
	return snake(f.Name)
}

// snake spells KernelShape as kernel_shape and QKMatmul as qk_matmul.
func snake(s string) string {
	if s == "DType" {
		return "dtype"
	}
	upper := func(i int) bool { return i >= 0 && i < len(s) && s[i] >= 'A' && s[i] <= 'Z' }
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if upper(i) {
			if i > 0 && (!upper(i-1) || i+1 < len(s) && !upper(i+1)) {
				b.WriteByte('_')
			}
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// autoPads is the spelling of the ways to pad.
var autoPads = map[string]ops.AutoPad{"NOTSET": ops.Explicit, "SAME_UPPER": ops.SameUpper,
	"SAME_LOWER": ops.SameLower, "VALID": ops.Valid}

// setField puts an attribute, where the file has it, into a field.
func setField(n *Node, name string, f reflect.Value) {
	if !n.Has(name) {
		if n.asked[name] = true; required[n.OpType()+"."+name] && n.Opset > 1 {
			n.Refuse("it has no attribute %s", name)
		}
		return
	}
	switch f.Interface().(type) {
	case tensor.DType:
		f.Set(reflect.ValueOf(n.DType(name, tensor.Invalid)))
		return
	case ops.AutoPad:
		s := n.String(name, "")
		p, ok := autoPads[s]
		if !ok && s != "" {
			n.Refuse("%s is %q", name, s)
		}
		f.Set(reflect.ValueOf(p))
		return
	case *tensor.Tensor:
		if t := n.Tensor(name); t != nil {
			f.Set(reflect.ValueOf(t))
		}
		return
	}
	if f.Kind() == reflect.Pointer {
		p := reflect.New(f.Type().Elem())
		setField(n, name, p.Elem())
		f.Set(p)
		return
	}
	setPlain(n, name, f)
}

func setPlain(n *Node, name string, f reflect.Value) {
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(n.Bool(name, false))
	case reflect.Int, reflect.Int64, reflect.Int32:
		f.SetInt(int64(n.Int(name, 0)))
	case reflect.Float64, reflect.Float32:
		f.SetFloat(n.Float(name, 0))
	case reflect.String:
		f.SetString(n.String(name, ""))
	case reflect.Slice:
		setSlice(n, name, f)
	default:
		n.Fail(errs.Errorf("onnx: %s has field %s of type %v, which no attribute fits", n.OpType(), name, f.Type()))
	}
}

func setSlice(n *Node, name string, f reflect.Value) {
	switch f.Type().Elem().Kind() {
	case reflect.Int, reflect.Int64:
		vs := n.Ints(name)
		s := reflect.MakeSlice(f.Type(), len(vs), len(vs))
		for i, v := range vs {
			s.Index(i).SetInt(int64(v))
		}
		f.Set(s)
	case reflect.Float64, reflect.Float32:
		vs := n.Floats(name)
		s := reflect.MakeSlice(f.Type(), len(vs), len(vs))
		for i, v := range vs {
			s.Index(i).SetFloat(v)
		}
		f.Set(s)
	case reflect.Bool:
		vs := n.Ints(name)
		s := reflect.MakeSlice(f.Type(), len(vs), len(vs))
		for i, v := range vs {
			s.Index(i).SetBool(v != 0)
		}
		f.Set(s)
	case reflect.String:
		f.Set(reflect.ValueOf(n.Strings(name)))
	case reflect.Pointer:
		a := n.attr(name, pb.AttrTensors)
		if a == nil {
			return
		}
		var ts []*tensor.Tensor
		for _, p := range a.Tensors {
			t, err := n.im.tensor(p)
			if err != nil {
				n.Refuse("attribute %s: %v", name, err)
			}
			ts = append(ts, t)
		}
		f.Set(reflect.ValueOf(ts))
	default:
		n.Fail(errs.Errorf("onnx: %s has field %s of type %v, which no attribute fits", n.OpType(), name, f.Type()))
	}
}
