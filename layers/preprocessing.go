package layers

import (
	"sort"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var preprocessingRows = []row{
	{class: "Normalization", make: func() Layer { return new(Normalization) }},
	{class: "Rescaling", make: func() Layer { return new(Rescaling) }},
	{class: "Resizing", make: func() Layer { return new(Resizing) }},
	{class: "CenterCrop", make: func() Layer { return new(CenterCrop) }},
	{class: "Discretization", make: func() Layer { return new(Discretization) }},
	{class: "CategoryEncoding", make: func() Layer { return new(CategoryEncoding) }},
	{class: "STFTSpectrogram", make: func() Layer { return new(STFTSpectrogram) }},
	{class: "MelSpectrogram", make: func() Layer { return new(MelSpectrogram) }},
}

// Normalization subtracts a mean and divides by a standard deviation, along some axes; they are given, or
// are weights that adapting to data has set.
type Normalization struct {
	Base
	Axis     any `def:"-1"` // a number, several, or null (with "none") for one mean of everything
	Invert   bool
	Mean     any // numbers; nil: weights
	Variance any
}

// Call implements Layer.
func (l *Normalization) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	r := c.rank(x)
	if c.Err() != nil {
		return one(x)
	}
	axes := []int{-1}
	switch a := l.Axis.(type) {
	case nil:
	case string:
		axes = nil
	default:
		var err error
		if axes, err = asShape(a); err != nil {
			c.Failf("axis: %v", err)
			return one(x)
		}
	}
	shape, sizes := repeat(1, r), []int{}
	for _, a := range axes {
		a = c.axis(a, r)
		shape[a] = c.dim(x, a)
	}
	for i := range shape {
		for _, a := range axes {
			if c.axis(a, r) == i {
				sizes = append(sizes, shape[i])
			}
		}
	}
	var mean, variance *graph.Value
	if l.Mean == nil {
		mean = c.Variable("mean", sizes, From("Zeros"), NotTrainable())
		variance = c.Variable("variance", sizes, From("Ones"), NotTrainable())
		c.Variable("count", []int{}, From("Zeros"), NotTrainable(), OfType(tensor.Int32))
		mean, variance = c.reshapeTo(c.cast(mean, x.Type.DType), shape...), c.reshapeTo(c.cast(variance, x.Type.DType), shape...)
	} else {
		mean, variance = c.given("mean", l.Mean, x, shape), c.given("variance", l.Variance, x, shape)
	}
	if c.Err() != nil {
		return one(x)
	}
	std := c.Add(ops.Max{}, c.Add(ops.Sqrt{}, variance), c.num(x, 1e-7))
	if l.Invert {
		return one(c.add(mean, c.mul(x, std)))
	}
	return one(c.div(c.sub(x, mean), std))
}

// given is numbers of a config broadcast to shape.
func (c *Call) given(what string, v any, x *graph.Value, shape []int) *graph.Value {
	fs, ok := v.([]float64)
	if !ok {
		var err error
		if fs, err = asFloats(v); err != nil {
			c.Failf("%s: %v", what, err)
			return x
		}
	}
	if len(fs) == 1 {
		return c.num(x, fs[0])
	}
	n := 1
	for _, s := range shape {
		n *= max(s, 1)
	}
	if n != len(fs) {
		if list, ok := v.([]any); ok && len(listShape(list)) == len(shape) { // shaped to broadcast already
			return c.constant(x.Type.DType, fs, listShape(list)...)
		}
		c.Failf("%s has %d values for shape %v", what, len(fs), shape)
		return x
	}
	return c.constant(x.Type.DType, fs, shape...)
}

// Rescaling is x * Scale + Offset.
type Rescaling struct {
	Base
	Scale  any // a number, or one for each channel
	Offset any `def:"0.0"`
}

// Call implements Layer.
func (l *Rescaling) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	vector := func(what string, v any) *graph.Value {
		fs, ok := v.([]float64)
		if !ok {
			var err error
			if fs, err = asFloats(v); err != nil {
				c.Failf("%s: %v", what, err)
				return nil
			}
		}
		switch len(fs) {
		case 0:
			return nil
		case 1:
			return c.num(x, fs[0])
		}
		return c.constant(x.Type.DType, fs, len(fs))
	}
	if s := vector("scale", l.Scale); s != nil {
		x = c.mul(x, s)
	}
	if o := vector("offset", l.Offset); o != nil {
		x = c.add(x, o)
	}
	return one(x)
}

