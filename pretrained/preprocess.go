package pretrained

import (
	"image"

	"golang.org/x/image/draw"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// The mean and deviation of ImageNet's channels, red first.
var (
	caffeMean = [3]float32{123.68, 116.779, 103.939}
	torchMean = [3]float32{0.485, 0.456, 0.406}
	torchStd  = [3]float32{0.229, 0.224, 0.225}
)

// Preprocess turns pixel values from 0 to 255, [..., 3] in the order RGB, into what a network wants, in place.
func Preprocess(x *tensor.Tensor, mode Mode) error { return PreprocessLayout(x, mode, false) }

// PreprocessLayout is Preprocess, also for pictures [n, 3, height, width] (channelsFirst).
func PreprocessLayout(x *tensor.Tensor, mode Mode, channelsFirst bool) error {
	axis := -1
	if channelsFirst {
		axis = 1
	}
	if x.DType() != tensor.Float32 || x.Rank() < 1 || channelsFirst && x.Rank() != 4 || x.Dim(axis) != 3 {
		return errs.Errorf("pretrained: can't preprocess %v %v; float32 with 3 channels is wanted", x.DType(), x.Shape())
	}
	v := tensor.As[float32](x)
	step, pixels := 1, 1 // the channels of a pixel stand step apart; pixels of them lie side by side
	if channelsFirst {
		pixels = x.Dim(2) * x.Dim(3)
		step = pixels
	}
	for i := 0; i+3*pixels <= len(v) && pixels > 0; i += 3 * pixels {
		for k := i; k < i+pixels; k++ {
			if err := mode.pixel(&v[k], &v[k+step], &v[k+2*step]); err != nil {
				return err
			}
		}
	}
	return nil
}

// pixel changes the channels of one pixel.
func (mode Mode) pixel(r, g, b *float32) error {
	switch mode {
	case None:
	case TF:
		*r, *g, *b = *r/127.5-1, *g/127.5-1, *b/127.5-1
	case Caffe:
		*r, *g, *b = *b-caffeMean[2], *g-caffeMean[1], *r-caffeMean[0]
	case Torch:
		*r, *g, *b = (*r/255-torchMean[0])/torchStd[0], (*g/255-torchMean[1])/torchStd[1], (*b/255-torchMean[2])/torchStd[2]
	default:
		return errs.Errorf("pretrained: no mode %q of preprocessing", mode)
	}
	return nil
}

// Pixels is a picture as float32 [1, h, w, 3] from 0 to 255, scaled bilinearly where it has another size.
func Pixels(img image.Image, h, w int) *tensor.Tensor {
	rgba := image.NewNRGBA(image.Rect(0, 0, w, h))
	if b := img.Bounds(); b.Dx() == w && b.Dy() == h {
		draw.Draw(rgba, rgba.Bounds(), img, b.Min, draw.Src)
	} else {
		draw.BiLinear.Scale(rgba, rgba.Bounds(), img, b, draw.Src, nil)
	}
	t := tensor.New(tensor.Float32, 1, h, w, 3)
	y := tensor.As[float32](t)
	for i := range h * w {
		for c := range 3 {
			y[i*3+c] = float32(rgba.Pix[i*4+c])
		}
	}
	return t
}
