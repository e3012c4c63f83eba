package layers

import (
	"github.com/nnrt/nnrt/graph"
)

// RandomFlip mirrors images in training.
type RandomFlip struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Seed       *int
	Mode       string `def:"\"horizontal_and_vertical\""`
}

// RandomRotation turns images in training.
type RandomRotation struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	Factor        any
	FillMode      string  `def:"\"reflect\""`
	FillValue     float64 `def:"0.0"`
	Interpolation string  `def:"\"bilinear\""`
	Seed          *int
}

// RandomTranslation shifts images in training.
type RandomTranslation struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	HeightFactor  any
	WidthFactor   any
	FillMode      string `def:"\"reflect\""`
	Interpolation string `def:"\"bilinear\""`
	Seed          *int
	FillValue     float64 `def:"0.0"`
}

// RandomZoom scales images in training.
type RandomZoom struct {
	Base
	DataFormat    string `def:"\"channels_last\""`
	HeightFactor  any
	WidthFactor   any
	FillMode      string `def:"\"reflect\""`
	Interpolation string `def:"\"bilinear\""`
	Seed          *int
	FillValue     float64 `def:"0.0"`
}

// RandomContrast changes the contrast of images in training.
type RandomContrast struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any
	ValueRange any `def:"[0, 255]"`
	Seed       *int
}

// RandomBrightness changes the brightness of images in training.
type RandomBrightness struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Factor     any
	ValueRange any `def:"[0, 255]"`
	Seed       *int
}

// RandomCrop takes a random part of images in training.
type RandomCrop struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Height     int
	Width      int
	Seed       *int
}

// Solarization inverts the pixels above a random threshold.
type Solarization struct {
	Base
	DataFormat      string `def:"\"channels_last\""`
	ValueRange      any    `def:"[0, 255]"`
	AdditionFactor  any    `def:"0.0"`
	ThresholdFactor any    `def:"0.0"`
	Seed            *int
}

// inferOnly is the layer in inference: its input. In training it is refused, as a graph that trains on
// something else would be wrong.
func (c *Call) inferOnly() []*graph.Value {
	if c.Opts.Training {
		c.Failf("is not available in training")
	}
	return one(c.FloatArg(0))
}

// Call implements Layer.
func (l *RandomFlip) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *RandomRotation) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *RandomTranslation) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *RandomZoom) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *RandomContrast) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *RandomBrightness) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *Solarization) Call(c *Call) []*graph.Value { return c.inferOnly() }

// Call implements Layer.
func (l *RandomCrop) Call(c *Call) []*graph.Value { return c.inferOnly() }
