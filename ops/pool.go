package ops

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// poolOps is the family of pools.
var poolOps = slices.Concat([]Info{
	{MaxPool{}, "the largest element of each window, and optionally where it was"},
	{MaxPoolGrad{}, "the gradient of MaxPool"},
	{AveragePool{}, "the mean of each window"},
	{AveragePoolGrad{}, "the gradient of AveragePool"},
	{LpPool{P: 2}, "the p-norm of each window"},
	{GlobalMaxPool{}, "the largest element of each channel"},
	{GlobalAveragePool{}, "the mean of each channel"},
	{GlobalLpPool{P: 2}, "the p-norm of each channel"},
}, regionOps)

// MaxPool is the largest element of each window; with Indices also its place in the flattened data, over
// all axes. Padding takes no part.
type MaxPool struct {
	KernelShape  []int
	Strides      []int // empty: 1
	Dilations    []int // empty: 1
	Pads         []int // with Explicit: begins, then ends; empty: 0
	AutoPad      AutoPad
	CeilMode     bool // round the number of windows up
	StorageOrder int  // of Indices: 0 row major, 1 column major in the spatial dimensions
	Format       Format
	Indices      bool `onnx:"-"` // has the second output
}

// Name implements graph.Op.
func (MaxPool) Name() string { return "MaxPool" }

func (p MaxPool) window() window {
	return window{p.KernelShape, p.Strides, p.Dilations, p.Pads, p.AutoPad, p.CeilMode}
}

// Window resolves the pool for data of that shape.
func (p MaxPool) Window(x []int) (Window, error) {
	return p.window().resolve(SpatialDims(p.Format, x))
}

// Infer implements graph.Op.
func (p MaxPool) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	y, err := inferWindow(in[0], p.window(), p.Format)
	if err != nil || !p.Indices {
		return []graph.Type{y}, err
	}
	i := y
	i.DType = tensor.Int64
	return []graph.Type{y, i}, nil
}

// VJP gives dy to the first largest element of each window.
func (p MaxPool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(MaxPoolGrad(p), n.In[0], dy[0])}
}

// MaxPoolGrad is the gradient of a MaxPool with the same fields: inputs x, dy and, where it is at hand, the pool's result.
// Indices and StorageOrder play no part.
type MaxPoolGrad MaxPool

// Name implements graph.Op.
func (MaxPoolGrad) Name() string { return "MaxPoolGrad" }

// Window resolves the pool for data of that shape.
func (p MaxPoolGrad) Window(x []int) (Window, error) { return MaxPool(p).Window(x) }

// Infer implements graph.Op.
func (p MaxPoolGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	return sameAsFirst(in)
}

// VJP picks from the cotangent where the forward pool picked.
func (p MaxPoolGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	if !need[1] {
		return dx
	}
	fwd := MaxPool(p)
	fwd.Indices, fwd.StorageOrder = true, 0
	at := b.AddN(fwd, n.In[0])[1]
	flat := b.Add(Reshape{}, dy[0], b.Ints(-1))
	dx[1] = b.Add(Gather{}, flat, at)
	return dx
}

// AveragePool is the mean of each window.
type AveragePool struct {
	KernelShape     []int
	Strides         []int // empty: 1
	Dilations       []int // empty: 1
	Pads            []int // with Explicit: begins, then ends; empty: 0
	AutoPad         AutoPad
	CeilMode        bool // round the number of windows up
	CountIncludePad bool // padding counts in the mean's divisor
	Format          Format
}

// Name implements graph.Op.
func (AveragePool) Name() string { return "AveragePool" }

func (p AveragePool) window() window {
	return window{p.KernelShape, p.Strides, p.Dilations, p.Pads, p.AutoPad, p.CeilMode}
}

// Window resolves the pool for data of that shape.
func (p AveragePool) Window(x []int) (Window, error) {
	return p.window().resolve(SpatialDims(p.Format, x))
}

// Infer implements graph.Op.
func (p AveragePool) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	y, err := inferWindow(in[0], p.window(), p.Format)
	return []graph.Type{y}, err
}

// VJP spreads dy evenly over each window.
func (p AveragePool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(averageGrad(p, false), dy[0], b.Add(Shape{}, n.In[0]))}
}

func averageGrad(p AveragePool, sum bool) AveragePoolGrad {
	return AveragePoolGrad{p.KernelShape, p.Strides, p.Dilations, p.Pads, p.AutoPad, p.CeilMode, p.CountIncludePad, p.Format, sum}
}

// AveragePoolGrad is the gradient of an AveragePool with the same fields: inputs dy and the data's shape.
type AveragePoolGrad struct {
	KernelShape, Strides, Dilations, Pads []int
	AutoPad                               AutoPad
	CeilMode, CountIncludePad             bool
	Format                                Format
	Sum                                   bool // of a pool that sums, instead of averaging
}

// Name implements graph.Op.
func (AveragePoolGrad) Name() string { return "AveragePoolGrad" }