// Resizing changes the size of images.
type Resizing struct {
	Base
	DataFormat        string `def:"\"channels_last\""`
	Height            int
	Width             int
	Interpolation     string `def:"\"bilinear\""` // bilinear (also ""), nearest, bicubic, lanczos3, lanczos5, area
	CropToAspectRatio bool
	PadToAspectRatio  bool
	FillMode          string  `def:"\"constant\""`
	FillValue         float64 `def:"0.0"`
	Antialias         bool
}

// imageAxes is the axes of height and width of one image or a batch of them.
func (c *Call) imageAxes(x *graph.Value, dataFormat string) (h, w int, ok bool) {
	r := c.rank(x)
	if r != 3 && r != 4 {
		c.Failf("takes images, got %v", x.Type)
		return 0, 0, false
	}
	if c.channelsFirst(dataFormat) {
		return r - 2, r - 1, c.Err() == nil
	}
	return r - 3, r - 2, c.Err() == nil
}

// Call implements Layer.
func (l *Resizing) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	h, w, ok := c.imageAxes(x, l.DataFormat)
	if !ok {
		return one(x)
	}
	nh, nw := c.dim(x, h), c.dim(x, w)
	if l.CropToAspectRatio || l.PadToAspectRatio {
		if nh < 0 || nw < 0 {
			c.Failf("keeping the aspect ratio needs known sizes, got %v", x.Type)
			return one(x)
		}
	}
	switch {
	case l.CropToAspectRatio:
		x = c.aspectCrop(x, h, w, nh, nw, l.Height, l.Width)
	case l.PadToAspectRatio:
		ph := max(nh, int(float64(nw*l.Height)/float64(l.Width)))
		pw := max(nw, int(float64(nh*l.Width)/float64(l.Height)))
		top, left := int(float64(ph-nh)/2), int(float64(pw-nw)/2)
		r := c.rank(x)
		pads := make([]int, 2*r)
		pads[h], pads[r+h], pads[w], pads[r+w] = top, top, left, left // both halves round down in Keras
		if orString(l.FillMode, "constant") != "constant" {
			c.Failf("fill_mode %q is not supported", l.FillMode)
		}
		x = c.Add(ops.Pad{Mode: "constant"}, x, c.ints(pads...), c.num(x, l.FillValue))
	}
	return one(c.resizeImage(x, h, w, l.Height, l.Width, orString(l.Interpolation, "bilinear"), l.Antialias))
}

// CenterCrop takes the middle of images; smaller ones are resized up, keeping their aspect ratio.
type CenterCrop struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Height     int
	Width      int
}

// Call implements Layer.
func (l *CenterCrop) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	h, w, ok := c.imageAxes(x, l.DataFormat)
	if !ok {
		return one(x)
	}
	nh, nw := c.dim(x, h), c.dim(x, w)
	if nh < 0 || nw < 0 {
		c.Failf("needs known sizes, got %v", x.Type)
		return one(x)
	}
	return one(c.centerCrop(x, h, w, nh, nw, l.Height, l.Width))
}

func (c *Call) centerCrop(x *graph.Value, h, w, nh, nw, height, width int) *graph.Value {
	if nh >= height && nw >= width {
		top, left := (nh-height)/2, (nw-width)/2
		return c.slice(c.slice(x, h, top, top+height), w, left, left+width)
	}
	// smart_resize: crop to the target's aspect ratio, then resize
	x = c.aspectCrop(x, h, w, nh, nw, height, width)
	return c.resizeImage(x, h, w, height, width, "bilinear", false)
}

// aspectCrop is the middle of images with the aspect ratio of a target size, of at least one pixel.
func (c *Call) aspectCrop(x *graph.Value, h, w, nh, nw, height, width int) *graph.Value {
	ch := max(1, min(nh, int(float64(nw*height)/float64(width))))
	cw := max(1, min(nw, int(float64(nh*width)/float64(height))))
	top, left := int(float64(nh-ch)/2), int(float64(nw-cw)/2)
	return c.slice(c.slice(x, h, top, top+ch), w, left, left+cw)
}

