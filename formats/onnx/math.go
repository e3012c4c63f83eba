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
	return autos(matmulPlain,
		auto("Gemm", 1, ops.Gemm{Alpha: 1, Beta: 1}).ignoring("broadcast"),
	)
}

// matmulPlain is those of matmulRows that are read as their fields say.
var matmulPlain = []plain{
	{"Det", 11, ops.Det{}},
	{"Einsum", 12, ops.Einsum{}},
	{"Gemm", 7, ops.Gemm{Alpha: 1, Beta: 1}},
	{"MatMul", 1, ops.MatMul{}},
}

// normRows is normalisations.
func normRows() []row {
	return autos(normPlain, []row{
		{name: "BatchNormalization", since: 1, op: ops.BatchNormalization{}, imp: importBatchNorm1},
		{name: "BatchNormalization", since: 9, op: ops.BatchNormalization{}, imp: importBatchNorm1},
		{name: "GroupNormalization", since: 18, imp: importGroupNorm18},
		{name: "MeanVarianceNormalization", since: 1, until: 8, imp: importMVN1},
	}...)
}

// normPlain is those of normRows that are read as their fields say.
var normPlain = []plain{
	{"BatchNormalization", 14, ops.BatchNormalization{Epsilon: epsilon5, Momentum: float64(float32(0.9))}},
	{"GroupNormalization", 21, ops.GroupNormalization{Epsilon: epsilon5, StashType: 1}},
	{"InstanceNormalization", 1, ops.InstanceNormalization{Epsilon: epsilon5}},
	{"LRN", 1, ops.LRN{Alpha: float64(float32(1e-4)), Beta: 0.75, Bias: 1}},
	{"LayerNormalization", 17, ops.LayerNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1}},
	{"LpNormalization", 1, ops.LpNormalization{Axis: -1, P: 2}},
	{"MeanVarianceNormalization", 9, ops.MeanVarianceNormalization{Axes: []int{0, 2, 3}}},
	{"RMSNormalization", 23, ops.RMSNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1}},
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
func quantRows() []row { return autos(quantPlain) }

// quantPlain is those of quantRows that are read as their fields say.
var quantPlain = []plain{
	{"ConvInteger", 10, ops.ConvInteger{Group: 1}},
	{"DequantizeLinear", 10, ops.DequantizeLinear{Axis: 1}},
	{"DynamicQuantizeLinear", 11, ops.DynamicQuantizeLinear{}},
	{"MatMulInteger", 10, ops.MatMulInteger{}},
	{"QLinearConv", 10, ops.QLinearConv{Group: 1}},
	{"QLinearMatMul", 10, ops.QLinearMatMul{}},
	{"QuantizeLinear", 10, ops.QuantizeLinear{Axis: 1, Saturate: true}},
}

// lossRows is losses.
func lossRows() []row { return autos(lossPlain) }

// lossPlain is those of lossRows that are read as their fields say.
var lossPlain = []plain{
	{"NegativeLogLikelihoodLoss", 12, ops.NegativeLogLikelihoodLoss{Reduction: "mean"}},
	{"SoftmaxCrossEntropyLoss", 12, ops.SoftmaxCrossEntropyLoss{Reduction: "mean"}},
}

// trainingRows is the steps of optimizers.
func trainingRows() []row {
	return in(trainingDomain, autos(trainingPlain, row{name: "Gradient", since: 1, imp: importGradient})...)
}

// trainingPlain is those of trainingRows that are read as their fields say.
var trainingPlain = []plain{
	{"Adagrad", 1, ops.Adagrad{Epsilon: float64(float32(1e-6))}},
	{"Adam", 1, ops.Adam{Alpha: float64(float32(0.9)), Beta: float64(float32(0.999)), Epsilon: float64(float32(1e-6))}},
	{"Momentum", 1, ops.Momentum{}},
}

// randomRows is random numbers, and Dropout.
func randomRows() []row {
	return autos(randomPlain, row{name: "Dropout", since: 1, op: ops.Dropout{}, imp: importDropout1})
}

// randomPlain is those of randomRows that are read as their fields say.
var randomPlain = []plain{
	{"Bernoulli", 15, ops.Bernoulli{}},
	{"Dropout", 12, ops.Dropout{}},
	{"Multinomial", 7, ops.Multinomial{Dtype: tensor.Int32, SampleSize: 1}},
	{"RandomNormal", 1, ops.RandomNormal{Dtype: tensor.Float32, Scale: 1}},
	{"RandomNormalLike", 1, ops.RandomNormalLike{Scale: 1}},
	{"RandomUniform", 1, ops.RandomUniform{Dtype: tensor.Float32, High: 1}},
	{"RandomUniformLike", 1, ops.RandomUniformLike{High: 1}},
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
	return autos(sequencePlain,
		row{name: "Optional", since: 15, op: ops.Optional{}, imp: importOptional, exp: exportOptional},
	)
}

// sequencePlain is those of sequenceRows that are read as their fields say.
var sequencePlain = []plain{
	{"ConcatFromSequence", 11, ops.ConcatFromSequence{}},
	{"OptionalGetElement", 15, ops.OptionalGetElement{}},
	{"OptionalHasElement", 15, ops.OptionalHasElement{}},
	{"SequenceAt", 11, ops.SequenceAt{}},
	{"SequenceConstruct", 11, ops.SequenceConstruct{}},
	{"SequenceEmpty", 11, ops.SequenceEmpty{DType: tensor.Float32}},
	{"SequenceErase", 11, ops.SequenceErase{}},
	{"SequenceInsert", 11, ops.SequenceInsert{}},
	{"SequenceLength", 11, ops.SequenceLength{}},
	{"SplitToSequence", 11, ops.SplitToSequence{Keepdims: true}},
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
func stringRows() []row { return autos(stringPlain) }

// stringPlain is those of stringRows that are read as their fields say.
var stringPlain = []plain{
	{"RegexFullMatch", 20, ops.RegexFullMatch{}},
	{"StringConcat", 20, ops.StringConcat{}},
	{"StringNormalizer", 10, ops.StringNormalizer{CaseChangeAction: "NONE"}},
	{"StringSplit", 20, ops.StringSplit{}},
	{"TfIdfVectorizer", 9, ops.TfIdfVectorizer{}},
}

// recurrentRows is recurrent networks. Up to version 6 an attribute said whether the sequence is an
// output, which the number of outputs says too.
func recurrentRows() []row {
	rows := autos(recurrentPlain)
	for _, r := range rows {
		r.since = 1
		rows = append(rows, r.ignoring("output_sequence"))
	}
	return rows
}

// recurrentPlain is those of recurrentRows that are read as their fields say.
var recurrentPlain = []plain{
	{"GRU", 7, ops.GRU{}},
	{"LSTM", 7, ops.LSTM{}},
	{"RNN", 7, ops.RNN{}},
}
