package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// TextTokens cuts texts into tokens as keras.layers.TextVectorization does. The input is strings; unless Split
// is "none" a last axis of 1 is dropped. The output has a last axis of tokens, padded with empty strings.
type TextTokens struct {
	Standardize string // lower, strip_punctuation, lower_and_strip_punctuation, or none (also "")
	Split       string // whitespace, character, or none (also "")
	Ngrams      []int  // lengths of runs of tokens, joined by spaces; empty: single tokens
	Length      int    // of the last axis, what is longer being cut; 0: as long as it takes
}

// Name implements graph.Op.
func (TextTokens) Name() string { return "TextTokens" }

// Infer implements graph.Op.
func (t TextTokens) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isStrings(in, 1); err != nil {
		return nil, err
	}
	if !oneOf(t.Standardize, "|none|lower|strip_punctuation|lower_and_strip_punctuation|") || !oneOf(t.Split, "|none|whitespace|character|") {
		return nil, errs.Errorf("standardize %q, split %q", t.Standardize, t.Split)
	}
	if t.Length < 0 || t.Length > 1<<24 {
		return nil, errs.Errorf("a length of %d", t.Length)
	}
	for _, n := range t.Ngrams {
		if n < 1 || n > 1<<16 {
			return nil, errs.Errorf("n-grams of %d tokens", n)
		}
	}
	if in[0].Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(tensor.String)}, nil
	}
	dims := append([]graph.Dim{}, in[0].Dims...)
	last := len(dims) - 1
	switch {
	case last < 0:
		return nil, errs.Errorf("takes a batch of texts, got %v", in[0])
	case t.Split == "" || t.Split == "none", last > 0:
		if last > 0 && t.Split != "" && t.Split != "none" && !graph.Compatible(dims[last], graph.D(1)) {
			return nil, errs.Errorf("takes texts one by one, got %v", in[0])
		}
		dims = dims[:last]
	}
	n := graph.Unknown()
	if t.Length > 0 {
		n = graph.D(t.Length)
	}
	return []graph.Type{graph.TensorOf(tensor.String, append(dims, n)...)}, nil
}

// HashBucket is the place of each string among NumBuckets, as int64: TensorFlow's
// strings.to_hash_bucket_fast (FarmHash), or with a Key of two numbers to_hash_bucket_strong (SipHash).
type HashBucket struct {
	NumBuckets int
	Key        []int64
}

// Name implements graph.Op.
func (HashBucket) Name() string { return "HashBucket" }

// Infer implements graph.Op.
func (h HashBucket) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := isStrings(in, 1); err != nil {
		return nil, err
	}
	if h.NumBuckets < 1 || len(h.Key) != 0 && len(h.Key) != 2 {
		return nil, errs.Errorf("%d buckets, a key of %d numbers", h.NumBuckets, len(h.Key))
	}
	return []graph.Type{tensorOr(tensor.Int64, in[0].Dims, in[0].Unranked)}, nil
}

// HashCross is the place among NumBuckets of each combination of its inputs' elements, strings or int64 of one
// shape: TensorFlow's sparse.cross_hashed of dense features.
type HashCross struct{ NumBuckets int }

// Name implements graph.Op.
func (HashCross) Name() string { return "HashCross" }

// Infer implements graph.Op.
func (h HashCross) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) < 1 || h.NumBuckets < 1 {
		return nil, errs.Errorf("%d inputs, %d buckets", len(in), h.NumBuckets)
	}
	for i, t := range in {
		if t.Kind != graph.TensorKind || t.DType != tensor.String && t.DType != tensor.Int64 {
			return nil, errs.Errorf("input %d is %v, neither strings nor int64", i, t)
		}
		if t.Rank() != in[0].Rank() && t.Rank() >= 0 && in[0].Rank() >= 0 {
			return nil, errs.Errorf("inputs %v and %v differ in shape", in[0], t)
		}
	}
	return []graph.Type{tensorOr(tensor.Int64, in[0].Dims, in[0].Unranked)}, nil
}