// Discretization replaces numbers by the index of the bin they fall into.
type Discretization struct {
	Base
	BinBoundaries []float64
	NumBins       *int
	Epsilon       *float64 `def:"0.01"`
	OutputMode    string   `def:"\"int\""` // int (also ""), one_hot, multi_hot, count
	Sparse        bool
}

// Call implements Layer.
func (l *Discretization) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if l.BinBoundaries == nil {
		c.Failf("has no bin boundaries: it was not adapted")
		return one(x)
	}
	bs := append([]float64{}, l.BinBoundaries...)
	sort.Float64s(bs)
	// the bin is the number of boundaries that x has reached
	edges := c.constant(x.Type.DType, bs, len(bs))
	ge := c.Add(ops.GreaterOrEqual{}, c.expandDims(x, -1), edges)
	y := c.sum(c.cast(ge, tensor.Int32), false, -1)
	if l.OutputMode == "" || l.OutputMode == "int" {
		return one(y)
	}
	return one(c.encodeCategories(y, len(bs)+1, l.OutputMode, nil))
}

// CategoryEncoding encodes integers as one-hot, multi-hot or counted vectors.
type CategoryEncoding struct {
	Base
	NumTokens  int
	OutputMode string `def:"\"multi_hot\""` // multi_hot (also ""), one_hot, count
	Sparse     bool   `keras:"-"`
}

// Call implements Layer.
func (l *CategoryEncoding) Call(c *Call) []*graph.Value {
	weights := c.arg(1, "count_weights", nil)
	return one(c.encodeCategories(c.X(), l.NumTokens, orString(l.OutputMode, "multi_hot"), weights))
}

func (c *Call) encodeCategories(x *graph.Value, depth int, mode string, weights *graph.Value) *graph.Value {
	dt := c.ComputeType()
	if mode == "one_hot" {
		if r := c.rank(x); r > 0 && c.dim(x, -1) == 1 {
			x = c.squeeze(x, -1)
		}
		return c.oneHot(x, depth, -1, dt, 1, 0)
	}
	hot := c.oneHot(x, depth, -1, dt, 1, 0)
	if c.rank(x) == 0 {
		return hot
	}
	axis := min(c.rank(x)-1, 1) // Keras joins axis 1 of higher ranks too, not the last
	switch mode {
	case "multi_hot":
		return c.max(hot, false, axis)
	case "count":
		if weights != nil {
			hot = c.mul(hot, c.expandDims(c.cast(weights, dt), -1))
		}
		return c.sum(hot, false, axis)
	}
	c.Failf("unknown output_mode %q", mode)
	return hot
}

// STFTSpectrogram is the spectra of overlapping frames of a signal.
type STFTSpectrogram struct {
	Base
	Mode        string `def:"\"log\""` // log (also ""), magnitude, psd, real, imag, angle, stft
	FrameLength int    `def:"256"`
	FrameStep   *int   // nil: half a frame
	FftLength   *int   // nil: the power of two from FrameLength on
	Window      any    `def:"\"hann\""`
	Periodic    bool
	Scaling     string `def:"\"density\"" null:"none"` // density (also ""), spectrum, or "none"
	Padding     string `def:"\"valid\""`
	DataFormat  string `def:"\"channels_last\""`
	ExpandDims  bool
}

