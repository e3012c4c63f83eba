package layers

import (
	"encoding/json"
	"math"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// Activation is the name of an activation function, as keras.activations has them; empty is linear. A
// layer used as an activation (activation=LeakyReLU(0.1)) is its serialized form as JSON, beginning with
// '{'; ActivationOf makes one.
type Activation string

// ActivationOf is the activation that applies l.
func ActivationOf(l Layer) (Activation, error) {
	cfg, err := Encode(l, nil)
	if err != nil {
		return "", err
	}
	p, err := AppendJSON(nil, Config{{"class_name", ClassName(l)}, {"config", cfg}})
	return Activation(p), err
}

// hardSigmoidModel is Keras 2's hard_sigmoid as Keras 3 can read it, which has no function for it: an
// activation may be any callable, and so a model, here of clip(0.2x + 0.5, 0, 1).
const hardSigmoidModel = `{"module": "keras", "class_name": "Sequential", "config": {"name": "keras2_hard_sigmoid", "trainable": false,
"dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null}, "layers": [
{"module": "keras.layers", "class_name": "Rescaling", "config": {"name": "keras2_hard_sigmoid_scale", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null}, "scale": 0.2, "offset": 0.5}, "registered_name": null},
{"module": "keras.layers", "class_name": "ReLU", "config": {"name": "keras2_hard_sigmoid_clip", "trainable": true, "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null}, "max_value": 1.0, "negative_slope": 0.0, "threshold": 0.0}, "registered_name": null}]},
"registered_name": null}`

// isHardSigmoidModel recognises hardSigmoidModel by its name and its two layers.
func isHardSigmoidModel(cfg map[string]any) bool {
	list, _ := cfg["layers"].([]any)
	if cfg["name"] != Keras2HardSigmoid || len(list) != 2 {
		return false
	}
	inner := func(i int) map[string]any {
		m, _ := list[i].(map[string]any)
		c, _ := m["config"].(map[string]any)
		return c
	}
	num := func(v any, want float64) bool { f, err := asNumber(v); return err == nil && f == want }
	return num(inner(0)["scale"], 0.2) && num(inner(0)["offset"], 0.5) && num(inner(1)["max_value"], 1)
}

// decodeActivation reads an activation: null, a name, a serialized function, or a serialized layer.
func decodeActivation(v any) (Activation, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return Activation(v), nil
	case map[string]any:
		class, _ := v["class_name"].(string)
		switch cfg := v["config"].(type) {
		case string:
			return Activation(cfg), nil
		case map[string]any:
			if name, ok := cfg["activation"].(string); ok && class == "Activation" {
				return Activation(name), nil
			}
			if class == "function" {
				break
			}
			if class == "Sequential" && isHardSigmoidModel(cfg) {
				return Keras2HardSigmoid, nil
			}
			p, err := json.Marshal(map[string]any{"class_name": class, "config": cfg})
			return Activation(p), err
		case nil:
			if class != "" {
				return Activation(class), nil
			}
		}
	}
	return "", errs.Errorf("%v is no activation", v)
}

func encodeActivation(a Activation) (any, error) {
	switch a {
	case "":
		return "linear", nil
	case Keras2HardSigmoid:
		return ParseJSON([]byte(hardSigmoidModel))
	}
	if strings.HasPrefix(string(a), "{") {
		v, err := ParseJSON([]byte(a))
		if err != nil {
			return nil, err
		}
		m, _ := v.(map[string]any)
		return Config{{"module", "keras.layers"}, {"class_name", m["class_name"]}, {"config", m["config"]}, {"registered_name", nil}}, nil
	}
	return string(a), nil
}

