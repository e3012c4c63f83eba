package layers

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

var poolRows = []row{
	{class: "MaxPooling1D", make: func() Layer { return new(MaxPooling1D) }, aliases: []string{"MaxPool1D"}},
	{class: "MaxPooling2D", make: func() Layer { return new(MaxPooling2D) }, aliases: []string{"MaxPool2D"}},
	{class: "MaxPooling3D", make: func() Layer { return new(MaxPooling3D) }, aliases: []string{"MaxPool3D"}},
	{class: "AveragePooling1D", make: func() Layer { return new(AveragePooling1D) }, aliases: []string{"AvgPool1D"}},
	{class: "AveragePooling2D", make: func() Layer { return new(AveragePooling2D) }, aliases: []string{"AvgPool2D"}},
	{class: "AveragePooling3D", make: func() Layer { return new(AveragePooling3D) }, aliases: []string{"AvgPool3D"}},
	{class: "GlobalMaxPooling1D", make: func() Layer { return new(GlobalMaxPooling1D) }, aliases: []string{"GlobalMaxPool1D"}},
	{class: "GlobalMaxPooling2D", make: func() Layer { return new(GlobalMaxPooling2D) }, aliases: []string{"GlobalMaxPool2D"}},
	{class: "GlobalMaxPooling3D", make: func() Layer { return new(GlobalMaxPooling3D) }, aliases: []string{"GlobalMaxPool3D"}},
	{class: "GlobalAveragePooling1D", make: func() Layer { return new(GlobalAveragePooling1D) }, aliases: []string{"GlobalAvgPool1D"}},
	{class: "GlobalAveragePooling2D", make: func() Layer { return new(GlobalAveragePooling2D) }, aliases: []string{"GlobalAvgPool2D"}},
	{class: "GlobalAveragePooling3D", make: func() Layer { return new(GlobalAveragePooling3D) }, aliases: []string{"GlobalAvgPool3D"}},
	{class: "AdaptiveAveragePooling1D", make: func() Layer { return new(AdaptiveAveragePooling1D) }},
	{class: "AdaptiveAveragePooling2D", make: func() Layer { return new(AdaptiveAveragePooling2D) }},
	{class: "AdaptiveAveragePooling3D", make: func() Layer { return new(AdaptiveAveragePooling3D) }},
	{class: "AdaptiveMaxPooling1D", make: func() Layer { return new(AdaptiveMaxPooling1D) }},
	{class: "AdaptiveMaxPooling2D", make: func() Layer { return new(AdaptiveMaxPooling2D) }},
	{class: "AdaptiveMaxPooling3D", make: func() Layer { return new(AdaptiveMaxPooling3D) }},
}

// PoolConfig is the config of the max and average poolings.
type PoolConfig struct {
	Base
	PoolSize   []int  // nil: 2
	Padding    string `def:"\"valid\""` // "valid" (also ""), "same", TheanoSame, TorchSame
	Strides    []int  // nil: PoolSize
	DataFormat string `def:"\"channels_last\""`
}

// The poolings take the maximum or the mean of each window.
type (
	MaxPooling1D     PoolConfig // maximum of windows, one spatial dimension
	MaxPooling2D     PoolConfig // maximum of windows, two spatial dimensions
	MaxPooling3D     PoolConfig // maximum of windows, three spatial dimensions
	AveragePooling1D PoolConfig // mean of windows, one spatial dimension; padding isn't counted
	AveragePooling2D PoolConfig // mean of windows, two spatial dimensions; padding isn't counted
	AveragePooling3D PoolConfig // mean of windows, three spatial dimensions; padding isn't counted
)

// Call implements Layer.
func (l *MaxPooling1D) Call(c *Call) []*graph.Value { return (*PoolConfig)(l).call(c, 1, true) }

// Call implements Layer.
func (l *MaxPooling2D) Call(c *Call) []*graph.Value { return (*PoolConfig)(l).call(c, 2, true) }

// Call implements Layer.
func (l *MaxPooling3D) Call(c *Call) []*graph.Value { return (*PoolConfig)(l).call(c, 3, true) }

// Call implements Layer.
func (l *AveragePooling1D) Call(c *Call) []*graph.Value { return (*PoolConfig)(l).call(c, 1, false) }

// Call implements Layer.
func (l *AveragePooling2D) Call(c *Call) []*graph.Value { return (*PoolConfig)(l).call(c, 2, false) }

// Call implements Layer.
func (l *AveragePooling3D) Call(c *Call) []*graph.Value { return (*PoolConfig)(l).call(c, 3, false) }

