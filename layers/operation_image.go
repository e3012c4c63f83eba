package layers

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// imageOperations is keras.ops.image.
var imageOperations = []opRow{
	{name: "RGBToGrayscale", params: "images", f: func(o *opArgs) []*graph.Value {
		return one(o.grayscale(o.image(), o.channels()))
	}},
	{name: "RGBToHSV", params: "images", f: func(o *opArgs) []*graph.Value { return one(o.toHSV(o.image(), o.channels())) }},
	{name: "HSVToRGB", params: "images", f: func(o *opArgs) []*graph.Value { return one(o.fromHSV(o.image(), o.channels())) }},
	{name: "Resize", params: "images", f: func(o *opArgs) []*graph.Value {
		x := o.image()
		l := Resizing{DataFormat: o.str("", "data_format"), Interpolation: o.str("bilinear", "interpolation"), Antialias: o.bool(false, "antialias"),
			CropToAspectRatio: o.bool(false, "crop_to_aspect_ratio"), PadToAspectRatio: o.bool(false, "pad_to_aspect_ratio"),
			FillMode: o.str("constant", "fill_mode"), FillValue: o.float(0, "fill_value")}
		if s, _ := o.intList("size"); len(s) == 2 {
			l.Height, l.Width = s[0], s[1]
		}
		c := *o.Call
		c.In = one(x)
		return l.Call(&c)
	}},
	{name: "AffineTransform", params: "images transform", f: affineOp},
	{name: "PerspectiveTransform", params: "images start_points end_points", f: func(o *opArgs) []*graph.Value {
		x := o.image()
		dt := x.Type.DType
		s := sampler{interpolation: o.str("bilinear", "interpolation"), fill: o.float(0, "fill_value")}
		return one(o.batched(x, o.channels(), func(x *graph.Value) *graph.Value {
			p := func(name string) *graph.Value {
				v := o.cast(o.tensor(x, name), dt)
				if o.rank(v) == 2 {
					v = o.expandDims(v, 0)
				}
				return v
			}
			return o.perspective(x, p("start_points"), p("end_points"), s)
		}))
	}},
	{name: "MapCoordinates", params: "inputs coordinates", f: mapCoordinates},
	{name: "ExtractPatches", params: "images", f: extractPatches},
	{name: "PadImages", params: "images", f: func(o *opArgs) []*graph.Value { return one(o.padImages()) }},
	{name: "CropImages", params: "images", f: func(o *opArgs) []*graph.Value { return one(o.cropImages()) }},
	{name: "GaussianBlur", params: "images", f: func(o *opArgs) []*graph.Value {
		size, ok := o.intList("kernel_size")
		if !ok {
			size = []int{3, 3}
		}
		sigma, _ := asFloats(o.get("sigma"))
		if sigma == nil {
			sigma = []float64{1, 1}
		}
		x := o.image()
		if len(size) != 2 || len(sigma) != 2 {
			o.Failf("kernel_size %v, sigma %v", size, sigma)
			return one(x)
		}
		return one(o.batched(x, o.channels(), func(x *graph.Value) *graph.Value { return o.blur(x, size, sigma) }))
	}},
}

// image is the operand as floating-point numbers.
func (o *opArgs) image() *graph.Value {
	x := o.tensor(nil, "images", "inputs", "x")
	if !x.Type.DType.IsFloat() {
		x = o.cast(x, tensor.Float32)
	}
	if r := o.rank(x); r != 3 && r != 4 {
		o.Failf("takes images, got %v", x.Type)
	}
	return x
}

// batched applies f, which takes batches of channels-last images, to any images.
func (c *Call) batched(x *graph.Value, first bool, f func(*graph.Value) *graph.Value) *graph.Value {
	single := c.rank(x) == 3
	if single {
		x = c.expandDims(x, 0)
	}
	if !c.wantRank(x, 4) {
		return x
	}
	if first {
		x = c.transpose(x, 0, 2, 3, 1)
	}
	x = f(x)
	if first {
		x = c.transpose(x, 0, 3, 1, 2)
	}
	if single {
		x = c.squeeze(x, 0)
	}
	return x
}

func imageChannels(first bool) int {
	if first {
		return -3
	}
	return -1
}

