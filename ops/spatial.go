package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// spatialOps is the family that moves elements in space.
var spatialOps = []Info{
	{GridSample{}, "samples at the points of a grid"},
	{GridSampleGrad{}, "the gradient of GridSample"},
	{AffineGrid{}, "the grid that affine matrices give"},
	{DepthToSpace{BlockSize: 1}, "moves channels into blocks of space"},
	{SpaceToDepth{BlockSize: 1}, "moves blocks of space into channels"},
	{CenterCropPad{}, "crops or pads around the center"},
	{TensorScatter{Axis: -2}, "writes an update into a cache"},
	{TensorScatterGrad{Axis: -2}, "the gradient of TensorScatter toward its update"},
}

// GridSample samples X at the points of a grid, in [-1, 1] over the data's extent: inputs X (NCHW, any number
// of spatial dimensions) and grid (N, spatial..., coordinates from the last axis to the first).
type GridSample struct {
	AlignCorners bool   // -1 and 1 are the centers of the outer elements, not their outer edges
	Mode         string // linear (also ""), nearest or cubic
	PaddingMode  string // zeros (also ""), border or reflection
}

// Name implements graph.Op.
func (GridSample) Name() string { return "GridSample" }

// Infer implements graph.Op.
func (g GridSample) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if !oneOf(g.Mode, "|linear|nearest|cubic|") || !oneOf(g.PaddingMode, "|zeros|border|reflection|") {
		return nil, errs.Errorf("mode %q, padding_mode %q", g.Mode, g.PaddingMode)
	}
	x, grid := in[0], in[1]
	if err := spatialRank(x); err != nil {
		return nil, err
	}
	r := max(x.Rank(), grid.Rank())
	if r < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	dims := unknownDims(r)
	if x.Rank() >= 0 {
		dims[0], dims[1] = x.Dims[0], x.Dims[1]
	}
	if grid.Rank() >= 0 {
		if x.Rank() >= 0 && x.Rank() != grid.Rank() || !graph.Compatible(grid.Dims[r-1], graph.D(r-2)) {
			return nil, errs.Errorf("grid %v for data %v", grid, x)
		}
		if x.Rank() >= 0 && !graph.Compatible(grid.Dims[0], x.Dims[0]) {
			return nil, errs.Errorf("grid %v for data %v", grid, x)
		}
		copy(dims[2:], grid.Dims[1:r-1])
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// VJP is one node for both.
func (g GridSample) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return b.AddN(GridSampleGrad(g), n.In[0], n.In[1], dy[0])[:2]
}

// GridSampleGrad is the gradient of a GridSample with the same fields: inputs X, grid and dy; outputs the
// gradients toward X and grid.
type GridSampleGrad GridSample

// Name implements graph.Op.
func (GridSampleGrad) Name() string { return "GridSampleGrad" }

// Infer implements graph.Op.
func (g GridSampleGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue(), in[1].WithoutValue()}, nil
}

// AffineGrid is the grid for GridSample that affine matrices give: inputs theta (N, 2, 3 or N, 3, 4) and the
// size of the output (N, C, spatial...).
type AffineGrid struct{ AlignCorners bool }

// Name implements graph.Op.
func (AffineGrid) Name() string { return "AffineGrid" }

// Infer implements graph.Op.
func (a AffineGrid) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	dt := in[0].DType
	size, ok := in[1].Contents()
	if !ok {
		if n, ok := vectorLen(in[1]); ok {
			size = unknownDims(n)
		} else {
			return []graph.Type{graph.UnrankedOf(dt)}, nil
		}
	}
	if len(size) != 4 && len(size) != 5 {
		return nil, errs.Errorf("size %v is neither of a 2-D nor of a 3-D grid", size)
	}
	k := len(size) - 2
	if r := in[0].Rank(); r >= 0 {
		if r != 3 || !graph.Compatible(in[0].Dims[1], graph.D(k)) || !graph.Compatible(in[0].Dims[2], graph.D(k+1)) ||
			!graph.Compatible(in[0].Dims[0], size[0]) {
			return nil, errs.Errorf("theta %v for size %v", in[0], size)
		}
	}
	dims := append([]graph.Dim{size[0]}, size[2:]...)
	return []graph.Type{graph.TensorOf(dt, append(dims, graph.D(k))...)}, nil
}

