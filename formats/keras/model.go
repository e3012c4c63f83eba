package keras

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// decoder makes layers of configs.
type decoder struct {
	opts    Options
	d       dialect
	refused []formats.Unsupported
	depth   int
	count   int
}

// decodeModel makes the model of a serialized one.
func decodeModel(v any, d dialect, opts Options) (*layers.Model, error) {
	dec := &decoder{opts: opts, d: d}
	l, err := dec.layer(v)
	if len(dec.refused) > 0 {
		return nil, &formats.UnsupportedError{Format: formats.KerasJSON, Items: dec.refused}
	}
	if err != nil {
		return nil, err
	}
	m, ok := l.(*layers.Model)
	if !ok {
		return nil, formatErrorf(formats.KerasJSON, "the config is a layer (%s), not a model", layers.ClassName(l))
	}
	m.OldMasks = d.major < 3
	inOrder(m)
	return m, nil
}

// inOrder marks a model and those in it as having a file's order.
func inOrder(m *layers.Model) {
	m.Ordered = true
	for _, l := range m.Layers() {
		if inner, ok := l.(*layers.Model); ok {
			inOrder(inner)
		}
	}
}

// modelClasses is the class names of models.
var modelClasses = []string{"Functional", "Model", "Sequential", "Graph", "Network"}

// entry is one serialized layer.
type entry struct {
	class, module, registered, name string
	config                          map[string]any
	list                            []any // config of an old Sequential
	inbound                         []any
	raw                             map[string]any
}

func (dec *decoder) entry(v any) (entry, error) {
	raw, ok := v.(map[string]any)
	if !ok {
		return entry{}, formatErrorf(formats.KerasJSON, "a layer is %T, not an object", v)
	}
	e := entry{raw: raw}
	e.class, _ = raw["class_name"].(string)
	e.module, _ = raw["module"].(string)
	e.registered, _ = raw["registered_name"].(string)
	e.name, _ = raw["name"].(string)
	e.config, _ = raw["config"].(map[string]any)
	e.list, _ = raw["config"].([]any)
	e.inbound, _ = raw["inbound_nodes"].([]any)
	if e.class == "" {
		return e, formatErrorf(formats.KerasJSON, "a layer has no class_name")
	}
	if e.config == nil {
		e.config = map[string]any{}
	}
	if e.name == "" {
		e.name, _ = e.config["name"].(string)
	}
	return e, nil
}

// layer makes a layer, refusing what it doesn't know by noting it.
func (dec *decoder) layer(v any) (layers.Layer, error) {
	e, err := dec.entry(v)
	if err != nil {
		return nil, err
	}
	if dec.depth++; dec.depth > dec.opts.MaxGraphDepth {
		return nil, formatErrorf(formats.KerasJSON, "layers are nested deeper than %d", dec.opts.MaxGraphDepth)
	}
	defer func() { dec.depth-- }()
	if dec.count++; dec.count > dec.opts.MaxNodes {
		return nil, formatErrorf(formats.KerasJSON, "more than %d layers", dec.opts.MaxNodes)
	}
	if f := dec.custom(e); f != nil {
		l, err := f(e.config)
		if err != nil {
			return nil, errs.Errorf("keras: custom class %q: %w", e.class, err)
		}
		return l, common(l, e)
	}
	if slices.Contains(modelClasses, e.class) {
		return dec.model(e)
	}
	if l := dec.operation(e); l != nil {
		return l, nil
	}
	class, cfg, err := normalize(e.class, e.config, dec.d)
	if err != nil {
		return nil, errs.Errorf("keras: %s %q: %w", e.class, e.name, err)
	}
	l, ok := layers.New(class)
	if !ok || foreign(e) {
		dec.refuse(e, "")
		return &layers.Identity{Base: layers.Named(e.name)}, nil
	}
	if class == "Lambda" {
		dec.refuse(e, "it is Python bytecode, which is not run; register a Go implementation under its name")
		return &layers.Identity{Base: layers.Named(e.name)}, nil
	}
	if err := layers.Decode(l, cfg, dec.layer); err != nil {
		return nil, err
	}
	if dec.d.major < 3 { // what else old versions wrote means nothing to new ones
		extra := l.Common().Extra
		l.Common().Extra = nil
		if r, ok := extra["activity_regularizer"]; ok && r != nil {
			l.Common().Extra = map[string]any{"activity_regularizer": r}
		}
	}
	if dec.d.theano {
		theanoPadding(l)
	}
	if dec.d.torch {
		torchPadding(l)
	}
	return l, nil
}

