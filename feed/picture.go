package feed

import (
	"fmt"
	"image"
	_ "image/gif" // the decoders register themselves with package image
	_ "image/jpeg"
	_ "image/png"
	"os"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// maxPixels bounds the size a picture may declare.
const maxPixels = 1 << 28

// readPicture decodes a picture and scales it to want's height and width. want is [N,H,W,C], [N,C,H,W],
// or [N,H,W]; C of 1 is grey, 3 is RGB, 4 is RGBA.
func readPicture(path string, want graph.Type, opts Options) (tensor.Value, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cfg, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, err
	}
	if cfg.Width*cfg.Height > maxPixels || cfg.Width > 1<<20 || cfg.Height > 1<<20 {
		return nil, fmt.Errorf("a picture of %d x %d pixels is too large", cfg.Width, cfg.Height)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, err
	}
	return FromImage(img, want, opts)
}

// pictureLayout is where a type has channels, height and width.
type pictureLayout struct {
	c, h, w int
	first   bool // channels before height
	shape   []int
}

func layoutOf(want graph.Type, bounds image.Rectangle) (pictureLayout, error) {
	size := func(d graph.Dim, free int) int {
		if n, ok := d.Const(); ok {
			return n
		}
		return free
	}
	channels := func(d graph.Dim) bool { n, ok := d.Const(); return ok && (n == 1 || n == 3 || n == 4) }
	d := want.Dims
	switch {
	case want.Rank() == 3 && !channels(d[2]) && !channels(d[0]):
		h, w := size(d[1], bounds.Dy()), size(d[2], bounds.Dx())
		return pictureLayout{1, h, w, false, []int{1, h, w}}, nil
	case want.Rank() == 4 && channels(d[3]):
		c, h, w := size(d[3], 3), size(d[1], bounds.Dy()), size(d[2], bounds.Dx())
		return pictureLayout{c, h, w, false, []int{1, h, w, c}}, nil
	case want.Rank() == 4 && channels(d[1]):
		c, h, w := size(d[1], 3), size(d[2], bounds.Dy()), size(d[3], bounds.Dx())
		return pictureLayout{c, h, w, true, []int{1, c, h, w}}, nil
	case want.Rank() == 2:
		if n, ok := d[1].Const(); ok { // a flattened square picture
			for side := 1; side*side <= n; side++ {
				if side*side == n {
					return pictureLayout{1, side, side, false, []int{1, n}}, nil
				}
			}
		}
	}
	return pictureLayout{}, fmt.Errorf("a picture does not fit an input of %v", want)
}

// FromImage is a picture as a tensor of one row: 0 to 255, times opts.Scale plus opts.Offset.
func FromImage(img image.Image, want graph.Type, opts Options) (*tensor.Tensor, error) {
	l, err := layoutOf(want, img.Bounds())
	if err != nil {
		return nil, err
	}
	if l.h <= 0 || l.w <= 0 || l.h*l.w > maxPixels {
		return nil, fmt.Errorf("an input of %d x %d pixels", l.w, l.h)
	}
	rgba := image.NewNRGBA(image.Rect(0, 0, l.w, l.h))
	if img.Bounds().Dx() == l.w && img.Bounds().Dy() == l.h {
		draw.Draw(rgba, rgba.Bounds(), img, img.Bounds().Min, draw.Src)
	} else {
		draw.BiLinear.Scale(rgba, rgba.Bounds(), img, img.Bounds(), draw.Src, nil)
	}
	scale := opts.Scale
	if scale == 0 {
		scale = 1
	}
	out := tensor.New(tensor.Float32, l.shape...)
	y := tensor.As[float32](out)
	for p := range l.h * l.w {
		px := rgba.Pix[p*4:][:4]
		for c := range l.c {
			v := float32(px[c])
			if l.c == 1 { // the luma of ITU-R BT.601, as Pillow converts to grey
				v = float32((299*int(px[0]) + 587*int(px[1]) + 114*int(px[2])) / 1000)
			}
			at := p*l.c + c
			if l.first {
				at = c*l.h*l.w + p
			}
			y[at] = v*scale + opts.Offset
		}
	}
	return out, nil
}
