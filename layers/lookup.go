package layers

import (
	"fmt"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var lookupRows = []row{
	{class: "IntegerLookup", make: func() Layer { return new(IntegerLookup) }},
	{class: "StringLookup", make: func() Layer { return new(StringLookup) }},
	{class: "TextVectorization", make: func() Layer { return new(TextVectorization) }},
	{class: "Hashing", make: func() Layer { return new(Hashing) }},
	{class: "HashedCrossing", make: func() Layer { return new(HashedCrossing) }},
}

// LookupConfig is the config of IntegerLookup and StringLookup. The vocabulary may be a list in the config or
// an asset of a .keras archive.
type LookupConfig struct {
	Base
	MaxTokens       *int
	NumOOVIndices   *int `keras:"num_oov_indices" def:"1"`
	MaskToken       any
	OOVToken        any `keras:"oov_token"` // nil: -1, or "[UNK]"
	Vocabulary      []any
	VocabularyDType string `keras:"vocabulary_dtype,omitzero"`
	IDFWeights      any    `keras:"idf_weights"`
	Invert          bool
	OutputMode      string `def:"\"int\""`
	Sparse          bool
	PadToMaxTokens  bool
	OOVMethod       any    `keras:"oov_method,omitzero"`
	Salt            any    `keras:"salt,omitzero"`
	Encoding        string `keras:"encoding,omitzero"`
	VocabularySize  *int   `keras:"vocabulary_size,omitzero"`
}

// IntegerLookup maps integers to their place in a vocabulary, or back.
type IntegerLookup LookupConfig

// StringLookup maps strings to their place in a vocabulary, or back.
type StringLookup LookupConfig

// Call implements Layer.
func (l *IntegerLookup) Call(c *Call) []*graph.Value { return (*LookupConfig)(l).call(c, false) }

// Call implements Layer.
func (l *StringLookup) Call(c *Call) []*graph.Value { return (*LookupConfig)(l).call(c, true) }

// An AssetLoader is a layer that keeps lists in an archive's assets.
type AssetLoader interface {
	// LoadVocabulary gives the layer a vocabulary that its config lacks, one token a line.
	LoadVocabulary(lines []string)
}

// LoadVocabulary implements AssetLoader.
func (l *IntegerLookup) LoadVocabulary(lines []string) { (*LookupConfig)(l).load(lines) }

// LoadVocabulary implements AssetLoader.
func (l *StringLookup) LoadVocabulary(lines []string) { (*LookupConfig)(l).load(lines) }

func (l *LookupConfig) load(lines []string) {
	if l.Vocabulary != nil {
		return
	}
	for _, s := range lines {
		l.Vocabulary = append(l.Vocabulary, s)
	}
}

// tokens is the vocabulary without mask and out-of-vocabulary tokens, as text.
func (l *LookupConfig) tokens(oov string) []string {
	out := make([]string, len(l.Vocabulary))
	for i, v := range l.Vocabulary {
		out[i] = fmt.Sprint(v)
	}
	var special []string
	if l.MaskToken != nil && l.mode() == "int" {
		special = append(special, fmt.Sprint(l.MaskToken))
	}
	for range orInt(l.NumOOVIndices, 1) {
		special = append(special, oov)
	}
	if n := len(special); n > 0 && len(out) >= n && slices.Equal(out[:n], special) {
		out = out[n:]
	}
	return out
}

func (l *LookupConfig) mode() string { return orString(l.OutputMode, "int") }

// computable records an error where the lookup has no vocabulary, or hashes, which no graph does.
func (l *LookupConfig) computable(c *Call, n int, text bool) bool {
	switch {
	case l.Vocabulary == nil:
		c.Failf("has no vocabulary: it was not adapted, or its asset is missing")
	case n < 0:
		c.Failf("num_oov_indices %d", n)
	case n > 1 && (text || l.Invert):
		c.unsupportedf("num_oov_indices %d hashes strings, which is not supported", n)
	case n > 1 && (l.Salt != nil || orAny(l.OOVMethod, "floormod") != any("floormod")):
		c.unsupportedf("num_oov_indices %d with oov_method %v and salt %v hashes, which is not supported", n, l.OOVMethod, l.Salt)
	case l.mode() == "tf_idf":
		c.unsupportedf("output_mode tf_idf is not supported")
	}
	return c.Err() == nil
}

func (l *LookupConfig) call(c *Call, text bool) []*graph.Value {
	x := c.X()
	oov := "-1"
	if text {
		oov = "[UNK]"
	}
	if l.OOVToken != nil {
		oov = fmt.Sprint(l.OOVToken)
	}
	n := orInt(l.NumOOVIndices, 1)
	if !l.computable(c, n, text) {
		return one(x)
	}
	tokens := l.tokens(oov)
	mask := l.MaskToken != nil && l.mode() == "int"
	if l.Invert {
		return one(l.inverse(c, x, tokens, oov, mask, text))
	}
	start := n
	var keys []string
	var places []int64
	if mask {
		start++
		keys, places = append(keys, fmt.Sprint(l.MaskToken)), append(places, 0)
	} else if l.MaskToken != nil { // encoded as nothing at all, not even as out of the vocabulary
		keys, places = append(keys, fmt.Sprint(l.MaskToken)), append(places, -1)
	}
	for i, t := range tokens {
		keys, places = append(keys, t), append(places, int64(start+i))
	}
	enc := ops.LabelEncoder{ValuesInt64s: places, DefaultInt64: -1}
	if n > 0 {
		enc.DefaultInt64 = int64(start - n)
	}
	if text {
		if x.Type.DType != tensor.String {
			c.Failf("takes strings, got %v", x.Type)
			return one(x)
		}
		enc.KeysStrings = keys
	} else {
		x = c.cast(x, tensor.Int64)
		if enc.KeysInt64s = c.integers(keys); c.Err() != nil {
			return one(x)
		}
	}
	y := c.Add(enc, x)
	if n > 1 { // integers that are out of the vocabulary by their remainder
		rest := c.addN(c.Add(ops.Mod{}, x, c.num(x, float64(n))), float64(start-n))
		in := c.Add(ops.LabelEncoder{KeysInt64s: enc.KeysInt64s, ValuesInt64s: repeat64(1, len(keys))}, x)
		y = c.where(c.cast(in, tensor.Bool), y, rest)
	}
	if l.mode() == "int" {
		return one(y)
	}
	depth := start + len(tokens)
	if l.PadToMaxTokens && l.MaxTokens != nil {
		depth = *l.MaxTokens
	}
	return one(c.encodeCategories(y, depth, l.mode(), nil))
}

func repeat64(v int64, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func (c *Call) integers(tokens []string) []int64 {
	out := make([]int64, len(tokens))
	for i, t := range tokens {
		if _, err := fmt.Sscan(t, &out[i]); err != nil {
			c.Failf("token %q of the vocabulary is no integer", t)
			return nil
		}
	}
	return out
}

// inverse is tokens by their places.
func (l *LookupConfig) inverse(c *Call, x *graph.Value, tokens []string, oov string, mask, text bool) *graph.Value {
	var all []string
	if mask {
		all = append(all, fmt.Sprint(l.MaskToken))
	}
	for range orInt(l.NumOOVIndices, 1) {
		all = append(all, oov)
	}
	all = append(all, tokens...)
	places := make([]int64, len(all))
	for i := range places {
		places[i] = int64(i)
	}
	enc := ops.LabelEncoder{KeysInt64s: places, DefaultString: oov}
	x = c.cast(x, tensor.Int64)
	if text {
		enc.ValuesStrings = all
		return c.Add(enc, x)
	}
	enc.ValuesInt64s = c.integers(all)
	if d := c.integers([]string{oov}); len(d) == 1 {
		enc.DefaultInt64 = d[0]
	}
	if c.Err() != nil {
		return x
	}
	return c.Add(enc, x)
}

// TextVectorization cuts text into tokens: its config is read and written, calls are refused.
type TextVectorization struct {
	Base
	MaxTokens            *int
	Standardize          any `def:"\"lower_and_strip_punctuation\""`
	Split                any `def:"\"whitespace\""`
	Ngrams               any
	OutputMode           string `def:"\"int\""`
	OutputSequenceLength *int
	PadToMaxTokens       bool
	Vocabulary           []any
	IDFWeights           any `keras:"idf_weights"`
	Sparse               bool
	Ragged               bool
	Encoding             string `def:"\"utf-8\""`
	VocabularySize       *int   `keras:"vocabulary_size,omitzero"`
}

// LoadVocabulary implements AssetLoader.
func (l *TextVectorization) LoadVocabulary(lines []string) {
	for _, s := range lines {
		l.Vocabulary = append(l.Vocabulary, s)
	}
}

// Call implements Layer.
func (l *TextVectorization) Call(c *Call) []*graph.Value {
	c.unsupportedf("splits text, which no operator does: tokenize before the model and cut this layer off")
	return one(c.X())
}

// Hashing maps values to buckets by their hash: its config is read and written, calls are refused.
type Hashing struct {
	Base
	NumBins    int
	Salt       any
	MaskValue  any
	OutputMode string `def:"\"int\""`
	Sparse     bool
}

// Call implements Layer.
func (l *Hashing) Call(c *Call) []*graph.Value {
	c.unsupportedf("hashes strings with FarmHash, which no operator does: hash before the model and cut this layer off")
	return one(c.X())
}

// HashedCrossing maps pairs of values to buckets: its config is read and written, calls are refused.
type HashedCrossing struct {
	Base
	NumBins    int
	OutputMode string `def:"\"int\""`
	Sparse     bool
}

// Call implements Layer.
func (l *HashedCrossing) Call(c *Call) []*graph.Value {
	c.unsupportedf("hashes strings with FarmHash, which no operator does: hash before the model and cut this layer off")
	return one(c.X())
}

// TernaryDense is a dense layer whose kernel is rounded to -1, 0 and 1: those above Threshold in absolute
// value (nil: half the mean, and the result is scaled by the mean).
type TernaryDense struct {
	Base
	Units               int
	Threshold           *float64
	Activation          Activation
	NoBias              bool    `keras:"use_bias,not"`
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
}

// Call implements Layer.
func (l *TernaryDense) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	k := c.Weight("kernel", []int{c.dim(x, -1), l.Units}, With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	abs := c.Add(ops.Abs{}, k)
	mean := c.Add(ops.ReduceMean{}, abs)
	limit := c.mulN(mean, 0.5)
	if l.Threshold != nil {
		limit = c.num(k, *l.Threshold)
	}
	t := c.mul(c.Add(ops.Sign{}, k), c.cast(c.Add(ops.Greater{}, abs, limit), k.Type.DType))
	t = c.add(k, c.Add(ops.StopGradient{}, c.sub(t, k))) // the gradient passes as if nothing were rounded
	y := c.Add(ops.MatMul{}, x, t)
	if l.Threshold == nil {
		y = c.mul(y, mean)
	}
	if b := c.bias(l.NoBias, []int{l.Units}, l.BiasInitializer, l.BiasRegularizer, l.BiasConstraint); b != nil {
		y = c.add(y, b)
	}
	return one(c.activate(y, l.Activation))
}