// planes is the channels of an image, each with a channel axis of 1.
func (c *Call) planes(x *graph.Value, first bool) (axis int, vs []*graph.Value) {
	axis = c.axis(imageChannels(first), c.rank(x))
	if n := c.dim(x, axis); n != 3 {
		c.Failf("takes images of 3 channels, got %v", x.Type)
		return axis, []*graph.Value{x, x, x}
	}
	return axis, c.split(x, axis, 1, 1, 1)
}

func (c *Call) grayscale(x *graph.Value, first bool) *graph.Value {
	if c.dim(x, imageChannels(first)) == 1 {
		return x
	}
	_, p := c.planes(x, first)
	return c.add(c.add(c.mulN(p[0], 0.2989), c.mulN(p[1], 0.587)), c.mulN(p[2], 0.114))
}

//go:noinline
func (c *Call) where(cond, a, b *graph.Value) *graph.Value { return c.Add(ops.Where{}, cond, a, b) }

func (c *Call) toHSV(x *graph.Value, first bool) *graph.Value {
	eps := map[tensor.DType]float64{tensor.Float16: 0x1p-10, tensor.BFloat16: 0x1p-7, tensor.Float64: 0x1p-52}[x.Type.DType]
	if eps == 0 {
		eps = 0x1p-23
	}
	x = c.where(c.Add(ops.Less{}, c.Add(ops.Abs{}, x), c.num(x, eps)), c.num(x, 0), x)
	axis, p := c.planes(x, first)
	r, g, b := p[0], p[1], p[2]
	value := c.Add(ops.Max{}, r, g, b)
	span := c.sub(value, c.Add(ops.Min{}, r, g, b))
	zero, unit := c.num(x, 0), c.num(x, 1)
	hasValue, hasSpan := c.Add(ops.Greater{}, value, zero), c.Add(ops.Greater{}, span, zero)
	sat := c.where(hasValue, c.div(span, c.where(hasValue, value, unit)), zero)
	norm := c.div(c.num(x, 1.0/6), c.where(hasSpan, span, unit))
	hue := c.where(c.Add(ops.Equal{}, value, g), c.addN(c.mul(norm, c.sub(b, r)), 2.0/6), c.addN(c.mul(norm, c.sub(r, g)), 4.0/6))
	hue = c.where(c.Add(ops.Equal{}, value, r), c.mul(norm, c.sub(g, b)), hue)
	low := c.cast(c.Add(ops.Less{}, hue, zero), x.Type.DType)
	hue = c.add(c.where(hasSpan, hue, zero), low)
	return c.concat(axis, hue, sat, value)
}

func (c *Call) fromHSV(x *graph.Value, first bool) *graph.Value {
	axis, p := c.planes(x, first)
	hue, sat, value := p[0], p[1], p[2]
	dh := c.mulN(c.sub(hue, c.Add(ops.Floor{}, hue)), 6)
	from := func(at float64) *graph.Value { return c.Add(ops.Abs{}, c.addN(dh, -at)) }
	dr := c.clip(c.addN(from(3), -1), 0, 1)
	dg := c.clip(c.sub(c.num(x, 2), from(2)), 0, 1)
	db := c.clip(c.sub(c.num(x, 2), from(4)), 0, 1)
	rest := c.sub(c.num(x, 1), sat)
	at := func(d *graph.Value) *graph.Value { return c.mul(value, c.add(rest, c.mul(sat, d))) }
	return c.concat(axis, at(dr), at(dg), at(db))
}

// sampler is how images are read between and beyond their pixels.
type sampler struct {
	interpolation string // bilinear (also "") or nearest
	mode          string // constant (also ""), nearest, wrap, mirror, reflect
	fill          float64
}

// grid is the row and column of every pixel of (batch, height, width, channels), as height by 1 and 1 by width.
func (c *Call) grid(x *graph.Value) (rows, cols *graph.Value, h, w int) {
	h, w = c.dim(x, 1), c.dim(x, 2)
	if h < 1 || w < 1 || !c.atMost("the size of an image", h*w, maxConstant) {
		c.Failf("needs images of known size, got %v", x.Type)
		h, w = 1, 1
	}
	return c.constant(x.Type.DType, counting(h), h, 1), c.constant(x.Type.DType, counting(w), 1, w), h, w
}

