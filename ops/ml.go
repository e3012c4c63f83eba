package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// mlOps is the ai.onnx.ml family: what scikit-learn, XGBoost and LightGBM exports consist of.
var mlOps = []Info{
	{ArrayFeatureExtractor{}, "columns by index"},
	{Binarizer{}, "1 above a threshold, else 0"},
	{CastMap{}, "a map as a tensor"},
	{CategoryMapper{}, "integers to strings and back"},
	{DictVectorizer{}, "a map as a row of a vocabulary's values"},
	{FeatureVectorizer{}, "tensors side by side"},
	{Imputer{}, "replaces one value by others"},
	{LabelEncoder{}, "maps elements to elements"},
	{LinearClassifier{}, "linear classifier"},
	{LinearRegressor{Targets: 1}, "linear regressor"},
	{Normalizer{Norm: "MAX"}, "rows divided by a norm"},
	{OneHotEncoder{Zeros: true}, "a 1 at the category's place"},
	{Scaler{}, "(x - offset) * scale"},
	{SVMClassifier{}, "support vector classifier"},
	{SVMRegressor{}, "support vector regressor"},
	{TreeEnsemble{AggregateFunction: 1}, "decision trees"},
	{TreeEnsembleClassifier{}, "decision trees that vote for classes"},
	{TreeEnsembleRegressor{NTargets: 1, AggregateFunction: "SUM"}, "decision trees that add up to targets"},
	{ZipMap{}, "rows as maps from class to number"},
}

// rowsOf is the number of rows and columns of a [N,C] or [C] input.
func rowsOf(t graph.Type) (n, c graph.Dim, err error) {
	switch t.Rank() {
	case 1:
		return graph.D(1), t.Dims[0], nil
	case 2:
		return t.Dims[0], t.Dims[1], nil
	case -1:
		return graph.Unknown(), graph.Unknown(), nil
	}
	return n, c, errs.Errorf("takes [N,C] or [C], got %v", t)
}

// labelType is the element type of labels given as strings or integers.
func labelType(strings []string, _ []int64) tensor.DType {
	if len(strings) > 0 {
		return tensor.String
	}
	return tensor.Int64
}

// isNumeric checks that input 0 is a tensor of numbers.
func isNumeric(in []graph.Type) error {
	if err := arity(in, 1, 1); err != nil {
		return err
	}
	if in[0].Kind != graph.TensorKind || !in[0].DType.IsInt() && !in[0].DType.IsFloat() {
		return errs.Errorf("takes a tensor of numbers, got %v", in[0])
	}
	return nil
}

// ArrayFeatureExtractor picks columns of the last axis: inputs X and the indices.
type ArrayFeatureExtractor struct{}

// Name implements graph.Op.
func (ArrayFeatureExtractor) Name() string { return "ArrayFeatureExtractor" }

// Infer implements graph.Op.
func (ArrayFeatureExtractor) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if in[0].Rank() < 0 || in[1].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(in[0].DType)}, nil
	}
	n := graph.Product(in[1].Dims)
	if in[0].Rank() <= 1 {
		return []graph.Type{graph.TensorOf(in[0].DType, graph.D(1), n)}, nil
	}
	dims := append([]graph.Dim{}, in[0].Dims...)
	dims[len(dims)-1] = n
	return []graph.Type{graph.TensorOf(in[0].DType, dims...)}, nil
}

// Binarizer is 1 where X is over Threshold, else 0.
type Binarizer struct{ Threshold float64 }

// Name implements graph.Op.
func (Binarizer) Name() string { return "Binarizer" }

// Infer implements graph.Op.
func (Binarizer) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	return sameAsFirst(in)
}

// CastMap lays a map's values out by key: DENSE in the order of the keys, SPARSE at them, MaxMap long.
type CastMap struct {
	CastTo  string // TO_FLOAT (also ""), TO_STRING, TO_INT64
	MapForm string // DENSE (also ""), SPARSE
	MaxMap  int
}

// Name implements graph.Op.
func (CastMap) Name() string { return "CastMap" }