// Forward is the pool whose gradient p is.
func (p AveragePoolGrad) Forward() AveragePool {
	return AveragePool{p.KernelShape, p.Strides, p.Dilations, p.Pads, p.AutoPad, p.CeilMode, p.CountIncludePad, p.Format}
}

// Infer implements graph.Op.
func (p AveragePoolGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[1])
	return []graph.Type{t}, err
}

// VJP is the pool itself. A pool that sums is spelled with norms: the sum of the positive parts less that of
// the negative ones.
func (p AveragePoolGrad) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	if !p.Sum {
		return []*graph.Value{b.Add(p.Forward(), dy[0]), nil}
	}
	sum := LpPool{p.KernelShape, p.Strides, p.Dilations, p.Pads, p.AutoPad, p.CeilMode, 1, p.Format}
	up := b.Add(sum, b.Add(Relu{}, dy[0]))
	down := b.Add(sum, b.Add(Relu{}, b.Add(Neg{}, dy[0])))
	return []*graph.Value{b.Add(Sub{}, up, down), nil}
}

// LpPool is the p-norm of each window; padding counts as zeros.
type LpPool struct {
	KernelShape []int
	Strides     []int // empty: 1
	Dilations   []int // empty: 1
	Pads        []int // with Explicit: begins, then ends; empty: 0
	AutoPad     AutoPad
	CeilMode    bool // round the number of windows up
	P           int
	Format      Format
}

// Name implements graph.Op.
func (LpPool) Name() string { return "LpPool" }

func (p LpPool) average() AveragePool {
	return AveragePool{p.KernelShape, p.Strides, p.Dilations, p.Pads, p.AutoPad, p.CeilMode, false, p.Format}
}

// Window resolves the pool for data of that shape.
func (p LpPool) Window(x []int) (Window, error) { return p.average().Window(x) }

// Infer implements graph.Op.
func (p LpPool) Infer(in []graph.Type) ([]graph.Type, error) {
	if p.P < 1 {
		return nil, errs.Errorf("p is %d, not positive", p.P)
	}
	return p.average().Infer(in)
}

// VJP is sign(x) |x|^(p-1) times the windows' dy y^(1-p).
func (p LpPool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x := n.In[0]
	scaled := b.Add(Mul{}, dy[0], powDown(b, n.Out[0], p.P-1))
	spread := b.Add(averageGrad(p.average(), true), scaled, b.Add(Shape{}, x))
	return []*graph.Value{b.Add(Mul{}, signedPow(b, x, p.P-1), spread)}
}

// powDown is 1/y^k, and 0 where y is.
func powDown(b *graph.Builder, y *graph.Value, k int) *graph.Value {
	one := constLike(b, y, 1)
	if k == 0 {
		return one
	}
	positive := b.Add(Greater{}, y, constLike(b, y, 0))
	d := b.Add(Where{}, positive, y, one)
	q := b.Add(Div{}, one, intPow(b, d, k))
	return b.Add(Where{}, positive, q, constLike(b, y, 0))
}

// intPow is x^k for a positive k, by squaring.
func intPow(b *graph.Builder, x *graph.Value, k int) *graph.Value {
	if k == 1 {
		return x
	}
	half := intPow(b, x, k/2)
	y := b.Add(Mul{}, half, half)
	if k%2 == 1 {
		y = b.Add(Mul{}, y, x)
	}
	return y
}

// signedPow is sign(x) |x|^k.
func signedPow(b *graph.Builder, x *graph.Value, k int) *graph.Value {
	if k%2 == 1 {
		return intPow(b, x, k)
	}
	zero, one := constLike(b, x, 0), constLike(b, x, 1)
	sign := b.Add(Where{}, b.Add(Greater{}, x, zero), one, b.Add(Where{}, b.Add(Greater{}, zero, x), constLike(b, x, -1), zero))
	if k == 0 {
		return sign
	}
	return b.Add(Mul{}, sign, intPow(b, x, k))
}

// GlobalMaxPool is the largest element of each channel; the spatial dimensions become 1.
type GlobalMaxPool struct{ Format Format }

// Name implements graph.Op.
func (GlobalMaxPool) Name() string { return "GlobalMaxPool" }

// Infer implements graph.Op.
func (p GlobalMaxPool) Infer(in []graph.Type) ([]graph.Type, error) { return inferGlobal(in, p.Format) }

// VJP gives dy to every element that equals the largest, in equal parts.
func (p GlobalMaxPool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x, zero := n.In[0], constLike(b, n.In[0], 0)
	hit := b.Add(Where{}, b.Add(Greater{}, n.Out[0], x), zero, constLike(b, x, 1))
	count := b.Add(SumTo{}, hit, b.Add(Shape{}, n.Out[0]))
	return []*graph.Value{b.Add(Mul{}, hit, b.Add(Div{}, dy[0], count))}
}

