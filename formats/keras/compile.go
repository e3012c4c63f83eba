package keras

import (
	"maps"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// CompileConfig is Training as Keras 3 has it, whichever version wrote the file; nil where there is none.
func (f *File) CompileConfig() ([]byte, error) {
	c, err := f.compileConfig()
	if err != nil || c == nil {
		return nil, err
	}
	return layers.AppendJSON(nil, c)
}

// compileConfig is Training in the form of archives: legacy files keep the optimizer as optimizer_config.
func (f *File) compileConfig() (any, error) {
	if len(f.Training) == 0 {
		return nil, nil
	}
	v, err := layers.ParseJSON(f.Training)
	if err != nil {
		return nil, errs.Errorf("keras: the training config: %w", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errs.Errorf("keras: the training config is %T", v)
	}
	if o, ok := m["optimizer_config"].(map[string]any); ok {
		class, cfg := optimizer3(o)
		opt := layers.Config{{Key: "module", Value: "keras.optimizers"}, {Key: "class_name", Value: class}, {Key: "config", Value: cfg}, {Key: "registered_name", Value: nil}}
		out := layers.Config{{Key: "optimizer", Value: opt}}
		for _, k := range trainingKeys {
			if x, ok := m[k]; ok {
				out = append(out, layers.Entry{Key: k, Value: x})
			}
		}
		return out, nil
	}
	return ordered(m, append([]string{"optimizer"}, trainingKeys...)), nil
}

// optimizer3 is an optimizer's class and config as Keras 3 takes them: without what only Keras 2 knows, and with
// a decay of the learning rate as the schedule that it was.
func optimizer3(o map[string]any) (class, config any) {
	class, config = o["class_name"], o["config"]
	if s, ok := class.(string); ok {
		class = strings.TrimPrefix(s, "Custom>")
	}
	old, ok := config.(map[string]any)
	if !ok {
		return class, config
	}
	cfg := maps.Clone(old)
	if lr, ok := cfg["lr"]; ok && cfg["learning_rate"] == nil {
		cfg["learning_rate"] = lr
	}
	if n, ok := cfg["decay"].(interface{ Float64() (float64, error) }); ok {
		if d, err := n.Float64(); err == nil && d != 0 {
			cfg["learning_rate"] = layers.Config{{Key: "module", Value: "keras.optimizers.schedules"}, {Key: "class_name", Value: "InverseTimeDecay"},
				{Key: "config", Value: layers.Config{{Key: "initial_learning_rate", Value: cfg["learning_rate"]}, {Key: "decay_steps", Value: 1},
					{Key: "decay_rate", Value: d}, {Key: "staircase", Value: false}}}, {Key: "registered_name", Value: nil}}
		}
	}
	for _, k := range []string{"lr", "decay", "schedule_decay", "jit_compile", "is_legacy_optimizer"} {
		delete(cfg, k)
	}
	if v, ok := cfg["epsilon"]; ok && v == nil {
		delete(cfg, "epsilon")
	}
	return class, cfg
}

// trainingKeys is the keys of a compile config in Keras' order.
var trainingKeys = []string{"loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile"}

// ordered is m as a config, the given keys first.
func ordered(m map[string]any, first []string) layers.Config {
	var out layers.Config
	for _, k := range first {
		if v, ok := m[k]; ok {
			out = append(out, layers.Entry{Key: k, Value: v})
		}
	}
	for _, k := range sortedKeys(m) {
		if !slices.Contains(first, k) {
			out = append(out, layers.Entry{Key: k, Value: m[k]})
		}
	}
	return out
}

// trainingConfig is Training in the form of legacy files.
func (f *File) trainingConfig() (any, error) {
	v, err := f.compileConfig()
	c, ok := v.(layers.Config)
	if err != nil || !ok {
		return nil, err
	}
	var out layers.Config
	var opt any
	for _, e := range c {
		if e.Key != "optimizer" {
			out = append(out, e)
			continue
		}
		switch o := e.Value.(type) {
		case map[string]any:
			opt = layers.Config{{Key: "class_name", Value: o["class_name"]}, {Key: "config", Value: o["config"]}}
		case layers.Config:
			class, _ := o.Get("class_name")
			cfg, _ := o.Get("config")
			opt = layers.Config{{Key: "class_name", Value: class}, {Key: "config", Value: cfg}}
		case string:
			opt = layers.Config{{Key: "class_name", Value: o}, {Key: "config", Value: layers.Config{}}}
		}
	}
	if opt == nil { // legacy files need one, and to compile() none is rmsprop
		opt = layers.Config{{Key: "class_name", Value: "RMSprop"}, {Key: "config", Value: layers.Config{{Key: "name", Value: "rmsprop"}}}}
	}
	return append(out, layers.Entry{Key: "optimizer_config", Value: opt}), nil
}
