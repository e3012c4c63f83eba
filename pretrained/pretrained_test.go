package pretrained_test

import (
	"context"
	"encoding/json"
	"image"
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/pretrained"
	"github.com/nnrt/nnrt/tensor"
)

func predict(t *testing.T, m *layers.Model, x *tensor.Tensor) *tensor.Tensor {
	t.Helper()
	g, err := m.Graph(layers.Options{})
	require.NoError(t, err)
	r, err := nnrt.New(g, nnrt.Options{})
	require.NoError(t, err)
	defer r.Close()
	y, err := r.RunValues(context.Background(), []tensor.Value{x})
	require.NoError(t, err)
	return y[0].(*tensor.Tensor)
}

// TestLikeKeras fills networks by the recipe of the recorded ones, in their order of weights, and compares outputs.
func TestLikeKeras(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		alpha float64
		long  bool
	}{{"VGG16", 32, 0, true}, {"ResNet50", 64, 0, true}, {"ResNet50V2", 64, 0, true}, {"MobileNet", 64, 0.5, false},
		{"MobileNetV2", 64, 0.5, false}, {"DenseNet121", 64, 0, false},
		{"MobileNetV3Small", 64, 0, false}, {"MobileNetV3Large", 64, 0, false}, {"EfficientNetB0", 64, 0, false}} {
		t.Run(c.name, func(t *testing.T) {
			dir := testdata.Dir(t, "keras-golden", "applications", c.name)
			if c.long && testing.Short() {
				t.Skip("more than 20 million weights")
			}
			n, err := pretrained.Find(c.name)
			require.NoError(t, err)
			m, err := n.Build(pretrained.Options{Height: c.size, Width: c.size, Alpha: c.alpha, Classes: 10})
			require.NoError(t, err)
			var meta struct{ Gain, RTol, ATol float64 }
			p, err := os.ReadFile(filepath.Join(dir, "meta.json"))
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(p, &meta))
			require.NoError(t, conformance.FillApplication(m, dir, meta.Gain))
			in, err := tensor.OpenNpz(filepath.Join(dir, "inputs.npz"), tensor.NpyOptions{})
			require.NoError(t, err)
			want, err := tensor.OpenNpz(filepath.Join(dir, "outputs.npz"), tensor.NpyOptions{})
			require.NoError(t, err)
			near(t, want[0].Tensor, predict(t, m, in[0].Tensor), meta.RTol, meta.ATol)
		})
	}
}

// TestSizes holds the networks that nothing was recorded of against the numbers of parameters that Keras' page gives, and
// every network against the order of layers that Keras records.
func TestSizes(t *testing.T) {
	for name, want := range map[string]int{"InceptionV3": 23_851_784, "Xception": 22_910_480, "MobileNetV3Small": 2_554_968, "EfficientNetB0": 5_330_571} {
		n, err := pretrained.Find(name)
		require.NoError(t, err)
		m, err := n.Build(pretrained.Options{})
		require.NoError(t, err)
		total := 0
		for _, w := range m.Weights() {
			size := 1
			for _, d := range w.Shape {
				size *= d
			}
			total += size
		}
		require.Equal(t, want, total, name)
	}
}

// TestOrderOfLayers brings recorded networks, which Keras lists by depth, out of order and back.
func TestOrderOfLayers(t *testing.T) {
	for _, name := range []string{"InceptionResNetV2", "DenseNet121", "EfficientNetB0", "ResNet50", "ResNet50V2", "MobileNetV3Large"} {
		p, err := os.ReadFile(filepath.Join(testdata.Dir(t, "keras-golden", "applications", name), "architecture.json"))
		require.NoError(t, err)
		m, err := keras.ReadConfig(p, keras.Options{})
		require.NoError(t, err)
		list := func() (names []string) {
			for _, l := range m.Layers() {
				names = append(names, l.Common().Name)
			}
			return names
		}
		want := list()
		slices.Reverse(m.Layers())
		m.Ordered = false
		m.SortLayers()
		require.Equal(t, want, list(), name)
	}
}

func near(t *testing.T, want, got *tensor.Tensor, rtol, atol float64) {
	t.Helper()
	require.Equal(t, want.Shape(), got.Shape())
	w, err := want.Float64s()
	require.NoError(t, err)
	g, err := got.Float64s()
	require.NoError(t, err)
	for i := range w {
		require.InDelta(t, w[i], g[i], atol+rtol*max(w[i], -w[i]), "element %d", i)
	}
}

type reference struct {
	Cases []struct {
		Input         string
		OutputShape   []int `json:"output_shape"`
		Mean, Std     float64
		Max           float64
		ArgMax        int
		ChannelMeans  []float64 `json:"channel_means"`
		Probabilities []float64
	}
}

