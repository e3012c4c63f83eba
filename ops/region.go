package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// regionOps is the part of the pool family whose windows are not a plain grid.
var regionOps = []Info{
	{MaxUnpool{}, "puts elements back where MaxPool took them"},
	{MaxRoiPool{PooledShape: []int{1, 1}, SpatialScale: 1}, "the largest element of each bin of regions"},
	{MaxRoiPoolGrad{PooledShape: []int{1, 1}, SpatialScale: 1}, "the gradient of MaxRoiPool"},
	{RoiAlign{OutputHeight: 1, OutputWidth: 1, SpatialScale: 1}, "interpolated samples of each bin of regions"},
	{RoiAlignGrad{OutputHeight: 1, OutputWidth: 1, SpatialScale: 1}, "the gradient of RoiAlign toward its data"},
	{AdaptiveAveragePool{}, "the means of a grid of given size"},
	{AdaptiveAveragePoolGrad{}, "the gradient of AdaptiveAveragePool"},
	{AdaptiveMaxPool{}, "the largest elements of a grid of given size"},
	{AdaptiveMaxPoolGrad{}, "the gradient of AdaptiveMaxPool"},
}

// MaxUnpool puts each element of X at its index in the flattened output, zeros elsewhere: inputs X, the
// indices that MaxPool gave, and an optional output shape.
type MaxUnpool struct {
	KernelShape []int
	Strides     []int // empty: 1
	Pads        []int // begins, then ends; empty: 0
}

// Name implements graph.Op.
func (MaxUnpool) Name() string { return "MaxUnpool" }

// Infer implements graph.Op.
func (m MaxUnpool) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if err := isIndex(in[1]); err != nil {
		return nil, err
	}
	if present(in, 2) {
		t, err := fromContents(in[0], in[2])
		return []graph.Type{t}, err
	}
	x := in[0]
	if err := spatialRank(x); err != nil {
		return nil, err
	}
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	dims := m.Dims(x.Dims)
	w := window{kernel: m.KernelShape, strides: m.Strides, pads: m.Pads}
	if err := w.check(len(dims) - 2); err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// Dims is the output's dimensions without the third input: of the data that a pool would make x from.
func (m MaxUnpool) Dims(x []graph.Dim) []graph.Dim {
	dims := append([]graph.Dim{}, x...)
	n := len(x) - 2
	for i := range n {
		pads := at(m.Pads, i, 0) + at(m.Pads, n+i, 0)
		dims[2+i] = x[2+i].Sub(graph.D(1)).Mul(graph.D(at(m.Strides, i, 1))).Add(graph.D(at(m.KernelShape, i, 1) - pads))
	}
	return dims
}

// VJP reads dy at the indices. They count in the data that was pooled, which the output shape may exceed.
func (m MaxUnpool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	g := dy[0]
	if len(n.In) > 2 && n.In[2] != nil && n.In[0].Type.Rank() >= 3 {
		var ends, axes []int64
		for i, d := range m.Dims(n.In[0].Type.Dims)[2:] {
			v, ok := d.Const()
			if !ok {
				b.Fail(errs.Errorf("gradient of MaxUnpool: the shape of %v is not known", n.In[0].Type))
				return dx
			}
			ends, axes = append(ends, int64(v)), append(axes, int64(2+i))
		}
		g = b.Add(Slice{}, g, b.Ints(make([]int64, len(ends))...), b.Ints(ends...), b.Ints(axes...))
	}
	dx[0] = b.Add(Gather{}, b.Add(Reshape{}, g, b.Ints(-1)), n.In[1])
	return dx
}

// MaxRoiPool is the largest element of each bin of regions: inputs X and rois, rows of batch index, x1, y1,
// x2, y2. Data is NCHW with two spatial dimensions.
type MaxRoiPool struct {
	PooledShape  []int
	SpatialScale float64 // from the rois' coordinates to the data's; ONNX's default is 1
}

// Name implements graph.Op.
func (MaxRoiPool) Name() string { return "MaxRoiPool" }

// Infer implements graph.Op.
func (m MaxRoiPool) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if len(m.PooledShape) != 2 || m.PooledShape[0] < 1 || m.PooledShape[1] < 1 {
		return nil, errs.Errorf("pooled_shape %v", m.PooledShape)
	}
	return inferRegions(in[0], in[1], 5, m.PooledShape[0], m.PooledShape[1])
}

// VJP gives dy to the first largest element of each bin.
func (m MaxRoiPool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(MaxRoiPoolGrad(m), dy[0], n.In[0], n.In[1]), nil}
}

// MaxRoiPoolGrad is the gradient of a MaxRoiPool with the same fields: inputs dy, X and rois.
type MaxRoiPoolGrad MaxRoiPool

// Name implements graph.Op.
func (MaxRoiPoolGrad) Name() string { return "MaxRoiPoolGrad" }

