package onnx

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// qonnxRows is the quantization operators of QONNX and FINN (https://github.com/fastmachinelearning/qonnx),
// under the domains that they have had.
func qonnxRows() []row {
	var list []row
	for _, d := range []string{"qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas"} {
		list = append(list, in(d,
			row{name: "Quant", since: 1, imp: importQuant}.steering(3),
			row{name: "IntQuant", since: 1, imp: importQuant}.steering(3),
			row{name: "BipolarQuant", since: 1, imp: func(n *Node) []*graph.Value {
				return one(n.Add(ops.Mul{}, n.bipolar(n.Input(0)), n.Input(1)))
			}},
		)...)
	}
	return append(list, in("qonnx.custom_op.channels_last",
		row{name: "Conv", since: 1, imp: channelsLast(ops.Conv{Group: 1}, 2)},
		row{name: "MaxPool", since: 1, imp: channelsLast(ops.MaxPool{}, 1)},
		row{name: "BatchNormalization", since: 1, imp: channelsLast(ops.BatchNormalization{Epsilon: epsilon5,
			Momentum: float64(float32(0.9))}, 1)},
	)...)
}

// bipolar is 1 where x is not negative, else -1.
func (n *Node) bipolar(x *graph.Value) *graph.Value {
	return n.Add(ops.Where{}, n.Add(ops.GreaterOrEqual{}, x, n.scalar(0, x)), n.scalar(1, x), n.scalar(-1, x))
}

// importQuant reads fake quantization: to integers of so many bits, and back to floats.
func importQuant(n *Node) []*graph.Value {
	if len(n.In) != 4 {
		n.Refuse("it takes 4 inputs, got %d", len(n.In))
		return nil
	}
	x, scale, zero, bits := n.In[0], n.In[1], n.In[2], n.In[3]
	if x == nil || scale == nil || zero == nil || bits == nil {
		n.Refuse("an input is omitted")
		return nil
	}
	signed, narrow, mode := n.Bool("signed", true), n.Bool("narrow", true), n.String("rounding_mode", "ROUND")
	y := n.Add(ops.Add{}, n.Add(ops.Div{}, x, scale), zero)
	if c := bits.Type.Const; c != nil && signed && c.Len() == 1 {
		if v, err := c.Float64s(); err == nil && v[0] == 1 {
			return one(n.Add(ops.Mul{}, n.Add(ops.Sub{}, n.bipolar(y), zero), scale))
		}
	}
	lo, hi := n.quantRange(bits, signed, narrow)
	y = n.Add(ops.Max{}, n.Add(ops.Min{}, y, hi), lo)
	y = n.rounded(y, mode)
	return one(n.Add(ops.Mul{}, n.Add(ops.Sub{}, y, zero), scale))
}

// quantRange is the smallest and largest integer of so many bits; a narrow range gives one of them up.
func (n *Node) quantRange(bits *graph.Value, signed, narrow bool) (lo, hi *graph.Value) {
	c := func(v float64) *graph.Value { return n.scalar(v, bits) }
	pow2 := func(less float64) *graph.Value {
		return n.Add(ops.Exp{}, n.Add(ops.Mul{}, n.Add(ops.Sub{}, bits, c(less)), c(math.Ln2)))
	}
	if v := bits.Type.Const; v != nil && v.Len() == 1 {
		if f, err := v.Float64s(); err == nil {
			pow2 = func(less float64) *graph.Value { return c(math.Exp2(f[0] - less)) }
		}
	}
	switch {
	case !signed && narrow:
		return c(0), n.Add(ops.Sub{}, pow2(0), c(2))
	case !signed:
		return c(0), n.Add(ops.Sub{}, pow2(0), c(1))
	case narrow:
		return n.Add(ops.Sub{}, c(1), pow2(1)), n.Add(ops.Sub{}, pow2(1), c(1))
	}
	return n.Add(ops.Neg{}, pow2(1)), n.Add(ops.Sub{}, pow2(1), c(1))
}

// rounded rounds by the mode's name.
func (n *Node) rounded(y *graph.Value, mode string) *graph.Value {
	sign := func(v *graph.Value) *graph.Value { return n.Add(ops.Mul{}, n.Add(ops.Sign{}, y), v) }
	size := func() *graph.Value { return n.Add(ops.Abs{}, y) }
	switch mode {
	case "ROUND", "HALF_EVEN", "round":
		return n.Add(ops.Round{}, y)
	case "CEIL":
		return n.Add(ops.Ceil{}, y)
	case "FLOOR":
		return n.Add(ops.Floor{}, y)
	case "UP":
		return sign(n.Add(ops.Ceil{}, size()))
	case "DOWN", "ROUND_TO_ZERO":
		return sign(n.Add(ops.Floor{}, size()))
	case "HALF_UP":
		return sign(n.Add(ops.Floor{}, n.Add(ops.Add{}, size(), n.scalar(0.5, y))))
	case "HALF_DOWN":
		return sign(n.Add(ops.Ceil{}, n.Add(ops.Sub{}, size(), n.scalar(0.5, y))))
	}
	n.Refuse("rounding_mode is %q", mode)
	return y
}

// channelsLast reads an operator whose first count inputs, and output, have their channels last.
//
//go:noinline
func channelsLast(op graph.Op, count int) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value {
		r := rank(n.Input(0))
		if r < 3 {
			n.Refuse("the input's rank is %d: it has to be known, and 3 or more", r)
			return nil
		}
		first, last := []int{0, r - 1}, []int{0}
		for i := 1; i < r-1; i++ {
			first = append(first, i)
			last = append(last, i+1)
		}
		last = append(last, 1)
		in := append([]*graph.Value{}, n.In...)
		for i := range min(count, len(in)) {
			in[i] = n.Add(ops.Transpose{Perm: first}, in[i])
		}
		return one(n.Add(ops.Transpose{Perm: last}, n.Add(fill(n, op), in...)))
	}
}