// VJP sums dy against the base grid, which AffineGrid itself gives for unit matrices.
func (a AffineGrid) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	theta := n.In[0]
	rows, ok := theta.Type.Dims, theta.Type.Rank() == 3
	k := 0
	if ok {
		k, ok = rows[1].Const()
	}
	if !ok {
		b.Fail(errs.Errorf("gradient of AffineGrid: the shape of theta %v is not known", theta.Type))
		return []*graph.Value{nil, nil}
	}
	unit := tensor.New(theta.Type.DType, 1, k, k+1)
	vs := make([]float64, k*(k+1))
	for i := range k {
		vs[i*(k+1)+i] = 1
	}
	if err := unit.SetFloat64s(vs); err != nil {
		b.Fail(err)
	}
	size := b.Add(Concat{}, b.Ints(1), b.Add(Slice{}, n.In[1], b.Ints(1), b.Ints(int64(k+2))))
	points := b.Add(Reshape{}, b.Add(a, b.Const("unit", unit), size), b.Ints(1, -1, int64(k)))
	one := b.Add(Expand{}, constLike(b, theta, 1), b.Add(Concat{}, b.Add(Shape{End: 2, HasEnd: true}, points), b.Ints(1)))
	base := b.Add(Concat{Axis: 2}, points, one)
	flat := b.Add(Reshape{}, dy[0], b.Add(Concat{}, b.Add(Shape{End: 1, HasEnd: true}, theta), b.Ints(-1, int64(k))))
	return []*graph.Value{b.Add(MatMul{}, b.Add(Transpose{Perm: []int{0, 2, 1}}, flat), base), nil}
}

// DepthToSpace moves channels into blocks of BlockSize by BlockSize: the block's place is the major part of
// the channel (DCR), or the minor part (CRD).
type DepthToSpace struct {
	BlockSize int    `onnx:"blocksize"`
	Mode      string // DCR (also "") or CRD
	Format    Format
}

// Name implements graph.Op.
func (DepthToSpace) Name() string { return "DepthToSpace" }

// check refuses what has no blocks, and knows the output's type where data of unknown rank leaves it open.
func (d DepthToSpace) check(in []graph.Type) (unknown []graph.Type, err error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if !oneOf(d.Mode, "|DCR|CRD|") || d.BlockSize < 1 || d.BlockSize > 1<<20 {
		return nil, errs.Errorf("mode %q, block size %d", d.Mode, d.BlockSize)
	}
	switch x := in[0]; {
	case x.Rank() < 0:
		return []graph.Type{graph.TensorOf(x.DType, unknownDims(4)...)}, nil
	case x.Rank() != 4:
		return nil, errs.Errorf("data %v is not of rank 4", x)
	}
	return nil, nil
}

// Infer implements graph.Op.
func (d DepthToSpace) Infer(in []graph.Type) ([]graph.Type, error) {
	if unknown, err := d.check(in); err != nil || unknown != nil {
		return unknown, err
	}
	x, bs := in[0], graph.D(d.BlockSize)
	c := x.Dims[d.Format.Channel(4)]
	if n, ok := c.Const(); ok && n%(d.BlockSize*d.BlockSize) != 0 {
		return nil, errs.Errorf("%d channels for blocks of %d by %d", n, d.BlockSize, d.BlockSize)
	}
	s := SpatialDims(d.Format, x.Dims)
	out := []graph.Dim{s[0].Mul(bs), s[1].Mul(bs)}
	return []graph.Type{graph.TensorOf(x.DType, dataDims(d.Format, x.Dims[0], c.Div(bs.Mul(bs)), out)...)}, nil
}

// VJP moves back.
func (d DepthToSpace) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(SpaceToDepth(d), dy[0])}
}

// SpaceToDepth moves blocks of BlockSize by BlockSize into channels.
type SpaceToDepth struct {
	BlockSize int    `onnx:"blocksize"`
	Mode      string // DCR (also ""), which is ONNX's; or CRD
	Format    Format
}

// Name implements graph.Op.
func (SpaceToDepth) Name() string { return "SpaceToDepth" }

