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

func (l *LookupConfig) mode() string {
	switch m := orString(l.OutputMode, "int"); m {
	case "binary":
		return "multi_hot"
	case "tf-idf":
		return "tf_idf"
	default:
		return m
	}
}

// computable records an error where the lookup has no vocabulary, or what Keras refuses too.
func (l *LookupConfig) computable(c *Call, n int) bool {
	switch {
	case l.Vocabulary == nil:
		c.Failf("has no vocabulary: it was not adapted, or its asset is missing")
	case n < 0:
		c.Failf("num_oov_indices %d", n)
	case l.mode() == "tf_idf" && l.IDFWeights == nil:
		c.unsupportedf("output_mode tf_idf without idf_weights in the config is not supported")
	}
	return c.Err() == nil
}

func (l *LookupConfig) call(c *Call, text bool) []*graph.Value { return one(l.lookup(c, c.X(), text)) }

func (l *LookupConfig) lookup(c *Call, x *graph.Value, text bool) *graph.Value {
	oov := "-1"
	if text {
		oov = "[UNK]"
	}
	if l.OOVToken != nil {
		oov = fmt.Sprint(l.OOVToken)
	}
	n := orInt(l.NumOOVIndices, 1)
	if !l.computable(c, n) {
		return x
	}
	tokens := l.tokens(oov)
	mask := l.MaskToken != nil && l.mode() == "int"
	if l.Invert {
		return l.inverse(c, x, tokens, oov, mask, text)
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
			return x
		}
		enc.KeysStrings = keys
	} else {
		x = c.cast(x, tensor.Int64)
		if enc.KeysInt64s = c.integers(keys); c.Err() != nil {
			return x
		}
	}
	y := c.Add(enc, x)
	if n > 1 {
		rest := c.addN(l.bucket(c, x, n, text), float64(start-n))
		in := c.Add(ops.LabelEncoder{KeysInt64s: enc.KeysInt64s, KeysStrings: enc.KeysStrings, ValuesInt64s: repeat64(1, len(keys))}, x)
		y = c.where(c.cast(in, tensor.Bool), y, rest)
	}
	if l.mode() == "int" {
		return y
	}
	depth := start + len(tokens)
	if l.PadToMaxTokens && l.MaxTokens != nil {
		depth = *l.MaxTokens
	}
	if l.mode() == "tf_idf" {
		return l.weighted(c, c.encodeCategories(y, depth, "count", nil), start, len(tokens))
	}
	return c.encodeCategories(y, depth, l.mode(), nil)
}

// bucket is which of n places outside the vocabulary a token gets: an integer by its remainder, a string (or an
// integer where the config says so) by its hash.
func (l *LookupConfig) bucket(c *Call, x *graph.Value, n int, text bool) *graph.Value {
	if !text && orAny(l.OOVMethod, "floormod") == any("floormod") {
		return c.Add(ops.Mod{}, x, c.num(x, float64(n)))
	}
	return c.Add(ops.HashBucket{NumBuckets: n, Key: c.salt(l.Salt)}, c.asString(x))
}

// weighted is counts times the inverse document frequencies: those of tokens outside the vocabulary are the mean.
func (l *LookupConfig) weighted(c *Call, counts *graph.Value, start, tokens int) *graph.Value {
	ws, err := asFloats(l.IDFWeights)
	if err != nil || len(ws) != len(l.Vocabulary) {
		c.Failf("has %d idf_weights for %d tokens", len(ws), len(l.Vocabulary))
		return counts
	}
	if len(ws) == tokens { // without the special ones
		mean := 0.0
		for _, w := range ws {
			mean += w / float64(len(ws))
		}
		ws = append(slices.Repeat([]float64{mean}, start), ws...)
	}
	depth := c.dim(counts, -1)
	ws = append(ws, make([]float64, max(depth-len(ws), 0))...)
	return c.mul(counts, c.constant(counts.Type.DType, ws[:depth], depth))
}

// asString is x as text, numbers in decimal, as TensorFlow hashes them: floating-point ones cut to integers.
func (c *Call) asString(x *graph.Value) *graph.Value {
	if x.Type.DType.IsFloat() {
		x = c.cast(x, tensor.Int64)
	}
	return c.cast(x, tensor.String)
}

