package feed

import (
	"image"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/pixels"
	"github.com/nnrt/nnrt/tensor"
)

// readPicture decodes a picture and scales it to want's height and width. want is [N,H,W,C], [N,C,H,W],
// or [N,H,W]; C of 1 is grey, 3 is RGB, 4 is RGBA.
func readPicture(path string, want graph.Type, opts Options) (tensor.Value, error) {
	img, err := pixels.Open(path)
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
	return pictureLayout{}, errs.Errorf("a picture does not fit an input of %v", want)
}

// FromImage is a picture as a tensor of one row: 0 to 255, times opts.Scale plus opts.Offset.
func FromImage(img image.Image, want graph.Type, opts Options) (*tensor.Tensor, error) {
	l, err := layoutOf(want, img.Bounds())
	if err != nil {
		return nil, err
	}
	if l.h <= 0 || l.w <= 0 || l.h*l.w > pixels.MaxPixels {
		return nil, errs.Errorf("an input of %d x %d pixels", l.w, l.h)
	}
	out := tensor.New(tensor.Float32, l.shape...)
	pixels.Layout{Height: l.h, Width: l.w, Channels: l.c, ChannelsFirst: l.first, Scale: opts.Scale, Offset: opts.Offset}.Paint(
		tensor.As[float32](out), img)
	return out, nil
}
