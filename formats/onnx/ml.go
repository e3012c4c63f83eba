package onnx

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// mlRows is the classic models of ai.onnx.ml.
func mlRows() []row {
	encoder := ops.LabelEncoder{DefaultInt64: -1, DefaultString: "_Unused", DefaultFloat: math.Copysign(0, -1)}
	return in(mlDomain,
		auto("ArrayFeatureExtractor", 1, ops.ArrayFeatureExtractor{}),
		auto("Binarizer", 1, ops.Binarizer{}),
		auto("CastMap", 1, ops.CastMap{CastTo: "TO_FLOAT", MapForm: "DENSE", MaxMap: 1}),
		auto("CategoryMapper", 1, ops.CategoryMapper{DefaultInt64: -1, DefaultString: "_Unused"}),
		auto("DictVectorizer", 1, ops.DictVectorizer{}),
		auto("FeatureVectorizer", 1, ops.FeatureVectorizer{}),
		auto("Imputer", 1, ops.Imputer{}),
		row{name: "LabelEncoder", since: 1, imp: importLabelEncoder1},
		auto("LabelEncoder", 2, encoder),
		auto("LinearClassifier", 1, ops.LinearClassifier{PostTransform: "NONE"}),
		auto("LinearRegressor", 1, ops.LinearRegressor{PostTransform: "NONE", Targets: 1}),
		auto("Normalizer", 1, ops.Normalizer{Norm: "MAX"}),
		auto("OneHotEncoder", 1, ops.OneHotEncoder{Zeros: true}),
		auto("SVMClassifier", 1, ops.SVMClassifier{KernelType: "LINEAR", PostTransform: "NONE"}),
		auto("SVMRegressor", 1, ops.SVMRegressor{KernelType: "LINEAR", PostTransform: "NONE"}),
		auto("Scaler", 1, ops.Scaler{}),
		auto("TreeEnsemble", 5, ops.TreeEnsemble{AggregateFunction: 1}),
		auto("TreeEnsembleClassifier", 1, ops.TreeEnsembleClassifier{PostTransform: "NONE"}),
		auto("TreeEnsembleRegressor", 1, ops.TreeEnsembleRegressor{AggregateFunction: "SUM", PostTransform: "NONE"}),
		auto("ZipMap", 1, ops.ZipMap{}),
	)
}

// importLabelEncoder1 reads the encoder between strings and their places in a list.
func importLabelEncoder1(n *Node) []*graph.Value {
	if n.Input(0) == nil {
		n.Refuse("it has no input")
		return nil
	}
	classes := n.Strings("classes_strings")
	places := make([]int64, len(classes))
	for i := range places {
		places[i] = int64(i)
	}
	op := ops.LabelEncoder{DefaultInt64: int64(n.Int("default_int64", -1)), DefaultString: n.String("default_string", "_Unused")}
	if len(n.In) != 1 {
		n.Refuse("it takes one input, got %d", len(n.In))
		return nil
	}
	if n.Input(0).Type.DType == tensor.String {
		op.KeysStrings, op.ValuesInt64s = classes, places
	} else {
		op.KeysInt64s, op.ValuesStrings = places, classes
	}
	return n.AddN(op, n.In...)
}
