package pretrained

import (
	"fmt"
	"image"

	"golang.org/x/image/draw"

	"github.com/nnrt/nnrt/tensor"
)

// The mean and deviation of ImageNet's channels, red first.
var (
	caffeMean = [3]float32{123.68, 116.779, 103.939}
	torchMean = [3]float32{0.485, 0.456, 0.406}
	torchStd  = [3]float32{0.229, 0.224, 0.225}
)

// Preprocess turns pixel values from 0 to 255, [..., 3] in the order RGB, into what a network wants, in place.
func Preprocess(x *tensor.Tensor, mode Mode) error {
	if x.DType() != tensor.Float32 || x.Rank() < 1 || x.Dim(-1) != 3 {
		return fmt.Errorf("pretrained: can't preprocess %v %v; float32 [..., 3] is wanted", x.DType(), x.Shape())
	}
	v := tensor.As[float32](x)
	for i := 0; i+3 <= len(v); i += 3 {
		p := v[i : i+3]
		switch mode {
		case None:
		case TF:
			for c := range p {
				p[c] = p[c]/127.5 - 1
			}
		case Caffe:
			p[0], p[1], p[2] = p[2]-caffeMean[2], p[1]-caffeMean[1], p[0]-caffeMean[0]
		case Torch:
			for c := range p {
				p[c] = (p[c]/255 - torchMean[c]) / torchStd[c]
			}
		default:
			return fmt.Errorf("pretrained: no mode %q of preprocessing", mode)
		}
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
