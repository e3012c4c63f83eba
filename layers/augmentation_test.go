package layers_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

// runOne runs a model of one layer on one input.
func runOne(t *testing.T, l layers.Layer, dtype string, x *tensor.Tensor, opts layers.Options) *tensor.Tensor {
	t.Helper()
	m := layers.NewSequential("m", &layers.InputLayer{Base: layers.Named("x"), BatchShape: append([]int{-1}, x.Shape()[1:]...), InputDType: dtype}, l)
	g, err := m.Graph(opts)
	require.NoError(t, err)
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	out, err := s.Run(context.Background(), map[string]*tensor.Tensor{"x": x})
	require.NoError(t, err)
	return out[g.Outputs[0].Name]
}

func images() *tensor.Tensor {
	x := tensor.New(tensor.Float32, 4, 6, 7, 3)
	for i, v := 0, tensor.As[float32](x); i < len(v); i++ {
		v[i] = float32(127 + 120*math.Sin(float64(i*i%97)))
	}
	return x
}

// TestAugmentation wants every augmentation to be its input in inference and something of its own in
// training, with the same draws for the same seed, and pixels within their range.
func TestAugmentation(t *testing.T) {
	seed := 5
	one := 1.0
	for name, l := range map[string]layers.Layer{
		"flip": &layers.RandomFlip{Seed: &seed}, "rotation": &layers.RandomRotation{Factor: 0.2, Seed: &seed}, "shear": &layers.RandomShear{XFactor: 0.3, YFactor: 0.3, Seed: &seed},
		"translation": &layers.RandomTranslation{HeightFactor: 0.3, WidthFactor: []float64{-0.2, 0.3}, Seed: &seed}, "zoom": &layers.RandomZoom{HeightFactor: 0.4, Seed: &seed},
		"zoom_wrap":   &layers.RandomZoom{HeightFactor: 0.4, WidthFactor: 0.1, FillMode: "wrap", Interpolation: "nearest", Seed: &seed},
		"perspective": &layers.RandomPerspective{Scale: &one, Seed: &seed}, "contrast": &layers.RandomContrast{Factor: 0.7, Seed: &seed}, "brightness": &layers.RandomBrightness{Factor: 0.4, Seed: &seed},
		"hue": &layers.RandomHue{Factor: 0.8, Seed: &seed}, "saturation": &layers.RandomSaturation{Factor: []float64{0.6, 0.8}, Seed: &seed, ValueRange: []any{0, 1}},
		"sharpness": &layers.RandomSharpness{Factor: 0.9, Seed: &seed}, "posterization": &layers.RandomPosterization{Factor: 3.0, Seed: &seed},
		"degeneration": &layers.RandomColorDegeneration{Factor: 0.9, Seed: &seed}, "jitter": &layers.RandomColorJitter{BrightnessFactor: 0.3, ContrastFactor: 0.2, Seed: &seed},
		"grayscale": &layers.RandomGrayscale{Factor: 0.9, Seed: &seed}, "invert": &layers.RandomInvert{Seed: &seed}, "erasing": &layers.RandomErasing{FillValue: 3.0, Seed: &seed},
		"solarization": &layers.Solarization{AdditionFactor: 0.2, ThresholdFactor: 0.6, Seed: &seed}, "equalization": &layers.Equalization{},
		"first": &layers.RandomRotation{Factor: 0.2, Seed: &seed, DataFormat: "channels_first"},
	} {
		t.Run(name, func(t *testing.T) {
			x := images()
			in := runOne(t, l, "float32", x, layers.Options{})
			require.Equal(t, x.Bytes(), in.Bytes())
			a := runOne(t, l, "float32", x, layers.Options{Training: true})
			b := runOne(t, l, "float32", x, layers.Options{Training: true})
			require.Equal(t, a.Bytes(), b.Bytes())
			require.Equal(t, x.Shape(), a.Shape())
			require.NotEqual(t, x.Bytes(), a.Bytes())
			for _, v := range tensor.As[float32](a) {
				require.True(t, v >= -1e-3 && v <= 255.001, "%v", v)
			}
		})
	}
	crop := runOne(t, &layers.RandomCrop{Height: 4, Width: 5, Seed: &seed}, "float32", images(), layers.Options{Training: true})
	require.Equal(t, []int{4, 4, 5, 3}, crop.Shape())
	m := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 4, 4, 3}}, &layers.MixUp{})
	_, err := m.Graph(layers.Options{Training: true})
	require.ErrorContains(t, err, "not available in training")
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// TestRefusedInInference wants layers that compute something in inference which no graph does to be refused.
func TestRefusedInInference(t *testing.T) {
	for name, c := range map[string]struct {
		l     layers.Layer
		dtype string
		says  string
	}{
		"clahe":    {&layers.ContrastLimitedAdaptiveHistogramEqualization{Base: layers.Named("c")}, "float32", `ContrastLimitedAdaptiveHistogramEqualization "c": evens out histograms`},
		"function": {&layers.TextVectorization{Vocabulary: []any{"a"}, Split: map[string]any{}}, "string", "split is a Python function"},
		"tf_idf":   {&layers.StringLookup{Vocabulary: []any{"a"}, OutputMode: "tf_idf"}, "string", "tf_idf"},
	} {
		t.Run(name, func(t *testing.T) {
			m := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 4, 4, 3}, InputDType: c.dtype}, c.l)
			_, err := m.Graph(layers.Options{})
			require.ErrorIs(t, err, errors.ErrUnsupported)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestEncodedCategories wants masks encoded as nothing, and higher ranks joined along axis 1, as Keras has it.
func TestEncodedCategories(t *testing.T) {
	words, err := tensor.FromStrings([]string{"dog", "", "cow", "cat"}, 4, 1)
	require.NoError(t, err)
	y := runOne(t, &layers.StringLookup{Vocabulary: []any{"cat", "dog"}, MaskToken: "", OutputMode: "multi_hot"}, "string", words, layers.Options{})
	require.Equal(t, []float32{0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0}, tensor.As[float32](y))
	x := tensor.Of([]int64{0, 1, 1, 1}, 1, 2, 2)
	y = runOne(t, &layers.CategoryEncoding{NumTokens: 2}, "int64", x, layers.Options{})
	require.Equal(t, []float32{1, 1, 0, 1}, tensor.As[float32](y))
	y = runOne(t, &layers.CategoryEncoding{NumTokens: 2, OutputMode: "count"}, "int64", x, layers.Options{})
	require.Equal(t, []float32{1, 1, 0, 2}, tensor.As[float32](y))
}

// TestQuarterTurn rotates by exactly a quarter: a known picture.
func TestQuarterTurn(t *testing.T) {
	x := tensor.Of([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 3, 3, 1)
	y := runOne(t, &layers.RandomRotation{Factor: []float64{0.25, 0.25}}, "float32", x, layers.Options{Training: true})
	want := []float32{3, 6, 9, 2, 5, 8, 1, 4, 7}
	for i, v := range tensor.As[float32](y) {
		require.InDelta(t, want[i], v, 1e-4)
	}
}

func TestLookup(t *testing.T) {
	vocabulary := []any{"cat", "dog"}
	words, err := tensor.FromStrings([]string{"dog", "cow", "cat"}, 3)
	require.NoError(t, err)
	y := runOne(t, &layers.StringLookup{Vocabulary: vocabulary}, "string", words, layers.Options{})
	require.Equal(t, []int64{2, 0, 1}, tensor.As[int64](y))
	y = runOne(t, &layers.StringLookup{Vocabulary: vocabulary, MaskToken: "cow"}, "string", words, layers.Options{})
	require.Equal(t, []int64{3, 0, 2}, tensor.As[int64](y))
	y = runOne(t, &layers.StringLookup{Vocabulary: []any{"[UNK]", "cat", "dog"}, OutputMode: "one_hot"}, "string", words, layers.Options{})
	require.Equal(t, []float32{0, 0, 1, 1, 0, 0, 0, 1, 0}, tensor.As[float32](y))
	n := 2
	y = runOne(t, &layers.IntegerLookup{Vocabulary: []any{10, 20}, NumOOVIndices: &n}, "int64", tensor.Of([]int64{20, 7, 8, 10}, 4), layers.Options{})
	require.Equal(t, []int64{3, 1, 0, 2}, tensor.As[int64](y))
	y = runOne(t, &layers.IntegerLookup{Vocabulary: []any{10, 20}, Invert: true}, "int64", tensor.Of([]int64{2, 0, 1}, 3), layers.Options{})
	require.Equal(t, []int64{20, -1, 10}, tensor.As[int64](y))
}

// TestMelSpectrogram checks one band of a pure tone: its power is in the band around its frequency.
func TestMelSpectrogram(t *testing.T) {
	x := tensor.New(tensor.Float32, 1, 2048)
	for i, v := 0, tensor.As[float32](x); i < len(v); i++ {
		v[i] = float32(math.Sin(2 * math.Pi * 1000 * float64(i) / 8000))
	}
	n := 256
	y := runOne(t, &layers.MelSpectrogram{FftLength: 256, SequenceStride: 128, SequenceLength: &n, SamplingRate: 8000, NumMelBins: 16}, "float32", x, layers.Options{})
	require.Equal(t, []int{1, 16, 17}, y.Shape())
	v := tensor.As[float32](y)
	best := 0
	for b := range 16 {
		if v[b*17+8] > v[best*17+8] {
			best = b
		}
	}
	mel := func(f float64) float64 { return 1127 * math.Log(1+f/700) }
	want := (mel(1000)-mel(20))/((mel(4000)-mel(20))/17) - 1
	require.InDelta(t, want, float64(best), 1)
}
