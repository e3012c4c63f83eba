package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// pointwiseRows is the operators of one operand: activations, functions, casts.
func pointwiseRows() []row {
	return slices.Concat(functionRows(), activationRows(), castRows())
}

func functionRows() []row { return autos(functionPlain) }

// functionPlain is those of functionRows that are read as their fields say.
var functionPlain = []plain{
	{"Abs", 1, ops.Abs{}},
	{"Acos", 7, ops.Acos{}},
	{"Acosh", 9, ops.Acosh{}},
	{"Asin", 7, ops.Asin{}},
	{"Asinh", 9, ops.Asinh{}},
	{"Atan", 7, ops.Atan{}},
	{"Atanh", 9, ops.Atanh{}},
	{"BitwiseNot", 18, ops.BitwiseNot{}},
	{"Ceil", 1, ops.Ceil{}},
	{"Cos", 7, ops.Cos{}},
	{"Cosh", 9, ops.Cosh{}},
	{"Erf", 9, ops.Erf{}},
	{"Exp", 1, ops.Exp{}},
	{"Floor", 1, ops.Floor{}},
	{"Identity", 1, ops.Identity{}},
	{"IsInf", 10, ops.IsInf{DetectNegative: true, DetectPositive: true}},
	{"IsNaN", 9, ops.IsNaN{}},
	{"Log", 1, ops.Log{}},
	{"Neg", 1, ops.Neg{}},
	{"Not", 1, ops.Not{}},
	{"Reciprocal", 1, ops.Reciprocal{}},
	{"Round", 11, ops.Round{}},
	{"Sign", 9, ops.Sign{}},
	{"Sin", 7, ops.Sin{}},
	{"Sinh", 9, ops.Sinh{}},
	{"Sqrt", 1, ops.Sqrt{}},
	{"Tan", 7, ops.Tan{}},
	{"Tanh", 1, ops.Tanh{}},
}

func activationRows() []row {
	return autos(activationPlain,
		row{name: "Clip", since: 1, imp: importClip1},
		row{name: "PRelu", since: 1, imp: importPRelu1},
	)
}

// activationPlain is those of activationRows that are read as their fields say.
var activationPlain = []plain{
	{"Celu", 12, ops.Celu{Alpha: 1}},
	{"Clip", 11, ops.Clip{}},
	{"Elu", 1, ops.Elu{Alpha: 1}},
	{"Gelu", 20, ops.Gelu{}},
	{"HardSigmoid", 1, ops.HardSigmoid{Alpha: float64(float32(0.2)), Beta: 0.5}},
	{"HardSwish", 14, ops.HardSwish{}},
	{"LeakyRelu", 1, ops.LeakyRelu{Alpha: float64(float32(0.01))}},
	{"Mish", 18, ops.Mish{}},
	{"PRelu", 7, ops.PRelu{}},
	{"Relu", 1, ops.Relu{}},
	{"Selu", 1, ops.Selu{Alpha: float64(float32(1.6732)), Gamma: float64(float32(1.0507))}},
	{"Selu", 6, ops.Selu{Alpha: float64(float32(1.67326319217681884765625)),
		Gamma: float64(float32(1.05070102214813232421875))}},
	{"Shrink", 9, ops.Shrink{Lambd: 0.5}},
	{"Sigmoid", 1, ops.Sigmoid{}},
	{"Softplus", 1, ops.Softplus{}},
	{"Softsign", 1, ops.Softsign{}},
	{"SwiGLU", 28, ops.SwiGLU{Alpha: 1}},
	{"Swish", 24, ops.Swish{Alpha: 1}},
	{"ThresholdedRelu", 1, ops.ThresholdedRelu{Alpha: 1}},
}

func castRows() []row {
	return autos(castPlain,
		row{name: "Cast", since: 1, imp: importCast1},
		auto("Cast", 6, ops.Cast{Saturate: true, RoundMode: "up"}).exports(exportCast),
		auto("CastLike", 15, ops.CastLike{Saturate: true, RoundMode: "up"}).exports(exportCast),
	)
}

// castPlain is those of castRows that are read as their fields say.
var castPlain = []plain{
	{"BitCast", 26, ops.BitCast{}},
}

// importClip1 reads bounds that are attributes; where there is none, there is no bound.
func importClip1(n *Node) []*graph.Value {
	x := n.Input(0)
	var lo, hi *graph.Value
	if n.Has("min") {
		lo = n.scalar(n.Float("min", 0), x)
	}
	if n.Has("max") {
		hi = n.scalar(n.Float("max", 0), x)
	}
	return one(n.Add(ops.Clip{}, trimmed(x, lo, hi)...))
}

// importPRelu1 reads a slope that is one number or one for each channel.
func importPRelu1(n *Node) []*graph.Value {
	x, slope := n.Input(0), n.Input(1)
	if rank(x) < 0 || rank(slope) != 1 {
		return n.AddN(ops.PRelu{}, n.In...)
	}
	if c, ok := slope.Type.Dims[0].Const(); ok && c == 1 || rank(x) < 3 {
		return n.AddN(ops.PRelu{}, x, slope)
	}
	return n.AddN(ops.PRelu{}, x, n.trailingOnes(slope, rank(x)-2))
}

// importCast1 reads a type that is spelled out.
func importCast1(n *Node) []*graph.Value {
	name := n.String("to", "")
	for t := pb.Float; t <= pb.Int2; t++ {
		if t.String() == name {
			dt, err := dtypeOf(t)
			if err != nil {
				n.Refuse("%v", err)
			}
			return one(n.Add(ops.Cast{To: dt, Saturate: true, RoundMode: "up"}, n.In...))
		}
	}
	n.Refuse("to is %q, which is no element type", name)
	return nil
}
