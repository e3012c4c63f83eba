package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

var shapeRows = []row{
	{class: "Flatten", make: func() Layer { return new(Flatten) }},
	{class: "Reshape", make: func() Layer { return new(Reshape) }},
	{class: "Permute", make: func() Layer { return new(Permute) }},
	{class: "RepeatVector", make: func() Layer { return new(RepeatVector) }},
	{class: "Cropping1D", make: func() Layer { return new(Cropping1D) }},
	{class: "Cropping2D", make: func() Layer { return new(Cropping2D) }},
	{class: "Cropping3D", make: func() Layer { return new(Cropping3D) }},
	{class: "ZeroPadding1D", make: func() Layer { return new(ZeroPadding1D) }},
	{class: "ZeroPadding2D", make: func() Layer { return new(ZeroPadding2D) }},
	{class: "ZeroPadding3D", make: func() Layer { return new(ZeroPadding3D) }},
	{class: "UpSampling1D", make: func() Layer { return new(UpSampling1D) }},
	{class: "UpSampling2D", make: func() Layer { return new(UpSampling2D) }},
	{class: "UpSampling3D", make: func() Layer { return new(UpSampling3D) }},
}

// Flatten makes everything behind the batch one dimension. Channels-first data is flattened as if its
// channels were last.
type Flatten struct {
	Base
	DataFormat string `def:"\"channels_last\""`
	// Plain flattens channels-first data in the order it has (Keras 1, and Keras 2 on Theano).
	Plain bool `keras:"-"`
}

// Call implements Layer.
func (l *Flatten) Call(c *Call) []*graph.Value {
	x := c.X()
	r := c.rank(x)
	if c.Err() != nil {
		return one(x)
	}
	if r < 2 {
		return one(c.expandDims(x, 1))
	}
	if c.channelsFirst(l.DataFormat) && r > 2 && !l.Plain {
		perm := append([]int{0}, identityPerm(r)[2:]...)
		x = c.transpose(x, append(perm, 1)...)
	}
	return one(c.reshape(x, []graph.Dim{firstDim(x), graph.Product(x.Type.Dims[1:])}))
}

// Reshape gives each sample another shape; one size may be -1.
type Reshape struct {
	Base
	TargetShape []int
}

// Call implements Layer.
func (l *Reshape) Call(c *Call) []*graph.Value {
	x := c.X()
	if c.rank(x) < 1 {
		c.Failf("takes inputs with a batch, got %v", x.Type)
		return one(x)
	}
	dims := []graph.Dim{firstDim(x)}
	rest := graph.Product(x.Type.Dims[1:])
	open, known := -1, 1
	for i, n := range l.TargetShape {
		if n < 0 {
			if open >= 0 {
				c.Failf("target_shape %v has two open sizes", l.TargetShape)
				return one(x)
			}
			open = i
		} else {
			known *= n
		}
		dims = append(dims, graph.D(n))
	}
	if open >= 0 {
		if known == 0 {
			c.Failf("target_shape %v: nothing to divide by", l.TargetShape)
			return one(x)
		}
		dims[open+1] = rest.Div(graph.D(known))
		rest = rest.Sub(dims[open+1].Mul(graph.D(known)))
		if n, ok := rest.Const(); ok && n != 0 {
			c.Failf("target_shape %v does not hold %v", l.TargetShape, x.Type)
			return one(x)
		}
	} else if n, ok := rest.Const(); ok && n != known {
		c.Failf("target_shape %v does not hold %v", l.TargetShape, x.Type)
		return one(x)
	}
	return one(c.reshape(x, dims))
}

// Permute reorders the dimensions of each sample, which are numbered from 1.
type Permute struct {
	Base
	Dims []int
}

// Call implements Layer.
func (l *Permute) Call(c *Call) []*graph.Value {
	x := c.X()
	sorted := slices.Sorted(slices.Values(l.Dims))
	if !slices.Equal(sorted, identityPerm(len(l.Dims) + 1)[1:]) || c.rank(x) != len(l.Dims)+1 {
		c.Failf("dims %v do not permute the dimensions of %v behind the batch", l.Dims, x.Type)
		return one(x)
	}
	return one(c.transpose(x, append([]int{0}, l.Dims...)...))
}

