package onnx

import (
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// epsilon5 is 1e-5 as a file has it: a float32.
const epsilon5 = float64(float32(1e-5))

// matmulRows is matrix products.
func matmulRows() []row {
	return []row{
		auto("Det", 11, ops.Det{}),
		auto("Einsum", 12, ops.Einsum{}),
		autoWith("Gemm", 1, ops.Gemm{Alpha: 1, Beta: 1}, func(n *Node, op *ops.Gemm) { n.Ignore("broadcast") }),
		auto("Gemm", 7, ops.Gemm{Alpha: 1, Beta: 1}),
		auto("MatMul", 1, ops.MatMul{}),
	}
}

// normRows is normalisations.
func normRows() []row {
	momentum := float64(float32(0.9))
	return []row{
		{name: "BatchNormalization", since: 1, op: ops.BatchNormalization{}, imp: importBatchNorm1},
		{name: "BatchNormalization", since: 9, op: ops.BatchNormalization{}, imp: importBatchNorm1},
		auto("BatchNormalization", 14, ops.BatchNormalization{Epsilon: epsilon5, Momentum: momentum}),
		{name: "GroupNormalization", since: 18, imp: importGroupNorm18},
		auto("GroupNormalization", 21, ops.GroupNormalization{Epsilon: epsilon5, StashType: 1}),
		auto("InstanceNormalization", 1, ops.InstanceNormalization{Epsilon: epsilon5}),
		auto("LRN", 1, ops.LRN{Alpha: float64(float32(1e-4)), Beta: 0.75, Bias: 1}),
		auto("LayerNormalization", 17, ops.LayerNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1}),
		auto("LpNormalization", 1, ops.LpNormalization{Axis: -1, P: 2}),
		{name: "MeanVarianceNormalization", since: 1, until: 8, imp: importMVN1},
		auto("MeanVarianceNormalization", 9, ops.MeanVarianceNormalization{Axes: []int{0, 2, 3}}),
		auto("RMSNormalization", 23, ops.RMSNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1}),
	}
}

// importBatchNorm1 reads BatchNormalization before training_mode: it trains where it names the outputs of
// training. With spatial 0 each element of the feature map has a mean and scale of its own.
func importBatchNorm1(n *Node) []*graph.Value {
	n.Ignore("is_test")
	op := ops.BatchNormalization{Epsilon: n.Float("epsilon", epsilon5), Momentum: n.Float("momentum", float64(float32(0.9))),
		TrainingMode: n.NumOut > 1 && !n.Bool("is_test", false)}
	if n.Bool("spatial", true) || rank(n.Input(1)) == 1 {
		return n.AddN(op, n.In...)
	}
	if op.TrainingMode {
		n.Refuse("training with spatial 0")
		return nil
	}
	x, scale, bias, mean, variance := n.Input(0), n.Input(1), n.Input(2), n.Input(3), n.Input(4)
	inv := n.Add(ops.Sqrt{}, n.Add(ops.Add{}, variance, n.scalar(op.Epsilon, variance)))
	y := n.Add(ops.Mul{}, n.Add(ops.Div{}, n.Add(ops.Sub{}, x, mean), inv), scale)
	return one(n.Add(ops.Add{}, y, bias))
}

// importGroupNorm18 reads the first GroupNormalization, whose scale and bias are by group, not by channel.
func importGroupNorm18(n *Node) []*graph.Value {
	if n.Input(0) == nil {
		n.Refuse("it has no input")
		return nil
	}
	op, ok := fill(n, ops.GroupNormalization{Epsilon: epsilon5, StashType: 1}).(ops.GroupNormalization)
	x := n.Input(0)
	if !ok || op.NumGroups <= 0 || rank(x) < 2 {
		n.Refuse("num_groups is %d, the input %v", op.NumGroups, x.Type.WithoutValue())
		return nil
	}
	channels := n.Add(ops.Shape{Start: 1, End: 2, HasEnd: true}, x)
	each := n.Add(ops.Concat{}, n.ints(1), n.Add(ops.Div{}, channels, n.ints(op.NumGroups)))
	perChannel := func(v *graph.Value) *graph.Value {
		wide := n.Add(ops.Tile{}, n.Add(ops.Unsqueeze{}, v, n.ints(1)), each)
		return n.Add(ops.Reshape{}, wide, n.ints(-1))
	}
	return one(n.Add(op, x, perChannel(n.Input(1)), perChannel(n.Input(2))))
}

// importMVN1 reads the experimental MeanVarianceNormalization.
func importMVN1(n *Node) []*graph.Value {
	axes := []int{2, 3}
	if n.Bool("across_channels", false) {
		axes = []int{1, 2, 3}
	}
	x := n.Input(0)
	if n.Bool("normalize_variance", true) {
		return one(n.Add(ops.MeanVarianceNormalization{Axes: axes}, x))
	}
	return one(n.Add(ops.Sub{}, x, n.Add(ops.ReduceMean{Keepdims: true}, x, n.ints(axes...))))
}

// quantRows is linear quantization.
func quantRows() []row {
	return []row{
		auto("ConvInteger", 10, ops.ConvInteger{Group: 1}),
		auto("DequantizeLinear", 10, ops.DequantizeLinear{Axis: 1}),
		auto("DynamicQuantizeLinear", 11, ops.DynamicQuantizeLinear{}),
		auto("MatMulInteger", 10, ops.MatMulInteger{}),
		auto("QLinearConv", 10, ops.QLinearConv{Group: 1}),
		auto("QLinearMatMul", 10, ops.QLinearMatMul{}),
		auto("QuantizeLinear", 10, ops.QuantizeLinear{Axis: 1, Saturate: true}),
	}
}