func counting(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i)
	}
	return v
}

// sample reads batches of channels-last images at the rows y and columns x, each (batch, height, width).
func (c *Call) sample(img, y, x *graph.Value, s sampler) *graph.Value {
	h, w, ch := c.dim(img, 1), c.dim(img, 2), c.dim(img, 3)
	if h < 1 || w < 1 || ch < 1 {
		c.Failf("needs images of known size, got %v", img.Type)
		return img
	}
	d := img.Type.Dims
	flat := c.reshape(img, []graph.Dim{d[0], graph.D(h * w), d[3]})
	out := append(append([]graph.Dim{d[0]}, y.Type.Dims[1:]...), d[3])
	read := func(row, col *graph.Value) *graph.Value {
		at := c.add(c.mulN(c.fixIndex(row, h, s.mode), float64(w)), c.fixIndex(col, w, s.mode))
		at = c.cast(c.reshapeTo(at, 0, -1, 1), tensor.Int64)
		v := c.reshape(c.Add(ops.GatherND{BatchDims: 1}, flat, at), out, img, y)
		if s.mode != "" && s.mode != "constant" {
			return v
		}
		inside := func(i *graph.Value, n int) *graph.Value {
			return c.and(c.Add(ops.GreaterOrEqual{}, i, c.num(i, 0)), c.Add(ops.Less{}, i, c.num(i, float64(n))))
		}
		in := c.expandDims(c.and(inside(row, h), inside(col, w)), -1)
		return c.where(in, v, c.num(v, s.fill))
	}
	switch s.interpolation {
	case "nearest":
		return read(c.Add(ops.Round{}, y), c.Add(ops.Round{}, x))
	case "", "bilinear":
	default:
		c.Failf("interpolation %q is not supported", s.interpolation)
	}
	y0, x0 := c.Add(ops.Floor{}, y), c.Add(ops.Floor{}, x)
	fy, fx := c.expandDims(c.sub(y, y0), -1), c.expandDims(c.sub(x, x0), -1)
	y1, x1 := c.addN(y0, 1), c.addN(x0, 1)
	not := func(v *graph.Value) *graph.Value { return c.sub(c.num(v, 1), v) }
	top := c.add(c.mul(c.mul(not(fy), not(fx)), read(y0, x0)), c.mul(c.mul(not(fy), fx), read(y0, x1)))
	low := c.add(c.mul(c.mul(fy, not(fx)), read(y1, x0)), c.mul(c.mul(fy, fx), read(y1, x1)))
	return c.add(top, low)
}

// fixIndex brings an index beyond n places back among them.
func (c *Call) fixIndex(i *graph.Value, n int, mode string) *graph.Value {
	mod := func(v *graph.Value, m float64) *graph.Value {
		return c.sub(v, c.mulN(c.Add(ops.Floor{}, c.div(v, c.num(v, m))), m))
	}
	mirror := func(v *graph.Value, n int) *graph.Value { // the edge is not repeated
		s := float64(n - 1)
		if n == 1 {
			return c.mulN(v, 0)
		}
		return c.Add(ops.Abs{}, c.addN(mod(c.addN(v, s), 2*s), -s))
	}
	switch mode {
	case "", "constant", "nearest":
	case "wrap":
		i = mod(i, float64(n))
	case "mirror":
		i = mirror(i, n)
	case "reflect":
		i = c.Add(ops.Floor{}, c.mulN(c.addN(mirror(c.addN(c.mulN(i, 2), 1), 2*n+1), -1), 0.5))
	default:
		c.Failf("fill_mode %q is not supported", mode)
	}
	return c.clip(i, 0, float64(n-1))
}

// warpAffine reads, for each pixel (x, y), the image at (a0 x + a1 y + a2, b0 x + b1 y + b2); the transforms are
// (batch or 1, 8): a0 a1 a2 b0 b1 b2 and two zeros.
func (c *Call) warpAffine(img, t *graph.Value, s sampler) *graph.Value {
	rows, cols, _, _ := c.grid(img)
	if c.Err() != nil {
		return img
	}
	d := img.Type.Dims
	part := func(i int) *graph.Value { return c.expandDims(c.slice(t, 1, i, i+1), -1) }
	at := func(i int) *graph.Value {
		v := c.add(c.add(c.mul(part(i), cols), c.mul(part(i+1), rows)), part(i+2))
		return c.expand(v, d[:3], img)
	}
	return c.sample(img, at(3), at(0), s)
}