// activationTable is every function of keras.activations, with the names that older versions had.
var activationTable = map[string]func(c *Call, x *graph.Value) *graph.Value{
	"linear":      func(_ *Call, x *graph.Value) *graph.Value { return x },
	"relu":        func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Relu{}, x) },
	"relu6":       func(c *Call, x *graph.Value) *graph.Value { return c.clip(x, 0, 6) },
	"sigmoid":     func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Sigmoid{}, x) },
	"tanh":        func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Tanh{}, x) },
	"softmax":     softmaxLast,
	"log_softmax": func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.LogSoftmax{Axis: -1}, x) },
	"elu":         func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Elu{Alpha: 1}, x) },
	"selu": func(c *Call, x *graph.Value) *graph.Value {
		return c.Add(ops.Selu{Alpha: seluAlpha, Gamma: seluScale}, x)
	},
	"celu":        func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Celu{Alpha: 1}, x) },
	"softplus":    func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Softplus{}, x) },
	"softsign":    func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Softsign{}, x) },
	"silu":        silu,
	"swish":       silu,
	"gelu":        func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Gelu{Approximate: "none"}, x) },
	"gelu_tanh":   func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Gelu{Approximate: "tanh"}, x) },
	"gelu_new":    func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Gelu{Approximate: "tanh"}, x) },
	"mish":        func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Mish{}, x) },
	"exponential": func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Exp{}, x) },
	"leaky_relu":  func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.LeakyRelu{Alpha: 0.2}, x) },
	"hard_sigmoid": func(c *Call, x *graph.Value) *graph.Value {
		return c.Add(ops.HardSigmoid{Alpha: 1.0 / 6, Beta: 0.5}, x)
	},
	"hard_silu":   func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.HardSwish{}, x) },
	"hard_swish":  func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.HardSwish{}, x) },
	"hard_tanh":   func(c *Call, x *graph.Value) *graph.Value { return c.within(x, -1, 1) },
	"hard_shrink": func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Shrink{Lambd: 0.5}, x) },
	"soft_shrink": func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Shrink{Lambd: 0.5, Bias: 0.5}, x) },
	"tanh_shrink": func(c *Call, x *graph.Value) *graph.Value { return c.sub(x, c.Add(ops.Tanh{}, x)) },
	"threshold":   func(c *Call, x *graph.Value) *graph.Value { return c.threshold(x, 1, 0) },
	"log_sigmoid": func(c *Call, x *graph.Value) *graph.Value {
		return c.Add(ops.Neg{}, c.Add(ops.Softplus{}, c.Add(ops.Neg{}, x)))
	},
	"squareplus":     func(c *Call, x *graph.Value) *graph.Value { return squareplus(c, x, 4) },
	"sparse_plus":    sparsePlus,
	"sparse_sigmoid": func(c *Call, x *graph.Value) *graph.Value { return c.within(c.mulN(c.addN(x, 1), 0.5), 0, 1) },
	"sparsemax":      sparsemax,
	"glu":            glu,
	// Keras 1 and 2: clip(0.2x + 0.5, 0, 1). formats/keras writes this name where a file of theirs says hard_sigmoid.
	Keras2HardSigmoid: func(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.HardSigmoid{Alpha: 0.2, Beta: 0.5}, x) },
}

// Keras2HardSigmoid is the hard_sigmoid of Keras 1 and 2, clip(0.2x+0.5, 0, 1), which under its own name
// is another function in Keras 3, clip(x/6+0.5, 0, 1).
const Keras2HardSigmoid = "keras2_hard_sigmoid"

const (
	seluAlpha = 1.6732632423543772848170429916717
	seluScale = 1.0507009873554804934193349852946
)

// activate applies an activation function.
func (c *Call) activate(x *graph.Value, a Activation) *graph.Value {
	if a == "" {
		return x
	}
	if strings.HasPrefix(string(a), "{") {
		return c.activateLayer(x, a)
	}
	f, ok := activationTable[string(a)]
	if !ok {
		if f, ok = activationTable[SnakeCase(string(a))]; !ok {
			c.Failf("unknown activation %q", a)
			return x
		}
	}
	return f(c, x)
}

func (c *Call) activateLayer(x *graph.Value, a Activation) *graph.Value {
	v, err := ParseJSON([]byte(a))
	m, _ := v.(map[string]any)
	class, _ := m["class_name"].(string)
	cfg, _ := m["config"].(map[string]any)
	l, ok := New(class)
	if err == nil && ok {
		err = Decode(l, cfg, nil)
	}
	if err != nil || !ok {
		c.Failf("activation %s: no such layer", a)
		return x
	}
	sub := &Call{Builder: c.Builder, In: one(x), Args: []any{x}, Layer: l, Opts: c.Opts, x: c.x, st: c.enterOnce(l)}
	return l.Call(sub)[0]
}

// enterOnce is the state of a layer made for one call; it has no weights (an activation layer with weights
// is not found again, and Keras doesn't save one either).
func (c *Call) enterOnce(l Layer) *state {
	return &state{layer: l, path: c.st.path, parent: c.st}
}

