package keras

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/layers"
)

// encoder2 spells models as tf.keras 2 does. What Keras 2 has no equal for is refused.
type encoder2 struct {
	m       *layers.Model
	refused []formats.Unsupported
}

func encodeModel2(m *layers.Model) (layers.Config, error) {
	e := &encoder2{m: m}
	c, err := e.model(m)
	if err == nil && len(e.refused) > 0 {
		err = &formats.UnsupportedError{Format: formats.HDF5, Items: e.refused}
	}
	return c, err
}

func (e *encoder2) refuse(l layers.Layer, class, why string, args ...any) {
	e.refused = append(e.refused, formats.Unsupported{What: class, Node: l.Common().Name, Detail: fmt.Sprintf(why, args...)})
}

// model is a serialized Sequential or functional model.
func (e *encoder2) model(m *layers.Model) (layers.Config, error) {
	var list []any
	if m.IsSequential {
		ls := m.Layers()
		if len(ls) > 0 {
			if _, ok := ls[0].(*layers.InputLayer); !ok {
				if ins, err := m.InputLayers(); err == nil && len(ins) == 1 {
					if _, nested := ls[0].(*layers.Model); !nested {
						ls = append([]layers.Layer{ins[0]}, ls...)
					}
				}
			}
		}
		for _, l := range ls {
			c, err := e.layer(l)
			if err != nil {
				return nil, err
			}
			list = append(list, c)
		}
		return layers.Config{{Key: "class_name", Value: "Sequential"}, {Key: "config", Value: layers.Config{{Key: "name", Value: m.Name}, {Key: "layers", Value: list}}}}, nil
	}
	nodes, spare := e.withoutMasks(m)
	for _, l := range m.Layers() {
		if spare[l] {
			continue
		}
		c, err := e.layer(l)
		if err != nil {
			return nil, err
		}
		inbound := []any{}
		for _, n := range nodes {
			if _, isInput := l.(*layers.InputLayer); n.Layer == l && !isInput {
				inbound = append(inbound, e.node(m, l, n))
			}
		}
		c = append(c, layers.Entry{Key: "name", Value: l.Common().Name}, layers.Entry{Key: "inbound_nodes", Value: inbound})
		list = append(list, c)
	}
	inKeys, outKeys := m.Keys()
	cfg := layers.Config{{Key: "name", Value: m.Name}, {Key: "trainable", Value: !m.Frozen}, {Key: "layers", Value: list},
		{Key: "input_layers", Value: e.ends(m, m.Inputs(), inKeys)}, {Key: "output_layers", Value: e.ends(m, m.Outputs(), outKeys)}}
	return layers.Config{{Key: "class_name", Value: "Functional"}, {Key: "config", Value: cfg}}, nil
}

func (e *encoder2) ends(m *layers.Model, ts []*layers.Tensor, keys []string) any {
	if keys != nil && len(keys) == len(ts) {
		c := layers.Config{}
		for i, t := range ts {
			c = append(c, layers.Entry{Key: keys[i], Value: history2(m, t)})
		}
		return c
	}
	list := make([]any, len(ts))
	for i, t := range ts {
		list[i] = history2(m, t)
	}
	return list
}

// history2 names a tensor. The calls of a model count from 1: call 0 is its own, from its inputs.
func history2(m *layers.Model, t *layers.Tensor) []any {
	n := m.NodeIndex(t)
	if _, ok := t.Layer().(*layers.Model); ok {
		n++
	}
	return []any{t.Layer().Common().Name, n, t.Index()}
}

// maskArguments is the arguments by which Keras 3 hands masks on.
var maskArguments = []string{"mask", "query_mask", "value_mask", "key_mask"}

// withoutMasks is the calls of a model without the masks that Keras 2's tensors carry by themselves, and the
// operations of which nothing is left but that.
func (e *encoder2) withoutMasks(m *layers.Model) ([]layers.Node, map[layers.Layer]bool) {
	nodes := m.Nodes()
	spare, used := map[layers.Layer]bool{}, map[layers.Layer]bool{}
	use := func(v any) {
		for _, t := range tensorsIn(nil, v) {
			used[t.Layer()] = true
		}
	}
	for _, t := range m.Outputs() {
		use(t)
	}
	for i, n := range nodes {
		if _, isOp := n.Layer.(*layers.Operation); !isOp && e.m.MasksImplied(m, n) {
			nodes[i].Kwargs = maps.Clone(n.Kwargs)
			maps.DeleteFunc(nodes[i].Kwargs, func(k string, _ any) bool { return slices.Contains(maskArguments, k) })
		}
	}
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		if _, isOp := n.Layer.(*layers.Operation); isOp && !used[n.Layer] {
			spare[n.Layer] = true
			continue
		}
		use(n.Args)
		use(n.Kwargs)
	}
	return nodes, spare
}