// Infer implements graph.Op.
func (d SpaceToDepth) Infer(in []graph.Type) ([]graph.Type, error) {
	if unknown, err := DepthToSpace(d).check(in); err != nil || unknown != nil {
		return unknown, err
	}
	x, bs := in[0], graph.D(d.BlockSize)
	out := append([]graph.Dim{}, SpatialDims(d.Format, x.Dims)...)
	for i, v := range out {
		if n, ok := v.Const(); ok && n%d.BlockSize != 0 {
			return nil, errs.Errorf("%v for blocks of %d", x, d.BlockSize)
		}
		out[i] = v.Div(bs)
	}
	c := x.Dims[d.Format.Channel(4)].Mul(bs.Mul(bs))
	return []graph.Type{graph.TensorOf(x.DType, dataDims(d.Format, x.Dims[0], c, out)...)}, nil
}

// VJP moves back.
func (d SpaceToDepth) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(DepthToSpace(d), dy[0])}
}

// CenterCropPad crops or pads with zeros, evenly on both sides: inputs data and the target sizes of all axes,
// or of Axes.
type CenterCropPad struct {
	Axes []int // empty: all
}

// Name implements graph.Op.
func (CenterCropPad) Name() string { return "CenterCropPad" }

// Infer implements graph.Op.
func (c CenterCropPad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	axes, err := Resize{Axes: c.Axes}.axes(x.Rank())
	if err != nil {
		return nil, err
	}
	size, ok := in[1].Contents()
	if !ok {
		size = unknownDims(len(axes))
	}
	if len(size) != len(axes) {
		return nil, errs.Errorf("%d sizes for %d axes of %v", len(size), len(axes), x)
	}
	dims := append([]graph.Dim{}, x.Dims...)
	for i, a := range axes {
		if n, ok := size[i].Const(); ok && n < 0 {
			return nil, errs.Errorf("sizes %v", size)
		}
		dims[a] = size[i]
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// Pads is the padding on both sides of data of that shape; negative crops.
func (c CenterCropPad) Pads(x, size []int) (begin, end []int, err error) {
	axes, err := Resize{Axes: c.Axes}.axes(len(x))
	if err != nil {
		return nil, nil, err
	}
	if len(size) != len(axes) {
		return nil, nil, errs.Errorf("%d sizes for %d axes", len(size), len(axes))
	}
	begin, end = make([]int, len(x)), make([]int, len(x))
	for i, a := range axes {
		diff := size[i] - x[a]
		if begin[a] = diff / 2; diff < 0 {
			begin[a] = -(-diff / 2)
		}
		end[a] = diff - begin[a]
	}
	return begin, end, nil
}

// VJP crops what was padded and pads what was cropped.
func (c CenterCropPad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	axes, err := Resize{Axes: c.Axes}.axes(n.In[0].Type.Rank())
	size, ok := knownInts([]graph.Type{n.In[1].Type}, 0)
	if err != nil || !ok || len(size) != len(axes) {
		b.Fail(errs.Errorf("gradient of CenterCropPad: the sizes of %v are not known", n.In[0].Type))
		return []*graph.Value{nil, nil}
	}
	x := make([]int, n.In[0].Type.Rank()) // of axes that stay as they are the size does not matter
	for _, a := range axes {
		if x[a], ok = n.In[0].Type.Dims[a].Const(); !ok {
			b.Fail(errs.Errorf("gradient of CenterCropPad: the sizes of %v are not known", n.In[0].Type))
			return []*graph.Value{nil, nil}
		}
	}
	begin, end, err := c.Pads(x, size)
	if err != nil {
		b.Fail(err)
		return []*graph.Value{nil, nil}
	}
	var pads []int64
	for _, p := range append(begin, end...) {
		pads = append(pads, int64(-p))
	}
	return []*graph.Value{b.Add(Pad{}, dy[0], b.Ints(pads...)), nil}
}

// TensorScatter writes an update into a copy of a cache along Axis, from each batch entry's own index on:
// inputs past cache, update, and optional write indices.
type TensorScatter struct {
	Axis int    // ONNX's default is -2; not the batch axis 0
	Mode string // linear (also ""), or circular: indices wrap around
}

// Name implements graph.Op.
func (TensorScatter) Name() string { return "TensorScatter" }

// Infer implements graph.Op.
func (t TensorScatter) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if !oneOf(t.Mode, "|linear|circular|") {
		return nil, errs.Errorf("mode %q", t.Mode)
	}
	x, u := in[0], in[1]
	if x.DType != u.DType {
		return nil, errs.Errorf("an update of %v for a cache of %v", u.DType, x.DType)
	}
	if x.Rank() >= 0 {
		axis, err := normAxis(t.Axis, x.Rank())
		if err != nil {
			return nil, err
		}
		if axis == 0 {
			return nil, errs.Errorf("axis 0 is the batch")
		}
		if u.Rank() >= 0 && u.Rank() != x.Rank() {
			return nil, errs.Errorf("an update %v for a cache %v", u, x)
		}
		for i := range u.Dims {
			n, ok1 := u.Dims[i].Const()
			m, ok2 := x.Dims[i].Const()
			if ok1 && ok2 && (i != axis && n != m || n > m) {
				return nil, errs.Errorf("an update %v for a cache %v", u, x)
			}
		}
	}
	return []graph.Type{x.WithoutValue()}, nil
}

// VJP reads the update's part of dy, and clears it for the cache.
func (t TensorScatter) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	var at *graph.Value
	if len(n.In) > 2 {
		at = n.In[2]
	}
	if need[0] {
		dx[0] = b.Add(t, dy[0], zerosLike(b, n.In[1]), at)
	}
	if need[1] {
		dx[1] = b.Add(TensorScatterGrad(t), dy[0], b.Add(Shape{}, n.In[1]), at)
	}
	return dx
}

