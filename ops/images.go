package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// imageOps is the image family.
var imageOps = []Info{
	{ImageDecoder{}, "the pixels of an image file"},
}

// twoPixels is a BMP file of a red and a green pixel.
const twoPixels = "BM\x3e\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00" +
	"\x01\x00\x18\x00\x00\x00\x00\x00\x08\x00\x00\x00\x13\x0b\x00\x00\x13\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x0a\x00\xff\x1e\xc8\x01\x00\x00"

// ImageDecoder is the pixels, height by width by channels, of the image file in its input.
type ImageDecoder struct {
	PixelFormat string // RGB (also ""), BGR or Grayscale
}

// Name implements graph.Op.
func (ImageDecoder) Name() string { return "ImageDecoder" }

// Infer implements graph.Op.
func (d ImageDecoder) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if !oneOf(d.PixelFormat, "|RGB|BGR|Grayscale|") {
		return nil, errs.Errorf("pixel_format %q", d.PixelFormat)
	}
	if in[0].DType != tensor.Uint8 {
		return nil, errs.Errorf("the file is %v, not uint8", in[0].DType)
	}
	channels := 3
	if d.PixelFormat == "Grayscale" {
		channels = 1
	}
	return []graph.Type{graph.TensorOf(tensor.Uint8, graph.Unknown(), graph.Unknown(), graph.D(channels))}, nil
}

// imageSamples is the cases of imageOps.
func imageSamples() map[string][]Sample {
	return map[string][]Sample{
		"ImageDecoder": {Case(ImageDecoder{}, TV(tensor.Of([]uint8(twoPixels))))},
	}
}