// later is the names of the arguments after the first, where Keras 2 saves them by name.
var later = map[string][]string{
	"MultiHeadAttention": {"value", "key", "attention_mask"},
}

// node is one call: its first argument's tensors, each with the other arguments by name.
func (e *encoder2) node(m *layers.Model, l layers.Layer, n layers.Node) any {
	kwargs := layers.Config{}
	for _, k := range sortedKeys(n.Kwargs) {
		if n.Kwargs[k] == nil {
			continue
		}
		if k == "initial_state" { // Keras 2 lists states among the inputs
			continue
		}
		kwargs = append(kwargs, layers.Entry{Key: k, Value: e.argument(m, n.Kwargs[k])})
	}
	args := n.Args
	class := layers.ClassName(l)
	if names := later[class]; names != nil {
		for i, a := range args[min(1, len(args)):] {
			if i >= len(names) {
				e.refuse(l, class, "it is called with %d arguments", len(args))
				break
			}
			if a != nil {
				kwargs = append(kwargs, layers.Entry{Key: names[i], Value: e.argument(m, a)})
			}
		}
		args = args[:min(1, len(args))]
	}
	ts := tensorsIn(nil, args)
	ts = tensorsIn(ts, n.Kwargs["initial_state"])
	list := make([]any, len(ts))
	for i, t := range ts {
		list[i] = append(history2(m, t), kwargs)
	}
	if op, ok := l.(*layers.Operation); ok && (op.Op == "TFOpLambda" || op.Op == "SlicingOpLambda") {
		return e.flatNode(m, op, n)
	}
	return list
}

// flatNode is a call of a TFOpLambda: the first tensor, and all other arguments by name.
func (e *encoder2) flatNode(m *layers.Model, op *layers.Operation, n layers.Node) any {
	kwargs := layers.Config{}
	for _, k := range sortedKeys(n.Kwargs) {
		kwargs = append(kwargs, layers.Entry{Key: k, Value: e.argument(m, n.Kwargs[k])})
	}
	if len(n.Args) == 0 {
		e.refuse(op, op.Op, "it is called without arguments")
		return nil
	}
	if t, ok := n.Args[0].(*layers.Tensor); ok && len(n.Args) == 1 {
		return append(history2(m, t), kwargs)
	}
	out := []any{}
	for _, a := range n.Args {
		t, ok := a.(*layers.Tensor)
		if !ok {
			out = append(out, []any{"_CONSTANT_VALUE", -1, a, kwargs})
			continue
		}
		out = append(out, append(history2(m, t), kwargs))
	}
	return out
}

func tensorsIn(ts []*layers.Tensor, v any) []*layers.Tensor {
	switch v := v.(type) {
	case *layers.Tensor:
		ts = append(ts, v)
	case []any:
		for _, a := range v {
			ts = tensorsIn(ts, a)
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			ts = tensorsIn(ts, v[k])
		}
	}
	return ts
}

func (e *encoder2) argument(m *layers.Model, v any) any {
	switch v := v.(type) {
	case *layers.Tensor:
		return history2(m, v)
	case []any:
		out := make([]any, len(v))
		for i, a := range v {
			out[i] = e.argument(m, a)
		}
		return out
	}
	return v
}

// absent2 is the classes of Keras 3 that tf.keras 2 doesn't have.
var absent2 = []string{
	"RMSNormalization", "GroupQueryAttention", "ReversibleEmbedding", "STFTSpectrogram", "MelSpectrogram", "LayerScale", "CustomScaleLayer", "TernaryDense",
	"MaxoutDense", "Highway", "Pipeline", "Solarization", "AutoContrast", "Equalization", "MixUp", "CutMix", "AugMix", "RandAugment", "MaxNumBoundingBoxes",
	"ContrastLimitedAdaptiveHistogramEqualization",
}

// only3 is the config keys that Keras 3 added, with the values under which leaving them out changes nothing
// (as JSON; "*" is any).
var only3 = map[string]string{
	"quantization_config": "null", "lora_rank": "*", "lora_alpha": "*", "gptq_unpacked_column_size": "*", "renorm": "false", "renorm_clipping": "*", "renorm_momentum": "*",
	"synchronized": "*", "rms_scaling": "false", "use_cudnn": "*", "flash_attention": "*", "sliding_window": "null", "use_gate": "false", "pad_to_aspect_ratio": "false",
	"fill_mode": "*", "fill_value": "*", "antialias": "false", "bounding_box_format": "*", "optional": "*", "autocast": "*",
}

