package job

import (
	"context"
	"image"
	"slices"

	"golang.org/x/image/draw"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/pixels"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/pretrained"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/vision"
)

// View is a look into a Keras model: a file, or a network by name with its weights.
type View struct {
	Model, Weights string
	Network        Network
	Picture        string // the file of a picture
	Preprocess     string // as Data's; "": as the network wants it, where that is known
	Layer          string // "": the last one with feature maps
	Device         devices.Device
	Log            func(format string, args ...any)
}

// viewer is an opened model.
type viewer struct {
	*vision.Viewer
	layer string
	mode  pretrained.Mode
	in    graph.Type
}

func (o View) open() (*viewer, error) {
	src, err := o.Network.Open(o.Model, o.Weights)
	if err != nil {
		return nil, err
	}
	l := src.Layers()
	if l == nil {
		return nil, usagef("%s has no layers to look into: that takes a Keras model", o.Model)
	}
	v := &viewer{Viewer: vision.New(l, o.Device), layer: o.Layer, mode: pretrained.Mode(o.Preprocess), in: src.Graph.Inputs[0].Type}
	if v.mode == "" {
		mode, why := guess(src)
		if v.mode = mode; mode == "" {
			v.mode = pretrained.None
			o.say("pictures are fed as numbers from 0 to 255; --preprocess says otherwise")
		} else {
			o.say("pictures are preprocessed as %s wants it: %s", why, mode)
		}
	}
	if v.layer == "" {
		if v.layer = lastMaps(l, l); v.layer == "" {
			return nil, usagef("%s has no layer with feature maps", o.Model)
		}
		o.say("looking at layer %q", v.layer)
	}
	return v, nil
}

func (o View) say(format string, args ...any) {
	if o.Log != nil {
		o.Log(format, args...)
	}
}

// lastMaps is the last layer whose output is pictures of features; "" where there is none.
func lastMaps(top, m *layers.Model) string {
	all := m.Layers()
	for i := len(all) - 1; i >= 0; i-- {
		if inner, ok := all[i].(*layers.Model); ok {
			if n := lastMaps(top, inner); n != "" {
				return n
			}
			continue
		}
		if _, input := all[i].(*layers.InputLayer); input {
			continue
		}
		for _, call := range top.OutputTypes(all[i]) {
			if len(call) == 1 && call[0].Rank() == 4 && !slices.ContainsFunc(call[0].Dims[1:3], one) {
				return all[i].Common().Name
			}
		}
	}
	return ""
}

func one(d graph.Dim) bool { n, ok := d.Const(); return ok && n == 1 }

// picture reads the picture twice: as the model's input, and at that size for the eye.
func (v *viewer) picture(path string) (*tensor.Tensor, image.Image, error) {
	img, err := pixels.Open(path)
	if err != nil {
		return nil, nil, FileError{path, err}
	}
	if v.in.Rank() != 4 || channelsFirst(v.in) {
		return nil, nil, usagef("the model takes %v, not pictures (batch, height, width, channels)", v.in.WithoutValue())
	}
	size := func(i, free int) int {
		if n, ok := v.in.Dims[i].Const(); ok {
			return n
		}
		return free
	}
	h, w := size(1, img.Bounds().Dy()), size(2, img.Bounds().Dx())
	c := size(3, 3)
	x := tensor.New(tensor.Float32, 1, h, w, c)
	pixels.Layout{Height: h, Width: w, Channels: c}.Paint(tensor.As[float32](x), img)
	if c == 3 {
		if err := pretrained.Preprocess(x, v.mode); err != nil {
			return nil, nil, err
		}
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.BiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	return x, small, nil
}

// Activations is what a layer answers to the picture, its channels (limit at most) side by side.
func (o View) Activations(ctx context.Context, limit int) (image.Image, error) {
	v, err := o.open()
	if err != nil {
		return nil, err
	}
	x, _, err := v.picture(o.Picture)
	if err != nil {
		return nil, err
	}
	acts, err := v.Activations(ctx, x, v.layer)
	if err != nil {
		return nil, err
	}
	return vision.Mosaic(acts[v.layer], 8, limit)
}

// Heatmap lays over the picture where the evidence for a class (negative: the best one) lies.
func (o View) Heatmap(ctx context.Context, class int) (image.Image, int, error) {
	v, err := o.open()
	if err != nil {
		return nil, 0, err
	}
	x, small, err := v.picture(o.Picture)
	if err != nil {
		return nil, 0, err
	}
	warm, class, err := v.GradCAM(ctx, v.layer, x, class)
	if err != nil {
		return nil, 0, err
	}
	img, err := vision.Overlay(small, warm, 0.65)
	return img, class, err
}

// Filters is the patterns that the first count channels of a layer like best, side by side, each of size pixels
// where the model leaves that open.
func (o View) Filters(ctx context.Context, count, size, steps int, seed uint64) (image.Image, error) {
	v, err := o.open()
	if err != nil {
		return nil, err
	}
	lo, hi := 0.0, 255.0
	switch v.mode {
	case pretrained.TF:
		lo, hi = -1, 1
	case pretrained.Caffe:
		lo, hi = -110, 130
	case pretrained.Torch:
		lo, hi = -2.1, 2.6
	}
	var tiles []image.Image
	for k := range count {
		x, before, after, err := v.Filter(ctx, v.layer, k, vision.Ascent{Height: size, Width: size, Steps: steps, Low: lo, High: hi, Seed: seed})
		if err != nil {
			return nil, err
		}
		if v.mode == pretrained.Caffe { // blue comes first
			p := tensor.As[float32](x)
			for i := 0; i+2 < len(p); i += 3 {
				p[i], p[i+2] = p[i+2], p[i]
			}
		}
		img, err := vision.Picture(x, lo, hi)
		if err != nil {
			return nil, err
		}
		o.say("channel %d: mean answer from %.3g to %.3g", k, before, after)
		tiles = append(tiles, img)
	}
	if len(tiles) == 0 {
		return nil, errs.Errorf("job: no filters to draw")
	}
	return sheet(tiles, 4), nil
}

// sheet puts pictures of one size side by side.
func sheet(tiles []image.Image, cols int) image.Image {
	cols = min(cols, len(tiles))
	rows := (len(tiles) + cols - 1) / cols
	b := tiles[0].Bounds()
	w, h := b.Dx()+2, b.Dy()+2
	img := image.NewRGBA(image.Rect(0, 0, cols*w, rows*h))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	for i, t := range tiles {
		at := image.Pt(i%cols*w+1, i/cols*h+1)
		draw.Draw(img, image.Rectangle{Min: at, Max: at.Add(b.Size())}, t, b.Min, draw.Src)
	}
	return img
}