// Infer implements graph.Op.
func (m MaxRoiPoolGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	if _, err := MaxRoiPool(m).Infer(in[1:]); err != nil {
		return nil, err
	}
	return []graph.Type{in[1].WithoutValue()}, nil
}

func inferRegions(x, rois graph.Type, width, h, w int) ([]graph.Type, error) {
	if r := x.Rank(); r >= 0 && r != 4 {
		return nil, errs.Errorf("data %v is not of rank 4", x)
	}
	count, channels := graph.Unknown(), graph.Unknown()
	if x.Rank() == 4 {
		channels = x.Dims[1]
	}
	if r := rois.Rank(); r >= 0 {
		if r != 2 || !graph.Compatible(rois.Dims[1], graph.D(width)) {
			return nil, errs.Errorf("rois %v are no rows of %d", rois.WithoutValue(), width)
		}
		count = rois.Dims[0]
	}
	return []graph.Type{graph.TensorOf(x.DType, count, channels, graph.D(h), graph.D(w))}, nil
}

// RoiAlign averages, or takes the largest of, bilinear samples in each bin of regions: inputs X, rois (rows
// of x1, y1, x2, y2) and batch indices. Data is NCHW with two spatial dimensions.
type RoiAlign struct {
	CoordinateTransformationMode string  // half_pixel (also "") or output_half_pixel
	Mode                         string  // avg (also "") or max
	OutputHeight, OutputWidth    int     // ONNX's default is 1
	SamplingRatio                int     // samples per bin and axis; 0: as many as the bin has elements
	SpatialScale                 float64 // from the rois' coordinates to the data's; ONNX's default is 1
}

// Name implements graph.Op.
func (RoiAlign) Name() string { return "RoiAlign" }

// Infer implements graph.Op.
func (r RoiAlign) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := isIndex(in[2]); err != nil {
		return nil, err
	}
	return inferRegions(in[0], in[1], 4, r.OutputHeight, r.OutputWidth)
}

func (r RoiAlign) check() error {
	switch r.Mode {
	case "", "avg", "max":
	default:
		return errs.Errorf("mode %q", r.Mode)
	}
	switch r.CoordinateTransformationMode {
	case "", "half_pixel", "output_half_pixel":
	default:
		return errs.Errorf("coordinate_transformation_mode %q", r.CoordinateTransformationMode)
	}
	if r.OutputHeight < 1 || r.OutputWidth < 1 || r.SamplingRatio < 0 {
		return errs.Errorf("an output of %d by %d with sampling ratio %d", r.OutputHeight, r.OutputWidth, r.SamplingRatio)
	}
	return nil
}

// VJP is toward the data only: toward the rois it would not mean much, and no framework gives it.
func (r RoiAlign) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(RoiAlignGrad(r), dy[0], n.In[0], n.In[1], n.In[2]), nil, nil}
}

// RoiAlignGrad is the gradient of a RoiAlign with the same fields toward its data: inputs dy, X, rois and
// batch indices.
type RoiAlignGrad RoiAlign

// Name implements graph.Op.
func (RoiAlignGrad) Name() string { return "RoiAlignGrad" }

// Infer implements graph.Op.
func (r RoiAlignGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 4, 4); err != nil {
		return nil, err
	}
	return []graph.Type{in[1].WithoutValue()}, RoiAlign(r).check()
}

// AdaptiveAveragePool averages over a grid of OutputSize cells: cell i of n along a size d reaches from
// floor(i*d/n) to ceil((i+1)*d/n).
type AdaptiveAveragePool struct {
	OutputSize []int
	Format     Format
}

// Name implements graph.Op.
func (AdaptiveAveragePool) Name() string { return "AdaptiveAveragePool" }

// Infer implements graph.Op.
func (a AdaptiveAveragePool) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferAdaptive(in, a.OutputSize, a.Format)
}

func inferAdaptive(in []graph.Type, size []int, f Format) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if err := spatialRank(x); err != nil {
		return nil, err
	}
	batch, channels := graph.Unknown(), graph.Unknown()
	if r := x.Rank(); r >= 0 {
		if len(size) != r-2 {
			return nil, errs.Errorf("output size %v for %v", size, x)
		}
		batch, channels = x.Dims[0], x.Dims[f.Channel(r)]
	}
	for _, s := range size {
		if s < 1 {
			return nil, errs.Errorf("output size %v", size)
		}
	}
	return []graph.Type{graph.TensorOf(x.DType, dataDims(f, batch, channels, graph.Dims(size...))...)}, nil
}

// AdaptiveCell is the first index and one past the last of cell i of n along a size d.
func AdaptiveCell(i, n, d int) (lo, hi int) { return i * d / n, ((i+1)*d + n - 1) / n }

// VJP spreads dy evenly over each cell.
func (a AdaptiveAveragePool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(AdaptiveAveragePoolGrad(a), dy[0], b.Add(Shape{}, n.In[0]))}
}

// AdaptiveAveragePoolGrad is the gradient of an AdaptiveAveragePool: inputs dy and the data's shape.
type AdaptiveAveragePoolGrad AdaptiveAveragePool

