package layers

import "slices"

// objectRow is one class of initializers, regularizers or constraints.
type objectRow struct {
	module, class string
	aliases       []string
	config        Config // every key with Keras' default
}

// objectTable is every initializer, regularizer and constraint of Keras.
var objectTable = []objectRow{
	{"keras.initializers", "Zeros", []string{"zeros", "zero"}, Config{}},
	{"keras.initializers", "Ones", []string{"ones", "one"}, Config{}},
	{"keras.initializers", "Constant", []string{"constant"}, Config{{"value", 0.0}}},
	{"keras.initializers", "RandomNormal", []string{"random_normal", "normal"}, Config{{"seed", nil}, {"mean", 0.0}, {"stddev", 0.05}}},
	{"keras.initializers", "RandomUniform", []string{"random_uniform", "uniform"}, Config{{"seed", nil}, {"minval", -0.05}, {"maxval", 0.05}}},
	{"keras.initializers", "TruncatedNormal", []string{"truncated_normal"}, Config{{"seed", nil}, {"mean", 0.0}, {"stddev", 0.05}}},
	{"keras.initializers", "VarianceScaling", []string{"variance_scaling"}, Config{{"seed", nil}, {"scale", 1.0}, {"mode", "fan_in"}, {"distribution", "truncated_normal"}, {"input_axes", nil}, {"output_axes", nil}}},
	{"keras.initializers", "GlorotUniform", []string{"glorot_uniform", "xavier_uniform"}, fanConfig},
	{"keras.initializers", "GlorotNormal", []string{"glorot_normal", "xavier_normal"}, fanConfig},
	{"keras.initializers", "HeNormal", []string{"he_normal"}, fanConfig},
	{"keras.initializers", "HeUniform", []string{"he_uniform"}, fanConfig},
	{"keras.initializers", "LecunNormal", []string{"lecun_normal"}, fanConfig},
	{"keras.initializers", "LecunUniform", []string{"lecun_uniform"}, fanConfig},
	{"keras.initializers", "Orthogonal", []string{"orthogonal", "OrthogonalInitializer"}, Config{{"seed", nil}, {"gain", 1.0}}},
	{"keras.initializers", "Identity", []string{"identity", "IdentityInitializer"}, Config{{"gain", 1.0}}},
	{"keras.initializers", "STFT", []string{"stft", "STFTInitializer"}, Config{{"side", "both"}, {"window", "hann"}, {"scaling", "density"}, {"periodic", false}}},
	{"keras.regularizers", "L1", []string{"l1"}, Config{{"l1", 0.01}}},
	{"keras.regularizers", "L2", []string{"l2"}, Config{{"l2", 0.01}}},
	{"keras.regularizers", "L1L2", []string{"l1_l2", "WeightRegularizer"}, Config{{"l1", 0.0}, {"l2", 0.0}}},
	{"keras.regularizers", "OrthogonalRegularizer", []string{"orthogonal_regularizer"}, Config{{"factor", 0.01}, {"mode", "rows"}}},
	{"keras.constraints", "MaxNorm", []string{"max_norm", "maxnorm"}, Config{{"max_value", 2}, {"axis", 0}}},
	{"keras.constraints", "MinMaxNorm", []string{"min_max_norm"}, Config{{"min_value", 0.0}, {"max_value", 1.0}, {"rate", 1.0}, {"axis", 0}}},
	{"keras.constraints", "NonNeg", []string{"non_neg", "nonneg"}, Config{}},
	{"keras.constraints", "UnitNorm", []string{"unit_norm", "unitnorm"}, Config{{"axis", 0}}},
}

var fanConfig = Config{{"seed", nil}, {"input_axes", nil}, {"output_axes", nil}}

// objectClass finds the row of a class name or alias.
func objectClass(name string) (objectRow, bool) {
	for _, r := range objectTable {
		if r.class == name || slices.Contains(r.aliases, name) {
			return r, true
		}
	}
	return objectRow{}, false
}

// objectHome is the module, class and complete config under which Keras 3 serializes o.
func objectHome(o *Object) (module any, class string, cfg Config) {
	r, ok := objectClass(o.Class)
	if !ok {
		module = nil
		if o.Module != "" {
			module = o.Module
		}
		for _, k := range sortedKeys(o.Config) {
			cfg = append(cfg, Entry{k, o.Config[k]})
		}
		if cfg == nil {
			cfg = Config{}
		}
		return module, o.Class, cfg
	}
	cfg = Config{}
	for _, e := range r.config {
		if v, ok := o.Config[e.Key]; ok {
			e.Value = v
		}
		cfg = append(cfg, e)
	}
	for _, k := range sortedKeys(o.Config) {
		if _, known := cfg.Get(k); !known {
			cfg = append(cfg, Entry{k, o.Config[k]})
		}
	}
	return r.module, r.class, cfg
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