// KnownActivation reports whether a is an activation that this package computes.
func KnownActivation(a Activation) bool {
	if a == "" || strings.HasPrefix(string(a), "{") {
		return true
	}
	_, ok := activationTable[string(a)]
	if !ok {
		_, ok = activationTable[SnakeCase(string(a))]
	}
	return ok
}

func softmaxLast(c *Call, x *graph.Value) *graph.Value { return c.Add(ops.Softmax{Axis: -1}, x) }

func silu(c *Call, x *graph.Value) *graph.Value { return c.mul(x, c.Add(ops.Sigmoid{}, x)) }

// clip limits x to [lo, hi]; infinite bounds are none.
//
//go:noinline
func (c *Call) clip(x *graph.Value, lo, hi float64) *graph.Value {
	var l, h *graph.Value
	if !math.IsInf(lo, -1) {
		l = c.num(x, lo)
	}
	if !math.IsInf(hi, 1) {
		h = c.num(x, hi)
	}
	return c.Add(ops.Clip{}, x, l, h)
}

// threshold is x where x > t, and v elsewhere.
func (c *Call) threshold(x *graph.Value, t, v float64) *graph.Value {
	return c.Add(ops.Where{}, c.Add(ops.Greater{}, x, c.num(x, t)), x, c.num(x, v))
}

// squareplus is (x + sqrt(x*x + b)) / 2.
func squareplus(c *Call, x *graph.Value, b float64) *graph.Value {
	return c.mulN(c.add(x, c.Add(ops.Sqrt{}, c.addN(c.mul(x, x), b))), 0.5)
}

// sparsePlus is 0 up to -1, x from 1 on, and (x+1)^2/4 between.
func sparsePlus(c *Call, x *graph.Value) *graph.Value {
	u := c.addN(x, 1)
	mid := c.mulN(c.mul(u, u), 0.25)
	low := c.Add(ops.Where{}, c.Add(ops.Greater{}, x, c.num(x, -1)), mid, c.num(x, 0))
	return c.Add(ops.Where{}, c.Add(ops.Less{}, x, c.num(x, 1)), low, x)
}

// sparsemax is Keras' over the last axis: the numbers z sorted down, the k of them with z_k > (s_k - 1)/k
// for their partial sums s_k, and max(z - t, 0) with t = (sum of those s_k - 1)/k. (The projection onto the
// simplex has s_k of the last of them in t; Keras adds them all, and its models were trained so.)
func sparsemax(c *Call, x *graph.Value) *graph.Value {
	n := c.dim(x, -1)
	if n < 1 || !c.atMost("the last dimension", n, maxConstant) {
		c.Failf("sparsemax needs a known last dimension, got %v", x.Type)
		return x
	}
	sorted := c.AddN(ops.TopK{Axis: -1, Largest: true, Sorted: true}, x, c.ints(n))[0]
	cumsum := c.Add(ops.CumSum{}, sorted, c.Const("axis", tensor.Scalar(int64(c.rank(x)-1))))
	ks := make([]float64, n)
	for i := range ks {
		ks[i] = float64(i + 1)
	}
	k := c.constant(x.Type.DType, ks, n)
	in := c.Add(ops.Greater{}, c.sub(sorted, c.div(c.addN(cumsum, -1), k)), c.num(x, 0))
	inF := c.cast(in, x.Type.DType)
	size := c.sum(inF, true, -1)
	total := c.sum(c.mul(cumsum, inF), true, -1)
	tau := c.div(c.addN(total, -1), size)
	return c.Add(ops.Relu{}, c.sub(x, tau))
}

// glu is a * sigmoid(b) for the halves a, b of the last axis.
func glu(c *Call, x *graph.Value) *graph.Value {
	n := c.dim(x, -1)
	if n < 0 || n%2 != 0 {
		c.Failf("glu needs an even last dimension, got %v", x.Type)
		return x
	}
	h := c.split(x, -1, n/2, n/2)
	return c.mul(h[0], c.Add(ops.Sigmoid{}, h[1]))
}

// within is clip without a gradient at the bounds themselves, as Keras has it for activations.
func (c *Call) within(x *graph.Value, lo, hi float64) *graph.Value {
	low, high := c.num(x, lo), c.num(x, hi)
	x = c.Add(ops.Where{}, c.Add(ops.LessOrEqual{}, x, low), low, x)
	return c.Add(ops.Where{}, c.Add(ops.GreaterOrEqual{}, x, high), high, x)
}