// salt is the key of a strong hash: two numbers, or one for both; nil where none is given.
func (c *Call) salt(v any) []int64 {
	fs, err := asFloats(v)
	switch {
	case err != nil || len(fs) > 2:
		c.Failf("salt %v", v)
	case len(fs) == 1:
		return []int64{int64(fs[0]), int64(fs[0])}
	case len(fs) == 2:
		return []int64{int64(fs[0]), int64(fs[1])}
	}
	return nil
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

// TextVectorization cuts texts into tokens, and gives their places in a vocabulary or what is counted of them.
type TextVectorization struct {
	Base
	MaxTokens            *int
	Standardize          any    `def:"\"lower_and_strip_punctuation\"" null:"none"` // or "lower", "strip_punctuation", "none"
	Split                any    `def:"\"whitespace\"" null:"none"`                  // or "character", "none"
	Ngrams               any    // the longest, or a list of lengths
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
	if l.Vocabulary != nil {
		return
	}
	for _, s := range lines {
		l.Vocabulary = append(l.Vocabulary, s)
	}
}

// Call implements Layer.
func (l *TextVectorization) Call(c *Call) []*graph.Value {
	x := c.X()
	op := ops.TextTokens{Standardize: c.choice("standardize", l.Standardize, "lower_and_strip_punctuation"), Split: c.choice("split", l.Split, "whitespace")}
	if l.Ragged {
		c.unsupportedf("ragged outputs are not supported")
	}
	if ns, err := asFloats(l.Ngrams); err != nil {
		c.Failf("ngrams %v", l.Ngrams)
	} else if _, isList := l.Ngrams.([]any); !isList && len(ns) == 1 {
		for i := range int(ns[0]) {
			op.Ngrams = append(op.Ngrams, i+1)
		}
	} else {
		for _, n := range ns {
			op.Ngrams = append(op.Ngrams, int(n))
		}
	}
	look := LookupConfig{MaxTokens: l.MaxTokens, MaskToken: "", Vocabulary: l.Vocabulary, IDFWeights: l.IDFWeights, OutputMode: l.OutputMode, PadToMaxTokens: l.PadToMaxTokens}
	if look.mode() == "int" {
		op.Length = orInt(l.OutputSequenceLength, 0)
	}
	if x.Type.DType != tensor.String {
		c.Failf("takes strings, got %v", x.Type)
	}
	if c.Err() != nil {
		return one(x)
	}
	return one(look.lookup(c, c.Add(op, x), true))
}

// choice is an option that may be a function of the user's in Python, which is refused.
func (c *Call) choice(name string, v any, def string) string {
	switch v := v.(type) {
	case nil:
		return def
	case string:
		return v
	}
	c.unsupportedf("%s is a Python function, which nothing here runs", name)
	return def
}

// Hashing maps values to buckets by their hash; MaskValue has bucket 0 for itself.
type Hashing struct {
	Base
	NumBins    int
	Salt       any // nil: FarmHash; one or two numbers: SipHash under them
	MaskValue  any
	OutputMode string `def:"\"int\""`
	Sparse     bool
}

// Call implements Layer.
func (l *Hashing) Call(c *Call) []*graph.Value {
	x := c.X()
	bins := l.NumBins
	masked := l.MaskValue != nil && bins > 1
	if masked {
		bins--
	}
	y := c.Add(ops.HashBucket{NumBuckets: bins, Key: c.salt(l.Salt)}, c.asString(x))
	if masked && c.Err() == nil {
		y = c.where(c.isValue(x, l.MaskValue), c.num(y, 0), c.addN(y, 1))
	}
	return one(l.encoded(c, y, l.NumBins, l.OutputMode))
}

// isValue is where x is a value of a config.
func (c *Call) isValue(x *graph.Value, v any) *graph.Value {
	if x.Type.DType == tensor.String {
		t, err := tensor.FromStrings([]string{fmt.Sprint(v)})
		c.Fail(err)
		return c.Add(ops.Equal{}, x, c.Const("value", t))
	}
	f, err := asNumber(v)
	if err != nil {
		c.Failf("mask_value %v for %v", v, x.Type)
	}
	return c.Add(ops.Equal{}, x, c.num(x, f))
}

// encoded is buckets as they are, in the layer's integer type, or one-hot and the like.
func (b *Base) encoded(c *Call, y *graph.Value, bins int, mode string) *graph.Value {
	if mode = orString(mode, "int"); mode != "int" {
		return c.encodeCategories(y, bins, mode, nil)
	}
	if dt, err := tensor.ParseDType(b.DType); err == nil && dt.IsInt() {
		return c.cast(y, dt)
	}
	return y
}

// HashedCrossing maps combinations of two or more inputs' values to buckets by their hash.
type HashedCrossing struct {
	Base
	NumBins    int
	OutputMode string `def:"\"int\""`
	Sparse     bool
}

// Call implements Layer.
func (l *HashedCrossing) Call(c *Call) []*graph.Value {
	if len(c.In) < 2 {
		c.Failf("takes two or more inputs, got %d", len(c.In))
		return one(c.X())
	}
	ins := slices.Clone(c.In)
	for i, x := range ins {
		if r := c.rank(x); r > 2 || r == 2 && c.dim(x, 1) != 1 {
			c.Failf("takes inputs (batch) or (batch, 1), got %v", x.Type)
		}
		if x.Type.DType.IsFloat() {
			c.Failf("takes integers or strings, got %v", x.Type)
		}
		if x.Type.DType != tensor.String {
			ins[i] = c.cast(x, tensor.Int64)
		}
	}
	return one(l.encoded(c, c.Add(ops.HashCross{NumBuckets: l.NumBins}, ins...), l.NumBins, l.OutputMode))
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