// inferGlobal sets the spatial dimensions to 1.
func inferGlobal(in []graph.Type, f Format) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if err := spatialRank(x); err != nil {
		return nil, err
	}
	if x.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(x.DType)}, nil
	}
	dims := append([]graph.Dim{}, x.Dims...)
	lo, hi := f.Spatial(len(dims))
	for i := lo; i < hi; i++ {
		dims[i] = graph.D(1)
	}
	return []graph.Type{graph.TensorOf(x.DType, dims...)}, nil
}

// GlobalAveragePool is the mean of each channel; the spatial dimensions become 1.
type GlobalAveragePool struct{ Format Format }

// Name implements graph.Op.
func (GlobalAveragePool) Name() string { return "GlobalAveragePool" }

// Infer implements graph.Op.
func (p GlobalAveragePool) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferGlobal(in, p.Format)
}

// VJP spreads dy evenly.
func (p GlobalAveragePool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	shape := b.Add(Shape{}, n.In[0])
	count := b.Add(SumTo{}, b.Add(Expand{}, constLike(b, dy[0], 1), shape), b.Add(Shape{}, dy[0]))
	return []*graph.Value{b.Add(Expand{}, b.Add(Div{}, dy[0], count), shape)}
}

// GlobalLpPool is the p-norm of each channel; the spatial dimensions become 1.
type GlobalLpPool struct {
	P      int
	Format Format
}

// Name implements graph.Op.
func (GlobalLpPool) Name() string { return "GlobalLpPool" }

// Infer implements graph.Op.
func (p GlobalLpPool) Infer(in []graph.Type) ([]graph.Type, error) {
	if p.P < 1 {
		return nil, errs.Errorf("p is %d, not positive", p.P)
	}
	return inferGlobal(in, p.Format)
}

// VJP is dy sign(x) |x|^(p-1) y^(1-p).
func (p GlobalLpPool) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	scaled := b.Add(Mul{}, dy[0], powDown(b, n.Out[0], p.P-1))
	return []*graph.Value{b.Add(Mul{}, signedPow(b, n.In[0], p.P-1), scaled)}
}

// poolSamples is the cases of poolOps.
func poolSamples() map[string][]Sample {
	return map[string][]Sample{
		"MaxPool": {
			Case(MaxPool{KernelShape: []int{2, 3}, Strides: []int{2, 1}, Pads: []int{1, 1, 0, 1}}, F(2, 2, 5, 6)),
			Case(MaxPool{KernelShape: []int{3}, Dilations: []int{2}, CeilMode: true, Strides: []int{2}, Indices: true}, F(1, 2, 10)),
			Case(MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}, AutoPad: SameUpper, Format: NHWC}, F(1, 5, 4, 3)),
		},
		"MaxPoolGrad": {
			Case(MaxPoolGrad{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, SampleIn{DType: tensor.Float32, Shape: []int{1, 2, 4, 4}, NoGrad: true}, F(1, 2, 2, 2))},
		"AveragePool": {
			Case(AveragePool{KernelShape: []int{2, 3}, Strides: []int{2, 1}, Pads: []int{1, 1, 0, 1}}, F(2, 2, 5, 6)),
			Case(AveragePool{KernelShape: []int{3}, Pads: []int{1, 1}, Strides: []int{2}, CeilMode: true, CountIncludePad: true}, F(1, 2, 6)),
			Case(AveragePool{KernelShape: []int{2, 2}, Strides: []int{2, 2}, AutoPad: SameUpper, Format: NHWC}, F(1, 5, 4, 3)),
		},
		"AveragePoolGrad": {
			Case(AveragePoolGrad{KernelShape: []int{2, 2}, Strides: []int{2, 1}}, F(1, 2, 2, 3), IV(1, 2, 4, 4)),
			Case(AveragePoolGrad{KernelShape: []int{2, 2}, Pads: []int{1, 0, 0, 1}, Sum: true}, F(1, 1, 3, 3), IV(1, 1, 3, 3))},
		"LpPool": {
			Case(LpPool{P: 2, KernelShape: []int{2, 2}, Strides: []int{1, 2}}, FR(0.5, 2, 1, 2, 4, 4)),
			Case(LpPool{P: 3, KernelShape: []int{2}, Pads: []int{1, 0}, Format: NHWC}, FR(0.5, 2, 1, 4, 2)),
		},
		"GlobalMaxPool": {
			Case(GlobalMaxPool{}, F(2, 3, 4, 2)), Case(GlobalMaxPool{Format: NHWC}, F(2, 3, 4, 2))},
		"GlobalAveragePool": {
			Case(GlobalAveragePool{}, F(2, 3, 4, 2)), Case(GlobalAveragePool{Format: NHWC}, F(2, 3, 4, 2))},
		"GlobalLpPool": {
			Case(GlobalLpPool{P: 2}, FR(0.5, 2, 2, 3, 4, 2)), Case(GlobalLpPool{P: 3, Format: NHWC}, FR(0.5, 2, 2, 3, 2))},
	}
}
