package ops

import (
	"regexp"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// words is a string tensor for samples.
func words(s ...string) SampleIn {
	t, err := tensor.FromStrings(s, len(s))
	if err != nil {
		return SampleIn{}
	}
	return TV(t)
}

// stringOps is the family of operators on strings.
var stringOps = []Info{
	{StringNormalizer{}, "drops stop words, changes case"},
	{StringConcat{}, "joins strings elementwise, broadcast"},
	{StringSplit{}, "cuts strings at a delimiter"},
	{RegexFullMatch{}, "whether a pattern matches the whole string"},
	{TfIdfVectorizer{}, "counts of n-grams, weighted"},
	{TextTokens{}, "cuts texts into tokens as Keras does"},
	{HashBucket{}, "the place of strings among buckets, as TensorFlow hashes"},
	{HashCross{}, "the place of combinations among buckets, as TensorFlow hashes"},
}

// StringNormalizer drops Stopwords from a [C] or [1,C] tensor and then changes case: LOWER, UPPER or NONE
// (also ""). Where nothing is left the output is one empty string.
type StringNormalizer struct {
	CaseChangeAction string
	IsCaseSensitive  bool
	Locale           string // en_US where empty; only its language matters for case
	Stopwords        []string
}

// Name implements graph.Op.
func (StringNormalizer) Name() string { return "StringNormalizer" }

// Infer implements graph.Op.
func (s StringNormalizer) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isStrings(in, 1); err != nil {
		return nil, err
	}
	switch s.CaseChangeAction {
	case "", "NONE", "LOWER", "UPPER":
	default:
		return nil, errs.Errorf("unknown case_change_action %q", s.CaseChangeAction)
	}
	switch in[0].Rank() {
	case -1:
		return []graph.Type{graph.UnrankedOf(tensor.String)}, nil
	case 1:
		if len(s.Stopwords) == 0 {
			return []graph.Type{in[0].WithoutValue()}, nil
		}
		return []graph.Type{graph.TensorOf(tensor.String, graph.Unknown())}, nil
	case 2:
		if !graph.Compatible(in[0].Dims[0], graph.D(1)) {
			return nil, errs.Errorf("takes [C] or [1,C], got %v", in[0])
		}
		return []graph.Type{graph.TensorOf(tensor.String, graph.D(1), graph.Unknown())}, nil
	}
	return nil, errs.Errorf("takes [C] or [1,C], got %v", in[0])
}

// isStrings checks that the inputs are n string tensors.
func isStrings(in []graph.Type, n int) error {
	if err := arity(in, n, n); err != nil {
		return err
	}
	for i, t := range in {
		if t.Kind != graph.TensorKind || t.DType != tensor.String {
			return errs.Errorf("input %d is %v, not strings", i, t)
		}
	}
	return nil
}

// StringConcat joins two string tensors elementwise, under numpy's broadcasting.
type StringConcat struct{}

// Name implements graph.Op.
func (StringConcat) Name() string { return "StringConcat" }

// Infer implements graph.Op.
func (StringConcat) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isStrings(in, 2); err != nil {
		return nil, err
	}
	return inferBinary(in, nil)
}

// StringSplit cuts each string at Delimiter (runs of white space where empty), at most Maxsplit times
// where HasMaxsplit. Outputs: the pieces, padded with empty strings along a new last axis, and their counts.
type StringSplit struct {
	Delimiter   string
	Maxsplit    int
	HasMaxsplit bool
}

// Name implements graph.Op.
func (StringSplit) Name() string { return "StringSplit" }

// Infer implements graph.Op.
func (StringSplit) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isStrings(in, 1); err != nil {
		return nil, err
	}
	if in[0].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(tensor.String), graph.UnrankedOf(tensor.Int64)}, nil
	}
	dims := append(append([]graph.Dim{}, in[0].Dims...), graph.Unknown())
	return []graph.Type{graph.TensorOf(tensor.String, dims...), graph.TensorOf(tensor.Int64, in[0].Dims...)}, nil
}

// RegexFullMatch reports for each string whether Pattern (RE2 syntax) matches all of it.
type RegexFullMatch struct{ Pattern string }

// Name implements graph.Op.
func (RegexFullMatch) Name() string { return "RegexFullMatch" }

// Infer implements graph.Op.
func (r RegexFullMatch) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isStrings(in, 1); err != nil {
		return nil, err
	}
	if _, err := regexp.Compile(r.Pattern); err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(tensor.Bool, in[0].Dims, in[0].Unranked)}, nil
}

