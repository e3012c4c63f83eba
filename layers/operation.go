package layers

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Operation is a node of a functional model that is no layer: a call of keras.ops (Keras 3), of a
// TensorFlow function (TFOpLambda, SlicingOpLambda), or a TensorFlow NodeDef (TensorFlowOpLayer).
type Operation struct {
	Base
	Op       string         // class name in the file: "NotEqual", "TFOpLambda", "TensorFlowOpLayer"
	Module   string         // Keras 3's module of it
	Function string         // the function of a TFOpLambda; the op of a NodeDef
	Config   map[string]any // the rest of its config: arguments that are no tensors
	Raw      map[string]any // the config as a file had it, for writing back
}

// opArgs is a call of an operation with its arguments by name.
type opArgs struct {
	*Call
	vals map[string]any
	used map[string]bool // arguments that the operation has looked at
}

// opDef is one operation: the names of its positional arguments, and what it computes.
type opDef struct {
	params string
	f      func(o *opArgs) []*graph.Value
}

// KnownOperation reports whether an operation of that class (and function) can be computed.
func KnownOperation(class, function string) bool {
	_, ok := findOperation(class, function)
	return ok
}

func findOperation(class, function string) (opDef, bool) {
	switch class {
	case "TFOpLambda", "SlicingOpLambda":
		return find(function, tensorflowFunctions)
	case "TensorFlowOpLayer":
		return find(function, nodeDefs)
	}
	return kerasOperation(class)
}

// Call implements Layer.
func (l *Operation) Call(c *Call) []*graph.Value {
	def, ok := findOperation(l.Op, l.Function)
	if !ok {
		c.Failf("operation %s %s is not supported", l.Op, l.Function)
		return one(&graph.Value{Name: "missing", Type: graph.UnrankedOf(tensor.Float32)})
	}
	o := &opArgs{Call: c, vals: map[string]any{}, used: map[string]bool{}}
	for k, v := range l.Config {
		if k != NodeConstants {
			o.vals[k] = v
		}
	}
	for k, v := range c.Kwargs {
		if k != "name" {
			o.vals[k] = v
		}
	}
	params := strings.Fields(def.params)
	args, err := l.withConstants(c.Args)
	if err != nil {
		c.Failf("%v", err)
		return one(c.X())
	}
	if len(params) == 1 && len(args) > 1 {
		args = []any{args}
	}
	for i, a := range args {
		if i < len(params) {
			o.vals[params[i]] = a
		} else {
			c.Failf("takes %d arguments, got %d", len(params), len(c.Args))
			return one(c.X())
		}
	}
	ys := def.f(o)
	o.refuseUnused()
	return ys
}

// refuseUnused records an error where an argument is given that the operation has not looked at: it would
// compute something else than asked. Element types and names of NodeDefs don't matter.
func (o *opArgs) refuseUnused() {
	if o.Err() != nil {
		return
	}
	l, _ := o.Layer.(*Operation)
	for k, v := range o.vals {
		switch {
		case v == nil, v == false, o.used[k], k == "name", k == "var", k == "out_type":
		case l.Op == "TensorFlowOpLayer" && (strings.HasPrefix(k, "T") || strings.HasPrefix(k, "_") || k == "N" || k == "SrcT" || k == "Index" || k == "out_type" || k == "output_type"):
		default:
			o.Failf("argument %s of %s %s is not supported", k, l.Op, l.Function)
			return
		}
	}
}

// NodeConstants is the key of Config under which a TensorFlowOpLayer has its constant inputs by index.
const NodeConstants = "__constants__"

// withConstants puts a NodeDef's constants into their places among its inputs.
func (l *Operation) withConstants(args []any) ([]any, error) {
	consts, _ := l.Config[NodeConstants].(map[string]any)
	if len(consts) == 0 {
		return args, nil
	}
	out := make([]any, len(args)+len(consts))
	filled := make([]bool, len(out))
	for k, v := range consts {
		i, err := strconv.Atoi(k)
		if err != nil || i < 0 || i >= len(out) {
			return nil, errs.Errorf("constant %q of %d inputs", k, len(out))
		}
		out[i], filled[i] = v, true
	}
	next := 0
	for i := range out {
		if !filled[i] {
			out[i] = args[next]
			next++
		}
	}
	if n := len(out); n > 1 && strings.HasPrefix(l.Function, "Concat") { // values..., axis
		return []any{out[:n-1], out[n-1]}, nil
	}
	return out, nil
}

