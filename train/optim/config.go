package optim

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/train/schedule"
)

// Rate is a learning rate: one number, or a schedule.
type Rate struct {
	Value    float64
	Schedule schedule.Schedule // nil: Value
}

// At is the rate of a step, counted from 0.
func (r Rate) At(step int) float64 {
	if r.Schedule != nil {
		return r.Schedule.At(step)
	}
	return r.Value
}

type object struct {
	Module    string          `json:"module,omitempty"`
	ClassName string          `json:"class_name"`
	Config    json.RawMessage `json:"config"`
}

// UnmarshalJSON reads a number or a serialized schedule.
func (r *Rate) UnmarshalJSON(p []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(p), []byte("{")) {
		var o object
		if err := json.Unmarshal(p, &o); err != nil {
			return err
		}
		s, err := schedule.Decode(o.ClassName, o.Config)
		*r = Rate{Schedule: s}
		return err
	}
	*r = Rate{}
	return json.Unmarshal(p, &r.Value)
}

// MarshalJSON writes a number or a serialized schedule.
func (r Rate) MarshalJSON() ([]byte, error) {
	if r.Schedule == nil {
		return classes.Marshal(r.Value)
	}
	class, cfg, err := schedule.Encode(r.Schedule)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object{"keras.optimizers.schedules", class, cfg})
}

// row is a class of optimizers: its Keras name, its name in variables' paths, and its defaults.
type row struct {
	class, name string
	make        func(c Config) Optimizer
}

// base is the defaults that all have.
func base(name string, lr float64) Config {
	return Config{Name: name, LearningRate: Rate{Value: lr}, EMAMomentum: 0.99}
}

func ptr(v float64) *float64 { return &v }

func decayed(c Config, wd float64) Config {
	c.WeightDecay = ptr(wd)
	return c
}

// rows is every optimizer with Keras' defaults.
var rows = []row{
	{"SGD", "sgd", func(c Config) Optimizer { c.LearningRate.Value = 0.01; return &SGD{Config: c} }},
	{"RMSprop", "rmsprop", func(c Config) Optimizer { return &RMSprop{Config: c, Rho: 0.9, Epsilon: 1e-7} }},
	{"Adagrad", "adagrad", func(c Config) Optimizer {
		return &Adagrad{Config: c, InitialAccumulatorValue: 0.1, Epsilon: 1e-7}
	}},
	{"Adadelta", "adadelta", func(c Config) Optimizer { return &Adadelta{Config: c, Rho: 0.95, Epsilon: 1e-7} }},
	{"Adam", "adam", func(c Config) Optimizer { return &Adam{Config: c, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-7} }},
	{"AdamW", "adamw", func(c Config) Optimizer {
		return &AdamW{Adam{Config: decayed(c, 0.004), Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-7}}
	}},
	{"Adamax", "adamax", func(c Config) Optimizer { return &Adamax{Config: c, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-7} }},
	{"Nadam", "nadam", func(c Config) Optimizer { return &Nadam{Config: c, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-7} }},
	{"Ftrl", "ftrl", func(c Config) Optimizer {
		return &Ftrl{Config: c, LearningRatePower: -0.5, InitialAccumulatorValue: 0.1}
	}},
	{"Lion", "lion", func(c Config) Optimizer { return &Lion{Config: c, Beta1: 0.9, Beta2: 0.99} }},
	{"Lamb", "lamb", func(c Config) Optimizer { return &Lamb{Config: c, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-7} }},
	{"Adafactor", "adafactor", func(c Config) Optimizer {
		return &Adafactor{Config: c, Beta2Decay: -0.8, Epsilon1: 1e-30, Epsilon2: 1e-3, ClipThreshold: 1, RelativeStep: true}
	}},
	{"Muon", "muon", func(c Config) Optimizer {
		return &Muon{Config: decayed(c, 0.004), AdamBeta1: 0.9, AdamBeta2: 0.999, AdamWeightDecay: ptr(0.004), AdamLRRatio: 1,
			Epsilon: 1e-7, ExcludeEmbeddings: true, A: 3.4445, B: -4.7750, C: 2.0315, Momentum: 0.95, NSSteps: 5,
			Nesterov: true, RMSRate: ptr(0.2)}
	}},
	{"ScheduleFreeAdamW", "schedule_free_adam_w", func(c Config) Optimizer {
		c.LearningRate.Value = 0.0025
		return &ScheduleFreeAdamW{Config: c, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}
	}},
	{"LossScaleOptimizer", "loss_scale_optimizer", func(c Config) Optimizer {
		return &LossScaleOptimizer{Config: c, InitialScale: 32768, DynamicGrowthSteps: 2000}
	}},
}

// New is the optimizer of a Keras name ("adam", "Adam", "rmsprop") with its default config.
func New(name string) (Optimizer, error) { return Decode(name, nil) }

// Decode makes the optimizer of a Keras class name from its config; absent keys take Keras' defaults.
func Decode(class string, config json.RawMessage) (Optimizer, error) {
	for _, r := range rows {
		if !strings.EqualFold(r.class, strings.ReplaceAll(class, "_", "")) {
			continue
		}
		o := r.make(base(r.name, 0.001))
		if len(config) == 0 {
			return o, nil
		}
		if err := json.Unmarshal(config, o); err != nil {
			return nil, errs.Errorf("optim: %s config: %w", class, err)
		}
		if l, ok := o.(*LossScaleOptimizer); ok {
			return o, l.decodeInner(config)
		}
		return o, check(class, o)
	}
	return nil, errs.Errorf("optim: unknown optimizer %q", class)
}

func (o *LossScaleOptimizer) decodeInner(config json.RawMessage) error {
	var in struct {
		Inner object `json:"inner_optimizer"`
	}
	err := json.Unmarshal(config, &in)
	if err == nil {
		o.Inner, err = Decode(in.Inner.ClassName, in.Inner.Config)
	}
	return err
}

func check(class string, o Optimizer) error {
	c := o.Options()
	set := 0
	for _, p := range []*float64{c.ClipNorm, c.GlobalClipNorm, c.ClipValue} {
		if v, ok := some(p); ok {
			set++
			if v < 0 {
				return errs.Errorf("optim: %s clips at %v", class, v)
			}
		}
	}
	if set > 1 {
		return errs.Errorf("optim: %s: only one of clipnorm, global_clipnorm and clipvalue can be set", class)
	}
	if n := steps(c.GradientAccumulationSteps); c.GradientAccumulationSteps != nil && n < 2 {
		return errs.Errorf("optim: %s: gradient_accumulation_steps is %d, at least 2 make sense", class, n)
	}
	return nil
}

// Encode is o's class name and config as Keras writes them.
func Encode(o Optimizer) (class string, config json.RawMessage, err error) {
	for _, r := range rows {
		if reflect.TypeOf(r.make(Config{})) != reflect.TypeOf(o) {
			continue
		}
		if config, err = classes.Marshal(o); err != nil {
			return "", nil, err
		}
		if l, ok := o.(*LossScaleOptimizer); ok {
			config, err = l.encode()
		}
		return r.class, config, err
	}
	return "", nil, errs.Errorf("optim: %T is none of Keras'", o)
}

func (o *LossScaleOptimizer) encode() (json.RawMessage, error) {
	class, cfg, err := Encode(o.Inner)
	if err != nil {
		return nil, err
	}
	return classes.Marshal(map[string]any{"name": o.Name, "inner_optimizer": object{"keras.optimizers", class, cfg},
		"initial_scale": o.InitialScale, "dynamic_growth_steps": o.DynamicGrowthSteps})
}