// lossRows is losses.
func lossRows() []row {
	return []row{
		auto("NegativeLogLikelihoodLoss", 12, ops.NegativeLogLikelihoodLoss{Reduction: "mean"}),
		auto("SoftmaxCrossEntropyLoss", 12, ops.SoftmaxCrossEntropyLoss{Reduction: "mean"}),
	}
}

// trainingRows is the steps of optimizers.
func trainingRows() []row {
	return in(trainingDomain,
		auto("Adagrad", 1, ops.Adagrad{Epsilon: float64(float32(1e-6))}),
		auto("Adam", 1, ops.Adam{Alpha: float64(float32(0.9)), Beta: float64(float32(0.999)), Epsilon: float64(float32(1e-6))}),
		auto("Momentum", 1, ops.Momentum{}),
		row{name: "Gradient", since: 1, imp: importGradient},
	)
}

// randomRows is random numbers, and Dropout.
func randomRows() []row {
	f32 := tensor.Float32
	return []row{
		auto("Bernoulli", 15, ops.Bernoulli{}),
		{name: "Dropout", since: 1, op: ops.Dropout{}, imp: importDropout1},
		auto("Dropout", 12, ops.Dropout{}),
		auto("Multinomial", 7, ops.Multinomial{Dtype: tensor.Int32, SampleSize: 1}),
		auto("RandomNormal", 1, ops.RandomNormal{Dtype: f32, Scale: 1}),
		auto("RandomNormalLike", 1, ops.RandomNormalLike{Scale: 1}),
		auto("RandomUniform", 1, ops.RandomUniform{Dtype: f32, High: 1}),
		auto("RandomUniformLike", 1, ops.RandomUniformLike{High: 1}),
	}
}

// importDropout1 reads a ratio that is an attribute. The node passes its input through, until training
// says otherwise. Up to version 9 the mask was of the input's type.
func importDropout1(n *Node) []*graph.Value {
	n.Ignore("is_test")
	x := n.Input(0)
	ratio := n.Const("ratio", tensor.Scalar(float32(n.Float("ratio", 0.5))))
	outs := n.AddN(ops.Dropout{}, x, ratio)
	if n.Opset < 10 && n.NumOut > 1 {
		outs = []*graph.Value{outs[0], n.Add(ops.Cast{To: x.Type.DType, Saturate: true}, outs[1])}
	}
	return outs
}

// sequenceRows is sequences and optionals.
func sequenceRows() []row {
	return []row{
		auto("ConcatFromSequence", 11, ops.ConcatFromSequence{}),
		{name: "Optional", since: 15, op: ops.Optional{}, imp: importOptional, exp: exportOptional},
		auto("OptionalGetElement", 15, ops.OptionalGetElement{}),
		auto("OptionalHasElement", 15, ops.OptionalHasElement{}),
		auto("SequenceAt", 11, ops.SequenceAt{}),
		auto("SequenceConstruct", 11, ops.SequenceConstruct{}),
		auto("SequenceEmpty", 11, ops.SequenceEmpty{DType: tensor.Float32}),
		auto("SequenceErase", 11, ops.SequenceErase{}),
		auto("SequenceInsert", 11, ops.SequenceInsert{}),
		auto("SequenceLength", 11, ops.SequenceLength{}),
		auto("SplitToSequence", 11, ops.SplitToSequence{Keepdims: true}),
	}
}

// importOptional reads Optional; its attribute is the type of what an empty one would hold.
func importOptional(n *Node) []*graph.Value {
	op := ops.Optional{}
	if a := n.attr("type", pb.AttrTypeProto); a != nil {
		t, err := typeOf(a.TP)
		if err != nil {
			n.Refuse("type: %v", err)
			return nil
		}
		op.DType, op.Sequence = t.DType, t.Kind == graph.SequenceKind
	}
	return n.AddN(op, n.In...)
}

// stringRows is text.
func stringRows() []row {
	return []row{
		auto("RegexFullMatch", 20, ops.RegexFullMatch{}),
		auto("StringConcat", 20, ops.StringConcat{}),
		auto("StringNormalizer", 10, ops.StringNormalizer{CaseChangeAction: "NONE"}),
		auto("StringSplit", 20, ops.StringSplit{}),
		auto("TfIdfVectorizer", 9, ops.TfIdfVectorizer{}),
	}
}

// recurrentRows is recurrent networks. Up to version 6 an attribute said whether the sequence is an
// output, which the number of outputs says too.
func recurrentRows() []row {
	skip := func(n *Node) { n.Ignore("output_sequence") }
	return []row{
		autoWith("GRU", 1, ops.GRU{}, func(n *Node, op *ops.GRU) { skip(n) }),
		auto("GRU", 7, ops.GRU{}),
		autoWith("LSTM", 1, ops.LSTM{}, func(n *Node, op *ops.LSTM) { skip(n) }),
		auto("LSTM", 7, ops.LSTM{}),
		autoWith("RNN", 1, ops.RNN{}, func(n *Node, op *ops.RNN) { skip(n) }),
		auto("RNN", 7, ops.RNN{}),
	}
}