// Infer implements graph.Op.
func (c CastMap) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 1 || in[0].Kind != graph.MapKind {
		return nil, errs.Errorf("takes one map")
	}
	dt := map[string]tensor.DType{"": tensor.Float32, "TO_FLOAT": tensor.Float32, "TO_STRING": tensor.String, "TO_INT64": tensor.Int64}[c.CastTo]
	if dt == tensor.Invalid {
		return nil, errs.Errorf("unknown cast_to %q", c.CastTo)
	}
	n := graph.Unknown()
	if c.MapForm == "SPARSE" {
		n = graph.D(c.MaxMap)
	}
	return []graph.Type{graph.TensorOf(dt, graph.D(1), n)}, nil
}

// CategoryMapper maps strings to integers or integers to strings by two parallel lists.
type CategoryMapper struct {
	CatsInt64s    []int64 `onnx:"cats_int64s"`
	CatsStrings   []string
	DefaultInt64  int64 `onnx:"default_int64"`
	DefaultString string
}

// Name implements graph.Op.
func (CategoryMapper) Name() string { return "CategoryMapper" }

// Infer implements graph.Op.
func (c CategoryMapper) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if len(c.CatsInt64s) != len(c.CatsStrings) {
		return nil, errs.Errorf("%d integers for %d strings", len(c.CatsInt64s), len(c.CatsStrings))
	}
	dt := tensor.String
	if in[0].DType == tensor.String {
		dt = tensor.Int64
	} else if in[0].DType != tensor.Int64 {
		return nil, errs.Errorf("takes strings or int64, got %v", in[0])
	}
	return []graph.Type{tensorOr(dt, in[0].Dims, in[0].Unranked)}, nil
}

// DictVectorizer is a row with a map's values at their keys' places in the vocabulary, zero elsewhere.
type DictVectorizer struct {
	Int64Vocabulary  []int64 `onnx:"int64_vocabulary"`
	StringVocabulary []string
}

// Name implements graph.Op.
func (DictVectorizer) Name() string { return "DictVectorizer" }

// Infer implements graph.Op.
func (d DictVectorizer) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 1 || in[0].Kind != graph.MapKind {
		return nil, errs.Errorf("takes one map")
	}
	if (in[0].Key == tensor.String) != (len(d.StringVocabulary) > 0) {
		return nil, errs.Errorf("a vocabulary of other keys than the %v", in[0])
	}
	return []graph.Type{graph.TensorOf(in[0].DType, graph.D(1), graph.D(len(d.StringVocabulary)+len(d.Int64Vocabulary)))}, nil
}

// FeatureVectorizer joins [N,C] inputs along the columns, as float32. Inputdimensions are their widths.
type FeatureVectorizer struct{ Inputdimensions []int }

// Name implements graph.Op.
func (FeatureVectorizer) Name() string { return "FeatureVectorizer" }

// Infer implements graph.Op.
func (f FeatureVectorizer) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	if len(f.Inputdimensions) > 0 && len(f.Inputdimensions) != len(in) {
		return nil, errs.Errorf("%d inputdimensions for %d inputs", len(f.Inputdimensions), len(in))
	}
	rows, width := graph.Dim{}, graph.D(0)
	for i, t := range in {
		n, c, err := rowsOf(t)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			rows = n
		}
		if len(f.Inputdimensions) > 0 {
			c = graph.D(f.Inputdimensions[i])
		}
		width = width.Add(c)
	}
	return []graph.Type{graph.TensorOf(tensor.Float32, rows, width)}, nil
}

// Imputer replaces elements that equal the replaced value (NaN equals NaN) by the imputed one, which may
// be one a column.
type Imputer struct {
	ImputedValueFloats []float64
	ImputedValueInt64s []int64 `onnx:"imputed_value_int64s"`
	ReplacedValueFloat float64
	ReplacedValueInt64 int64 `onnx:"replaced_value_int64"`
}

// Name implements graph.Op.
func (Imputer) Name() string { return "Imputer" }

// Infer implements graph.Op.
func (m Imputer) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	n := len(m.ImputedValueFloats)
	if in[0].DType.IsInt() {
		n = len(m.ImputedValueInt64s)
	}
	if n == 0 {
		return nil, errs.Errorf("no imputed values for %v", in[0])
	}
	if r := in[0].Rank(); n > 1 && r > 0 && !graph.Compatible(in[0].Dims[r-1], graph.D(n)) {
		return nil, errs.Errorf("%d imputed values for %v", n, in[0])
	}
	return sameAsFirst(in)
}

