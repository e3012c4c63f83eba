package layers_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

func texts(t *testing.T, shape []int, s ...string) *tensor.Tensor {
	t.Helper()
	x, err := tensor.FromStrings(s, shape...)
	require.NoError(t, err)
	return x
}

// TestHashing holds the examples in the documentation of keras.layers.Hashing.
func TestHashing(t *testing.T) {
	letters := texts(t, []int{5, 1}, "A", "B", "C", "D", "E")
	for _, c := range []struct {
		l    *layers.Hashing
		x    *tensor.Tensor
		want []int64
	}{
		{&layers.Hashing{NumBins: 3}, letters, []int64{1, 0, 1, 1, 2}},
		{&layers.Hashing{NumBins: 3, MaskValue: ""}, texts(t, []int{5, 1}, "A", "B", "", "C", "D"), []int64{1, 1, 0, 2, 2}},
		{&layers.Hashing{NumBins: 3, Salt: []any{133, 137}}, letters, []int64{1, 2, 1, 0, 2}},
		{&layers.Hashing{NumBins: 3, Salt: 133}, letters, []int64{0, 0, 2, 1, 0}},
	} {
		y := runOne(t, c.l, "string", c.x, layers.Options{})
		require.Equal(t, c.want, tensor.As[int64](y))
	}
	y := runOne(t, &layers.Hashing{NumBins: 3, OutputMode: "one_hot"}, "string", letters, layers.Options{})
	require.Equal(t, []float32{0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1}, tensor.As[float32](y))
	ints := runOne(t, &layers.Hashing{NumBins: 7, Base: layers.Base{DType: "int32"}}, "int64", tensor.Of([]int64{3, -12}, 2), layers.Options{})
	words := runOne(t, &layers.Hashing{NumBins: 7, Base: layers.Base{DType: "int32"}}, "string", texts(t, []int{2}, "3", "-12"), layers.Options{})
	require.Equal(t, tensor.As[int32](words), tensor.As[int32](ints))
}

// TestHashedCrossing holds the example in the documentation of keras.layers.HashedCrossing, from a file too.
func TestHashedCrossing(t *testing.T) {
	m := layers.NewModel("m")
	a := m.ApplyArgs(&layers.InputLayer{Base: layers.Named("a"), BatchShape: []int{-1}, InputDType: "string"}, nil, nil)
	b := m.ApplyArgs(&layers.InputLayer{Base: layers.Named("b"), BatchShape: []int{-1}, InputDType: "int64"}, nil, nil)
	m.SetOutputs(m.ApplyArgs(&layers.HashedCrossing{Base: layers.Base{DType: "int64"}, NumBins: 5}, []any{[]any{a, b}}, nil))
	require.NoError(t, m.Build())
	var w bytes.Buffer
	require.NoError(t, keras.Write(&w, &keras.File{Model: m}, keras.Archive, keras.WriteOptions{}))
	f, err := keras.ReadBytes(w.Bytes(), keras.Options{})
	require.NoError(t, err)
	g, err := f.Model.Graph(layers.Options{})
	require.NoError(t, err)
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"a": texts(t, []int{5}, "A", "B", "A", "B", "A"), "b": tensor.Of([]int64{101, 101, 101, 102, 102}, 5)})
	require.NoError(t, err)
	require.Equal(t, []int64{1, 4, 1, 1, 3}, tensor.As[int64](out[g.Outputs[0].Name]))
}