func (l *PoolConfig) call(c *Call, rank int, isMax bool) []*graph.Value {
	x := c.X()
	if !isMax {
		x = c.FloatArg(0)
	}
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	cf := c.channelsFirst(l.DataFormat)
	l.PoolSize = c.spread("pool_size", l.PoolSize, rank, 2)
	if l.Strides == nil {
		l.Strides = l.PoolSize
	}
	l.Strides = c.spread("strides", l.Strides, rank, 1)
	auto := ops.Valid
	var pads []int
	var cut []graph.Dim
	switch l.Padding {
	case "", "valid":
	case "same":
		auto = ops.SameUpper
	case TorchSame:
		auto = ops.SameUpper
		if p, uneven := c.unevenPads(x, l.PoolSize, l.Strides, cf); uneven {
			auto, x = ops.Valid, c.Add(ops.Pad{Mode: "edge"}, x, c.ints(p...))
		}
	case TheanoSame:
		auto, pads = ops.Explicit, make([]int, 2*rank)
		for i, k := range l.PoolSize {
			pad := k - 1
			if k > 2 && k%2 == 1 {
				pad = k - 2
			}
			pads[i], pads[rank+i] = pad, pad
			cut = append(cut, spatialDim(x, i, cf).CeilDiv(graph.D(l.Strides[i])))
		}
	default:
		c.Failf("unknown padding %q", l.Padding)
	}
	var y *graph.Value
	if isMax {
		y = c.Add(ops.MaxPool{KernelShape: l.PoolSize, Strides: l.Strides, AutoPad: auto, Pads: pads, Format: format(cf)}, x)
	} else {
		y = c.Add(ops.AveragePool{KernelShape: l.PoolSize, Strides: l.Strides, AutoPad: auto, Pads: pads, Format: format(cf)}, x)
	}
	for i, want := range cut {
		y = c.cutTo(y, spatialAxis(i, cf), want, x)
	}
	return one(y)
}

// TorchSame is the padding "same" of a Keras 3 average pooling on the torch backend. Where TensorFlow's rule
// pads both sides alike it is "same"; where not, the edge is repeated, and the copies count in the mean.
const TorchSame = "torch_same"

// unevenPads is the padding of "same" as ops.Pad takes it, and whether any side has more than the other.
func (c *Call) unevenPads(x *graph.Value, size, strides []int, cf bool) (pads []int, uneven bool) {
	r := c.rank(x)
	pads = make([]int, 2*r)
	for i, k := range size {
		axis := spatialAxis(i, cf)
		n := c.dim(x, axis)
		if n < 0 || strides[i] < 1 {
			return nil, false
		}
		total := max(((n+strides[i]-1)/strides[i]-1)*strides[i]+k-n, 0)
		pads[axis], pads[r+axis] = total/2, total-total/2
		uneven = uneven || total%2 != 0
	}
	return pads, uneven
}

// GlobalPoolConfig is the config of the global poolings.
type GlobalPoolConfig struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	Keepdims   bool
}

// The global poolings take the maximum or the mean over all spatial dimensions.
type (
	GlobalMaxPooling1D     GlobalPoolConfig // maximum over one spatial dimension
	GlobalMaxPooling2D     GlobalPoolConfig // maximum over two spatial dimensions
	GlobalMaxPooling3D     GlobalPoolConfig // maximum over three spatial dimensions
	GlobalAveragePooling1D GlobalPoolConfig // mean over one spatial dimension; a mask's steps only
	GlobalAveragePooling2D GlobalPoolConfig // mean over two spatial dimensions
	GlobalAveragePooling3D GlobalPoolConfig // mean over three spatial dimensions
)

// Call implements Layer.
func (l *GlobalMaxPooling1D) Call(c *Call) []*graph.Value {
	return (*GlobalPoolConfig)(l).call(c, 1, true)
}

// Call implements Layer.
func (l *GlobalMaxPooling2D) Call(c *Call) []*graph.Value {
	return (*GlobalPoolConfig)(l).call(c, 2, true)
}

// Call implements Layer.
func (l *GlobalMaxPooling3D) Call(c *Call) []*graph.Value {
	return (*GlobalPoolConfig)(l).call(c, 3, true)
}

// Call implements Layer.
func (l *GlobalAveragePooling1D) Call(c *Call) []*graph.Value {
	return (*GlobalPoolConfig)(l).call(c, 1, false)
}