// dropped2 is keys of single classes that Keras 2 takes no notice of.
var dropped2 = map[string][]string{
	"LSTM": {"seed"}, "GRU": {"seed"}, "SimpleRNN": {"seed"}, "LSTMCell": {"seed"}, "GRUCell": {"seed"}, "SimpleRNNCell": {"seed"}, "MultiHeadAttention": {"seed"}, "Attention": {"seed"},
	"AdditiveAttention": {"seed"}, "ConvLSTM1D": {"seed"}, "ConvLSTM2D": {"seed"}, "ConvLSTM3D": {"seed"}, "GaussianDropout": {"seed"}, "GaussianNoise": {"seed"}, "AlphaDropout": {},
	"Resizing": {"data_format"}, "CenterCrop": {"data_format"}, "RandomFlip": {"data_format"}, "RandomCrop": {"data_format"}, "RandomRotation": {"data_format"},
	"RandomZoom": {"data_format"}, "RandomTranslation": {"data_format"}, "RandomContrast": {"data_format", "value_range"}, "RandomBrightness": {"data_format"},
}

// activations2 is the activations of tf.keras 2 by their names in Keras 3.
var activations2 = []string{"linear", "elu", "exponential", "gelu", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "swish", "softmax", "softplus", "softsign", "tanh", "leaky_relu"}

// layer is a serialized layer.
func (e *encoder2) layer(l layers.Layer) (layers.Config, error) {
	name := l.Common().Name
	switch l := l.(type) {
	case *layers.Model:
		return e.model(l)
	case *layers.Operation:
		return e.operation(l), nil
	case *layers.InputLayer:
		return layers.Config{{Key: "class_name", Value: "InputLayer"}, {Key: "config", Value: layers.Config{
			{Key: "batch_input_shape", Value: layers.ShapeConfig(l.Shape())}, {Key: "dtype", Value: l.ElementType()}, {Key: "sparse", Value: l.Sparse},
			{Key: "ragged", Value: l.Ragged}, {Key: "name", Value: name}}}}, nil
	}
	class := layers.ClassName(l)
	if slices.Contains(absent2, class) || strings.HasPrefix(class, "Adaptive") {
		e.refuse(l, class, "Keras 2 has no such layer")
	}
	if layers.PadsUnevenly(e.m, l) {
		e.refuse(l, class, "its padding is Theano's, which differs from TensorFlow's here")
	}
	if layers.TorchPadsUnevenly(e.m, l) {
		e.refuse(l, class, "its padding is torch's, which differs from TensorFlow's here (a model that ran on another backend is read with Options.Backend)")
	}
	own, err := layers.Encode(l, func(inner layers.Layer) (any, error) {
		if inner == nil {
			return nil, nil
		}
		return e.layer(inner)
	})
	if err != nil {
		return nil, err
	}
	cfg := layers.Config{{Key: "name", Value: name}, {Key: "trainable", Value: !l.Common().Frozen}, {Key: "dtype", Value: dtype2(l.Common().DType)}}
	if lam, ok := l.(*layers.Lambda); ok {
		for _, k := range sortedKeys(lam.Config) {
			if k != "name" && k != "trainable" && k != "dtype" {
				cfg = append(cfg, layers.Entry{Key: k, Value: lam.Config[k]})
			}
		}
	}
	for _, en := range own {
		if v, ok := e.value(l, class, en); ok {
			cfg = append(cfg, v)
		}
		if _, has := l.Common().Extra["activity_regularizer"]; en.Key == "bias_regularizer" && class == "Dense" && !has {
			cfg = append(cfg, layers.Entry{Key: "activity_regularizer", Value: nil})
		}
	}
	return layers.Config{{Key: "class_name", Value: class}, {Key: "config", Value: cfg}}, nil
}

// value is one entry of a config as Keras 2 has it; false where it has none.
func (e *encoder2) value(l layers.Layer, class string, en layers.Entry) (layers.Entry, bool) {
	if slices.Contains(dropped2[class], en.Key) {
		if en.Key == "data_format" && en.Value == "channels_first" {
			e.refuse(l, class, "Keras 2 has it for channels_last only")
		}
		return en, false
	}
	if en.Key == "zero_output_for_mask" { // a keyword of Keras 2's RNN, in its config only where it is on
		return en, en.Value == true
	}
	random := strings.HasPrefix(class, "Random")
	if harmless, ok := only3[en.Key]; ok && !(random && strings.HasPrefix(en.Key, "fill")) {
		b, err := layers.AppendJSON(nil, en.Value)
		if harmless != "*" && (err != nil || string(b) != harmless) {
			e.refuse(l, class, "Keras 2 has no %s", en.Key)
		}
		return en, false
	}
	switch en.Key {
	case "padding":
		en.Value = plainPadding(en.Value)
	case "negative_slope":
		if class == "LeakyReLU" {
			en.Key = "alpha"
		}
	case "activation", "recurrent_activation":
		en.Value = e.activation(l, class, en.Value)
	case "axis":
		if list, ok := en.Value.([]any); ok && class == "LayerNormalization" {
			en.Value = list
		}
	default:
		en.Value = plain2(en.Value)
	}
	return en, true
}

