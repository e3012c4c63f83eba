package train

import (
	"bytes"
	"encoding/json"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/metric"
	"github.com/nnrt/nnrt/train/optim"
)

// object is a serialized Keras object.
type object struct {
	ClassName string          `json:"class_name"`
	Config    json.RawMessage `json:"config"`
}

// DecodeCompile reads what Keras serializes of compile(): compile_config of .keras files, training_config of
// HDF5 files. outputs are the model's output names.
func DecodeCompile(p []byte, outputs []string) (CompileOptions, error) {
	var c struct {
		Optimizer       json.RawMessage `json:"optimizer"`
		OptimizerConfig json.RawMessage `json:"optimizer_config"`
		Loss            json.RawMessage `json:"loss"`
		LossWeights     json.RawMessage `json:"loss_weights"`
		Metrics         json.RawMessage `json:"metrics"`
		WeightedMetrics json.RawMessage `json:"weighted_metrics"`
	}
	var o CompileOptions
	if err := json.Unmarshal(p, &c); err != nil {
		return o, errs.Errorf("train: compile config: %w", err)
	}
	if isNull(c.Optimizer) {
		c.Optimizer = c.OptimizerConfig
	}
	var err error
	if o.Optimizer, err = decodeOptimizer(c.Optimizer); err != nil {
		return o, err
	}
	losses, err := perOutput(c.Loss, outputs, true)
	if err != nil {
		return o, errs.Errorf("train: losses: %w", err)
	}
	for _, raw := range losses {
		l, err := decodeLoss(raw)
		if err != nil {
			return o, err
		}
		o.Losses = append(o.Losses, l)
	}
	if !isNull(c.LossWeights) {
		ws, err := perOutput(c.LossWeights, outputs, false)
		if err != nil {
			return o, errs.Errorf("train: loss weights: %w", err)
		}
		for _, raw := range ws {
			w := 1.0
			if !isNull(raw) {
				if err := json.Unmarshal(raw, &w); err != nil {
					return o, errs.Errorf("train: loss weight %s: %w", raw, err)
				}
			}
			o.LossWeights = append(o.LossWeights, w)
		}
	}
	if o.Metrics, err = decodeMetrics(c.Metrics, outputs); err != nil {
		return o, err
	}
	o.WeightedMetrics, err = decodeMetrics(c.WeightedMetrics, outputs)
	return o, err
}

func isNull(p json.RawMessage) bool { return len(p) == 0 || string(p) == "null" }

func decodeOptimizer(p json.RawMessage) (optim.Optimizer, error) {
	if isNull(p) {
		return nil, nil
	}
	var name string
	if json.Unmarshal(p, &name) == nil {
		return optim.New(name)
	}
	var o object
	if err := json.Unmarshal(p, &o); err != nil {
		return nil, errs.Errorf("train: optimizer: %w", err)
	}
	return optim.Decode(o.ClassName, o.Config)
}

func decodeLoss(p json.RawMessage) (loss.Loss, error) {
	if isNull(p) {
		return nil, nil
	}
	var name string
	if json.Unmarshal(p, &name) == nil {
		return loss.New(name)
	}
	var o object
	if err := json.Unmarshal(p, &o); err != nil {
		return nil, errs.Errorf("train: loss: %w", err)
	}
	// A function is serialized by its name as the config.
	if json.Unmarshal(o.Config, &name) == nil && o.ClassName == "function" {
		return loss.New(name)
	}
	return loss.Decode(o.ClassName, o.Config)
}

// perOutput spreads a single value, a list or a dictionary over the outputs. repeat says that a single value
// is every output's.
func perOutput(p json.RawMessage, outputs []string, repeat bool) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(outputs))
	if isNull(p) {
		return out, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(p, &list) == nil {
		if len(list) != len(outputs) {
			return nil, errs.Errorf("%d for %d outputs", len(list), len(outputs))
		}
		return list, nil
	}
	var dict map[string]json.RawMessage
	if json.Unmarshal(p, &dict) == nil && !bytes.Contains(p, []byte(`"class_name"`)) || dict != nil && dict["class_name"] == nil {
		for i, name := range outputs {
			out[i] = dict[name]
			delete(dict, name)
		}
		for name := range dict {
			return nil, errs.Errorf("the model has no output %q", name)
		}
		return out, nil
	}
	for i := range out {
		if repeat || i == 0 {
			out[i] = p
		}
	}
	return out, nil
}

// decodeMetrics reads metrics: a flat list for one output, a list of lists or a dictionary for several.
func decodeMetrics(p json.RawMessage, outputs []string) ([][]any, error) {
	if isNull(p) {
		return nil, nil
	}
	var flat []json.RawMessage
	nested := false
	if json.Unmarshal(p, &flat) == nil {
		for _, e := range flat {
			nested = nested || len(e) > 0 && e[0] == '['
		}
		if !nested && len(outputs) == 1 {
			list, err := decodeMetricList(p)
			return [][]any{list}, err
		}
	}
	per, err := perOutput(p, outputs, false)
	if err != nil {
		return nil, errs.Errorf("train: metrics: %w", err)
	}
	out := make([][]any, len(outputs))
	for i, raw := range per {
		if out[i], err = decodeMetricList(raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decodeMetricList(p json.RawMessage) ([]any, error) {
	if isNull(p) {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(p, &list) != nil {
		list = []json.RawMessage{p}
	}
	var out []any
	for _, raw := range list {
		var name string
		if json.Unmarshal(raw, &name) == nil {
			out = append(out, name)
			continue
		}
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, errs.Errorf("train: metric: %w", err)
		}
		if isNull(raw) {
			continue
		}
		m, err := metric.Decode(o.ClassName, o.Config)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
