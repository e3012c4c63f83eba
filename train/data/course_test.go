package data_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// As keras.preprocessing.text.Tokenizer numbers and weighs words.
func ExampleTokenizer() {
	t := data.Tokenizer{NumWords: 6}
	t.Fit([]string{"The cat sat on the mat.", "The dog ate my homework!"})
	fmt.Println(t.Sequences([]string{"the dog sat", "my cat"}))
	m, err := t.Matrix([]string{"the cat, the cat"}, data.Freq)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(tensor.As[float32](m))
	// Output:
	// [[1 3] [2]]
	// [0 0.5 0.5 0 0 0]
}

func ExamplePadSequences() {
	t, err := data.PadSequences([][]int64{{1}, {2, 3}, {4, 5, 6}}, data.PadOptions{MaxLen: 2})
	fmt.Println(tensor.As[int64](t), err)
	// Output: [0 1 2 3 5 6] <nil>
}

func ExampleToCategorical() {
	t, err := data.ToCategorical(tensor.Of([]int64{0, 2}), 3)
	fmt.Println(tensor.As[float32](t), err)
	// Output: [1 0 0 0 0 1] <nil>
}

func ExampleNormalize() {
	x := tensor.New(tensor.Float32, 2, 2)
	copy(tensor.As[float32](x), []float32{3, 4, 0, 2})
	t, err := data.Normalize(x, -1)
	fmt.Println(tensor.As[float32](t), err)
	// Output: [0.6 0.8 0 1] <nil>
}

func ExampleClassWeights() {
	w, err := data.ClassWeights(tensor.Of([]int64{0, 0, 0, 1}))
	fmt.Printf("%.3f %.3f %v\n", w[0], w[1], err)
	// Output: 0.667 2.000 <nil>
}

func ExampleWindows() {
	hours := tensor.New(tensor.Float32, 6, 1)
	for i := range tensor.As[float32](hours) {
		tensor.As[float32](hours)[i] = float32(i)
	}
	a, err := data.Windows(hours, hours, data.WindowOptions{Length: 3}) // to forecast the next hour
	if err != nil {
		panic(err)
	}
	fmt.Println(a.X[0].Shape(), tensor.As[float32](a.X[0]), tensor.As[float32](a.Y[0]), err)
	// Output: [3 3 1] [0 1 2 1 2 3 2 3 4] [3 4 5] <nil>
}

// Unknown words, letters as words, and the other weights of words.
func TestTokenizer(t *testing.T) {
	k := data.Tokenizer{NumWords: 3, Unknown: "<unk>"}
	k.Fit([]string{"a b b", "b c"})
	require.Equal(t, map[string]int64{"<unk>": 1, "b": 2, "a": 3, "c": 4}, k.Words)
	require.Equal(t, [][]int64{{1, 2, 1}}, k.Sequences([]string{"A B zzz"}))
	k.NumWords, k.Unknown = 0, ""
	m, err := k.Matrix([]string{"b b a"}, data.TFIDF)
	require.NoError(t, err)
	require.Equal(t, []int{1, 5}, m.Shape())
	require.InDelta(t, (1+math.Log(2))*math.Log(1+2.0/3), tensor.As[float32](m)[2], 1e-6)
	require.InDelta(t, math.Log(1+2.0/2), tensor.As[float32](m)[3], 1e-6)
	_, err = k.Matrix(nil, "nonsense")
	require.NoError(t, err) // no text, nothing to weigh
	_, err = k.Matrix([]string{"a"}, "nonsense")
	require.Error(t, err)
	c := data.Tokenizer{Chars: true}
	c.Fit([]string{"Hello"})
	require.Equal(t, [][]int64{{2, 3, 1, 1, 4}}, c.Sequences([]string{"hello"}))
	require.Equal(t, []string{"don't", "stop"}, k.Split("Don't, stop!"))
	h, err := data.MultiHot([][]int64{{1, 3, 1}}, 4)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 1, 0, 1}, tensor.As[float32](h))
	_, err = data.MultiHot([][]int64{{4}}, 4)
	require.ErrorContains(t, err, "[0, 4)")
}

func TestTextFolder(t *testing.T) {
	dir := t.TempDir()
	put := func(name, s string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644))
	}
	_, err := data.TextFolder(dir)
	require.ErrorIs(t, err, data.ErrEmpty)
	put("neg/2.txt", "bad")
	put("neg/10.txt", "worse")
	put("pos/a.txt", "good")
	put("pos/notes.md", "not a sample")
	put("readme.txt", "neither")
	d, err := data.TextFolder(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"neg", "pos"}, d.Classes)
	require.Equal(t, []string{"worse", "bad", "good"}, d.Texts)
	require.Equal(t, []float32{0, 0, 1}, tensor.As[float32](d.Targets()))
	put("pos/b.txt", "\xff\xfe")
	_, err = data.TextFolder(dir)
	require.ErrorContains(t, err, "UTF-8")
}

func TestLabels(t *testing.T) {
	rows := tensor.New(tensor.Float32, 2, 3)
	copy(tensor.As[float32](rows), []float32{0, 1, 0, 0, 0, 1})
	l, err := data.Labels(rows)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, l)
	_, err = data.Labels(tensor.Of([]float32{0.5}))
	require.ErrorContains(t, err, "no class")
	_, err = data.Labels(tensor.New(tensor.Float32, 1, 2, 2))
	require.Error(t, err)
}