// RepeatVector repeats each sample's vector N times.
type RepeatVector struct {
	Base
	N int
}

// Call implements Layer.
func (l *RepeatVector) Call(c *Call) []*graph.Value {
	x := c.X()
	if !c.wantRank(x, 2) {
		return one(x)
	}
	return one(c.expand(c.expandDims(x, 1), []graph.Dim{x.Type.Dims[0], graph.D(l.N), x.Type.Dims[1]}, x))
}

// CropConfig is the config of Cropping2D and Cropping3D.
type CropConfig struct {
	Base
	Cropping   [][2]int // begin and end of each spatial dimension; nil: 1
	DataFormat string   `def:"\"channels_last\""`
}

// Cropping1D drops time steps at the start and end.
type Cropping1D struct {
	Base
	Cropping [][2]int // begin and end; nil: 1
}

// Cropping2D drops rows and columns at the edges.
type Cropping2D CropConfig

// Cropping3D drops planes at the edges.
type Cropping3D CropConfig

// Call implements Layer.
func (l *Cropping1D) Call(c *Call) []*graph.Value {
	l.Cropping = c.pairs("cropping", l.Cropping, 1)
	return c.crop(l.Cropping, false)
}

// Call implements Layer.
func (l *Cropping2D) Call(c *Call) []*graph.Value {
	l.Cropping = c.pairs("cropping", l.Cropping, 2)
	return c.crop(l.Cropping, c.channelsFirst(l.DataFormat))
}

// Call implements Layer.
func (l *Cropping3D) Call(c *Call) []*graph.Value {
	l.Cropping = c.pairs("cropping", l.Cropping, 3)
	return c.crop(l.Cropping, c.channelsFirst(l.DataFormat))
}

// pairs makes begin and end for each dimension of what a config says: see asPairs.
func (c *Call) pairs(what string, v [][2]int, rank int) [][2]int {
	if len(v) == 2 && v[1] == [2]int{-1, -1} {
		if rank == 1 {
			return [][2]int{v[0]}
		}
		v = [][2]int{{v[0][0], v[0][0]}, {v[0][1], v[0][1]}}
	}
	switch len(v) {
	case rank:
	case 0, 1:
		p := [2]int{1, 1}
		if len(v) == 1 {
			p = v[0]
		}
		v = make([][2]int, rank)
		for i := range v {
			v[i] = p
		}
	default:
		c.Failf("%s has %d values, the layer %d spatial dimensions", what, len(v), rank)
		return make([][2]int, rank)
	}
	for _, p := range v {
		if p[0] < 0 || p[1] < 0 {
			c.Failf("%s %v is negative", what, v)
			return make([][2]int, rank)
		}
	}
	return v
}

func (c *Call) crop(pairs [][2]int, channelsFirst bool) []*graph.Value {
	x := c.X()
	if !c.wantRank(x, len(pairs)+2) {
		return one(x)
	}
	starts, ends, axes := make([]int, len(pairs)), make([]int, len(pairs)), make([]int, len(pairs))
	for i, p := range pairs {
		axes[i] = spatialAxis(i, channelsFirst)
		starts[i], ends[i] = p[0], maxInt
		if p[1] > 0 {
			ends[i] = -p[1]
		}
		if n := c.dim(x, axes[i]); n >= 0 && p[0]+p[1] >= n {
			c.Failf("cropping %v leaves nothing of %v", pairs, x.Type)
			return one(x)
		}
	}
	return one(c.Add(ops.Slice{}, x, c.ints(starts...), c.ints(ends...), c.ints(axes...)))
}

// PadConfig is the config of the zero paddings.
type PadConfig struct {
	Base
	Padding    [][2]int // begin and end of each spatial dimension; nil: 1
	DataFormat string   `def:"\"channels_last\""`
}