// activation is an activation by its name in Keras 2, or a layer.
func (e *encoder2) activation(l layers.Layer, class string, v any) any {
	switch v := v.(type) {
	case string:
		if !slices.Contains(activations2, v) {
			e.refuse(l, class, "Keras 2 has no activation like Keras 3's %s", v)
		}
		if v == "silu" {
			return "swish"
		}
		return v
	case map[string]any:
		if cfg, ok := v["config"].(map[string]any); ok && cfg["name"] == layers.Keras2HardSigmoid {
			return "hard_sigmoid"
		}
	}
	return plain2(v)
}

// plain2 is a serialized object without module and registered_name.
func plain2(v any) any {
	switch v := v.(type) {
	case layers.Config:
		out := layers.Config{}
		_, isObject := v.Get("class_name")
		for _, en := range v {
			if isObject && (en.Key == "module" || en.Key == "registered_name" || en.Key == "build_config") {
				continue
			}
			out = append(out, layers.Entry{Key: en.Key, Value: plain2(en.Value)})
		}
		return out
	case map[string]any:
		out := map[string]any{}
		_, isObject := v["class_name"]
		for k, x := range v {
			if !isObject || k != "module" && k != "registered_name" && k != "build_config" {
				out[k] = plain2(x)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain2(x)
		}
		return out
	}
	return v
}

// dtype2 is a dtype, or a policy.
func dtype2(policy string) any {
	switch {
	case policy == "":
		return "float32"
	case strings.HasPrefix(policy, "mixed_"):
		return layers.Config{{Key: "class_name", Value: "Policy"}, {Key: "config", Value: layers.Config{{Key: "name", Value: policy}}}}
	}
	return policy
}

// operation is a TensorFlow operation as the file had it; those of keras.ops are refused.
func (e *encoder2) operation(op *layers.Operation) layers.Config {
	if op.Op != "TFOpLambda" && op.Op != "SlicingOpLambda" && op.Op != "TensorFlowOpLayer" {
		e.refuse(op, op.Op, "Keras 2 has no keras.ops")
	}
	cfg := layers.Config{{Key: "name", Value: op.Name}}
	if n, ok := op.Raw["name"].(string); ok { // the config's name of a TensorFlowOpLayer differs from the graph's
		cfg[0].Value = n
	}
	for _, k := range sortedKeys(op.Raw) {
		if k != "name" {
			cfg = append(cfg, layers.Entry{Key: k, Value: op.Raw[k]})
		}
	}
	return layers.Config{{Key: "class_name", Value: op.Op}, {Key: "config", Value: cfg}}
}

// trainingConfig2 is Training as tf.keras 2 writes it.
func (f *File) trainingConfig2() (any, error) {
	v, err := f.trainingConfig()
	c, ok := v.(layers.Config)
	if err != nil || !ok {
		return nil, err
	}
	var out layers.Config
	for _, k := range []string{"loss", "metrics", "weighted_metrics", "loss_weights"} {
		x, _ := c.Get(k)
		out = append(out, layers.Entry{Key: k, Value: plain2(x)})
	}
	opt, _ := c.Get("optimizer_config")
	return append(out, layers.Entry{Key: "optimizer_config", Value: optimizer2(plain2(opt))}), nil
}

// optimizer2 is an optimizer's config without what only Keras 3 knows.
func optimizer2(v any) any {
	o, ok := v.(layers.Config)
	if !ok {
		return v
	}
	out := layers.Config{}
	for _, en := range o {
		if cfg, ok := en.Value.(map[string]any); ok && en.Key == "config" {
			for _, k := range []string{"loss_scale_factor", "gradient_accumulation_steps"} {
				delete(cfg, k)
			}
			if w, ok := cfg["weight_decay"].(json.Number); ok && w == "0.0" {
				cfg["weight_decay"] = nil
			}
			en.Value = cfg
		}
		out = append(out, en)
	}
	return out
}
