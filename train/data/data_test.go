package data

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/tensor"
)

func counting(n int) Arrays {
	x := tensor.New(tensor.Float32, n, 2)
	y := tensor.New(tensor.Int64, n)
	for i := range n {
		tensor.As[float32](x)[2*i] = float32(i)
		tensor.As[int64](y)[i] = int64(i)
	}
	return New(x, y)
}

func labels(t *testing.T, seq iter.Seq2[Batch, error]) (out []int64) {
	t.Helper()
	for b, err := range seq {
		require.NoError(t, err)
		out = append(out, tensor.As[int64](b.Y[0])...)
	}
	return out
}

func TestBatchesShuffleAndSkip(t *testing.T) {
	a := counting(10)
	o := Order{BatchSize: 3, Shuffle: true, Seed: 1, Epoch: 2}
	all := labels(t, a.Batches(o))
	require.ElementsMatch(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, all)
	o.Skip = 2
	require.Equal(t, all[6:], labels(t, a.Batches(o)))
	require.Equal(t, all[6:], labels(t, Prefetch(a, 2).Batches(o)))
	o.DropLast = true
	require.Equal(t, all[6:9], labels(t, a.Batches(o)))
	other := labels(t, a.Batches(Order{BatchSize: 3, Shuffle: true, Seed: 1, Epoch: 3}))
	require.NotEqual(t, all, other)
}

func TestPrefetchEndsEarlyAndPassesErrors(t *testing.T) {
	n := 0
	for range Prefetch(counting(100), 4).Batches(Order{BatchSize: 1}) {
		if n++; n == 3 {
			break
		}
	}
	bad := Func{Each: func(Order) iter.Seq2[Batch, error] {
		return func(yield func(Batch, error) bool) { yield(Batch{}, fmt.Errorf("broken")) }
	}}
	for _, err := range Prefetch(bad, 1).Batches(Order{}) {
		require.ErrorContains(t, err, "broken")
	}
}

func TestFolds(t *testing.T) {
	folds, err := counting(10).KFold(4, true, 1)
	require.NoError(t, err)
	var seen []int64
	for _, f := range folds {
		seen = append(seen, tensor.As[int64](f.Valid.Y[0])...)
		require.Equal(t, 10, f.Train.Len()+f.Valid.Len())
		require.NotContains(t, tensor.As[int64](f.Train.Y[0]), tensor.As[int64](f.Valid.Y[0])[0])
	}
	require.ElementsMatch(t, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, seen)
	many, err := counting(10).IteratedKFold(3, 2, 1)
	require.NoError(t, err)
	require.Len(t, many, 6)
	require.NotEqual(t, tensor.As[int64](many[0].Valid.Y[0]), tensor.As[int64](many[2].Valid.Y[0]))
	_, err = counting(3).KFold(4, false, 0)
	require.Error(t, err)
	parts, err := counting(10).Split(true, 3, 0.6, 0.2, 0.2)
	require.NoError(t, err)
	require.Equal(t, []int{6, 2, 2}, []int{parts[0].Len(), parts[1].Len(), parts[2].Len()})
}

func TestCategoricalAndNormalizer(t *testing.T) {
	y, err := ToCategorical(tensor.Of([]int64{2, 0}), 0)
	require.NoError(t, err)
	require.Equal(t, []float32{0, 0, 1, 1, 0, 0}, tensor.As[float32](y))
	_, err = ToCategorical(tensor.Of([]int64{3}), 3)
	require.Error(t, err)
	var n Normalizer
	x := tensor.Of([]float32{1, 10, 3, 10}, 2, 2)
	require.NoError(t, n.Adapt(x))
	z, err := n.Apply(x)
	require.NoError(t, err)
	require.Equal(t, []float32{-1, 0, 1, 0}, tensor.As[float32](z))
}

func TestPadSequences(t *testing.T) {
	seqs := [][]int64{{1}, {2, 3, 4}}
	for want, o := range map[string]PadOptions{
		"[0 0 1 2 3 4]": {}, "[1 0 0 2 3 4]": {PadAfter: true}, "[0 1 3 4]": {MaxLen: 2}, "[9 1 2 3]": {MaxLen: 2, TruncateEnd: true, Value: 9},
	} {
		p, err := PadSequences(seqs, o)
		require.NoError(t, err)
		require.Equal(t, want, fmt.Sprint(tensor.As[int64](p)))
	}
}

func TestWindows(t *testing.T) {
	s := tensor.New(tensor.Float32, 10, 1)
	for i := range 10 {
		tensor.As[float32](s)[i] = float32(i)
	}
	a, err := Windows(s, s, WindowOptions{Length: 3, SampleRate: 2, Stride: 2, Delay: 2})
	require.NoError(t, err)
	require.Equal(t, []int{2, 3, 1}, a.X[0].Shape())
	require.Equal(t, []float32{0, 2, 4, 2, 4, 6}, tensor.As[float32](a.X[0]))
	require.Equal(t, []float32{6, 8}, tensor.As[float32](a.Y[0]))
	_, err = Windows(s, s, WindowOptions{Length: 11})
	require.ErrorIs(t, err, ErrEmpty)
}