func affineOp(o *opArgs) []*graph.Value {
	x := o.image()
	s := sampler{o.str("bilinear", "interpolation"), o.str("constant", "fill_mode"), o.float(0, "fill_value")}
	return one(o.batched(x, o.channels(), func(x *graph.Value) *graph.Value {
		t := o.cast(o.tensor(x, "transform"), x.Type.DType)
		if o.rank(t) == 1 {
			t = o.expandDims(t, 0)
		}
		return o.warpAffine(x, t, s)
	}))
}

// perspective reads the image where the homography that takes the end points to the start points leads.
func (c *Call) perspective(img, start, end *graph.Value, s sampler) *graph.Value {
	o := &opArgs{Call: c, vals: map[string]any{}}
	xy := func(p *graph.Value) (x, y *graph.Value) { return c.slice(p, -1, 0, 1), c.slice(p, -1, 1, 2) } // batch, 4, 1
	sx, sy := xy(start)
	ex, ey := xy(end)
	zero, unit := c.mulN(ex, 0), c.addN(c.mulN(ex, 0), 1)
	neg := func(a, b *graph.Value) *graph.Value { return c.Add(ops.Neg{}, c.mul(a, b)) }
	m := c.concat(-2,
		c.concat(-1, ex, ey, unit, zero, zero, zero, neg(sx, ex), neg(sx, ey)),
		c.concat(-1, zero, zero, zero, ex, ey, unit, neg(sy, ex), neg(sy, ey)))
	t := c.Add(ops.MatMul{}, o.inverse(m), c.concat(-2, sx, sy)) // batch, 8, 1
	rows, cols, _, _ := c.grid(img)
	part := func(i int) *graph.Value { return c.slice(t, 1, i, i+1) }
	line := func(i int) *graph.Value { return c.add(c.mul(part(i), cols), c.mul(part(i+1), rows)) }
	denom := c.addN(line(6), 1)
	d := img.Type.Dims
	at := func(i int) *graph.Value { return c.expand(c.div(c.add(line(i), part(i+2)), denom), d[:3], img) }
	if c.Err() != nil {
		return img
	}
	return c.sample(img, at(3), at(0), s)
}

// mapCoordinates is for two dimensions; others are refused.
func mapCoordinates(o *opArgs) []*graph.Value {
	x := o.tensor(nil, "inputs")
	if !x.Type.DType.IsFloat() || !o.wantRank(x, 2) {
		o.Failf("takes arrays of two dimensions of floating-point numbers, got %v", x.Type)
		return one(x)
	}
	coords := o.list("coordinates")
	if len(coords) == 1 {
		coords = slices.Clone(o.split(coords[0], 0, 1, 1))
		coords[0], coords[1] = o.squeeze(coords[0], 0), o.squeeze(coords[1], 0)
	}
	s := sampler{mode: o.str("constant", "fill_mode"), fill: o.float(0, "fill_value")}
	if o.int(1, "order") == 0 {
		s.interpolation = "nearest"
	}
	flat := func(v *graph.Value) *graph.Value { return o.reshapeTo(o.cast(v, x.Type.DType), 1, -1, 1) }
	y := o.sample(o.expandDims(x, 0, 3), flat(coords[0]), flat(coords[1]), s)
	return one(o.reshape(o.reshapeTo(y, -1), coords[0].Type.Dims, coords[0]))
}