// LabelEncoder maps each element found among the keys to the value at the same place, others to the
// default. One list of keys and one of values is set; tensors take the place of lists of other types.
type LabelEncoder struct {
	DefaultFloat  float64
	DefaultInt64  int64 `onnx:"default_int64"`
	DefaultString string
	DefaultTensor *tensor.Tensor
	KeysFloats    []float64
	KeysInt64s    []int64 `onnx:"keys_int64s"`
	KeysStrings   []string
	KeysTensor    *tensor.Tensor
	ValuesFloats  []float64
	ValuesInt64s  []int64 `onnx:"values_int64s"`
	ValuesStrings []string
	ValuesTensor  *tensor.Tensor
}

// Name implements graph.Op.
func (LabelEncoder) Name() string { return "LabelEncoder" }

// Infer implements graph.Op.
func (l LabelEncoder) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	keys, nk := listType(l.KeysFloats, l.KeysInt64s, l.KeysStrings, l.KeysTensor)
	values, nv := listType(l.ValuesFloats, l.ValuesInt64s, l.ValuesStrings, l.ValuesTensor)
	if nk != nv {
		return nil, errs.Errorf("%d keys for %d values", nk, nv)
	}
	if keys != in[0].DType {
		return nil, errs.Errorf("keys of %v for %v", keys, in[0])
	}
	return []graph.Type{tensorOr(values, in[0].Dims, in[0].Unranked)}, nil
}

// listType is the element type and length of the one list that is set.
func listType(f []float64, i []int64, s []string, t *tensor.Tensor) (tensor.DType, int) {
	switch {
	case t != nil:
		return t.DType(), t.Len()
	case len(s) > 0:
		return tensor.String, len(s)
	case len(i) > 0:
		return tensor.Int64, len(i)
	}
	return tensor.Float32, len(f)
}

// Normalizer divides each row by its MAX, L1 or L2 norm; rows of norm 0 stay.
type Normalizer struct{ Norm string }

// Name implements graph.Op.
func (Normalizer) Name() string { return "Normalizer" }

// Infer implements graph.Op.
func (n Normalizer) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	switch n.Norm {
	case "MAX", "L1", "L2":
	default:
		return nil, errs.Errorf("unknown norm %q", n.Norm)
	}
	return []graph.Type{tensorOr(tensor.Float32, in[0].Dims, in[0].Unranked)}, nil
}

// OneHotEncoder adds an axis of the categories' number with a 1 at the element's. Where Zeros is not set
// an unknown category is an error.
type OneHotEncoder struct {
	CatsInt64s  []int64 `onnx:"cats_int64s"`
	CatsStrings []string
	Zeros       bool
}

// Name implements graph.Op.
func (OneHotEncoder) Name() string { return "OneHotEncoder" }

// Infer implements graph.Op.
func (o OneHotEncoder) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if (in[0].DType == tensor.String) != (len(o.CatsStrings) > 0) {
		return nil, errs.Errorf("categories of another type than %v", in[0])
	}
	if in[0].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(tensor.Float32)}, nil
	}
	dims := append(append([]graph.Dim{}, in[0].Dims...), graph.D(len(o.CatsInt64s)+len(o.CatsStrings)))
	return []graph.Type{graph.TensorOf(tensor.Float32, dims...)}, nil
}

// Scaler is (X - Offset) * Scale, each one number or one a column.
type Scaler struct{ Offset, Scale []float64 }

// Name implements graph.Op.
func (Scaler) Name() string { return "Scaler" }

// Infer implements graph.Op.
func (s Scaler) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	for _, v := range [][]float64{s.Offset, s.Scale} {
		if r := in[0].Rank(); len(v) > 1 && r > 0 && !graph.Compatible(in[0].Dims[r-1], graph.D(len(v))) {
			return nil, errs.Errorf("%d factors for %v", len(v), in[0])
		}
	}
	return []graph.Type{tensorOr(tensor.Float32, in[0].Dims, in[0].Unranked)}, nil
}

// ZipMap makes of each row a map from class labels to the row's numbers.
type ZipMap struct {
	ClasslabelsInt64s  []int64 `onnx:"classlabels_int64s"`
	ClasslabelsStrings []string
}

