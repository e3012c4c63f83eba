package ops

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// convOps is the family of convolutions.
var convOps = slices.Concat([]Info{
	{Conv{}, "convolution in any number of spatial dimensions, with groups"},
	{ConvTranspose{}, "transposed convolution"},
	{ConvGradInput{}, "the gradient of Conv toward its data"},
	{ConvGradWeight{}, "the gradient of Conv toward its kernel"},
}, patchOps)

// Format is the logical order of a spatial operator's data.
type Format uint8

// The formats, for any number of spatial dimensions.
const (
	NCHW Format = iota // N, C, spatial...; kernels M, C/group, spatial... (transposed: C, M/group, spatial...)
	NHWC               // N, spatial..., C; kernels spatial..., C/group, M (transposed: spatial..., M/group, C)
)

// AutoPad is how a spatial operator finds its padding.
type AutoPad uint8

// The ways to pad. Explicit means the Pads field; SameUpper puts the odd one at the end, as TensorFlow does.
const (
	Explicit AutoPad = iota
	SameUpper
	SameLower
	Valid
)

// Conv is convolution (correlation, strictly) of data with a kernel, plus an optional bias: inputs x, w, b.
type Conv struct {
	KernelShape []int // empty: the kernel's own
	Strides     []int // empty: 1
	Dilations   []int // empty: 1
	Pads        []int // with Explicit: begins, then ends; empty: 0; negative crops
	Group       int   // 0 means 1
	AutoPad     AutoPad
	Format      Format
}

// Name implements graph.Op.
func (Conv) Name() string { return "Conv" }

func (c Conv) window(kernel []int) window {
	return window{kernel: kernel, strides: c.Strides, dilations: c.Dilations, pads: c.Pads, auto: c.AutoPad}
}

// Window resolves the convolution for data and a kernel of those shapes.
func (c Conv) Window(x, w []int) (Window, error) {
	kernel, _, _ := KernelDims(c.Format, w)
	return c.window(kernel).resolve(SpatialDims(c.Format, x))
}

// convInputs is the element type of data, kernel and bias, and the output's type where their ranks leave it open.
func convInputs(in []graph.Type) (dt tensor.DType, unknown []graph.Type, err error) {
	if err := arity(in, 2, 3); err != nil {
		return dt, nil, err
	}
	if dt, err = sameDType(in); err != nil {
		return dt, nil, err
	}
	x, w := in[0], in[1]
	if err := convRanks(x, w); err != nil || x.Rank() >= 0 && w.Rank() >= 0 {
		return dt, nil, err
	}
	if r := max(x.Rank(), w.Rank()); r >= 0 {
		return dt, []graph.Type{graph.TensorOf(dt, unknownDims(r)...)}, nil
	}
	return dt, []graph.Type{graph.UnrankedOf(dt)}, nil
}

// Infer implements graph.Op.
func (c Conv) Infer(in []graph.Type) ([]graph.Type, error) {
	dt, unknown, err := convInputs(in)
	if err != nil || unknown != nil {
		return unknown, err
	}
	x, w := in[0], in[1]
	spatial, perGroup, m := KernelDims(c.Format, w.Dims)
	channels := x.Dims[c.Format.Channel(x.Rank())]
	group := graph.D(max(1, c.Group))
	if !graph.Compatible(channels, perGroup.Mul(group)) {
		return nil, errs.Errorf("%v channels of the data %v where the kernel %v takes %v in %v groups", channels, x, w, perGroup, group)
	}
	if n, ok := m.Const(); ok && n%max(1, c.Group) != 0 {
		return nil, errs.Errorf("%d outputs do not divide into %v groups", n, group)
	}
	if err := checkBias(in, 2, m); err != nil {
		return nil, err
	}
	kernel, ok := kernelInts(spatial, c.KernelShape)
	if !ok {
		return []graph.Type{graph.TensorOf(dt, dataDims(c.Format, x.Dims[0], m, unknownDims(len(spatial)))...)}, nil
	}
	if err := sameKernel(kernel, c.KernelShape); err != nil {
		return nil, err
	}
	win := c.window(kernel)
	if err := win.check(len(spatial)); err != nil {
		return nil, err
	}
	out, err := win.outDims(SpatialDims(c.Format, x.Dims))
	if err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(dt, dataDims(c.Format, x.Dims[0], m, out)...)}, nil
}

