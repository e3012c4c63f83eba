package conformance

import (
	"strings"

	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// lambdaBodies is the functions that the recorded models' Lambda layers have, by the text that their meta
// gives; the files hold bytecode, which nothing runs.
var lambdaBodies = map[string]func(c *layers.Call, x *graph.Value) *graph.Value{
	"x / 127.5 - 1": func(c *layers.Call, x *graph.Value) *graph.Value {
		return c.Add(ops.Sub{}, c.Add(ops.Div{}, x, float(c, 127.5)), float(c, 1))
	},
	"x ** 2":  func(c *layers.Call, x *graph.Value) *graph.Value { return c.Add(ops.Mul{}, x, x) },
	"3 * x":   func(c *layers.Call, x *graph.Value) *graph.Value { return c.Add(ops.Mul{}, x, float(c, 3)) },
	"x * 0.5": func(c *layers.Call, x *graph.Value) *graph.Value { return c.Add(ops.Mul{}, x, float(c, 0.5)) },
	"mean(x, axis=1, keepdims=True)": func(c *layers.Call, x *graph.Value) *graph.Value {
		return c.Add(ops.ReduceMean{Keepdims: true}, x, c.Ints(1))
	},
	"mean(x, axis=1, keepdims=False)": func(c *layers.Call, x *graph.Value) *graph.Value {
		return c.Add(ops.ReduceMean{}, x, c.Ints(1))
	},
	"sum(x, axis=1)": func(c *layers.Call, x *graph.Value) *graph.Value {
		return c.Add(ops.ReduceSum{}, x, c.Ints(1))
	},
	"tf.space_to_depth(x, block_size=2)": func(c *layers.Call, x *graph.Value) *graph.Value {
		return c.SpaceToDepth(x, 2)
	},
}

func float(c *layers.Call, v float32) *graph.Value { return c.Const("scalar", tensor.Scalar(v)) }

// lambdaOf is a Lambda layer with the function of that text.
func lambdaOf(body string) (keras.Factory, error) {
	f, ok := lambdaBodies[strings.TrimSpace(body)]
	if !ok {
		return nil, errs.Errorf("no Go implementation of the Lambda %q", body)
	}
	return func(config map[string]any) (layers.Layer, error) {
		l := &layers.Lambda{Config: config}
		l.Name, _ = config["name"].(string)
		l.Function = func(c *layers.Call) []*graph.Value { return []*graph.Value{f(c, c.FloatArg(0))} }
		return l, nil
	}, nil
}