// TfIdfVectorizer counts n-grams of its input, a [C] or [N,C] tensor of integers or strings. The pool
// holds the n-grams, those of length n from NgramCounts[n-1] on; NgramIndexes their places in the output.
type TfIdfVectorizer struct {
	MaxGramLength, MinGramLength, MaxSkipCount int
	Mode                                       string // TF, IDF, TFIDF
	NgramCounts                                []int
	NgramIndexes                               []int
	PoolInt64s                                 []int64 `onnx:"pool_int64s"`
	PoolStrings                                []string
	Weights                                    []float64
}

// Name implements graph.Op.
func (TfIdfVectorizer) Name() string { return "TfIdfVectorizer" }

// Infer implements graph.Op.
func (v TfIdfVectorizer) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if err := v.check(in[0].DType); err != nil {
		return nil, err
	}
	width := 0
	for _, i := range v.NgramIndexes {
		if i < 0 || i > 1<<28 {
			return nil, errs.Errorf("ngram_indexes holds %d", i)
		}
		width = max(width, i+1)
	}
	switch in[0].Rank() {
	case -1:
		return []graph.Type{graph.UnrankedOf(tensor.Float32)}, nil
	case 1:
		return []graph.Type{graph.TensorOf(tensor.Float32, graph.D(width))}, nil
	case 2:
		return []graph.Type{graph.TensorOf(tensor.Float32, in[0].Dims[0], graph.D(width))}, nil
	}
	return nil, errs.Errorf("takes [C] or [N,C], got %v", in[0])
}

// check holds the attributes against each other and against the input's type.
func (v TfIdfVectorizer) check(dt tensor.DType) error {
	switch v.Mode {
	case "TF", "IDF", "TFIDF":
	default:
		return errs.Errorf("unknown mode %q", v.Mode)
	}
	if (dt == tensor.String) != (len(v.PoolStrings) > 0) {
		return errs.Errorf("input is %v, the pool holds %d strings and %d integers", dt, len(v.PoolStrings), len(v.PoolInt64s))
	}
	pool := len(v.PoolStrings) + len(v.PoolInt64s)
	if v.MinGramLength < 1 || v.MaxGramLength < v.MinGramLength || len(v.NgramCounts) < v.MaxGramLength {
		return errs.Errorf("n-grams of %d to %d, ngram_counts %v", v.MinGramLength, v.MaxGramLength, v.NgramCounts)
	}
	last, grams := 0, 0
	for i, c := range v.NgramCounts {
		next := pool
		if i+1 < len(v.NgramCounts) {
			next = v.NgramCounts[i+1]
		}
		if c < last || next < c || next > pool || (next-c)%(i+1) != 0 {
			return errs.Errorf("ngram_counts %v do not divide a pool of %d", v.NgramCounts, pool)
		}
		last, grams = c, grams+(next-c)/(i+1)
	}
	if grams != len(v.NgramIndexes) || len(v.Weights) > 0 && len(v.Weights) != grams {
		return errs.Errorf("the pool holds %d n-grams, ngram_indexes %d, weights %d", grams, len(v.NgramIndexes), len(v.Weights))
	}
	return nil
}

// stringSamples is the cases of stringOps.
func stringSamples() map[string][]Sample {
	return map[string][]Sample{
		"StringNormalizer": {
			Case(StringNormalizer{CaseChangeAction: "UPPER", Stopwords: []string{"b"}}, words("a", "b", "c"))},
		"StringConcat": {Case(StringConcat{}, words("a", "b"), words("x"))},
		"StringSplit":  {Case(StringSplit{Delimiter: "."}, words("a.b", "c"))},
		"TextTokens": {
			Case(TextTokens{Standardize: "lower_and_strip_punctuation", Split: "whitespace", Ngrams: []int{1, 2}}, words("A b, c", "", "d")),
			Case(TextTokens{Split: "character", Length: 2}, words("abc", "d"))},
		"HashBucket": {Case(HashBucket{NumBuckets: 3}, words("A", "B")), Case(HashBucket{NumBuckets: 5, Key: []int64{1, 2}}, words("A", "B"))},
		"HashCross":  {Case(HashCross{NumBuckets: 5}, words("A", "B"), IV(101, 102))},
		"RegexFullMatch": {
			Case(RegexFullMatch{Pattern: "a+"}, words("aa", "ab"))},
		"TfIdfVectorizer": {
			Case(TfIdfVectorizer{MaxGramLength: 2, MinGramLength: 1, Mode: "TF", NgramCounts: []int{0, 2},
				NgramIndexes: []int{0, 1, 2}, PoolInt64s: []int64{2, 3, 5, 4}}, IV(2, 3, 5, 4))},
	}
}