func convRanks(x, w graph.Type) error {
	for _, t := range []graph.Type{x, w} {
		if err := spatialRank(t); err != nil {
			return err
		}
	}
	if x.Rank() >= 0 && w.Rank() >= 0 && x.Rank() != w.Rank() {
		return errs.Errorf("data %v and kernel %v have different ranks", x, w)
	}
	return nil
}

// kernelInts is the kernel's spatial sizes, from its dimensions, or else from the attribute.
func kernelInts(dims []graph.Dim, attr []int) ([]int, bool) {
	out := make([]int, len(dims))
	for i, d := range dims {
		n, ok := d.Const()
		if !ok && len(attr) == len(dims) {
			n, ok = attr[i], true
		}
		if !ok {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

func sameKernel(kernel, attr []int) error {
	if len(attr) == 0 {
		return nil
	}
	if len(attr) != len(kernel) {
		return errs.Errorf("kernel_shape %v for the kernel %v", attr, kernel)
	}
	for i := range attr {
		if attr[i] != kernel[i] {
			return errs.Errorf("kernel_shape %v for the kernel %v", attr, kernel)
		}
	}
	return nil
}

// checkBias checks that the optional input i is a vector of n elements.
func checkBias(in []graph.Type, i int, n graph.Dim) error {
	if !present(in, i) || in[i].Rank() < 0 {
		return nil
	}
	if in[i].Rank() != 1 || !graph.Compatible(in[i].Dims[0], n) {
		return errs.Errorf("a bias of %v for %v outputs", in[i], n)
	}
	return nil
}

// VJP is a transposed convolution, a correlation of data with dy, and a sum.
func (c Conv) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	x, w := n.In[0], n.In[1]
	if need[0] {
		dx[0] = b.Add(ConvGradInput(c), dy[0], w, b.Add(Shape{}, x))
	}
	if need[1] {
		dx[1] = b.Add(ConvGradWeight(c), x, dy[0], b.Add(Shape{}, w))
	}
	if len(n.In) > 2 && n.In[2] != nil && need[2] {
		dx[2] = biasGrad(b, dy[0], n.In[2], c.Format)
	}
	return dx
}

// biasGrad sums dy over everything but the channels.
func biasGrad(b *graph.Builder, dy, bias *graph.Value, f Format) *graph.Value {
	shape := b.Add(Shape{}, bias)
	if f == NCHW {
		ones := make([]int64, max(0, dy.Type.Rank()-2))
		for i := range ones {
			ones[i] = 1
		}
		return b.Add(Reshape{}, b.Add(SumTo{}, dy, b.Add(Concat{}, shape, b.Ints(ones...))), shape)
	}
	return b.Add(SumTo{}, dy, shape)
}

// ConvGradInput is the gradient of a Conv with the same fields toward its data: inputs dy, w, and the
// data's shape.
type ConvGradInput Conv

// Name implements graph.Op.
func (ConvGradInput) Name() string { return "ConvGradInput" }

// Infer implements graph.Op.
func (c ConvGradInput) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferConvGrad(in)
}

// Window resolves the convolution for data and a kernel of those shapes.
func (c ConvGradInput) Window(x, w []int) (Window, error) { return Conv(c).Window(x, w) }

func inferConvGrad(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	if _, err := sameDType(in[:2]); err != nil {
		return nil, err
	}
	if err := convRanks(in[0], in[1]); err != nil {
		return nil, err
	}
	t, err := fromContents(in[0], in[2])
	if err != nil {
		return nil, err
	}
	if err := convRanks(in[0], t); err != nil {
		return nil, err
	}
	return []graph.Type{t}, nil
}

// VJP uses that the operator is linear in both: it is Conv toward dy.
func (c ConvGradInput) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, 3)
	if need[0] {
		dx[0] = b.Add(Conv(c), dy[0], n.In[1])
	}
	if need[1] {
		dx[1] = b.Add(ConvGradWeight(c), dy[0], n.In[0], b.Add(Shape{}, n.In[1]))
	}
	return dx
}