// Call implements Layer: real and imaginary part are convolutions with the windowed waves, which are weights.
func (l *STFTSpectrogram) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, 3) {
		return one(x)
	}
	n := orOne(l.FrameLength, 256)
	fft := 1
	for fft < n && fft <= 1<<20 {
		fft *= 2
	}
	fft = orInt(l.FftLength, fft)
	step := orInt(l.FrameStep, n/2)
	cf := c.channelsFirst(l.DataFormat)
	chAxis := 2
	if cf {
		chAxis = 1
	}
	ch := c.dim(x, chAxis)
	if !c.atMost("fft_length", max(fft, n), 1<<20) || n < 1 || fft < n || step < 1 || ch < 1 {
		c.Failf("frame_length %d, frame_step %d, fft_length %d, %v", n, step, fft, x.Type)
		return one(x)
	}
	bins := fft/2 + 1
	mode := orString(l.Mode, "log")
	kernel := func(side string) *graph.Value {
		return c.Weight(side+"_kernel", []int{n, 1, bins}, With(&Object{Class: "STFT", Config: map[string]any{
			"side": side, "window": orAny(l.Window, "hann"), "scaling": stftScaling(l.Scaling), "periodic": l.Periodic}}, nil, nil))
	}
	var realKernel, imagKernel *graph.Value
	if mode != "imag" {
		realKernel = kernel("real")
	}
	if mode != "real" {
		imagKernel = kernel("imag")
	}
	f := stft{c, x, step, bins, cf, orString(l.Padding, "valid")}
	y := f.mode(mode, realKernel, imagKernel)
	if mode == "stft" {
		bins *= 2
	}
	if c.Err() != nil {
		return one(x)
	}
	return one(c.spectrogramLayout(y, ch, bins, cf, l.ExpandDims))
}

// stft is the frames of a signal as convolutions.
type stft struct {
	*Call
	x          *graph.Value
	step, bins int
	first      bool // channels first
	padding    string
}

// run is the signal against one kernel: batch, channel, frame, bin.
func (f stft) run(kernel *graph.Value) *graph.Value {
	v := f.x
	if !f.first {
		v = f.transpose(v, 0, 2, 1)
	}
	d := v.Type.Dims
	v = f.reshape(v, []graph.Dim{d[0].Mul(d[1]), d[2], graph.D(1)}) // each channel by itself, as the batch
	y := f.conv(v, kernel, nil, convSpec{[]int{f.step}, []int{1}, f.padding, 1, false})
	if f.Err() != nil {
		return y
	}
	return f.reshape(y, []graph.Dim{d[0], d[1], y.Type.Dims[1], graph.D(f.bins)}, f.x, y)
}

func (f stft) mode(mode string, realKernel, imagKernel *graph.Value) *graph.Value {
	switch mode {
	case "real":
		return f.run(realKernel)
	case "imag":
		return f.run(imagKernel)
	case "angle", "stft", "psd", "magnitude", "log":
	default:
		f.Failf("unknown mode %q", mode)
		return f.x
	}
	re, im := f.run(realKernel), f.run(imagKernel)
	switch mode {
	case "angle":
		return f.Add(ops.Atan2{}, im, re)
	case "stft":
		return f.concat(3, re, im)
	}
	p := f.add(f.mul(re, re), f.mul(im, im))
	if mode == "psd" {
		return f.add(p, f.mirrored(p, f.bins))
	}
	y := f.Add(ops.Sqrt{}, f.Add(ops.Max{}, p, f.num(p, 1e-7)))
	if mode == "log" {
		y = f.Add(ops.Log{}, f.Add(ops.Max{}, y, f.num(y, 1e-7)))
	}
	return y
}

// mirrored is p with its first and last bin zero: the power of the bins that a one-sided spectrum leaves out.
func (c *Call) mirrored(p *graph.Value, bins int) *graph.Value {
	ks := make([]float64, bins)
	for i := 1; i < bins-1; i++ {
		ks[i] = 1
	}
	return c.mul(p, c.constant(p.Type.DType, ks, bins))
}

func orAny(v, def any) any {
	if v == nil {
		return def
	}
	return v
}

// stftScaling is the scaling's name, or nil where the config has null.
func stftScaling(s string) any {
	switch s {
	case "":
		return "density"
	case noScaling:
		return nil
	}
	return s
}

// noScaling is STFTSpectrogram's scaling None.
const noScaling = "none"

// spectrogramLayout orders (batch, channel, frame, bin) as the layer gives it.
func (c *Call) spectrogramLayout(y *graph.Value, ch, bins int, cf, expand bool) *graph.Value {
	d := y.Type.Dims
	switch {
	case expand && cf:
		return y
	case expand:
		return c.transpose(y, 0, 2, 3, 1)
	case cf:
		return c.reshape(c.transpose(y, 0, 1, 3, 2), []graph.Dim{d[0], graph.D(ch * bins), d[2]}, y)
	}
	return c.reshape(c.transpose(y, 0, 2, 1, 3), []graph.Dim{d[0], d[2], graph.D(ch * bins)}, y)
}