// common fills in what a caller's layer leaves open of the config that every layer has.
func common(l layers.Layer, e entry) error {
	b := l.Common()
	if b.Name == "" {
		b.Name = e.name
	}
	if t, ok := e.config["trainable"].(bool); ok && !t {
		b.Frozen = true
	}
	if b.DType == "" {
		b.DType = policyOf(e.config["dtype"])
	}
	if list, ok := e.config["batch_input_shape"].([]any); ok && b.BatchInputShape == nil {
		var err error
		if b.BatchInputShape, err = shapeOf(list); err != nil {
			return formatErrorf(formats.KerasJSON, "layer %q: batch_input_shape: %v", e.name, err)
		}
	}
	return nil
}

// foreign reports whether a class of a known name is registered as someone else's.
func foreign(e entry) bool {
	return strings.HasPrefix(e.registered, "Custom>") || e.module != "" && !strings.HasPrefix(e.module, "keras") && !strings.HasPrefix(e.module, "tf_keras") && !strings.HasPrefix(e.module, "tensorflow")
}

func (dec *decoder) refuse(e entry, why string) {
	if why == "" {
		why = "not a class of Keras; register a Go implementation under its name"
	}
	item := formats.Unsupported{What: e.class, Node: e.name, Detail: why}
	if !slices.Contains(dec.refused, item) {
		dec.refused = append(dec.refused, item)
	}
}

// custom is the caller's implementation for an entry, or nil.
func (dec *decoder) custom(e entry) Factory {
	if e.class == "Lambda" {
		if f := dec.opts.Custom[e.name]; f != nil {
			return f
		}
	}
	for _, name := range []string{e.registered, e.class} {
		if name == "" {
			continue
		}
		if f := dec.opts.Custom[name]; f != nil {
			return f
		}
		if _, short, ok := strings.Cut(name, ">"); ok {
			if f := dec.opts.Custom[short]; f != nil {
				return f
			}
		}
	}
	return nil
}

// operation is an entry that is no layer but an operation in a functional graph, or nil.
func (dec *decoder) operation(e entry) layers.Layer {
	op := &layers.Operation{Base: layers.Named(e.name), Op: e.class, Module: e.module, Raw: e.config}
	switch {
	case e.class == "TFOpLambda" || e.class == "SlicingOpLambda":
		op.Function, _ = e.config["function"].(string)
		if op.Function == "" {
			op.Function, _ = e.config["symbol"].(string)
		}
		if e.class == "SlicingOpLambda" && op.Function == "" {
			op.Function = "__operators__.getitem"
		}
		op.DType = policyOf(e.config["dtype"])
	case e.class == "TensorFlowOpLayer":
		return dec.nodeDef(e)
	case strings.Contains(e.module, ".ops.") || strings.HasPrefix(e.module, "keras.ops") ||
		e.module == "" && dec.isOperation(e):
		op.Config = map[string]any{}
		for k, v := range e.config {
			if k != "name" && (k != "dtype" || v != nil) {
				op.Config[k] = v
			}
		}
	default:
		return nil
	}
	if !layers.KnownOperation(op.Op, op.Function) {
		dec.refuse(e, "operation "+op.Function+" is not supported")
	}
	return op
}

// isOperation reports whether a class without a module (legacy HDF5) is an operation: its config lacks what
// every layer's has.
func (dec *decoder) isOperation(e entry) bool {
	_, trainable := e.config["trainable"]
	return dec.d.major >= 3 && !trainable && layers.KnownOperation(e.class, "") && e.class != "InputLayer"
}

func policyOf(v any) string {
	s, err := layers.PolicyName(v)
	if err != nil {
		return ""
	}
	return s
}

// nodeDef reads a TensorFlowOpLayer: the operation's name, its attributes, and constants by input index.
func (dec *decoder) nodeDef(e entry) layers.Layer {
	op := &layers.Operation{Base: layers.Named(e.name), Op: e.class, Raw: e.config, Config: map[string]any{}}
	var def map[string]any
	switch n := e.config["node_def"].(type) {
	case map[string]any:
		def = n
	case string:
		if v, err := layers.ParseJSON([]byte(n)); err == nil {
			def, _ = v.(map[string]any)
		}
	}
	op.Function, _ = def["op"].(string)
	if op.Function == "" || !layers.KnownOperation(op.Op, op.Function) {
		dec.refuse(e, "NodeDef "+op.Function+" is not supported")
		return op
	}
	attrs, _ := def["attr"].(map[string]any)
	for k, v := range attrs {
		if x, ok := attrValue(k, v); ok {
			op.Config[k] = x
		}
	}
	if consts, ok := e.config["constants"].(map[string]any); ok {
		op.Config[layers.NodeConstants] = consts
	}
	return op
}