// ConvGradWeight is the gradient of a Conv with the same fields toward its kernel: inputs x, dy, and the
// kernel's shape.
type ConvGradWeight Conv

// Name implements graph.Op.
func (ConvGradWeight) Name() string { return "ConvGradWeight" }

// Infer implements graph.Op.
func (c ConvGradWeight) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferConvGrad(in)
}

// Window resolves the convolution for data and a kernel of those shapes.
func (c ConvGradWeight) Window(x, w []int) (Window, error) { return Conv(c).Window(x, w) }

// VJP uses that the operator is linear in both: it is Conv toward dy.
func (c ConvGradWeight) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, 3)
	if need[0] {
		dx[0] = b.Add(ConvGradInput(c), n.In[1], dy[0], b.Add(Shape{}, n.In[0]))
	}
	if need[1] {
		dx[1] = b.Add(Conv(c), n.In[0], dy[0])
	}
	return dx
}

// convSamples is the cases of convOps.
func convSamples() map[string][]Sample {
	return map[string][]Sample{
		"Conv": {
			Case(Conv{Pads: []int{1, 0, 1, 2}, Strides: []int{2, 1}}, F(2, 3, 5, 4), F(4, 3, 3, 2), F(4)),
			Case(Conv{Group: 2, Dilations: []int{2}}, F(1, 4, 7), F(6, 2, 3)),
			Case(Conv{AutoPad: SameUpper, Strides: []int{2, 2}, Format: NHWC}, F(1, 5, 4, 3), F(3, 2, 3, 2), F(2)),
			Case(Conv{AutoPad: SameLower, Group: 2, Format: NHWC}, F(1, 4, 3, 2), F(2, 2, 1, 4)),
			Case(Conv{Strides: []int{1, 2, 1}}, F(1, 2, 3, 4, 3), F(2, 2, 2, 2, 2)),
		},
		"ConvTranspose": {
			Case(ConvTranspose{Strides: []int{2, 2}, Pads: []int{1, 1, 0, 1}, OutputPadding: []int{1, 0}}, F(1, 3, 3, 3), F(3, 2, 3, 3), F(2)),
			Case(ConvTranspose{Strides: []int{2}, Group: 2, Format: NHWC, AutoPad: SameUpper}, F(2, 3, 4), F(3, 1, 4), F(2)),
			Case(ConvTranspose{Strides: []int{2}, OutputPadding: []int{2}, Dilations: []int{3}}, F(1, 2, 3), F(2, 2, 2)),
			Case(ConvTranspose{Strides: []int{3, 2}, OutputShape: []int{10, 8}}, F(1, 1, 3, 3), F(1, 2, 3, 3)),
		},
		"ConvGradInput": {
			Case(ConvGradInput{Pads: []int{1, 0, 1, 1}, Strides: []int{2, 2}}, F(1, 4, 3, 2), F(4, 2, 3, 2), IV(1, 2, 5, 4)),
			Case(ConvGradInput{AutoPad: SameUpper, Group: 2, Format: NHWC}, F(1, 4, 2), F(2, 1, 2), IV(1, 4, 2)),
		},
		"ConvGradWeight": {
			Case(ConvGradWeight{Pads: []int{1, 0, 1, 1}, Strides: []int{2, 2}}, F(1, 2, 5, 4), F(1, 4, 3, 2), IV(4, 2, 3, 2)),
			Case(ConvGradWeight{AutoPad: SameUpper, Group: 2, Format: NHWC}, F(1, 4, 2), F(1, 4, 2), IV(2, 1, 2)),
		},
	}
}
