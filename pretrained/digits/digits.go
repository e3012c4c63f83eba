// Package digits is a small convnet for handwritten digits that nnrt itself trained on MNIST, with some pictures
// of the test set, in the binary: something to try without any download. examples/mnist says how it was made.
package digits

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"image"
	"image/png"
	"io"
	"path"

	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

//go:embed digits.h5.gz
var packed []byte

//go:embed pictures/*.png
var pictures embed.FS

// H5 is the model as a Keras file.
func H5() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errs.Errorf("digits: %w", err)
	}
	return io.ReadAll(z)
}

// Model is the model as layers: [n, 28, 28, 1] between 0 (paper) and 1 (ink) to ten probabilities.
func Model() (*layers.Model, error) {
	h5, err := H5()
	if err != nil {
		return nil, err
	}
	f, err := keras.ReadBytes(h5, keras.Options{})
	if err != nil {
		return nil, errs.Errorf("digits: %w", err)
	}
	return f.Model, nil
}

// Picture is a picture of the test set.
type Picture struct {
	Name  string
	Label int // what it shows
	Image image.Image
}

// Pictures is one picture of each digit: the first in the test set.
func Pictures() ([]Picture, error) {
	var out []Picture
	for label := range 10 {
		name := fmt.Sprintf("%d.png", label)
		p, err := pictures.ReadFile(path.Join("pictures", name))
		if err != nil {
			return nil, errs.Errorf("digits: %w", err)
		}
		img, err := png.Decode(bytes.NewReader(p))
		if err != nil {
			return nil, errs.Errorf("digits: %s: %w", name, err)
		}
		out = append(out, Picture{name, label, img})
	}
	return out, nil
}

// Batch is pictures as the model's input.
func Batch(ps []Picture) *tensor.Tensor {
	t := tensor.New(tensor.Float32, len(ps), 28, 28, 1)
	y := tensor.As[float32](t)
	for i, p := range ps {
		for at := range 28 * 28 {
			g, _, _, _ := p.Image.At(p.Image.Bounds().Min.X+at%28, p.Image.Bounds().Min.Y+at/28).RGBA()
			y[i*28*28+at] = float32(g>>8) / 255
		}
	}
	return t
}
