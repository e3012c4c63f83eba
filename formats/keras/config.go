package keras

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// dialect is which Keras wrote a config.
type dialect struct {
	major  int  // 1, 2 or 3
	tf     bool // tf.keras
	theano bool // the model ran on Theano
	torch  bool // the model ran on Keras 3's torch backend, or (an archive) may have
}

// dialectOf finds the dialect of a version ("2.2.4", "2.11.0", "2.2.4-tf"), or, where none is recorded, of
// the config's spelling.
func dialectOf(version, backend string, config any) dialect {
	d := dialect{theano: backend == "theano"}
	switch {
	case strings.HasPrefix(version, "0."), strings.HasPrefix(version, "1."):
		d.major = 1
	case strings.HasPrefix(version, "2."):
		d.major = 2
		d.tf = strings.HasSuffix(version, "-tf") || slices.ContainsFunc([]string{"2.4", "2.5", "2.6", "2.7", "2.8", "2.9", "2.1"}, func(p string) bool {
			minor, _, _ := strings.Cut(strings.TrimPrefix(version, "2."), ".")
			return p != "2.1" && "2."+minor == p || p == "2.1" && len(minor) == 2
		})
	case version != "":
		d.major = 3
		d.torch = backend == "torch"
	default:
		d.major = guessMajor(config, 0)
		if d.major == 0 {
			d.major = 2
		}
	}
	return d
}

// guessMajor looks for keys that only one version has.
func guessMajor(v any, depth int) int {
	if depth > 64 {
		return 0
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if m := guessMajor(e, depth+1); m != 0 {
				return m
			}
		}
	case map[string]any:
		for _, k := range []string{"nb_filter", "border_mode", "dim_ordering", "inner_activation", "W_regularizer", "subsample"} {
			if _, ok := v[k]; ok {
				return 1
			}
		}
		for _, k := range []string{"module", "registered_name", "batch_shape"} {
			if _, ok := v[k]; ok {
				return 3
			}
		}
		for _, k := range []string{"kernel_initializer", "data_format", "padding"} {
			if _, ok := v[k]; ok {
				return 2
			}
		}
		for _, k := range []string{"config", "layers"} {
			if m := guessMajor(v[k], depth+1); m != 0 {
				return m
			}
		}
	}
	return 0
}

// renames1 is the keys of Keras 1 by what they are in Keras 3.
var renames1 = map[string]string{
	"output_dim": "units", "nb_filter": "filters", "subsample": "strides", "subsample_length": "strides", "border_mode": "padding",
	"filter_length": "kernel_size", "pool_length": "pool_size", "stride": "strides", "init": "kernel_initializer",
	"inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation", "bias": "use_bias",
	"W_regularizer": "kernel_regularizer", "U_regularizer": "recurrent_regularizer", "b_regularizer": "bias_regularizer",
	"W_constraint": "kernel_constraint", "U_constraint": "recurrent_constraint", "b_constraint": "bias_constraint",
	"dropout_W": "dropout", "dropout_U": "recurrent_dropout", "atrous_rate": "dilation_rate", "p": "rate", "sigma": "stddev",
	"beta_init": "beta_initializer", "gamma_init": "gamma_initializer", "input_dtype": "dtype", "concat_axis": "axis", "dot_axes": "axes",
	"depthwise_init": "depthwise_initializer", "pointwise_init": "pointwise_initializer",
	"depthwise_regularizer": "depthwise_regularizer",
}

// legacy is the classes that Keras 2 kept for a while with the configs that they had in Keras 1 (keras/legacy/layers.py).
var legacy = []string{"Merge", "MaxoutDense", "Highway"}

// keep1 is the classes to whose config a rename of Keras 1 doesn't apply.
var keep1 = map[string][]string{
	"MaxoutDense": {"output_dim", "init", "bias"},
	"Highway":     {"init", "bias"},
}

// normalize spells a config as Keras 3 does. It is the one place, with quirks.go, that knows of versions.
func normalize(class string, config map[string]any, d dialect) (string, map[string]any, error) {
	if i := strings.LastIndex(class, ">"); i >= 0 {
		class = class[i+1:]
	}
	cfg := make(map[string]any, len(config))
	for k, v := range config {
		cfg[k] = v
	}
	old := class
	if d.major == 1 || d.major == 2 && slices.Contains(legacy, class) {
		var err error
		if class, err = normalize1(class, cfg); err != nil {
			return class, nil, err
		}
	}
	class = layers.Canonical(class)
	if d.major < 3 {
		normalize2(old, class, cfg, d)
	}
	switch class {
	case "BatchNormalization":
		if list, ok := cfg["axis"].([]any); ok && len(list) == 1 {
			cfg["axis"] = list[0]
		}
	case "InputLayer":
		if s, ok := cfg["batch_input_shape"]; ok && cfg["batch_shape"] == nil {
			cfg["batch_shape"] = s
			delete(cfg, "batch_input_shape")
		}
		if p, ok := cfg["dtype"].(map[string]any); ok {
			cfg["dtype"] = policyOf(p)
		}
		if cfg["dtype"] == nil {
			delete(cfg, "dtype")
		}
	case "Normalization":
		if v, ok := cfg["axis"]; ok && v == nil {
			cfg["axis"] = "none"
		}
	case "LayerNormalization", "UnitNormalization", "RMSNormalization":
		if n, ok := cfg["axis"].(json.Number); ok {
			cfg["axis"] = []any{n}
		}
	}
	return class, cfg, nil
}