// Call implements Layer.
func (l *GlobalAveragePooling2D) Call(c *Call) []*graph.Value {
	return (*GlobalPoolConfig)(l).call(c, 2, false)
}

// Call implements Layer.
func (l *GlobalAveragePooling3D) Call(c *Call) []*graph.Value {
	return (*GlobalPoolConfig)(l).call(c, 3, false)
}

func (l *GlobalPoolConfig) call(c *Call, rank int, isMax bool) []*graph.Value {
	x := c.X()
	if !isMax {
		x = c.FloatArg(0)
	}
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	axes := make([]int, rank)
	for i := range axes {
		axes[i] = spatialAxis(i, c.channelsFirst(l.DataFormat))
	}
	if isMax {
		return one(c.max(x, l.Keepdims, axes...))
	}
	mask := c.InMask()
	if rank != 1 || mask == nil {
		return one(c.mean(x, l.Keepdims, axes...))
	}
	m := c.cast(mask, x.Type.DType)
	if axes[0] == 1 {
		m = c.expandDims(m, 2)
	} else {
		m = c.expandDims(m, 1)
	}
	return one(c.div(c.sum(c.mul(x, m), l.Keepdims, axes...), c.sum(m, l.Keepdims, axes...)))
}

// AdaptivePoolConfig is the config of the adaptive poolings.
type AdaptivePoolConfig struct {
	Base
	OutputSize []int
	DataFormat string `def:"\"channels_last\""`
}

// The adaptive poolings cut each spatial dimension into OutputSize windows, window i from floor(i*n/size)
// to ceil((i+1)*n/size), and take each one's maximum or mean.
type (
	AdaptiveAveragePooling1D AdaptivePoolConfig // means, one spatial dimension
	AdaptiveAveragePooling2D AdaptivePoolConfig // means, two spatial dimensions
	AdaptiveAveragePooling3D AdaptivePoolConfig // means, three spatial dimensions
	AdaptiveMaxPooling1D     AdaptivePoolConfig // maxima, one spatial dimension
	AdaptiveMaxPooling2D     AdaptivePoolConfig // maxima, two spatial dimensions
	AdaptiveMaxPooling3D     AdaptivePoolConfig // maxima, three spatial dimensions
)

// Call implements Layer.
func (l *AdaptiveAveragePooling1D) Call(c *Call) []*graph.Value {
	return (*AdaptivePoolConfig)(l).call(c, 1, false)
}

// Call implements Layer.
func (l *AdaptiveAveragePooling2D) Call(c *Call) []*graph.Value {
	return (*AdaptivePoolConfig)(l).call(c, 2, false)
}

// Call implements Layer.
func (l *AdaptiveAveragePooling3D) Call(c *Call) []*graph.Value {
	return (*AdaptivePoolConfig)(l).call(c, 3, false)
}

// Call implements Layer.
func (l *AdaptiveMaxPooling1D) Call(c *Call) []*graph.Value {
	return (*AdaptivePoolConfig)(l).call(c, 1, true)
}

// Call implements Layer.
func (l *AdaptiveMaxPooling2D) Call(c *Call) []*graph.Value {
	return (*AdaptivePoolConfig)(l).call(c, 2, true)
}

// Call implements Layer.
func (l *AdaptiveMaxPooling3D) Call(c *Call) []*graph.Value {
	return (*AdaptivePoolConfig)(l).call(c, 3, true)
}

// call works on one dimension after the other: means by a matrix of weights, maxima by the window's slices.
func (l *AdaptivePoolConfig) call(c *Call, rank int, isMax bool) []*graph.Value {
	x := c.FloatArg(0)
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	cf := c.channelsFirst(l.DataFormat)
	l.OutputSize = c.spread("output_size", l.OutputSize, rank, 1)
	for i, size := range l.OutputSize {
		axis := spatialAxis(i, cf)
		n := c.dim(x, axis)
		if n < 1 || size < 1 {
			c.Failf("needs known spatial sizes and positive output sizes, got %v to %v", x.Type, l.OutputSize)
			return one(x)
		}
		if n == size {
			continue
		}
		if !c.atMost("output_size", size, 4096) {
			return one(x)
		}
		parts := make([]*graph.Value, size)
		for o := range parts {
			part := c.slice(x, axis, o*n/size, ((o+1)*n+size-1)/size)
			if isMax {
				parts[o] = c.max(part, true, axis)
			} else {
				parts[o] = c.mean(part, true, axis)
			}
		}
		x = c.concat(axis, parts...)
	}
	return one(x)
}
