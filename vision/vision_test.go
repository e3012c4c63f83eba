package vision_test

import (
	"bytes"
	"cmp"
	"context"
	"image/png"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/pretrained/digits"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/vision"
)

func viewer(t *testing.T) (*vision.Viewer, *layers.Model) {
	t.Helper()
	m, err := digits.Model()
	require.NoError(t, err)
	dev, err := cpu.New(cpu.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = dev.Close() })
	return vision.New(m, dev), m
}

// convs is the names of the digits model's convolutions.
func convs(m *layers.Model) []string {
	var out []string
	for _, l := range m.Layers() {
		if _, ok := l.(*layers.Conv2D); ok {
			out = append(out, l.Common().Name)
		}
	}
	return out
}

func TestActivations(t *testing.T) {
	v, m := viewer(t)
	ps, err := digits.Pictures()
	require.NoError(t, err)
	names := convs(m)
	out, err := v.Activations(context.Background(), digits.Batch(ps[:1]), names...)
	require.NoError(t, err)
	require.Equal(t, []int{1, 26, 26, 16}, out[names[0]].Shape())
	require.Equal(t, []int{1, 8, 8, 32}, out[names[3]].Shape())
	img, err := vision.Mosaic(out[names[3]], 8, 20)
	require.NoError(t, err)
	require.Equal(t, 8*9+1, img.Bounds().Dx())
	require.Equal(t, 3*9+1, img.Bounds().Dy())
	p, err := vision.PNG(img)
	require.NoError(t, err)
	_, err = png.Decode(bytes.NewReader(p))
	require.NoError(t, err)
	_, err = v.Activations(context.Background(), digits.Batch(ps[:1]), "no such layer")
	require.Error(t, err)
}

// TestFilterClimbs asks for the gradient ascent to raise every filter's answer, and their mean far above noise's.
func TestFilterClimbs(t *testing.T) {
	v, m := viewer(t)
	names := convs(m)
	rise := 0.0
	for channel := range 32 {
		x, before, after, err := v.Filter(context.Background(), names[2], channel, vision.Ascent{Low: 0, High: 1, Steps: 10})
		require.NoError(t, err)
		require.Equal(t, []int{1, 28, 28, 1}, x.Shape())
		require.Greater(t, after, before, "channel %d", channel)
		rise += (after - before) / 32
		for _, p := range tensor.As[float32](x) {
			require.True(t, p >= 0 && p <= 1)
		}
	}
	require.Greater(t, rise, 0.2)
	_, _, _, err := v.Filter(context.Background(), names[2], 99, vision.Ascent{})
	require.ErrorContains(t, err, "32 channels")
}

// TestGradCAMFindsEvidence hides the hottest quarter of each picture, which must cost the true class more than hiding
// the coldest.
func TestGradCAMFindsEvidence(t *testing.T) {
	v, m := viewer(t)
	names := convs(m)
	last := m.Layers()[len(m.Layers())-1].Common().Name
	ps, err := digits.Pictures()
	require.NoError(t, err)
	hot, cold := 0.0, 0.0
	for _, p := range ps {
		x := digits.Batch([]digits.Picture{p})
		heat, class, err := v.GradCAM(context.Background(), names[3], x, -1)
		require.NoError(t, err)
		require.Equal(t, p.Label, class)
		require.Equal(t, []int{8, 8}, heat.Shape())
		cells := make([]int, 64)
		for i := range cells {
			cells[i] = i
		}
		hs := tensor.As[float32](heat)
		slices.SortStableFunc(cells, func(a, b int) int { return cmp.Compare(hs[a], hs[b]) })
		cold += hidden(t, v, last, x, cells[:16], class)
		hot += hidden(t, v, last, x, cells[48:], class)
		over, err := vision.Overlay(p.Image, heat, 0.6)
		require.NoError(t, err)
		require.Equal(t, p.Image.Bounds().Size(), over.Bounds().Size())
	}
	require.Less(t, hot, cold-2, "the sum of ten probabilities")
}

// hidden is the probability of a class where cells of an 8 x 8 grid are blanked.
func hidden(t *testing.T, v *vision.Viewer, last string, x *tensor.Tensor, cells []int, class int) float64 {
	t.Helper()
	x = x.Clone()
	for i := range 28 * 28 {
		if slices.Contains(cells, i/28*8/28*8+i%28*8/28) {
			tensor.As[float32](x)[i] = 0
		}
	}
	out, err := v.Activations(context.Background(), x, last)
	require.NoError(t, err)
	return float64(tensor.As[float32](out[last])[class])
}