// attrValue is a NodeDef's attribute as a number, boolean, string or list.
func attrValue(name string, v any) (any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, false
	}
	switch {
	case m["b"] != nil:
		return m["b"], true
	case m["i"] != nil:
		if s, ok := m["i"].(string); ok { // protobuf's JSON writes int64 as strings
			return json.Number(s), true
		}
		return m["i"], true
	case m["f"] != nil:
		return m["f"], true
	case m["s"] != nil:
		s, _ := m["s"].(string)
		if p, err := base64.StdEncoding.DecodeString(s); err == nil {
			s = string(p)
		}
		return s, true
	case m["type"] != nil:
		s, _ := m["type"].(string)
		return tfType(s), true
	}
	_ = name
	if list, ok := m["list"].(map[string]any); ok {
		if is, ok := list["i"].([]any); ok {
			out := make([]any, len(is))
			for i, e := range is {
				out[i] = e
				if s, ok := e.(string); ok {
					out[i] = json.Number(s)
				}
			}
			return out, true
		}
	}
	return nil, false
}

// tfType is a TensorFlow type's name ("DT_FLOAT") as numpy's.
func tfType(s string) string {
	switch s {
	case "DT_FLOAT":
		return "float32"
	case "DT_DOUBLE":
		return "float64"
	case "DT_HALF":
		return "float16"
	case "DT_BOOL":
		return "bool"
	}
	return strings.ToLower(strings.TrimPrefix(s, "DT_"))
}

// model makes a Sequential or functional model.
func (dec *decoder) model(e entry) (layers.Layer, error) {
	if e.class == "Sequential" {
		return dec.sequential(e)
	}
	list, ok := e.config["layers"].([]any)
	if !ok {
		return nil, formatErrorf(formats.KerasJSON, "model %q has no layers", e.name)
	}
	m := layers.NewModel(e.name)
	if name, ok := e.config["name"].(string); ok {
		m.Name = name
	}
	if t, ok := e.config["trainable"].(bool); ok {
		m.Frozen = !t
	}
	m.DType = policyOf(e.config["dtype"])
	f := &functional{dec: dec, m: m, byName: map[string]*placed{}}
	for _, v := range list {
		if err := f.add(v); err != nil {
			return nil, err
		}
	}
	if err := f.connect(); err != nil {
		return nil, err
	}
	return m, f.ends(e.config)
}

func (dec *decoder) sequential(e entry) (layers.Layer, error) {
	list := e.list
	if list == nil {
		list, _ = e.config["layers"].([]any)
	}
	if len(list) > 0 && dec.d.major == 1 {
		if m, err := dec.mergedSequential(e, list); m != nil || err != nil {
			return m, err
		}
	}
	m := layers.NewSequential(e.name)
	if name, ok := e.config["name"].(string); ok {
		m.Name = name
	}
	if t, ok := e.config["trainable"].(bool); ok {
		m.Frozen = !t
	}
	m.DType = policyOf(e.config["dtype"])
	for _, v := range list {
		l, err := dec.layer(v)
		if err != nil {
			return nil, err
		}
		m.Append(l)
	}
	if shape, err := shapeOf(e.config["build_input_shape"]); err == nil {
		m.BuildInputShape = shape
	}
	if m.BuildInputShape == nil {
		if b, ok := e.raw["build_config"].(map[string]any); ok {
			if shape, err := shapeOf(b["input_shape"]); err == nil {
				m.BuildInputShape = shape
			}
		}
	}
	return m, nil
}

// shapeOf reads a shape; null sizes are -1.
func shapeOf(v any) ([]int, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("no shape")
	}
	out := make([]int, len(list))
	for i, e := range list {
		out[i] = -1
		if e == nil {
			continue
		}
		n, ok := e.(json.Number)
		if !ok {
			return nil, errs.Errorf("%v is no size", e)
		}
		k, err := n.Int64()
		if err != nil || k < 0 || k > 1<<40 {
			return nil, errs.Errorf("%v is no size", e)
		}
		out[i] = int(k)
	}
	return out, nil
}
