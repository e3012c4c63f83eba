package layers

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// Augmentation layers are their input in inference, but for AutoContrast and CLAHE. In training (Options.Training) each image of a batch gets
// draws of its own, from Philox by way of package train. Those that mix labels too, or whose distribution no
// operator has, are refused in training.

var augmentationRows = []row{
	{class: "RandomFlip", make: func() Layer { return new(RandomFlip) }},
	{class: "RandomCrop", make: func() Layer { return new(RandomCrop) }},
	{class: "RandomRotation", make: func() Layer { return new(RandomRotation) }},
	{class: "RandomTranslation", make: func() Layer { return new(RandomTranslation) }},
	{class: "RandomZoom", make: func() Layer { return new(RandomZoom) }},
	{class: "RandomShear", make: func() Layer { return new(RandomShear) }},
	{class: "RandomPerspective", make: func() Layer { return new(RandomPerspective) }},
	{class: "RandomElasticTransform", make: func() Layer { return new(RandomElasticTransform) }},
	{class: "RandomContrast", make: func() Layer { return new(RandomContrast) }},
	{class: "RandomBrightness", make: func() Layer { return new(RandomBrightness) }},
	{class: "RandomHue", make: func() Layer { return new(RandomHue) }},
	{class: "RandomSaturation", make: func() Layer { return new(RandomSaturation) }},
	{class: "RandomSharpness", make: func() Layer { return new(RandomSharpness) }},
	{class: "RandomPosterization", make: func() Layer { return new(RandomPosterization) }},
	{class: "RandomColorDegeneration", make: func() Layer { return new(RandomColorDegeneration) }},
	{class: "RandomColorJitter", make: func() Layer { return new(RandomColorJitter) }},
	{class: "RandomGrayscale", make: func() Layer { return new(RandomGrayscale) }},
	{class: "RandomInvert", make: func() Layer { return new(RandomInvert) }},
	{class: "RandomErasing", make: func() Layer { return new(RandomErasing) }},
	{class: "RandomGaussianBlur", make: func() Layer { return new(RandomGaussianBlur) }},
	{class: "Solarization", make: func() Layer { return new(Solarization) }},
	{class: "AutoContrast", make: func() Layer { return new(AutoContrast) }},
	{class: "Equalization", make: func() Layer { return new(Equalization) }},
	{class: "ContrastLimitedAdaptiveHistogramEqualization", make: func() Layer { return new(ContrastLimitedAdaptiveHistogramEqualization) }},
	{class: "MixUp", make: func() Layer { return new(MixUp) }},
	{class: "CutMix", make: func() Layer { return new(CutMix) }},
	{class: "AugMix", make: func() Layer { return new(AugMix) }},
	{class: "RandAugment", make: func() Layer { return new(RandAugment) }},
	{class: "MaxNumBoundingBoxes", make: func() Layer { return new(MaxNumBoundingBoxes) }},
	{class: "Pipeline", make: func() Layer { return new(Pipeline) }},
}

// ColorConfig is the config of augmentations of colour: Factor is a number or a range of them, ValueRange
// what the pixels lie in.
type ColorConfig struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any
	ValueRange any `def:"[0, 255]"`
	Seed       *int
}

// WarpConfig is what geometric augmentations share.
type WarpConfig struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	HeightFactor  any
	WidthFactor   any
	FillMode      string `def:"\"reflect\""`
	Interpolation string `def:"\"bilinear\""`
	Seed          *int
	FillValue     float64 `def:"0.0"`
}

// The augmentations of colour.
type (
	RandomContrast          ColorConfig // the distance from the mean of an image, by 1-Factor to 1+Factor
	RandomBrightness        ColorConfig // adds up to Factor of the range
	RandomHue               ColorConfig // turns the hue
	RandomSaturation        ColorConfig // multiplies the saturation
	RandomSharpness         ColorConfig // blends with a smoothed image
	RandomPosterization     ColorConfig // keeps Factor bits of each channel
	RandomColorDegeneration ColorConfig // blends with the grey image
	RandomInvert            ColorConfig // inverts with probability Factor
)

// The augmentations that move pixels.
type (
	RandomTranslation WarpConfig // shifts by parts of the height and width
	RandomZoom        WarpConfig // scales about the middle; without a WidthFactor both axes alike
)

// RandomFlip mirrors images.
type RandomFlip struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Seed       *int
	Mode       string `def:"\"horizontal_and_vertical\""` // horizontal, vertical or both (also "")
}

