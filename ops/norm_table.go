package ops

import "github.com/nnrt/nnrt/tensor"

// normOps is the family of normalizations.
var normOps = []Info{
	{BatchNormalization{Epsilon: 1e-5, Momentum: 0.9}, "normalization over the batch"},
	{BatchNormalizationGrad{}, "the gradient of BatchNormalization in training mode"},
	{InstanceNormalization{Epsilon: 1e-5}, "normalization over each channel of each instance"},
	{LayerNormalization{Axis: -1, Epsilon: 1e-5, StashType: 1}, "normalization over the last axes"},
	{LayerNormalizationGrad{Axis: -1}, "the gradient of LayerNormalization"},
	{GroupNormalization{Epsilon: 1e-5, StashType: 1}, "normalization over groups of channels of each instance"},
	{RMSNormalization{Axis: -1, Epsilon: 1e-5, StashType: 1}, "division by the root mean square over the last axes"},
	{LpNormalization{Axis: -1, P: 2}, "division by a norm along an axis"},
	{LRN{Alpha: 1e-4, Beta: 0.75, Bias: 1, Size: 1}, "local response normalization across channels"},
	{LRNGrad{Alpha: 1e-4, Beta: 0.75, Bias: 1, Size: 1}, "the gradient of LRN"},
	{MeanVarianceNormalization{Axes: []int{0, 2, 3}}, "normalization over axes without scale or shift"},
}

// trainingSample marks the statistics of BatchNormalization, through which no gradient flows.
func trainingSample(s Sample) Sample {
	s.NoGradOut = []int{1, 2, 3, 4}
	return s
}

// fixed is a positive input through which no gradient flows.
func fixed(shape ...int) SampleIn {
	return SampleIn{DType: tensor.Float32, Shape: shape, Lo: 0.5, Hi: 2, NoGrad: true}
}

// normSamples is the cases of normOps.
func normSamples() map[string][]Sample {
	return map[string][]Sample{
		"BatchNormalization": {
			Case(BatchNormalization{Epsilon: 1e-5, Momentum: 0.9}, F(2, 3, 2, 2), F(3), F(3), F(3), FR(0.5, 2, 3)),
			Case(BatchNormalization{Epsilon: 1e-3, Format: NHWC}, F(2, 2, 2, 3), F(3), F(3), F(3), FR(0.5, 2, 3)),
			trainingSample(Case(BatchNormalization{Epsilon: 1e-5, Momentum: 0.9, TrainingMode: true}, F(3, 3, 2, 2), F(3), F(3), fixed(3), fixed(3))),
			trainingSample(Case(BatchNormalization{Epsilon: 1e-3, Momentum: 0.99, TrainingMode: true, Format: NHWC}, F(4, 3), F(3), F(3), fixed(3), fixed(3)))},
		"BatchNormalizationGrad": {
			Case(BatchNormalizationGrad{}, F(2, 3, 2, 2), F(2, 3, 2, 2), F(3), F(3), FR(0.5, 2, 3)),
			Case(BatchNormalizationGrad{Format: NHWC}, F(4, 3), F(4, 3), F(3), F(3), FR(0.5, 2, 3))},
		"InstanceNormalization": {
			Case(InstanceNormalization{Epsilon: 1e-5}, F(2, 3, 4, 5), F(3), F(3)),
			Case(InstanceNormalization{Epsilon: 1e-2, Format: NHWC}, F(2, 4, 5, 3), F(3), F(3))},
		"LayerNormalization": {
			Case(LayerNormalization{Axis: -1, Epsilon: 1e-5, StashType: onnxFloat64}, F(2, 3, 4), F(4), F(4)),
			Case(LayerNormalization{Axis: 1, Epsilon: 1e-2, StashType: onnxFloat64}, F(2, 3, 4), F(3, 4), F(1, 4)),
			Case(LayerNormalization{Axis: -2, Epsilon: 1e-2, StashType: onnxFloat64}, F(2, 3, 4), F(4))},
		"LayerNormalizationGrad": {
			Case(LayerNormalizationGrad{Axis: 1}, F(2, 3, 4), F(2, 3, 4), F(3, 4), F(2, 1, 1), FR(0.5, 2, 2, 1, 1))},
		"GroupNormalization": {
			Case(GroupNormalization{Epsilon: 1e-5, NumGroups: 2, StashType: onnxFloat64}, F(2, 4, 3, 2), F(4), F(4)),
			Case(GroupNormalization{Epsilon: 1e-2, NumGroups: 2, StashType: onnxFloat64, Format: NHWC}, F(2, 3, 2, 4), F(4), F(4))},
		"RMSNormalization": {
			Case(RMSNormalization{Axis: -1, Epsilon: 1e-5, StashType: onnxFloat64}, F(2, 3, 4), F(4)),
			Case(RMSNormalization{Axis: 1, Epsilon: 1e-2, StashType: onnxFloat64}, F(2, 3, 4), F(3, 4))},
		"LpNormalization": {
			Case(LpNormalization{Axis: -1, P: 2}, F(3, 4)), Case(LpNormalization{Axis: 0, P: 1}, F(3, 4))},
		"LRN": {
			Case(LRN{Alpha: 0.5, Beta: 0.75, Bias: 1, Size: 3}, F(2, 5, 2, 2)),
			Case(LRN{Alpha: 0.5, Beta: 0.5, Bias: 2, Size: 4, Format: NHWC}, F(1, 2, 2, 5))},
		"LRNGrad": {
			Case(LRNGrad{Alpha: 0.5, Beta: 0.75, Bias: 1, Size: 3}, F(2, 5, 2, 2), F(2, 5, 2, 2))},
		"MeanVarianceNormalization": {
			Case(MeanVarianceNormalization{Axes: []int{0, 2, 3}}, F(2, 3, 2, 2)), Case(MeanVarianceNormalization{Axes: []int{-1}}, F(3, 4))},
	}
}