func TestTextVectorizer(t *testing.T) {
	v := &TextVectorizer{Ngrams: 2}
	v.Adapt([]string{"The cat, the dog!", "a cat"})
	require.Equal(t, []string{"", "[UNK]", "the", "cat"}, v.Vocabulary[:4])
	x, err := v.Ints([]string{"the bird"})
	require.NoError(t, err)
	require.Equal(t, []int64{2, 1, 1}, tensor.As[int64](x))
	v = &TextVectorizer{MaxTokens: 4}
	v.Adapt([]string{"the cat the dog cat the"})
	c, err := v.Counts([]string{"the the dog"}, false)
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 0}, tensor.As[float32](c))
}

func TestAugment(t *testing.T) {
	x := tensor.New(tensor.Float32, 8, 4, 4, 1)
	for i := range tensor.As[float32](x) {
		tensor.As[float32](x)[i] = float32(i % 16)
	}
	same, err := Augment{}.Apply(x, philox.New(1))
	require.NoError(t, err)
	require.Equal(t, x.Bytes(), same.Bytes())
	flipped, err := Augment{FlipHorizontal: true}.Apply(x, philox.New(1))
	require.NoError(t, err)
	firsts := map[float32]bool{}
	for i := range 8 {
		firsts[tensor.As[float32](flipped)[i*16]] = true
	}
	require.Equal(t, map[float32]bool{0: true, 3: true}, firsts)
	a := Augment{Rotation: 0.1, Zoom: 0.2, Translation: 0.1, Contrast: 0.3, Brightness: 0.2, ValueRange: [2]float64{0, 15}, CropHeight: 3, CropWidth: 2}
	y, err := a.Apply(x, philox.New(2))
	require.NoError(t, err)
	require.Equal(t, []int{8, 3, 2, 1}, y.Shape())
	again, err := a.Apply(x, philox.New(2))
	require.NoError(t, err)
	require.Equal(t, y.Bytes(), again.Bytes())
	for _, v := range tensor.As[float32](y) {
		require.GreaterOrEqual(t, v, float32(0))
		require.LessOrEqual(t, v, float32(15))
	}
}

func TestCIFAR(t *testing.T) {
	a, err := ReadCIFAR(false, testdata.Dir(t, "datasets", "cifar10-subset", "test_1000.bin.gz"))
	require.NoError(t, err)
	require.Equal(t, []int{1000, 32, 32, 3}, a.X[0].Shape())
	for _, l := range tensor.As[int64](a.Y[0]) {
		require.True(t, l >= 0 && l < 10)
	}
}

// Tables as people have them: byte order marks, semicolons, quotes, missing cells, words; and what is no table.
func TestCSVAsPeopleHaveIt(t *testing.T) {
	read := func(s string, o CSVOptions) (*Table, error) { return DecodeCSV(strings.NewReader(s), o) }
	for _, s := range []string{"a,b,y\n1,2,0\n3,4,1\n", "\ufeffa,b,y\r\n1,2,0\r\n3,4,1\r\n", "a;b;y\n1;2;0\n3;4;1\n", "a\tb\ty\n1\t2\t0\n3\t4\t1\n",
		"\"a\",\"b\",\"the \"\"y\"\"\"\n\"1\", 2,0\n3,4,1\n", "1,2,0\n3,4,1", "a,b,y\n1,2,0\n5,,1\n3,4,1\nnull,4,1\n"} {
		tab, err := read(s, CSVOptions{})
		require.NoError(t, err, s)
		require.Equal(t, []float32{1, 2, 3, 4}, tensor.As[float32](tab.X), s)
		require.Equal(t, []float32{0, 1}, tensor.As[float32](tab.Y), s)
		require.Len(t, tab.Notes(), map[bool]int{true: 1}[tab.Dropped > 0])
	}
	tab, err := read("a,b,y\nred,2,no\nblue,4,yes\n", CSVOptions{Target: "y"})
	require.NoError(t, err)
	require.Equal(t, []float32{1, 2, 0, 4}, tensor.As[float32](tab.X))
	require.Equal(t, []string{"no", "yes"}, tab.Classes)
	require.Contains(t, tab.Notes()[0], "column 1")
	for s, want := range map[string]string{"": "no samples", "a,b,y\n": "no samples", "a,b\n1,2\n3\n": "line 3", "a,b\n1,\n": "no samples",
		"a,y\n1,0\n2,1\n3x,0\n": `row 4, column 1: "3x"`, "\xff\xfea\x00,\x00": "UTF-8"} {
		_, err := read(s, CSVOptions{})
		require.ErrorContains(t, err, want, s)
	}
}