// RandomRotation turns images by up to Factor of a full turn.
type RandomRotation struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	Factor        any
	FillMode      string  `def:"\"reflect\""`
	FillValue     float64 `def:"0.0"`
	Interpolation string  `def:"\"bilinear\""`
	Seed          *int
}

// RandomShear slants images.
type RandomShear struct {
	Base
	DataFormat    string  `def:"\"channels_last\""`
	XFactor       any     `def:"0.0"`
	YFactor       any     `def:"0.0"`
	FillMode      string  `def:"\"reflect\""`
	Interpolation string  `def:"\"bilinear\""`
	FillValue     float64 `def:"0.0"`
	Seed          *int
}

// RandomPerspective moves the corners of images by up to half of Scale.
type RandomPerspective struct {
	Base
	DataFormat    string   `def:"\"channels_last\""`
	Factor        any      `def:"1.0"`
	Scale         *float64 `def:"1.0"`
	Interpolation string   `def:"\"bilinear\""`
	FillValue     float64  `def:"0.0"`
	Seed          *int
}

// RandomElasticTransform bends images; it is refused in training.
type RandomElasticTransform struct {
	Base
	DataFormat    string  `def:"\"channels_last\""`
	Factor        any     `def:"1.0"`
	Scale         any     `def:"1.0"`
	Interpolation string  `def:"\"bilinear\""`
	FillMode      string  `def:"\"reflect\""`
	FillValue     float64 `def:"0.0"`
	ValueRange    any     `def:"[0, 255]"`
	Seed          *int
}

// RandomCrop takes a part of images, one place for a whole batch; smaller images are resized.
type RandomCrop struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Height     int
	Width      int
	Seed       *int
}

// RandomColorJitter is random brightness, contrast, saturation and hue, of which nil ones are left out.
type RandomColorJitter struct {
	Base
	DataFormat       string `def:"\"channels_last\""`
	ValueRange       any    `def:"[0, 255]"`
	BrightnessFactor any
	ContrastFactor   any
	SaturationFactor any
	HueFactor        any
	Seed             *int
}

// RandomGrayscale makes images grey with probability Factor.
type RandomGrayscale struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any    `def:"0.5"`
	Seed       *int
}

// RandomErasing fills a rectangle of Scale of the area with FillValue (nil: noise), with probability Factor.
type RandomErasing struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any    `def:"1.0"`
	Scale      any    `def:"[0.02, 0.33]"`
	FillValue  any
	ValueRange any `def:"[0, 255]"`
	Seed       *int
}

// RandomGaussianBlur blurs images; it is refused in training, as the width of the bell is drawn too.
type RandomGaussianBlur struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any    `def:"1.0"`
	KernelSize any    `def:"3"`
	Sigma      any    `def:"1.0"`
	ValueRange any    `def:"[0, 255]"`
	Seed       *int
}

// Solarization adds to pixels and inverts those above a threshold.
type Solarization struct {
	Base
	DataFormat      string `def:"\"channels_last\""`
	ValueRange      any    `def:"[0, 255]"`
	AdditionFactor  any    `def:"0.0"`
	ThresholdFactor any    `def:"0.0"`
	Seed            *int
}

// AutoContrast stretches each channel over the whole range, in inference too.
type AutoContrast struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	ValueRange any    `def:"[0, 255]"`
}

// Equalization evens out the histogram of each channel in training, over the whole batch.
type Equalization struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	ValueRange any    `def:"[0, 255]"`
	Bins       int    `def:"256"`
}

// ContrastLimitedAdaptiveHistogramEqualization evens out histograms of tiles, in inference too: its config is
// read and written, calls are refused.
type ContrastLimitedAdaptiveHistogramEqualization struct {
	Base
	ValueRange   any      `def:"[0, 255]"`
	ClipLimit    *float64 `def:"4.0"`
	TileGridSize any      `def:"[8, 8]"`
	DataFormat   string   `def:"\"channels_last\""`
}

// MixUp blends images and labels; it is refused in training.
type MixUp struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Alpha      any    `def:"0.2"`
	Seed       *int
}

// CutMix exchanges rectangles of images; it is refused in training.
type CutMix struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any    `def:"1.0"`
	Seed       *int
}

// AugMix blends chains of augmentations; it is refused in training.
type AugMix struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	ValueRange    any    `def:"[0, 255]"`
	NumChains     int    `def:"3"`
	ChainDepth    any    `def:"3"`
	Factor        any    `def:"0.3"`
	Alpha         any    `def:"1.0"`
	AllOps        any    `def:"true"`
	Interpolation string `def:"\"bilinear\""`
	Seed          *int
}

