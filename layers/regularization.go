package layers

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

var regularizationRows = []row{
	{class: "Dropout", make: func() Layer { return new(Dropout) }, masks: true},
	{class: "SpatialDropout1D", make: func() Layer { return new(SpatialDropout1D) }, masks: true},
	{class: "SpatialDropout2D", make: func() Layer { return new(SpatialDropout2D) }, masks: true},
	{class: "SpatialDropout3D", make: func() Layer { return new(SpatialDropout3D) }, masks: true},
	{class: "GaussianDropout", make: func() Layer { return new(GaussianDropout) }, masks: true},
	{class: "GaussianNoise", make: func() Layer { return new(GaussianNoise) }, masks: true},
	{class: "AlphaDropout", make: func() Layer { return new(AlphaDropout) }, masks: true},
	{class: "ActivityRegularization", make: func() Layer { return new(ActivityRegularization) }, masks: true},
}

// Dropout makes a fraction of its inputs zero in training, and scales up the others.
type Dropout struct {
	Base
	Rate       float64
	Seed       *int
	NoiseShape any // sizes, of which those of 1 share a decision along their axis; nil for all one's own
}

// Call implements Layer.
func (l *Dropout) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	return one(c.dropout(x, l.Rate, l.Seed, c.noiseDims(x, l.NoiseShape)))
}

// noiseDims reads a noise_shape: null sizes and -1 are x's.
func (c *Call) noiseDims(x *graph.Value, shape any) []graph.Dim {
	if shape == nil {
		return nil
	}
	sizes, ok := shape.([]int)
	if !ok {
		var err error
		if sizes, err = asShape(shape); err != nil {
			c.Failf("noise_shape: %v", err)
			return nil
		}
	}
	if c.rank(x) != len(sizes) {
		c.Failf("noise_shape %v does not fit %v", sizes, x.Type)
		return nil
	}
	dims := make([]graph.Dim, len(sizes))
	for i, n := range sizes {
		dims[i] = graph.D(n)
		if n < 0 {
			dims[i] = x.Type.Dims[i]
		}
	}
	return dims
}

// SpatialDropout1D drops whole channels of sequences.
type SpatialDropout1D struct {
	Base
	Rate float64
	Seed *int
}

// SpatialDropoutConfig is the config of SpatialDropout2D and SpatialDropout3D.
type SpatialDropoutConfig struct {
	Base
	Rate       float64
	Seed       *int
	DataFormat string `def:"\"channels_last\""`
}

// SpatialDropout2D drops whole channels of images.
type SpatialDropout2D SpatialDropoutConfig

// SpatialDropout3D drops whole channels of volumes.
type SpatialDropout3D SpatialDropoutConfig

// Call implements Layer.
func (l *SpatialDropout1D) Call(c *Call) []*graph.Value {
	return c.spatialDropout(l.Rate, l.Seed, 1, false)
}

// Call implements Layer.
func (l *SpatialDropout2D) Call(c *Call) []*graph.Value {
	return c.spatialDropout(l.Rate, l.Seed, 2, c.channelsFirst(l.DataFormat))
}

// Call implements Layer.
func (l *SpatialDropout3D) Call(c *Call) []*graph.Value {
	return c.spatialDropout(l.Rate, l.Seed, 3, c.channelsFirst(l.DataFormat))
}

func (c *Call) spatialDropout(rate float64, seed *int, rank int, channelsFirst bool) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	noise := append([]graph.Dim{}, x.Type.Dims...)
	for i := range rank {
		noise[spatialAxis(i, channelsFirst)] = graph.D(1)
	}
	return one(c.dropout(x, rate, seed, noise))
}

// GaussianDropout multiplies by noise about 1 in training.
type GaussianDropout struct {
	Base
	Rate float64
	Seed *int
}

// Call implements Layer.
func (l *GaussianDropout) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if !c.Opts.Training || l.Rate <= 0 {
		return one(x)
	}
	return one(c.mul(x, c.normal(x, 1, math.Sqrt(l.Rate/(1-l.Rate)), l.Seed)))
}

// GaussianNoise adds noise in training.
type GaussianNoise struct {
	Base
	Stddev float64
	Seed   *int
}

// Call implements Layer.
func (l *GaussianNoise) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if !c.Opts.Training || l.Stddev <= 0 {
		return one(x)
	}
	return one(c.add(x, c.normal(x, 0, l.Stddev, l.Seed)))
}

// normal is random numbers of x's shape.
func (c *Call) normal(x *graph.Value, mean, stddev float64, seed *int) *graph.Value {
	return c.Add(ops.RandomNormalLike{Dtype: x.Type.DType, Mean: mean, Scale: stddev, Seed: seedOf(seed), HasSeed: seed != nil}, x)
}

// uniform is random numbers of x's shape.
func (c *Call) uniform(x *graph.Value, lo, hi float64, seed *int) *graph.Value {
	return c.Add(ops.RandomUniformLike{Dtype: x.Type.DType, Low: lo, High: hi, Seed: seedOf(seed), HasSeed: seed != nil}, x)
}

func seedOf(seed *int) float64 { return float64(orInt(seed, 0)) }

// AlphaDropout is dropout that keeps mean and variance of what a SELU gives.
type AlphaDropout struct {
	Base
	Rate       float64
	Seed       *int
	NoiseShape any
}

// Call implements Layer.
func (l *AlphaDropout) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	if !c.Opts.Training || l.Rate <= 0 {
		return one(x)
	}
	const alpha = -seluAlpha * seluScale
	keep := c.num(x, 1)
	noise := c.noiseDims(x, l.NoiseShape)
	if noise == nil {
		noise = x.Type.Dims
	}
	keep = c.uniform(c.expand(keep, noise, x), 0, 1, l.Seed)
	kept := c.cast(c.Add(ops.GreaterOrEqual{}, keep, c.num(x, l.Rate)), x.Type.DType)
	a := 1 / math.Sqrt((1-l.Rate)*(1+l.Rate*alpha*alpha))
	b := -a * alpha * l.Rate
	y := c.add(c.mul(x, kept), c.mulN(c.sub(c.num(x, 1), kept), alpha))
	return one(c.addN(c.mulN(y, a), b))
}

// ActivityRegularization is its input; in training its loss is L1*sum|x| + L2*sum(x*x) for each sample.
type ActivityRegularization struct {
	Base
	L1 float64 `keras:"l1"`
	L2 float64 `keras:"l2"`
}

// Call implements Layer.
func (l *ActivityRegularization) Call(c *Call) []*graph.Value { return one(c.FloatArg(0)) }