// The zero paddings add zeros at the edges.
type (
	ZeroPadding1D PadConfig // one spatial dimension
	ZeroPadding2D PadConfig // two spatial dimensions
	ZeroPadding3D PadConfig // three spatial dimensions
)

// Call implements Layer.
func (l *ZeroPadding1D) Call(c *Call) []*graph.Value { return (*PadConfig)(l).call(c, 1) }

// Call implements Layer.
func (l *ZeroPadding2D) Call(c *Call) []*graph.Value { return (*PadConfig)(l).call(c, 2) }

// Call implements Layer.
func (l *ZeroPadding3D) Call(c *Call) []*graph.Value { return (*PadConfig)(l).call(c, 3) }

func (l *PadConfig) call(c *Call, rank int) []*graph.Value {
	x := c.X()
	if !c.wantRank(x, rank+2) {
		return one(x)
	}
	l.Padding = c.pairs("padding", l.Padding, rank)
	cf := c.channelsFirst(l.DataFormat)
	pads := make([]int, 2*(rank+2))
	for i, p := range l.Padding {
		a := spatialAxis(i, cf)
		pads[a], pads[rank+2+a] = p[0], p[1]
	}
	return one(c.Add(ops.Pad{Mode: "constant"}, x, c.ints(pads...)))
}

// UpSampling1D repeats each time step.
type UpSampling1D struct {
	Base
	Size int `def:"2"`
}

// Call implements Layer.
func (l *UpSampling1D) Call(c *Call) []*graph.Value {
	if !c.wantRank(c.X(), 3) {
		return one(c.X())
	}
	return one(c.repeatAxis(c.X(), 1, orOne(l.Size, 2)))
}

func orOne(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// repeatAxis repeats each slice along an axis n times.
func (c *Call) repeatAxis(x *graph.Value, axis, n int) *graph.Value {
	if n == 1 || c.Err() != nil {
		return x
	}
	if n < 1 {
		c.Failf("can't repeat %d times", n)
		return x
	}
	dims := slices.Insert(slices.Clone(x.Type.Dims), axis+1, graph.D(n))
	y := c.expand(c.expandDims(x, axis+1), dims, x)
	out := slices.Clone(x.Type.Dims)
	out[axis] = out[axis].Mul(graph.D(n))
	return c.reshape(y, out, x)
}

// UpSampling2D enlarges images by whole factors.
type UpSampling2D struct {
	Base
	Size          []int  // nil: 2
	DataFormat    string `def:"\"channels_last\""`
	Interpolation string `def:"\"nearest\""` // nearest, bilinear, bicubic, lanczos3, lanczos5
}

// Call implements Layer.
func (l *UpSampling2D) Call(c *Call) []*graph.Value {
	x := c.X()
	if !c.wantRank(x, 4) {
		return one(x)
	}
	l.Size = c.spread("size", l.Size, 2, 2)
	cf := c.channelsFirst(l.DataFormat)
	h, w := spatialAxis(0, cf), spatialAxis(1, cf)
	if l.Interpolation == "" || l.Interpolation == "nearest" {
		return one(c.repeatAxis(c.repeatAxis(x, h, l.Size[0]), w, l.Size[1]))
	}
	nh, nw := c.dim(x, h), c.dim(x, w)
	if nh < 0 || nw < 0 {
		c.Failf("interpolation %q needs known sizes, got %v", l.Interpolation, x.Type)
		return one(x)
	}
	return one(c.resizeImage(c.FloatArg(0), h, w, nh*l.Size[0], nw*l.Size[1], l.Interpolation, false))
}

// UpSampling3D repeats planes.
type UpSampling3D struct {
	Base
	Size       []int  // nil: 2
	DataFormat string `def:"\"channels_last\""`
}

// Call implements Layer.
func (l *UpSampling3D) Call(c *Call) []*graph.Value {
	x := c.X()
	if !c.wantRank(x, 5) {
		return one(x)
	}
	l.Size = c.spread("size", l.Size, 3, 2)
	for i, n := range l.Size {
		x = c.repeatAxis(x, spatialAxis(i, c.channelsFirst(l.DataFormat)), n)
	}
	return one(x)
}