// RandAugment applies augmentations drawn from a list; it is refused in training.
type RandAugment struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	ValueRange    any    `def:"[0, 255]"`
	NumOps        int    `def:"2"`
	Factor        any    `def:"0.5"`
	Interpolation string `def:"\"bilinear\""`
	Seed          *int
}

// MaxNumBoundingBoxes cuts lists of boxes in dicts, which no model takes: images pass.
type MaxNumBoundingBoxes struct {
	Base
	MaxNumber int
	FillValue *int `def:"-1"`
}

// Pipeline calls layers one after the other.
type Pipeline struct {
	Base
	Layers []Layer
}

// Call implements Layer.
func (l *Pipeline) Call(c *Call) []*graph.Value {
	vs := c.In
	for _, inner := range l.Layers {
		args := make([]any, len(vs))
		for i, v := range vs {
			args[i] = v
		}
		vs = c.SubCall("_pipeline_layers", true, inner, args, nil)
	}
	return vs
}

// draws is the random numbers of one call of an augmentation, each different from the last.
type draws struct {
	*Call
	seed *int
	n    int
}

// of is numbers between lo and hi, of batch and then those sizes.
func (d *draws) of(x *graph.Value, lo, hi float64, sizes ...int) *graph.Value {
	dims := append([]graph.Dim{x.Type.Dims[0]}, graph.Dims(sizes...)...)
	seed := d.seed
	if seed != nil {
		seed = new(int)
		*seed = *d.seed + 1_000_003*d.n
	}
	d.n++
	return d.uniform(d.expand(d.num(x, 0), dims, x), lo, hi, seed)
}

// chance is true with a probability drawn from a factor.
func (d *draws) chance(x *graph.Value, lo, hi float64, sizes ...int) *graph.Value {
	p := d.of(x, lo, hi, sizes...)
	return d.Add(ops.Less{}, d.of(x, 0, 1, sizes...), p)
}

// augment is f on batches of channels-last images in training, and the input otherwise.
func (c *Call) augment(dataFormat string, seed *int, f func(d *draws, x *graph.Value) *graph.Value) []*graph.Value {
	x := c.FloatArg(0)
	if !c.Opts.Training {
		return one(x)
	}
	d := &draws{Call: c, seed: seed}
	return one(c.batched(x, c.channelsFirst(dataFormat), func(x *graph.Value) *graph.Value {
		if c.Err() != nil {
			return x
		}
		return f(d, x)
	}))
}

// untrained is the input in inference; in training it is refused, as a graph that trains on something else
// would be wrong.
func (c *Call) untrained() []*graph.Value {
	if c.Opts.Training {
		c.unsupportedf("is not available in training")
	}
	return one(c.FloatArg(0))
}

// factor reads a factor: a number v is least to v, or -v to v where least is below 0.
func (c *Call) factor(v any, least, def float64) (lo, hi float64) {
	fs, err := asFloats(v)
	if fs2, ok := v.([]float64); ok {
		fs, err = fs2, nil
	}
	switch {
	case err != nil:
		c.Failf("factor %v: %v", v, err)
	case len(fs) == 2:
		return min(fs[0], fs[1]), max(fs[0], fs[1])
	case len(fs) == 1 && least < 0:
		return max(-math.Abs(fs[0]), least), math.Abs(fs[0])
	case len(fs) == 1:
		return least, fs[0]
	case len(fs) == 0:
		return min(least, 0), def
	}
	return 0, 0
}

// valueRange is the range of pixels.
func (c *Call) valueRange(v any) (lo, hi float64) {
	fs, err := asFloats(v)
	if v == nil {
		return 0, 255
	}
	if err != nil || len(fs) != 2 || fs[0] == fs[1] {
		c.Failf("value_range %v", v)
		return 0, 1
	}
	return fs[0], fs[1]
}

// rescale maps one range of pixels to another.
func (c *Call) rescale(x *graph.Value, lo, hi, toLo, toHi float64) *graph.Value {
	if lo == toLo && hi == toHi {
		return x
	}
	return c.addN(c.mulN(c.addN(x, -lo), (toHi-toLo)/(hi-lo)), toLo)
}

// stack joins columns (batch, 1) to transforms (batch, 8), nil being zeros.
func (c *Call) transforms(x *graph.Value, cols ...*graph.Value) *graph.Value {
	zero := c.expand(c.num(x, 0), []graph.Dim{x.Type.Dims[0], graph.D(1)}, x)
	for i := range cols {
		if cols[i] == nil {
			cols[i] = zero
		}
	}
	return c.concat(1, append(cols, zero, zero)...)
}