// get is the first of the named arguments that is given and isn't null.
//
//go:noinline
func (o *opArgs) get(names ...string) any {
	var found any
	for _, n := range names {
		if o.used != nil {
			o.used[n] = true
		}
		if v := o.vals[n]; v != nil && found == nil {
			found = v
		}
	}
	return found
}

// tensor is an argument as a tensor; a number is a constant of like's type (float32 without one).
func (o *opArgs) tensor(like *graph.Value, names ...string) *graph.Value {
	switch v := o.get(names...).(type) {
	case *graph.Value:
		return v
	case nil:
		o.Failf("argument %s is missing", names[0])
		return o.scalar(tensor.Float32, 0)
	case bool:
		return o.scalar(tensor.Bool, map[bool]float64{true: 1}[v])
	case map[string]any: // an array, with its type
		cfg, _ := v["config"].(map[string]any)
		fs, err := asFloats(v)
		dt := tensor.Float32
		if name, ok := cfg["dtype"].(string); ok && err == nil {
			dt, err = tensor.ParseDType(name)
		}
		list, _ := cfg["value"].([]any)
		if err != nil || len(fs) == 0 {
			o.Failf("argument %s: %v", names[0], err)
			return o.scalar(tensor.Float32, 0)
		}
		if list == nil {
			return o.scalar(dt, fs[0])
		}
		return o.constant(dt, fs, listShape(list)...)
	default:
		fs, err := asFloats(v)
		if err != nil || len(fs) == 0 {
			o.Failf("argument %s: %v", names[0], err)
			return o.scalar(tensor.Float32, 0)
		}
		dt := tensor.Float32
		if like != nil {
			dt = like.Type.DType
			if !dt.IsFloat() && slices.ContainsFunc(fs, func(f float64) bool { return f != float64(int64(f)) }) {
				dt = tensor.Float32
			}
		}
		if list, ok := v.([]any); ok {
			return o.constant(dt, fs, listShape(list)...)
		}
		return o.scalar(dt, fs[0])
	}
}

func listShape(l []any) []int {
	shape := []int{len(l)}
	for len(l) > 0 {
		inner, ok := l[0].([]any)
		if !ok {
			break
		}
		shape, l = append(shape, len(inner)), inner
	}
	return shape
}

// x is the first tensor argument.
//
//go:noinline
func (o *opArgs) x() *graph.Value {
	return o.tensor(nil, "x", "x1", "input", "inputs", "value", "tensor", "a", "features", "logits", "input_tensor", "array", "images")
}

// pair is the two operands of a binary operation, of one type.
//
//go:noinline
func (o *opArgs) pair() (a, b *graph.Value) {
	an, bn := []string{"x1", "x", "a"}, []string{"x2", "y", "b"}
	if v, ok := o.get(an...).(*graph.Value); ok {
		a = v
		b = o.tensor(a, bn...)
	} else {
		b = o.tensor(nil, bn...)
		a = o.tensor(b, an...)
	}
	dt := promote(a.Type.DType, b.Type.DType)
	return o.cast(a, dt), o.cast(b, dt)
}

func (o *opArgs) int(def int, names ...string) int {
	v := o.get(names...)
	if v == nil {
		return def
	}
	if t, ok := v.(*graph.Value); ok && t.Type.Const != nil {
		if vs, err := t.Type.Const.Int64s(); err == nil && len(vs) == 1 {
			return int(vs[0])
		}
	}
	n, err := asInt(v)
	if err != nil {
		o.Failf("argument %s: %v", names[0], err)
	}
	return n
}