// extractPatches is a convolution with a kernel of ones and zeros.
func extractPatches(o *opArgs) []*graph.Value {
	x := o.tensor(nil, "images", "inputs")
	size, _ := o.intList("size")
	rank := 2
	if len(size) == 3 {
		rank = 3
	}
	size = o.spread("size", size, rank, 1)
	strides, ok := o.intList("strides")
	if !ok || len(strides) == 0 {
		strides = size
	}
	dilation, _ := o.intList("dilation_rate")
	cf := o.channels()
	single := o.rank(x) == rank+1
	if single {
		x = o.expandDims(x, 0)
	}
	n := o.dim(x, channelAxis(cf))
	for _, k := range size {
		n *= k
	}
	if n < 1 || !o.atMost("the size of a patch", n, 4096) || !o.wantRank(x, rank+2) {
		o.Failf("patches of %v of %v", size, x.Type)
		return one(x)
	}
	kernel := o.constant(x.Type.DType, eye(n, n, 0), append(append([]int{}, size...), o.dim(x, channelAxis(cf)), n)...)
	y := o.conv(x, kernel, nil, convSpec{o.spread("strides", strides, rank, 1), o.spread("dilation_rate", dilation, rank, 1), o.str("valid", "padding"), 1, cf})
	if single {
		y = o.squeeze(y, 0)
	}
	return one(y)
}

// margins is what a side of an image gets or loses, in front and behind, of which one may be left to a target.
func (o *opArgs) margins(front, back, target string, size int, sign int) (a, b int) {
	a, b = o.int(-1, front), o.int(-1, back)
	t := o.int(-1, target)
	hasA, hasB := o.get(front) != nil, o.get(back) != nil
	rest := sign * (t - size)
	switch {
	case !hasA && !hasB || size < 0:
		o.Failf("%s, %s and %s of %d", front, back, target, size)
		return 0, 0
	case !hasA:
		a = rest - b
	case !hasB:
		b = rest - a
	}
	if a < 0 || b < 0 {
		o.Failf("%s %d, %s %d", front, a, back, b)
		return 0, 0
	}
	return a, b
}

func (o *opArgs) padImages() *graph.Value {
	x := o.image()
	h, w, _ := o.imageAxes(x, o.str("", "data_format"))
	top, bottom := o.margins("top_padding", "bottom_padding", "target_height", o.dim(x, h), 1)
	left, right := o.margins("left_padding", "right_padding", "target_width", o.dim(x, w), 1)
	r := o.rank(x)
	pads := make([]int, 2*r)
	pads[h], pads[r+h], pads[w], pads[r+w] = top, bottom, left, right
	return o.Add(ops.Pad{}, x, o.ints(pads...), o.num(x, 0))
}

func (o *opArgs) cropImages() *graph.Value {
	x := o.image()
	h, w, _ := o.imageAxes(x, o.str("", "data_format"))
	top, bottom := o.margins("top_cropping", "bottom_cropping", "target_height", o.dim(x, h), -1)
	left, right := o.margins("left_cropping", "right_cropping", "target_width", o.dim(x, w), -1)
	x = o.slice(x, h, top, o.dim(x, h)-bottom)
	return o.slice(x, w, left, o.dim(x, w)-right)
}

// gauss is a normalized bell of size places.
func gauss(size int, sigma float64) []float64 {
	v := make([]float64, size)
	total := 0.0
	for i := range v {
		x := (float64(i) - float64(size-1)/2) / sigma
		v[i] = math.Exp(-0.5 * x * x)
		total += v[i]
	}
	for i := range v {
		v[i] /= total
	}
	return v
}

// blur convolves channels-last images with a bell, half its first size of zeros around. Keras gives rows the
// second bell and columns the first.
func (c *Call) blur(x *graph.Value, size []int, sigma []float64) *graph.Value {
	n := c.dim(x, 3)
	if n < 1 || size[0] < 1 || size[1] < 1 || size[0] > 1<<10 || size[1] > 1<<10 || size[0] != size[1] {
		c.Failf("a kernel of %v for %v: only square ones are supported", size, x.Type)
		return x
	}
	gx, gy := gauss(size[0], sigma[0]), gauss(size[1], sigma[1])
	k := make([]float64, 0, size[0]*size[1]*n)
	for _, a := range gy {
		for _, b := range gx {
			for range n {
				k = append(k, a*b)
			}
		}
	}
	p := size[0] / 2
	x = c.Add(ops.Pad{}, x, c.ints(0, p, p, 0, 0, p, p, 0), c.num(x, 0))
	ones := []int{1, 1}
	return c.depthwise(x, c.constant(x.Type.DType, k, size[0], size[1], n, 1), nil, convSpec{ones, ones, "valid", n, false}, 1)
}