// normalize1 turns Keras 1's spelling into Keras 2's.
func normalize1(class string, cfg map[string]any) (string, error) {
	name := class
	if class == "Embedding" {
		rename(cfg, "init", "embeddings_initializer")
		rename(cfg, "W_regularizer", "embeddings_regularizer")
		rename(cfg, "W_constraint", "embeddings_constraint")
	} else if class == "PReLU" {
		rename(cfg, "init", "alpha_initializer")
	} else {
		for from, to := range renames1 {
			if slices.Contains(keep1[class], from) || class == "Merge" && from == "bias" {
				continue
			}
			rename(cfg, from, to)
		}
	}
	switch cfg["dim_ordering"] {
	case "th":
		cfg["data_format"] = "channels_first"
	case "tf":
		cfg["data_format"] = "channels_last"
	}
	delete(cfg, "dim_ordering")
	for _, keys := range [][]string{{"nb_row", "nb_col"}, {"kernel_dim1", "kernel_dim2", "kernel_dim3"}} {
		var size []any
		for _, k := range keys {
			if v, ok := cfg[k]; ok {
				size = append(size, v)
				delete(cfg, k)
			}
		}
		if size != nil {
			cfg["kernel_size"] = size
		}
	}
	switch class {
	case "TimeDistributedDense":
		name = "Dense"
	case "Merge":
		return mergeClass(cfg)
	case "UpSampling1D":
		rename(cfg, "length", "size")
	case "ZeroPadding2D":
		if p, ok := cfg["padding"].([]any); ok && len(p) == 4 {
			cfg["padding"] = []any{[]any{p[0], p[1]}, []any{p[2], p[3]}}
		}
	case "Deconvolution2D":
		delete(cfg, "output_shape")
	case "BatchNormalization":
		if m, ok := cfg["mode"].(json.Number); ok && m != "0" && m != "2" {
			return name, errs.Errorf("BatchNormalization of mode %s normalizes each sample by itself: not supported", m)
		}
		if cfg["epsilon"] == nil {
			cfg["epsilon"] = json.Number("1e-6")
		}
	case "Reshape", "Permute":
	}
	return name, nil
}

//go:noinline
func rename(cfg map[string]any, from, to string) {
	if v, ok := cfg[from]; ok && from != to {
		delete(cfg, from)
		if _, taken := cfg[to]; !taken {
			cfg[to] = v
		}
	}
}

// mergeClass is the merging layer that Keras 1's Merge was with its mode.
func mergeClass(cfg map[string]any) (string, error) {
	mode, _ := cfg["mode"].(string)
	class := map[string]string{"sum": "Add", "mul": "Multiply", "concat": "Concatenate", "ave": "Average", "max": "Maximum", "dot": "Dot", "cos": "Dot"}[mode]
	if class == "" {
		return "Merge", errs.Errorf("Merge of mode %v is not supported", cfg["mode"])
	}
	if mode == "cos" {
		cfg["normalize"] = true
	}
	if axes, ok := cfg["axes"].([]any); ok && len(axes) == 2 { // [[1], [2]]
		for i, a := range axes {
			if inner, ok := a.([]any); ok && len(inner) == 1 {
				axes[i] = inner[0]
			}
		}
	}
	for k := range cfg {
		if !slices.Contains([]string{"name", "trainable", "axis", "axes", "normalize"}, k) {
			delete(cfg, k)
		}
	}
	if class != "Concatenate" {
		delete(cfg, "axis")
	}
	if class != "Dot" {
		delete(cfg, "axes")
	}
	return class, nil
}