// ints is a list argument; ok is false where it isn't given.
func (o *opArgs) intList(names ...string) (vs []int, ok bool) {
	v := o.get(names...)
	if v == nil {
		return nil, false
	}
	if t, isValue := v.(*graph.Value); isValue {
		if t.Type.Const == nil {
			o.Failf("argument %s is computed; only constants are supported there", names[0])
			return nil, true
		}
		fs, err := t.Type.Const.Int64s()
		if err != nil {
			o.Failf("argument %s: %v", names[0], err)
		}
		for _, f := range fs {
			vs = append(vs, int(f))
		}
		return vs, true
	}
	if ints, isInts := v.([]int); isInts {
		return ints, true
	}
	vs, err := asShape(v)
	if err != nil {
		o.Failf("argument %s: %v", names[0], err)
	}
	return vs, true
}

func (o *opArgs) float(def float64, names ...string) float64 {
	v := o.get(names...)
	if v == nil {
		return def
	}
	f, err := asNumber(v)
	if err != nil {
		o.Failf("argument %s: %v", names[0], err)
	}
	return f
}

//go:noinline
func (o *opArgs) bool(def bool, names ...string) bool {
	if b, ok := o.get(names...).(bool); ok {
		return b
	}
	return def
}

//go:noinline
func (o *opArgs) str(def string, names ...string) string {
	if s, ok := o.get(names...).(string); ok {
		return s
	}
	return def
}

// list is an argument that is a list of tensors, or of arrays in the config.
func (o *opArgs) list(names ...string) []*graph.Value {
	var vs []*graph.Value
	items, ok := o.get(names...).([]any)
	if !ok {
		items = []any{o.get(names...)}
	}
	for _, item := range items {
		if m, ok := item.(map[string]any); ok && (m["class_name"] == "__numpy__" || m["class_name"] == "__tensor__") {
			o.vals["item"] = item
			vs = append(vs, o.tensor(nil, "item"))
			delete(o.vals, "item")
			continue
		}
		vs = leaves(vs, item)
	}
	if len(vs) == 0 {
		o.Failf("argument %s holds no tensors", names[0])
	}
	return vs
}

// axes is an axis argument: all axes where it isn't given.
func (o *opArgs) axes(x *graph.Value, names ...string) []int {
	as, ok := o.intList(names...)
	if !ok {
		return identityPerm(o.rank(x))
	}
	return as
}

// dtype is a dtype argument, or def.
func (o *opArgs) dtype(def tensor.DType, names ...string) tensor.DType {
	name := o.str("", names...)
	if name == "" {
		return def
	}
	dt, err := tensor.ParseDType(strings.TrimPrefix(name, "tf."))
	if err != nil {
		o.Fail(err)
	}
	return dt
}

func (o *opArgs) reduceSum(x *graph.Value, keep bool, axes []int) *graph.Value {
	if x.Type.DType == tensor.Bool {
		x = o.cast(x, tensor.Int32)
	}
	return o.sum(x, keep, axes...)
}

func (o *opArgs) reduceMean(x *graph.Value, keep bool, axes []int) *graph.Value {
	if !x.Type.DType.IsFloat() {
		x = o.cast(x, tensor.Float32)
	}
	return o.mean(x, keep, axes...)
}

func (o *opArgs) reduceVar(x *graph.Value, keep bool, axes []int) *graph.Value {
	if !x.Type.DType.IsFloat() {
		x = o.cast(x, tensor.Float32)
	}
	d := o.sub(x, o.mean(x, true, axes...))
	return o.mean(o.mul(d, d), keep, axes...)
}

func argOp(isMax bool) opDef {
	return opDef{"x axis keepdims", func(o *opArgs) []*graph.Value {
		x := o.x()
		axis := o.int(0, "axis", "dimension")
		keep := o.bool(false, "keepdims")
		if o.get("axis", "dimension") == nil {
			x = o.reshapeTo(x, -1)
		}
		var y *graph.Value
		if isMax {
			y = o.Add(ops.ArgMax{Axis: axis, Keepdims: keep}, x)
		} else {
			y = o.Add(ops.ArgMin{Axis: axis, Keepdims: keep}, x)
		}
		return one(o.cast(y, o.dtype(tensor.Int32, "output_type")))
	}}
}