// Name implements graph.Op.
func (AdaptiveAveragePoolGrad) Name() string { return "AdaptiveAveragePoolGrad" }

// Infer implements graph.Op.
func (AdaptiveAveragePoolGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[1])
	return []graph.Type{t}, err
}

// VJP is AdaptiveAveragePool.
func (a AdaptiveAveragePoolGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(AdaptiveAveragePool(a), dy[0]), nil}
}

// AdaptiveMaxPool is the largest elements of a grid of OutputSize cells, which are AdaptiveAveragePool's.
type AdaptiveMaxPool AdaptiveAveragePool

// Name implements graph.Op.
func (AdaptiveMaxPool) Name() string { return "AdaptiveMaxPool" }

// Infer implements graph.Op.
func (a AdaptiveMaxPool) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferAdaptive(in, a.OutputSize, a.Format)
}

// VJP gives dy to the first largest element of each cell.
func (a AdaptiveMaxPool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(AdaptiveMaxPoolGrad(a), n.In[0], dy[0])}
}

// AdaptiveMaxPoolGrad is the gradient of an AdaptiveMaxPool: inputs x and dy.
type AdaptiveMaxPoolGrad AdaptiveAveragePool

// Name implements graph.Op.
func (AdaptiveMaxPoolGrad) Name() string { return "AdaptiveMaxPoolGrad" }

// Infer implements graph.Op.
func (AdaptiveMaxPoolGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	return sameAsFirst(in)
}

// regionSamples is the cases of regionOps.
func regionSamples() map[string][]Sample {
	return map[string][]Sample{
		"MaxUnpool": {
			Case(MaxUnpool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, F(1, 1, 2, 2), TV(tensor.Of([]int64{5, 7, 13, 15}, 1, 1, 2, 2))),
			Case(MaxUnpool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, F(1, 1, 2, 2), TV(tensor.Of([]int64{5, 7, 13, 15}, 1, 1, 2, 2)), IV(1, 1, 5, 6))},
		"MaxRoiPool": {
			Case(MaxRoiPool{PooledShape: []int{2, 2}, SpatialScale: 1}, F(1, 2, 6, 6),
				SampleIn{DType: tensor.Float32, Data: tensor.Of([]float32{0, 1, 1, 4, 5}, 1, 5), NoGrad: true})},
		"MaxRoiPoolGrad": {
			Case(MaxRoiPoolGrad{PooledShape: []int{2, 2}, SpatialScale: 1}, F(1, 2, 2, 2), F(1, 2, 6, 6),
				SampleIn{DType: tensor.Float32, Data: tensor.Of([]float32{0, 1, 1, 4, 5}, 1, 5), NoGrad: true})},
		"RoiAlign": {
			Case(RoiAlign{OutputHeight: 2, OutputWidth: 2, SpatialScale: 1, SamplingRatio: 2}, F(1, 2, 6, 6),
				SampleIn{Data: tensor.Of([]float32{0.5, 1, 4, 5}, 1, 4), DType: tensor.Float32, NoGrad: true}, IV(0)),
			Case(RoiAlign{OutputHeight: 2, OutputWidth: 1, SpatialScale: 0.5, Mode: "max", CoordinateTransformationMode: "output_half_pixel"}, F(2, 1, 6, 6),
				SampleIn{Data: tensor.Of([]float32{0.5, 1, 8, 9}, 1, 4), DType: tensor.Float32, NoGrad: true}, IV(1))},
		"RoiAlignGrad": {
			Case(RoiAlignGrad{OutputHeight: 2, OutputWidth: 2, SpatialScale: 1, SamplingRatio: 2}, F(1, 2, 2, 2), F(1, 2, 6, 6),
				SampleIn{Data: tensor.Of([]float32{0.5, 1, 4, 5}, 1, 4), DType: tensor.Float32, NoGrad: true}, IV(0))},
		"AdaptiveAveragePool": {
			Case(AdaptiveAveragePool{OutputSize: []int{2, 3}}, F(1, 2, 5, 4)),
			Case(AdaptiveAveragePool{OutputSize: []int{3}, Format: NHWC}, F(2, 7, 2))},
		"AdaptiveAveragePoolGrad": {
			Case(AdaptiveAveragePoolGrad{OutputSize: []int{2, 3}}, F(1, 2, 2, 3), IV(1, 2, 5, 4))},
		"AdaptiveMaxPool": {
			Case(AdaptiveMaxPool{OutputSize: []int{2, 3}}, F(1, 2, 5, 4)),
			Case(AdaptiveMaxPool{OutputSize: []int{3}, Format: NHWC}, F(2, 7, 2))},
		"AdaptiveMaxPoolGrad": {
			Case(AdaptiveMaxPoolGrad{OutputSize: []int{2, 3}}, F(1, 2, 5, 4), F(1, 2, 2, 3))},
	}
}
