package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// typeSince is the operator set that came with each of the younger element types.
var typeSince = map[tensor.DType]int{
	tensor.Float8E4M3FN: 19, tensor.Float8E4M3FNUZ: 19, tensor.Float8E5M2: 19, tensor.Float8E5M2FNUZ: 19, tensor.Int4: 21, tensor.Uint4: 21,
	tensor.Float4E2M1: 23, tensor.Float8E8M0: 24, tensor.Int2: 25, tensor.Uint2: 25,
}

// widened is a set of operators that a version of the operator set gave more element types without a change of meaning.
type widened struct {
	since int
	types []tensor.DType
	names []string
}

// widenings is those after MinWriteOpset.
var widenings = []widened{
	{14, []tensor.DType{tensor.Int8, tensor.Int16, tensor.Uint8, tensor.Uint16}, []string{"Add", "Div", "Mul", "Sub"}},
	{14, []tensor.DType{tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64}, []string{"Relu"}},
	{14, []tensor.DType{tensor.Float16, tensor.BFloat16}, []string{"CumSum"}},
	{16, []tensor.DType{tensor.BFloat16}, []string{"GreaterOrEqual", "LeakyRelu", "LessOrEqual", "PRelu", "Where"}},
	{19, []tensor.DType{tensor.String}, []string{"Equal"}},
	{19, []tensor.DType{tensor.Float16, tensor.BFloat16}, []string{"DequantizeLinear", "QuantizeLinear"}},
	{20, []tensor.DType{tensor.Bool}, []string{"ReduceMax", "ReduceMin"}},
	{20, []tensor.DType{tensor.BFloat16}, []string{"IsNaN", "ConstantOfShape"}},
	{21, []tensor.DType{tensor.Int16, tensor.Uint16}, []string{"DequantizeLinear", "QuantizeLinear"}},
	{21, []tensor.DType{tensor.Float16, tensor.BFloat16, tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E5M2, tensor.Float8E5M2FNUZ},
		[]string{"QLinearMatMul"}},
	{22, []tensor.DType{tensor.BFloat16}, []string{"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "AveragePool", "Bernoulli", "Conv",
		"ConvTranspose", "Cos", "Cosh", "DeformConv", "Det", "Elu", "EyeLike", "GRU", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool",
		"GridSample", "HardSigmoid", "HardSwish", "InstanceNormalization", "LSTM", "LpNormalization", "LpPool", "MaxPool", "MaxRoiPool",
		"MaxUnpool", "Mish", "Multinomial", "NegativeLogLikelihoodLoss", "RNN", "RandomNormal", "RandomNormalLike", "RandomUniform",
		"RandomUniformLike", "RoiAlign", "Round", "Selu", "Sin", "Sinh", "Softplus", "Softsign", "Tan", "ThresholdedRelu"}},
	{24, []tensor.DType{tensor.BFloat16}, []string{"TopK"}},
}

// checkTypes refuses a node whose operands have an element type that is younger than the target version, or that the operator
// takes only in a later one.
func (x *graphWriter) checkTypes(n *graph.Node) error {
	for _, list := range [][]*graph.Value{n.In, n.Out} {
		for _, v := range list {
			if v == nil {
				continue
			}
			dt := v.Type.DType
			since := typeSince[dt]
			for _, w := range widenings {
				if w.since > x.opset && w.since > since && slices.Contains(w.types, dt) && slices.Contains(w.names, n.Op.Name()) {
					since = w.since
				}
			}
			if since > x.opset {
				return cannot("of %v it is new in operator set %d, %d is written", dt, since, x.opset)
			}
		}
	}
	return nil
}