// normalize2 turns the spelling of Keras 2 and tf.keras into Keras 3's, and makes its defaults explicit.
func normalize2(old, class string, cfg map[string]any, d dialect) {
	hardSigmoid(cfg, "activation")
	hardSigmoid(cfg, "recurrent_activation")
	switch class {
	case "LeakyReLU":
		rename(cfg, "alpha", "negative_slope")
	case "LSTM", "GRU":
		cudnn := strings.HasPrefix(old, "CuDNN")
		if _, ok := cfg["recurrent_activation"]; !ok {
			cfg["recurrent_activation"] = layers.Keras2HardSigmoid
			if cudnn || d.tf {
				cfg["recurrent_activation"] = "sigmoid"
			}
		}
		if _, ok := cfg["reset_after"]; !ok && class == "GRU" {
			cfg["reset_after"] = cudnn
		}
	case "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D":
		if _, ok := cfg["recurrent_activation"]; !ok {
			cfg["recurrent_activation"] = layers.Keras2HardSigmoid
		}
	case "LSTMCell", "GRUCell":
		if _, ok := cfg["recurrent_activation"]; !ok {
			cfg["recurrent_activation"] = layers.Keras2HardSigmoid
		}
		if _, ok := cfg["reset_after"]; !ok && class == "GRUCell" {
			cfg["reset_after"] = false
		}
	case "RNN":
		if list, ok := cfg["cell"].([]any); ok {
			cfg["cell"] = map[string]any{"class_name": "StackedRNNCells", "config": map[string]any{"cells": list}}
		}
	case "DepthwiseConv1D", "DepthwiseConv2D":
		// early versions wrote the inherited keys too; the layer has its own
		for _, k := range []string{"filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint"} {
			delete(cfg, k)
		}
	}
	if _, isInput := cfg["batch_input_shape"]; !isInput && cfg["batch_shape"] != nil && class != "InputLayer" {
		rename(cfg, "batch_shape", "batch_input_shape")
	}
}

// hardSigmoid gives Keras 2's hard_sigmoid its own name.
func hardSigmoid(cfg map[string]any, key string) {
	if s, ok := cfg[key].(string); ok && s == "hard_sigmoid" {
		cfg[key] = layers.Keras2HardSigmoid
	}
}

// paddingOf is the padding of a layer to which backends give meanings of their own, and whether it averages.
func paddingOf(l layers.Layer) (padding *string, averages bool) {
	switch l := l.(type) {
	case *layers.Conv1D:
		return &l.Padding, false
	case *layers.Conv2D:
		return &l.Padding, false
	case *layers.Conv3D:
		return &l.Padding, false
	case *layers.DepthwiseConv2D:
		return &l.Padding, false
	case *layers.SeparableConv1D:
		return &l.Padding, false
	case *layers.SeparableConv2D:
		return &l.Padding, false
	case *layers.MaxPooling1D:
		return &l.Padding, false
	case *layers.MaxPooling2D:
		return &l.Padding, false
	case *layers.MaxPooling3D:
		return &l.Padding, false
	case *layers.AveragePooling1D:
		return &l.Padding, true
	case *layers.AveragePooling2D:
		return &l.Padding, true
	case *layers.AveragePooling3D:
		return &l.Padding, true
	}
	return nil, false
}

// theanoPadding makes a layer of a Theano model pad as Theano does.
func theanoPadding(l layers.Layer) {
	if p, _ := paddingOf(l); p != nil && *p == "same" {
		*p = layers.TheanoSame
	}
}

// torchPadding makes an average pooling pad as Keras 3 does on torch.
func torchPadding(l layers.Layer) {
	if p, averages := paddingOf(l); averages && *p == "same" {
		*p = layers.TorchSame
	}
}

// mergedSequential makes the functional model that a Keras 1 Sequential is which begins with a Merge of
// other models; nil where it doesn't.
func (dec *decoder) mergedSequential(e entry, list []any) (layers.Layer, error) {
	first, err := dec.entry(list[0])
	if err != nil || first.class != "Merge" {
		return nil, err
	}
	branches, ok := first.config["layers"].([]any)
	if !ok || len(branches) == 0 {
		return nil, formatErrorf(formats.KerasJSON, "Merge %q has no layers", first.name)
	}
	m := layers.NewModel(e.name)
	var ends []any
	for i, b := range branches {
		l, err := dec.layer(b)
		if err != nil {
			return nil, err
		}
		sub, ok := l.(*layers.Model)
		if !ok {
			return nil, formatErrorf(formats.KerasJSON, "Merge %q: branch %d is no model", first.name, i)
		}
		ins, err := sub.InputLayers()
		if err != nil {
			return nil, err
		}
		args := make([]any, len(ins))
		for j, in := range ins {
			args[j] = m.ApplyArgs(&layers.InputLayer{Base: layers.Named(fmt.Sprintf("%s_input_%d_%d", e.name, i+1, j+1)), BatchShape: in.BatchShape, InputDType: in.InputDType}, nil, nil)
		}
		ends = append(ends, m.ApplyArgs(sub, args, nil))
	}
	cfg := make(map[string]any, len(first.config))
	for k, v := range first.config {
		if k != "layers" {
			cfg[k] = v
		}
	}
	merge, err := dec.layer(map[string]any{"class_name": "Merge", "config": cfg})
	if err != nil {
		return nil, err
	}
	t := m.ApplyArgs(merge, ends, nil)
	for _, v := range list[1:] {
		l, err := dec.layer(v)
		if err != nil {
			return nil, err
		}
		t = m.Apply(l, t)
	}
	return m.SetOutputs(t), nil
}