// Name implements graph.Op.
func (ZipMap) Name() string { return "ZipMap" }

// Infer implements graph.Op.
func (z ZipMap) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isNumeric(in); err != nil {
		return nil, err
	}
	_, c, err := rowsOf(in[0])
	if err != nil {
		return nil, err
	}
	if n := len(z.ClasslabelsInt64s) + len(z.ClasslabelsStrings); !graph.Compatible(c, graph.D(n)) {
		return nil, errs.Errorf("%d labels for %v", n, in[0])
	}
	m := graph.Type{Kind: graph.MapKind, Key: labelType(z.ClasslabelsStrings, z.ClasslabelsInt64s), DType: in[0].DType}
	return []graph.Type{graph.SequenceOf(m)}, nil
}

// mlSamples is the cases of mlOps.
func mlSamples() map[string][]Sample {
	return map[string][]Sample{
		"ArrayFeatureExtractor": {Case(ArrayFeatureExtractor{}, F(2, 3), IV(2, 0))},
		"Binarizer":             {Case(Binarizer{}, F(2, 3))},
		"CategoryMapper": {
			Case(CategoryMapper{CatsInt64s: []int64{1, 2}, CatsStrings: []string{"a", "b"}, DefaultInt64: -1}, words("b", "x"))},
		"FeatureVectorizer": {Case(FeatureVectorizer{Inputdimensions: []int{2, 1}}, F(2, 2), F(2, 1))},
		"Imputer": {
			Case(Imputer{ImputedValueFloats: []float64{7}, ReplacedValueFloat: 1}, TV(tensor.Of([]float32{0, 1})))},
		"LabelEncoder": {
			Case(LabelEncoder{KeysStrings: []string{"a", "b"}, ValuesInt64s: []int64{3, 4}, DefaultInt64: -1}, words("b", "c"))},
		"LinearClassifier": {
			Case(LinearClassifier{ClasslabelsInts: []int64{3, 5}, Coefficients: []float64{1, -1, -1, 1}, Intercepts: []float64{0, 0.1},
				PostTransform: "SOFTMAX"}, F(3, 2))},
		"LinearRegressor": {
			Case(LinearRegressor{Coefficients: []float64{1, 2}, Intercepts: []float64{0.5}, Targets: 1}, F(3, 2))},
		"Normalizer": {Case(Normalizer{Norm: "L2"}, F(3, 2))},
		"OneHotEncoder": {
			Case(OneHotEncoder{CatsInt64s: []int64{1, 5}, Zeros: true}, IV(5, 2))},
		"Scaler": {Case(Scaler{Offset: []float64{1}, Scale: []float64{2, 3}}, F(3, 2))},
		"SVMClassifier": {
			Case(SVMClassifier{ClasslabelsInts: []int64{0, 1}, Coefficients: []float64{1, -1}, KernelParams: []float64{0.5, 0, 0},
				KernelType: "RBF", Rho: []float64{0.1}, SupportVectors: []float64{0, 1, 1, 0}, VectorsPerClass: []int{1, 1}}, F(3, 2))},
		"SVMRegressor": {
			Case(SVMRegressor{Coefficients: []float64{1, -1}, KernelParams: []float64{0.5, 0, 0}, KernelType: "RBF", NSupports: 2,
				Rho: []float64{0.1}, SupportVectors: []float64{0, 1, 1, 0}}, F(3, 2))},
		"TreeEnsemble": {Case(TreeEnsemble{AggregateFunction: 1, NTargets: 2,
			LeafTargetids: []int{0, 1}, LeafWeights: tensor.Of([]float32{1, 2}), NodesFalseleafs: []int{1}, NodesFalsenodeids: []int{0},
			NodesFeatureids: []int{1}, NodesModes: tensor.Of([]uint8{0}), NodesSplits: tensor.Of([]float32{0}),
			NodesTrueleafs: []int{1}, NodesTruenodeids: []int{1}, TreeRoots: []int{0}}, F(3, 2))},
		"TreeEnsembleClassifier": {Case(sampleTrees().classifier(), F(3, 2))},
		"TreeEnsembleRegressor": {
			Case(sampleTrees().regressor(), F(3, 2))},
		"ZipMap": {Case(ZipMap{ClasslabelsInt64s: []int64{4, 6}}, F(3, 2))},
	}
}
