package ref

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func imageKernels() []*devices.Kernel {
	return []*devices.Kernel{fn(imageDecoder)}
}

// pixels is an image as rows of red, green, blue.
type pixels struct {
	w, h int
	rgb  []uint8
}

// maxPixels is the largest image that is decoded: its header says how large before anything is allocated.
const maxPixels = 1 << 28

func imageDecoder(op ops.ImageDecoder, c *Call) error {
	p, err := decodeImage(tensor.As[uint8](c.In(0)))
	if err != nil {
		return err
	}
	channels := 3
	if op.PixelFormat == "Grayscale" {
		channels = 1
	}
	out, err := c.OutOf(0, tensor.Uint8, p.h, p.w, channels)
	if err != nil {
		return err
	}
	dst := tensor.As[uint8](out)
	for i := range p.w * p.h {
		r, g, b := p.rgb[3*i], p.rgb[3*i+1], p.rgb[3*i+2]
		switch op.PixelFormat {
		case "Grayscale": // ITU-R 601, in 16-bit fixed point as Pillow has it
			dst[i] = uint8((uint32(r)*19595 + uint32(g)*38470 + uint32(b)*7471 + 0x8000) >> 16)
		case "BGR":
			dst[3*i], dst[3*i+1], dst[3*i+2] = b, g, r
		default:
			dst[3*i], dst[3*i+1], dst[3*i+2] = r, g, b
		}
	}
	return nil
}

var errJPEG2000 = errors.New("image format JPEG 2000 is not supported")

// decodeImage finds the format by its first bytes. An image that can't be decoded is empty, as the
// specification has it; a format that is not supported is refused by name.
func decodeImage(data []byte) (pixels, error) {
	has := func(at int, s string) bool { return len(data) >= at+len(s) && string(data[at:at+len(s)]) == s }
	var decode func([]byte) (pixels, error)
	switch {
	case has(0, "\xff\xd8\xff"):
		decode = decodeJPEG
	case has(0, "\x89PNG\r\n\x1a\n"):
		decode = func(d []byte) (pixels, error) { return decodeWith(d, png.DecodeConfig, png.Decode) }
	case has(0, "BM"):
		decode = func(d []byte) (pixels, error) { return decodeWith(d, bmp.DecodeConfig, bmp.Decode) }
	case has(0, "II*\x00"), has(0, "MM\x00*"):
		decode = func(d []byte) (pixels, error) { return decodeWith(d, tiff.DecodeConfig, tiff.Decode) }
	case has(0, "RIFF") && has(8, "WEBP"):
		decode = decodeWebP
	case has(0, "\x00\x00\x00\x0cjP  \r\n\x87\n"), has(0, "\xff\x4f\xff\x51"):
		return pixels{}, errJPEG2000
	case len(data) > 2 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6':
		decode = decodePNM
	default:
		return pixels{}, nil
	}
	p, err := decode(data)
	if errors.Is(err, errTooLarge) {
		return pixels{}, err
	}
	if err != nil {
		return pixels{}, nil
	}
	return p, nil
}

var errTooLarge = errors.New("image is too large")

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > maxPixels/h {
		return errs.Errorf("%w: %d by %d", errTooLarge, w, h)
	}
	return nil
}

// decodeWith decodes after a look at the size in the header.
func decodeWith(data []byte, config func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error)) (pixels, error) {
	cfg, err := config(bytes.NewReader(data))
	if err != nil {
		return pixels{}, err
	}
	if err := checkSize(cfg.Width, cfg.Height); err != nil {
		return pixels{}, err
	}
	img, err := decode(bytes.NewReader(data))
	if err != nil {
		return pixels{}, err
	}
	return fromImage(img), nil
}

// fromImage drops what is beyond 8 bits of red, green and blue; transparency is ignored, not blended.
func fromImage(img image.Image) pixels {
	b := img.Bounds()
	p := pixels{w: b.Dx(), h: b.Dy(), rgb: make([]uint8, 0, 3*b.Dx()*b.Dy())}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			p.rgb = append(p.rgb, c.R, c.G, c.B)
		}
	}
	return p
}

// decodeJPEG decodes one and three components itself, and leaves CMYK to the standard library.
func decodeJPEG(data []byte) (pixels, error) {
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return pixels{}, err
	}
	if cfg.ColorModel == color.CMYKModel {
		return decodeWith(data, jpeg.DecodeConfig, jpeg.Decode)
	}
	j, err := readJPEG(data)
	if err != nil {
		return pixels{}, err
	}
	return j.pixels(), nil
}

func decodeWebP(data []byte) (pixels, error) {
	cfg, err := webp.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return pixels{}, err
	}
	if err := checkSize(cfg.Width, cfg.Height); err != nil {
		return pixels{}, err
	}
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return pixels{}, err
	}
	switch m := img.(type) {
	case *image.YCbCr:
		return fromVP8(m), nil
	case *image.NYCbCrA:
		return fromVP8(&m.YCbCr), nil
	}
	return fromImage(img), nil
}
