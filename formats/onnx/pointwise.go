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

func functionRows() []row {
	return []row{
		auto("Abs", 1, ops.Abs{}),
		auto("Acos", 7, ops.Acos{}),
		auto("Acosh", 9, ops.Acosh{}),
		auto("Asin", 7, ops.Asin{}),
		auto("Asinh", 9, ops.Asinh{}),
		auto("Atan", 7, ops.Atan{}),
		auto("Atanh", 9, ops.Atanh{}),
		auto("BitwiseNot", 18, ops.BitwiseNot{}),
		auto("Ceil", 1, ops.Ceil{}),
		auto("Cos", 7, ops.Cos{}),
		auto("Cosh", 9, ops.Cosh{}),
		auto("Erf", 9, ops.Erf{}),
		auto("Exp", 1, ops.Exp{}),
		auto("Floor", 1, ops.Floor{}),
		auto("Identity", 1, ops.Identity{}),
		auto("IsInf", 10, ops.IsInf{DetectNegative: true, DetectPositive: true}),
		auto("IsNaN", 9, ops.IsNaN{}),
		auto("Log", 1, ops.Log{}),
		auto("Neg", 1, ops.Neg{}),
		auto("Not", 1, ops.Not{}),
		auto("Reciprocal", 1, ops.Reciprocal{}),
		auto("Round", 11, ops.Round{}),
		auto("Sign", 9, ops.Sign{}),
		auto("Sin", 7, ops.Sin{}),
		auto("Sinh", 9, ops.Sinh{}),
		auto("Sqrt", 1, ops.Sqrt{}),
		auto("Tan", 7, ops.Tan{}),
		auto("Tanh", 1, ops.Tanh{}),
	}
}

func activationRows() []row {
	return []row{
		auto("Celu", 12, ops.Celu{Alpha: 1}),
		{name: "Clip", since: 1, imp: importClip1},
		auto("Clip", 11, ops.Clip{}),
		auto("Elu", 1, ops.Elu{Alpha: 1}),
		auto("Gelu", 20, ops.Gelu{}),
		auto("HardSigmoid", 1, ops.HardSigmoid{Alpha: float64(float32(0.2)), Beta: 0.5}),
		auto("HardSwish", 14, ops.HardSwish{}),
		auto("LeakyRelu", 1, ops.LeakyRelu{Alpha: float64(float32(0.01))}),
		auto("Mish", 18, ops.Mish{}),
		{name: "PRelu", since: 1, imp: importPRelu1},
		auto("PRelu", 7, ops.PRelu{}),
		auto("Relu", 1, ops.Relu{}),
		auto("Selu", 1, ops.Selu{Alpha: float64(float32(1.6732)), Gamma: float64(float32(1.0507))}),
		auto("Selu", 6, ops.Selu{Alpha: float64(float32(1.67326319217681884765625)),
			Gamma: float64(float32(1.05070102214813232421875))}),
		auto("Shrink", 9, ops.Shrink{Lambd: 0.5}),
		auto("Sigmoid", 1, ops.Sigmoid{}),
		auto("Softplus", 1, ops.Softplus{}),
		auto("Softsign", 1, ops.Softsign{}),
		auto("SwiGLU", 28, ops.SwiGLU{Alpha: 1}),
		auto("Swish", 24, ops.Swish{Alpha: 1}),
		auto("ThresholdedRelu", 1, ops.ThresholdedRelu{Alpha: 1}),
	}
}

func castRows() []row {
	return []row{
		auto("BitCast", 26, ops.BitCast{}),
		{name: "Cast", since: 1, imp: importCast1},
		auto("Cast", 6, ops.Cast{Saturate: true, RoundMode: "up"}).exports(exportCast),
		auto("CastLike", 15, ops.CastLike{Saturate: true, RoundMode: "up"}).exports(exportCast),
	}
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
