// Package pixels decodes picture files and lays their pixels out as numbers.
package pixels

import (
	"image"
	_ "image/gif" // the decoders register themselves with package image
	_ "image/jpeg"
	_ "image/png"
	"os"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

	"github.com/nnrt/nnrt/internal/errs"
)

// MaxPixels bounds the size that a picture may declare, and MaxSide each side of it.
const (
	MaxPixels = 1 << 28
	MaxSide   = 1 << 16
)

// Open decodes a file. Its declared size is checked before any pixel is read.
func Open(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, err
	}
	if cfg.Width > MaxSide || cfg.Height > MaxSide || cfg.Width*cfg.Height > MaxPixels {
		return nil, errs.Errorf("a picture of %d x %d pixels is too large", cfg.Width, cfg.Height)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	return img, err
}

// Layout is how pixels become numbers.
type Layout struct {
	Height, Width int
	Channels      int     // 1: grey, 3: RGB, 4: RGBA
	ChannelsFirst bool    // all of a channel's numbers together
	Scale, Offset float32 // bytes x become x*Scale + Offset; a zero Scale means 1
}

// Paint scales img (bilinear) to the layout's size and writes its numbers to dst, of Height*Width*Channels.
func (l Layout) Paint(dst []float32, img image.Image) {
	rgba := image.NewNRGBA(image.Rect(0, 0, l.Width, l.Height))
	if img.Bounds().Dx() == l.Width && img.Bounds().Dy() == l.Height {
		draw.Draw(rgba, rgba.Bounds(), img, img.Bounds().Min, draw.Src)
	} else {
		draw.BiLinear.Scale(rgba, rgba.Bounds(), img, img.Bounds(), draw.Src, nil)
	}
	scale := l.Scale
	if scale == 0 {
		scale = 1
	}
	n := l.Height * l.Width
	for p := range n {
		px := rgba.Pix[p*4:][:4]
		for c := range l.Channels {
			v := float32(px[c])
			if l.Channels == 1 { // the luma of ITU-R BT.601, as Pillow converts to grey
				v = float32((299*int(px[0]) + 587*int(px[1]) + 114*int(px[2])) / 1000)
			}
			at := p*l.Channels + c
			if l.ChannelsFirst {
				at = c*n + p
			}
			dst[at] = v*scale + l.Offset
		}
	}
}