func readReference(t *testing.T, dir string) reference {
	t.Helper()
	var r reference
	p, err := os.ReadFile(filepath.Join(dir, "reference.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(p, &r))
	require.NotEmpty(t, r.Cases)
	return r
}

func picture(t *testing.T, path string, mode pretrained.Mode) *tensor.Tensor {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	img, _, err := image.Decode(f)
	require.NoError(t, err)
	x := pretrained.Pixels(img, 224, 224)
	require.NoError(t, pretrained.Preprocess(x, mode))
	return x
}

// TestRealWeights compares features from ImageNet's weights with those of an independent implementation.
func TestRealWeights(t *testing.T) {
	for _, c := range []struct {
		dir, file, name string
		alpha           float64
		mode            pretrained.Mode
	}{
		{"mobilenetv2-0.35-224-notop", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5", "MobileNetV2", 0.35, pretrained.TF},
		{"squeezenet1.1-notop", "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5", "SqueezeNet", 0, pretrained.Caffe},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := testdata.Dir(t, "pretrained", c.dir)
			m, err := pretrained.Open(c.name, filepath.Join(dir, c.file), pretrained.Options{Height: 224, Width: 224, Alpha: c.alpha, NoTop: true})
			require.NoError(t, err)
			for _, ref := range readReference(t, dir).Cases {
				y := predict(t, m, picture(t, filepath.Join(dir, ref.Input), c.mode))
				require.Equal(t, ref.OutputShape, y.Shape())
				vs, err := y.Float64s()
				require.NoError(t, err)
				channels := len(ref.ChannelMeans)
				means, best, sum := make([]float64, channels), 0, 0.0
				for i, v := range vs {
					means[i%channels] += v / float64(len(vs)/channels)
					sum += v
					if v > vs[best] {
						best = i
					}
				}
				require.Equal(t, ref.ArgMax, best)
				require.InDelta(t, ref.Max, vs[best], 1e-4*(1+ref.Max))
				require.InDelta(t, ref.Mean, sum/float64(len(vs)), 1e-4*(1+ref.Mean))
				for k, v := range ref.ChannelMeans {
					require.InDelta(t, v, means[k], 2e-4*(1+max(v, -v)), "channel %d", k)
				}
			}
		})
	}
}

// TestCatDog runs a whole model with a head of its own.
func TestCatDog(t *testing.T) {
	dir := testdata.Dir(t, "pretrained", "teachable-mobilenetv2-cat-dog")
	f, err := keras.ReadFile(filepath.Join(dir, "keras_model.h5"), keras.Options{})
	require.NoError(t, err)
	for _, ref := range readReference(t, dir).Cases {
		y := predict(t, f.Model, picture(t, filepath.Join(dir, ref.Input), pretrained.TF))
		near(t, tensor.Of(ref.Probabilities, 1, len(ref.Probabilities)), y, 1e-4, 1e-4)
	}
}

func TestPredictionsAreDecoded(t *testing.T) {
	labels, err := pretrained.ImageNet()
	require.NoError(t, err)
	require.Len(t, labels, 1000)
	y := tensor.New(tensor.Float32, 2, 1000)
	v := tensor.As[float32](y)
	v[285], v[282], v[1000+386] = 0.7, 0.2, 1
	top, err := pretrained.DecodePredictions(y, labels, 2)
	require.NoError(t, err)
	require.Equal(t, pretrained.Label{ID: "n02124075", Name: "Egyptian_cat"}, top[0][0].Label)
	require.Equal(t, 282, top[0][1].Class)
	require.Equal(t, 386, top[1][0].Class)
	_, err = pretrained.DecodePredictions(tensor.New(tensor.Float32, 1, 10), labels, 2)
	require.ErrorContains(t, err, "1000 classes")
}

func TestPreprocess(t *testing.T) {
	for mode, want := range map[pretrained.Mode][]float32{
		pretrained.TF:    {-1, 1, 0},
		pretrained.Caffe: {127.5 - 103.939, 255 - 116.779, -123.68},
		pretrained.Torch: {-0.485 / 0.229, (1 - 0.456) / 0.224, (0.5 - 0.406) / 0.225},
	} {
		x := tensor.Of([]float32{0, 255, 127.5}, 1, 1, 1, 3)
		require.NoError(t, pretrained.Preprocess(x, mode))
		require.InDeltaSlice(t, want, tensor.As[float32](x), 1e-4, mode)
	}
	require.Error(t, pretrained.Preprocess(tensor.New(tensor.Float32, 1, 4), pretrained.TF))
}
