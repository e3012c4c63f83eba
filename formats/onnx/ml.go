package onnx

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// mlRows is the classic models of ai.onnx.ml.
func mlRows() []row {
	return in(mlDomain, autos(mlPlain, row{name: "LabelEncoder", since: 1, imp: importLabelEncoder1},
		auto("LabelEncoder", 2, ops.LabelEncoder{DefaultInt64: -1, DefaultString: "_Unused", DefaultFloat: math.Copysign(0, -1)}))...)
}

// mlPlain is those of mlRows that are read as their fields say.
var mlPlain = []plain{
	{"ArrayFeatureExtractor", 1, ops.ArrayFeatureExtractor{}},
	{"Binarizer", 1, ops.Binarizer{}},
	{"CastMap", 1, ops.CastMap{CastTo: "TO_FLOAT", MapForm: "DENSE", MaxMap: 1}},
	{"CategoryMapper", 1, ops.CategoryMapper{DefaultInt64: -1, DefaultString: "_Unused"}},
	{"DictVectorizer", 1, ops.DictVectorizer{}},
	{"FeatureVectorizer", 1, ops.FeatureVectorizer{}},
	{"Imputer", 1, ops.Imputer{}},
	{"LinearClassifier", 1, ops.LinearClassifier{PostTransform: "NONE"}},
	{"LinearRegressor", 1, ops.LinearRegressor{PostTransform: "NONE", Targets: 1}},
	{"Normalizer", 1, ops.Normalizer{Norm: "MAX"}},
	{"OneHotEncoder", 1, ops.OneHotEncoder{Zeros: true}},
	{"SVMClassifier", 1, ops.SVMClassifier{KernelType: "LINEAR", PostTransform: "NONE"}},
	{"SVMRegressor", 1, ops.SVMRegressor{KernelType: "LINEAR", PostTransform: "NONE"}},
	{"Scaler", 1, ops.Scaler{}},
	{"TreeEnsemble", 5, ops.TreeEnsemble{AggregateFunction: 1}},
	{"TreeEnsembleClassifier", 1, ops.TreeEnsembleClassifier{PostTransform: "NONE"}},
	{"TreeEnsembleRegressor", 1, ops.TreeEnsembleRegressor{AggregateFunction: "SUM", PostTransform: "NONE"}},
	{"ZipMap", 1, ops.ZipMap{}},
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