// TestTextVectorization holds the examples in the documentation of keras.layers.TextVectorization, and its
// options.
func TestTextVectorization(t *testing.T) {
	four, five := 4, 5
	x := texts(t, []int{2, 1}, "foo qux bar", "Qux, BAZ!  foo\tqux")
	words := []any{"foo", "bar", "baz"}
	for name, c := range map[string]struct {
		l     layers.TextVectorization
		shape []int
		want  []int64
	}{
		"padded to a length":   {layers.TextVectorization{OutputSequenceLength: &four, Vocabulary: words}, []int{2, 4}, []int64{2, 1, 3, 0, 1, 4, 2, 1}},
		"as long as it takes":  {layers.TextVectorization{Vocabulary: []any{"", "[UNK]", "foo", "bar", "baz"}}, []int{2, 4}, []int64{2, 1, 3, 0, 1, 4, 2, 1}},
		"as it is":             {layers.TextVectorization{Standardize: "none", Vocabulary: []any{"Qux,", "BAZ!"}}, []int{2, 4}, []int64{1, 1, 1, 0, 2, 3, 1, 1}},
		"without punctuation":  {layers.TextVectorization{Standardize: "strip_punctuation", Vocabulary: []any{"Qux", "BAZ"}}, []int{2, 4}, []int64{1, 1, 1, 0, 2, 3, 1, 1}},
		"pairs":                {layers.TextVectorization{Ngrams: []any{2}, Vocabulary: []any{"foo qux", "baz foo"}}, []int{2, 3}, []int64{2, 1, 0, 1, 3, 2}},
		"up to pairs, cut":     {layers.TextVectorization{Ngrams: 2, OutputSequenceLength: &five, Vocabulary: []any{"foo", "foo qux", "qux baz"}}, []int{2, 5}, []int64{2, 1, 1, 3, 1, 1, 1, 2, 1, 4}},
		"letters":              {layers.TextVectorization{Split: "character", OutputSequenceLength: &five, Vocabulary: []any{"o", "q", " "}}, []int{2, 5}, []int64{1, 2, 2, 4, 3, 3, 1, 1, 4, 1}},
		"the whole text":       {layers.TextVectorization{Split: "none", Vocabulary: []any{"foo qux bar"}}, []int{2, 1}, []int64{2, 1}},
		"aliases of the modes": {layers.TextVectorization{OutputMode: "int", Vocabulary: words}, []int{2, 4}, []int64{2, 1, 3, 0, 1, 4, 2, 1}},
	} {
		y := runOne(t, &c.l, "string", x, layers.Options{})
		require.Equal(t, c.shape, y.Shape(), name)
		require.Equal(t, c.want, tensor.As[int64](y), name)
	}
	y := runOne(t, &layers.TextVectorization{Vocabulary: words, OutputMode: "count"}, "string", x, layers.Options{})
	require.Equal(t, []float32{1, 1, 1, 0, 2, 1, 0, 1}, tensor.As[float32](y))
	y = runOne(t, &layers.TextVectorization{Vocabulary: words, OutputMode: "multi_hot", PadToMaxTokens: true, MaxTokens: &five}, "string", x, layers.Options{})
	require.Equal(t, []float32{1, 1, 1, 0, 0, 1, 1, 0, 1, 0}, tensor.As[float32](y))
	y = runOne(t, &layers.TextVectorization{Vocabulary: words, OutputMode: "tf_idf", IDFWeights: []any{0.5, 0.25, 0.75}}, "string", x, layers.Options{})
	require.Equal(t, []float32{0.5, 0.5, 0.25, 0, 1, 0.5, 0, 0.75}, tensor.As[float32](y))

	var w bytes.Buffer
	m := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 1}, InputDType: "string"}, &layers.TextVectorization{Base: layers.Named("t"), Standardize: "none", Split: "none", Vocabulary: []any{"a"}})
	require.NoError(t, m.Build())
	require.NoError(t, keras.Write(&w, &keras.File{Model: m}, keras.Archive, keras.WriteOptions{}))
	f, err := keras.ReadBytes(w.Bytes(), keras.Options{})
	require.NoError(t, err)
	tv := f.Model.Layers()[len(f.Model.Layers())-1].(*layers.TextVectorization)
	require.Equal(t, "none", tv.Standardize)
	require.Equal(t, "none", tv.Split)
}

// TestHashedLookup gives tokens outside the vocabulary places by their hash: 'B' is even among two, "2.x" odd.
func TestHashedLookup(t *testing.T) {
	two := 2
	y := runOne(t, &layers.StringLookup{Vocabulary: []any{"a"}, NumOOVIndices: &two}, "string", texts(t, []int{4}, "a", "abc", "abcdefgh", ""), layers.Options{})
	require.Equal(t, []int64{2, 1, 1, 1}, tensor.As[int64](y)) // FarmHash of all three is odd
	a := runOne(t, &layers.IntegerLookup{Vocabulary: []any{10}, NumOOVIndices: &two, OOVMethod: "farmhash", Salt: []any{1, 2}}, "int64", tensor.Of([]int64{10, 7, 8}, 3), layers.Options{})
	b := runOne(t, &layers.Hashing{NumBins: 2, Salt: []any{1, 2}}, "int64", tensor.Of([]int64{7, 8}, 2), layers.Options{})
	require.Equal(t, append([]int64{2}, tensor.As[int64](b)...), tensor.As[int64](a))
}
