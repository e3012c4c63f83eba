package keras

import (
	"maps"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// encoder spells models as Keras 3 does: complete in archives, without modules in legacy HDF5.
type encoder struct {
	m       *layers.Model
	legacy  bool
	refused []formats.Unsupported
}

// encodeModel is the config of a built model.
func encodeModel(m *layers.Model, legacy bool) (layers.Config, error) {
	e := &encoder{m: m, legacy: legacy}
	c, err := e.model(m, legacy)
	if err == nil && len(e.refused) > 0 {
		err = &formats.UnsupportedError{Format: formats.KerasJSON, Items: e.refused}
	}
	return c, err
}

func policyConfig(name string) layers.Config {
	if name == "" {
		name = "float32"
	}
	return layers.Config{
		{Key: "module", Value: "keras"}, {Key: "class_name", Value: "DTypePolicy"},
		{Key: "config", Value: layers.Config{{Key: "name", Value: name}}}, {Key: "registered_name", Value: nil},
	}
}

// model is a serialized Sequential or functional model.
func (e *encoder) model(m *layers.Model, legacy bool) (layers.Config, error) {
	if m.IsSequential {
		return e.sequential(m, legacy)
	}
	var list []any
	nodes := m.Nodes()
	for _, l := range m.Layers() {
		c, err := e.layer(l, legacy)
		if err != nil {
			return nil, err
		}
		c = append(c, layers.Entry{Key: "name", Value: l.Common().Name})
		inbound := []any{}
		for _, n := range nodes {
			if n.Layer != l {
				continue
			}
			if _, ok := l.(*layers.InputLayer); ok {
				continue
			}
			call, named := asKeras3Calls(l, n.Args, n.Kwargs)
			args, err := e.arguments(m, call)
			if err != nil {
				return nil, err
			}
			kwargs, err := e.kwargs(m, named)
			if err != nil {
				return nil, err
			}
			inbound = append(inbound, layers.Config{{Key: "args", Value: args}, {Key: "kwargs", Value: kwargs}})
		}
		list = append(list, append(c, layers.Entry{Key: "inbound_nodes", Value: inbound}))
	}
	inKeys, outKeys := m.Keys()
	inSingle, outSingle := m.Single()
	cfg := layers.Config{
		{Key: "name", Value: m.Name}, {Key: "trainable", Value: !m.Frozen}, {Key: "layers", Value: list},
		{Key: "input_layers", Value: e.ends(m, m.Inputs(), inKeys, inSingle)},
		{Key: "output_layers", Value: e.ends(m, m.Outputs(), outKeys, outSingle)},
	}
	if legacy {
		return layers.Config{{Key: "class_name", Value: "Functional"}, {Key: "config", Value: cfg}}, nil
	}
	return layers.Config{
		{Key: "module", Value: "keras.src.models.functional"}, {Key: "class_name", Value: "Functional"}, {Key: "config", Value: cfg},
		{Key: "registered_name", Value: "Functional"}, {Key: "build_config", Value: layers.Config{{Key: "input_shape", Value: nil}}},
		{Key: "compile_config", Value: layers.Config{}},
	}, nil
}

func (e *encoder) ends(m *layers.Model, ts []*layers.Tensor, keys []string, single bool) any {
	if keys != nil && len(keys) == len(ts) {
		c := layers.Config{}
		for i, t := range ts {
			c = append(c, layers.Entry{Key: keys[i], Value: history(m, t)})
		}
		return c
	}
	if single && len(ts) == 1 {
		return history(m, ts[0])
	}
	list := make([]any, len(ts))
	for i, t := range ts {
		list[i] = history(m, t)
	}
	return list
}

func history(m *layers.Model, t *layers.Tensor) []any {
	return []any{t.Layer().Common().Name, m.NodeIndex(t), t.Index()}
}

// asKeras3Calls is a call's arguments where Keras 3 takes them: what merges, attends or is a model takes a list
// of tensors, and a recurrent layer its states by name. Older files and Go code pass them one after the other.
func asKeras3Calls(l layers.Layer, args []any, kwargs map[string]any) ([]any, map[string]any) {
	if len(args) < 2 || slices.ContainsFunc(args, func(a any) bool { _, ok := a.(*layers.Tensor); return !ok }) {
		return args, kwargs
	}
	switch l.(type) {
	case *layers.Add, *layers.Subtract, *layers.Multiply, *layers.Average, *layers.Maximum, *layers.Minimum,
		*layers.Concatenate, *layers.Dot, *layers.Attention, *layers.AdditiveAttention, *layers.Model:
		return []any{args}, kwargs
	case *layers.SimpleRNN, *layers.GRU, *layers.LSTM, *layers.RNN, *layers.Bidirectional,
		*layers.ConvLSTM1D, *layers.ConvLSTM2D, *layers.ConvLSTM3D:
		if _, ok := kwargs["initial_state"]; ok {
			return args, kwargs
		}
		named := maps.Clone(kwargs)
		if named == nil {
			named = map[string]any{}
		}
		named["initial_state"] = args[1:]
		return args[:1], named
	}
	return args, kwargs
}

// untrained is the layers whose constructors take no trainable.
var untrained = []string{"Discretization", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}

// arguments is the arguments of a call with their tensors serialized.
func (e *encoder) arguments(m *layers.Model, v any) (any, error) {
	switch v := v.(type) {
	case *layers.Tensor:
		t, ok := e.m.TensorType(m, v)
		if !ok {
			return nil, errs.Errorf("keras: layer %q has no output %d", v.Layer().Common().Name, v.Index())
		}
		return layers.Config{{Key: "class_name", Value: "__keras_tensor__"}, {Key: "config", Value: layers.Config{
			{Key: "shape", Value: dims(t)}, {Key: "dtype", Value: t.DType.String()}, {Key: "keras_history", Value: history(m, v)},
		}}}, nil
	case []any:
		out := make([]any, len(v))
		for i, a := range v {
			var err error
			if out[i], err = e.arguments(m, a); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return e.kwargs(m, v)
	}
	return v, nil
}

func (e *encoder) kwargs(m *layers.Model, v map[string]any) (layers.Config, error) {
	out := layers.Config{}
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		a, err := e.arguments(m, v[k])
		if err != nil {
			return nil, err
		}
		out = append(out, layers.Entry{Key: k, Value: a})
	}
	return out, nil
}

// dims is a shape as configs have it: sizes that aren't numbers are null.
func dims(t graph.Type) []any {
	out := make([]any, len(t.Dims))
	for i, d := range t.Dims {
		if n, ok := d.Const(); ok {
			out[i] = n
		}
	}
	return out
}

func (e *encoder) sequential(m *layers.Model, legacy bool) (layers.Config, error) {
	list := []any{}
	for i, l := range m.Layers() {
		if i == 0 {
			if _, ok := l.(*layers.InputLayer); !ok { // Keras 3 has no batch_input_shape
				if ins, err := m.InputLayers(); err == nil && len(ins) == 1 && m.BuildInputShape == nil {
					if _, nested := l.(*layers.Model); !nested {
						c, err := e.layer(ins[0], legacy)
						if err != nil {
							return nil, err
						}
						list = append(list, c)
					}
				}
			}
		}
		c, err := e.layer(l, legacy)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	shape := layers.ShapeConfig(m.BuildInputShape)
	if ins, err := m.InputLayers(); err == nil && len(ins) == 1 && shape == nil {
		shape = layers.ShapeConfig(ins[0].Shape())
	}
	cfg := layers.Config{
		{Key: "name", Value: m.Name}, {Key: "trainable", Value: !m.Frozen}, {Key: "dtype", Value: policyConfig(m.DType)},
		{Key: "layers", Value: list}, {Key: "build_input_shape", Value: shape},
	}
	if legacy {
		return layers.Config{{Key: "class_name", Value: "Sequential"}, {Key: "config", Value: cfg}}, nil
	}
	return layers.Config{
		{Key: "module", Value: "keras"}, {Key: "class_name", Value: "Sequential"}, {Key: "config", Value: cfg}, {Key: "registered_name", Value: nil},
		{Key: "build_config", Value: layers.Config{{Key: "input_shape", Value: shape}}}, {Key: "compile_config", Value: layers.Config{}},
	}, nil
}

// inner is a layer within another one's config: in full in both forms.
func (e *encoder) inner(l layers.Layer) (any, error) {
	if l == nil {
		return nil, nil
	}
	return e.layer(l, false)
}

// homes is the classes that Keras keeps elsewhere than in keras.layers.
var homes = map[string]string{
	"LayerScale":       "keras.src.applications.convnext",
	"CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}

// gone is the classes that Keras 3 doesn't have any more.
var gone = []string{"MaxoutDense", "Highway", "LocallyConnected1D", "LocallyConnected2D", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"}

// layer is a serialized layer.
func (e *encoder) layer(l layers.Layer, legacy bool) (layers.Config, error) {
	switch l := l.(type) {
	case *layers.Model:
		return e.model(l, legacy)
	case *layers.Operation:
		return e.operation(l, legacy), nil
	case *layers.ThresholdedReLU: // Keras 3 has it as ReLU's threshold
		r := &layers.ReLU{Base: l.Base, Threshold: 1}
		if l.Theta != nil {
			r.Threshold = *l.Theta
		}
		return e.layer(r, legacy)
	}
	class := layers.ClassName(l)
	name := l.Common().Name
	if slices.Contains(gone, class) {
		e.refused = append(e.refused, formats.Unsupported{What: class, Node: name, Detail: "Keras 3 has no such layer"})
	}
	if why := unevenSame(e.m, l); why != "" {
		e.refused = append(e.refused, formats.Unsupported{What: class, Node: name, Detail: why})
	}
	own, err := layers.Encode(l, e.inner)
	if err != nil {
		return nil, err
	}
	var cfg layers.Config
	if in, ok := l.(*layers.InputLayer); ok {
		cfg = layers.Config{
			{Key: "batch_shape", Value: layers.ShapeConfig(in.Shape())}, {Key: "dtype", Value: in.ElementType()}, {Key: "sparse", Value: in.Sparse},
			{Key: "ragged", Value: in.Ragged}, {Key: "name", Value: name}, {Key: "optional", Value: in.Optional},
		}
	} else {
		cfg = layers.Config{{Key: "name", Value: name}, {Key: "trainable", Value: !l.Common().Frozen}, {Key: "dtype", Value: policyConfig(l.Common().DType)}}
		if lam, ok := l.(*layers.Lambda); ok {
			for _, k := range sortedKeys(lam.Config) {
				if k != "name" && k != "trainable" && k != "dtype" {
					cfg = append(cfg, layers.Entry{Key: k, Value: lam.Config[k]})
				}
			}
		}
		for _, entry := range own {
			if entry.Key == "lora_rank" || entry.Key == "lora_alpha" { // the kernel has them already
				continue
			}
			if entry.Key == "padding" {
				entry.Value = plainPadding(entry.Value)
			}
			if d, ok := l.(*layers.EinsumDense); ok && entry.Key == "output_shape" {
				entry.Value = layers.ShapeConfig(d.OutputShape)
			}
			cfg = append(cfg, entry)
		}
		if slices.Contains(untrained, class) {
			cfg = slices.DeleteFunc(cfg, func(e layers.Entry) bool { return e.Key == "trainable" })
		}
	}
	if legacy {
		class = pythonClass(l)
		return layers.Config{{Key: "class_name", Value: class}, {Key: "config", Value: cfg}}, nil
	}
	module, registered := any("keras.layers"), any(nil)
	if home, ok := homes[class]; ok {
		module, registered = home, class
	}
	out := layers.Config{{Key: "module", Value: module}, {Key: "class_name", Value: class}, {Key: "config", Value: cfg}, {Key: "registered_name", Value: registered}}
	if b := e.buildConfig(l); b != nil {
		out = append(out, layers.Entry{Key: "build_config", Value: b})
	}
	return out, nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// plainPadding is the padding's name in Keras.
func plainPadding(v any) any {
	if v == layers.TheanoSame || v == layers.TorchSame {
		return "same"
	}
	return v
}

// unevenSame is why a layer that pads as Theano does can't be written, if so.
func unevenSame(m *layers.Model, l layers.Layer) string {
	if !layers.PadsUnevenly(m, l) {
		return ""
	}
	return "its padding is Theano's, which differs from Keras 3's here"
}

// buildConfig is the input shape of a layer's first call.
func (e *encoder) buildConfig(l layers.Layer) layers.Config {
	if len(e.m.LayerWeights(l)) == 0 {
		return nil
	}
	ins := e.m.InputTypes(l)
	switch len(ins) {
	case 0:
		return nil
	case 1:
		return layers.Config{{Key: "input_shape", Value: dims(ins[0])}}
	}
	switch l.(type) {
	case *layers.MultiHeadAttention, *layers.GroupQueryAttention:
		c := layers.Config{{Key: "query_shape", Value: dims(ins[0])}, {Key: "value_shape", Value: dims(ins[1])}}
		if len(ins) > 2 {
			c = append(c, layers.Entry{Key: "key_shape", Value: dims(ins[2])})
		}
		return layers.Config{{Key: "shapes_dict", Value: c}}
	case *layers.Attention, *layers.AdditiveAttention:
		list := make([]any, len(ins))
		for i, t := range ins {
			list[i] = dims(t)
		}
		return layers.Config{{Key: "input_shape", Value: list}}
	}
	return layers.Config{{Key: "input_shape", Value: dims(ins[0])}}
}

// operation is a serialized keras.ops node.
func (e *encoder) operation(op *layers.Operation, legacy bool) layers.Config {
	if slices.Contains(gone, op.Op) {
		e.refused = append(e.refused, formats.Unsupported{What: op.Op, Node: op.Name, Detail: op.Function + ": Keras 3 has no TensorFlow operations"})
	}
	cfg := layers.Config{{Key: "name", Value: op.Name}}
	for _, k := range sortedKeys(op.Config) {
		cfg = append(cfg, layers.Entry{Key: k, Value: op.Config[k]})
	}
	if legacy {
		return layers.Config{{Key: "class_name", Value: op.Op}, {Key: "config", Value: cfg}}
	}
	module := op.Module
	if module == "" {
		module = "keras.src.ops.numpy"
	}
	return layers.Config{{Key: "module", Value: module}, {Key: "class_name", Value: op.Op}, {Key: "config", Value: cfg}, {Key: "registered_name", Value: op.Op}}
}

// kerasPath is the path that Keras gives a variable: functional models leave no trace in it, a Sequential
// its name (in Keras 2 neither does).
func kerasPath(m *layers.Model, w *layers.Weight, keras2 bool) string {
	var parts []string
	chain := m.Path(w)
	for i, l := range chain {
		if inner, ok := l.(*layers.Model); ok {
			if !inner.IsSequential || keras2 {
				parts = parts[:0]
				continue
			}
			if i == 0 || len(parts) == 0 {
				parts = append(parts, inner.Name)
				continue
			}
		}
		parts = append(parts, l.Common().Name)
	}
	name := w.Name
	switch w.Layer.(type) {
	case *layers.DepthwiseConv1D, *layers.DepthwiseConv2D:
		if keras2 && name == "kernel" {
			name = "depthwise_kernel"
		}
	}
	return strings.Join(append(parts, name), "/")
}