// TensorScatterGrad is the gradient of a TensorScatter toward its update: inputs dy, the update's shape, and
// optional write indices.
type TensorScatterGrad TensorScatter

// Name implements graph.Op.
func (TensorScatterGrad) Name() string { return "TensorScatterGrad" }

// Infer implements graph.Op.
func (TensorScatterGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[1])
	return []graph.Type{t}, err
}

// VJP writes back into zeros.
func (t TensorScatterGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	var at *graph.Value
	if len(n.In) > 2 {
		at = n.In[2]
	}
	dx[0] = b.Add(TensorScatter(t), zerosLike(b, n.In[0]), dy[0], at)
	return dx
}

// spatialSamples is the cases of spatialOps.
func spatialSamples() map[string][]Sample {
	return map[string][]Sample{
		"GridSample": {
			Case(GridSample{}, F(1, 2, 4, 5), FR(-0.9, 0.9, 1, 3, 2, 2)),
			Case(GridSample{AlignCorners: true, PaddingMode: "border"}, F(1, 1, 4, 4), FR(-0.9, 0.9, 1, 2, 2, 2)),
			Case(GridSample{Mode: "cubic"}, F(1, 1, 5, 5), FR(-0.4, 0.4, 1, 2, 2, 2)),
			Case(GridSample{Mode: "nearest"}, F(1, 1, 4, 4), SampleIn{DType: tensor.Float32, Shape: []int{1, 2, 2, 2}, NoGrad: true}),
			Case(GridSample{}, F(1, 1, 3, 4, 3), FR(-0.9, 0.9, 1, 2, 2, 1, 3))},
		"GridSampleGrad": {
			Case(GridSampleGrad{}, F(1, 2, 4, 5), FR(-0.9, 0.9, 1, 3, 2, 2), F(1, 2, 3, 2))},
		"AffineGrid": {
			Case(AffineGrid{}, F(2, 2, 3), IV(2, 1, 3, 4)), Case(AffineGrid{AlignCorners: true}, F(1, 3, 4), IV(1, 1, 2, 3, 2))},
		"DepthToSpace": {
			Case(DepthToSpace{BlockSize: 2}, F(1, 8, 2, 3)), Case(DepthToSpace{BlockSize: 2, Mode: "CRD"}, F(1, 8, 2, 3)),
			Case(DepthToSpace{BlockSize: 2, Format: NHWC}, F(1, 2, 3, 8))},
		"SpaceToDepth": {
			Case(SpaceToDepth{BlockSize: 2}, F(1, 2, 4, 6)), Case(SpaceToDepth{BlockSize: 2, Format: NHWC}, F(1, 4, 6, 2))},
		"CenterCropPad": {
			Case(CenterCropPad{}, F(3, 4), IV(5, 1)), Case(CenterCropPad{Axes: []int{-1}}, F(3, 4), IV(3))},
		"TensorScatter": {
			Case(TensorScatter{Axis: -2}, F(2, 4, 3), F(2, 2, 3), IV(1, 2)),
			Case(TensorScatter{Axis: -2, Mode: "circular"}, F(2, 4, 3), F(2, 2, 3), IV(3, 2))},
		"TensorScatterGrad": {
			Case(TensorScatterGrad{Axis: -2, Mode: "circular"}, F(2, 4, 3), IV(2, 2, 3), IV(3, 2))},
	}
}
