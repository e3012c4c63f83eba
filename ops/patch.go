package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// patchOps is the part of the convolution family that works on patches of the data.
var patchOps = []Info{
	{DeformConv{}, "convolution that samples at learned offsets"},
	{DeformConvGrad{}, "the gradient of DeformConv"},
	{LocallyConnected{}, "convolution with a kernel of its own at every place"},
	{Im2Col{}, "the patches under a sliding window, as columns"},
	{Col2Im{}, "adds patches up to an image: the adjoint of Im2Col"},
}

// DeformConv is two-dimensional convolution whose taps are moved by offsets, interpolated bilinearly, and
// weighed by an optional mask: inputs X, W, offset, and optional B and mask. The data is NCHW.
type DeformConv struct {
	KernelShape []int // empty: the kernel's own
	Strides     []int // empty: 1
	Dilations   []int // empty: 1
	Pads        []int // begins, then ends; empty: 0
	Group       int   // 0 means 1
	OffsetGroup int   // 0 means 1
}

// Name implements graph.Op.
func (DeformConv) Name() string { return "DeformConv" }

func (d DeformConv) conv() Conv {
	return Conv{KernelShape: d.KernelShape, Strides: d.Strides, Dilations: d.Dilations, Pads: d.Pads, Group: d.Group}
}

// Window resolves the convolution for data and a kernel of those shapes.
func (d DeformConv) Window(x, w []int) (Window, error) { return d.conv().Window(x, w) }

// Infer implements graph.Op.
func (d DeformConv) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 5); err != nil {
		return nil, err
	}
	if r := in[0].Rank(); r >= 0 && r != 4 {
		return nil, errs.Errorf("data %v is not of rank 4: only two spatial dimensions are supported", in[0])
	}
	conv := in[:2:2]
	if len(in) > 3 {
		conv = append(conv, in[3])
	}
	out, err := d.conv().Infer(conv)
	if err != nil || out[0].Rank() != 4 {
		return out, err
	}
	for _, aux := range []struct {
		i, per int
		name   string
	}{{2, 2, "offset"}, {4, 1, "mask"}} {
		if err := d.checkAux(in, out[0], aux.i, aux.per, aux.name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d DeformConv) checkAux(in []graph.Type, y graph.Type, i, per int, name string) error {
	if !present(in, i) || in[i].Rank() < 0 || in[1].Rank() != 4 {
		return nil
	}
	taps := in[1].Dims[2].Mul(in[1].Dims[3])
	want := []graph.Dim{y.Dims[0], taps.Mul(graph.D(per * max(1, d.OffsetGroup))), y.Dims[2], y.Dims[3]}
	if in[i].Rank() != 4 {
		return errs.Errorf("%s %v is not of rank 4", name, in[i])
	}
	for j, w := range want {
		if !graph.Compatible(w, in[i].Dims[j]) {
			return errs.Errorf("%s %v where %v is taken", name, in[i], want)
		}
	}
	return nil
}

// VJP is one node for all four tensors, and a sum for the bias.
func (d DeformConv) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	ins := []*graph.Value{n.In[0], n.In[1], n.In[2], dy[0]}
	if len(n.In) > 4 && n.In[4] != nil {
		ins = append(ins, n.In[4])
	}
	g := b.AddN(DeformConvGrad(d), ins...)
	copy(dx, g[:3])
	if len(n.In) > 3 && n.In[3] != nil && need[3] {
		dx[3] = biasGrad(b, dy[0], n.In[3], NCHW)
	}
	if len(ins) > 4 {
		dx[4] = g[3]
	}
	return dx
}

// DeformConvGrad is the gradient of a DeformConv with the same fields: inputs X, W, offset, dy and an
// optional mask; outputs the gradients toward X, W, offset and, where given, mask.
type DeformConvGrad DeformConv

// Name implements graph.Op.
func (DeformConvGrad) Name() string { return "DeformConvGrad" }

// Window resolves the convolution for data and a kernel of those shapes.
func (d DeformConvGrad) Window(x, w []int) (Window, error) { return DeformConv(d).Window(x, w) }

// Infer implements graph.Op.
func (d DeformConvGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 4, 5); err != nil {
		return nil, err
	}
	out := []graph.Type{in[0].WithoutValue(), in[1].WithoutValue(), in[2].WithoutValue()}
	if present(in, 4) {
		out = append(out, in[4].WithoutValue())
	}
	return out, nil
}

// LocallyConnected is Keras's locally connected layer: convolution without padding whose kernel differs at
// every place. Inputs x; the kernel, of shape places, patch, filters; and an optional bias of shape spatial...,
// filters. A patch is spatial..., channels in NHWC and channels, spatial... in NCHW.
type LocallyConnected struct {
	KernelShape []int
	Strides     []int // empty: 1
	Format      Format
}

// Name implements graph.Op.
func (LocallyConnected) Name() string { return "LocallyConnected" }

// Window resolves the windows for data of that shape.
func (l LocallyConnected) Window(x []int) (Window, error) {
	return l.patches().Window(x)
}

func (l LocallyConnected) patches() Im2Col {
	return Im2Col{KernelShape: l.KernelShape, Strides: l.Strides, Format: l.Format}
}

// Infer implements graph.Op.
func (l LocallyConnected) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if _, err := sameDType(in); err != nil {
		return nil, err
	}
	y, err := inferWindow(in[0], l.patches().window(), l.Format)
	if err != nil {
		return nil, err
	}
	if in[1].Rank() < 0 {
		return []graph.Type{y.WithoutValue()}, nil
	}
	if in[1].Rank() != 3 {
		return nil, errs.Errorf("the kernel %v is not of shape places, patch, filters", in[1])
	}
	places := graph.Product(SpatialDims(l.Format, y.Dims))
	patch := graph.D(1)
	for _, k := range l.KernelShape {
		patch = patch.Mul(graph.D(k))
	}
	if in[0].Rank() >= 0 {
		patch = patch.Mul(in[0].Dims[l.Format.Channel(in[0].Rank())])
		if !graph.Compatible(patch, in[1].Dims[1]) {
			return nil, errs.Errorf("patches of %v where the kernel is %v", patch, in[1])
		}
	}
	if !places.IsUnknown() && !graph.Compatible(places, in[1].Dims[0]) {
		return nil, errs.Errorf("%v places where the kernel is %v", places, in[1])
	}
	y.Dims[l.Format.Channel(len(y.Dims))] = in[1].Dims[2]
	return []graph.Type{y}, nil
}

// Decompose is a product of matrices per place of the patches there and the kernel there.
func (l LocallyConnected) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	rank := in[0].Type.Rank()
	out, err := l.Infer([]graph.Type{in[0].Type, in[1].Type})
	if err != nil || rank < 0 {
		return nil
	}
	spatial := graph.TensorOf(tensor.Int64, graph.D(rank-2))
	spatial.Ints = SpatialDims(l.Format, out[0].Dims)
	sizes, ok := knownInts([]graph.Type{spatial}, 0)
	if !ok {
		return nil
	}
	cols := b.Add(l.patches(), in[0]) // NCHW: n, patch, places; NHWC: n, places, patch
	perm := []int{2, 0, 1}
	if l.Format == NHWC {
		perm = []int{1, 0, 2}
	}
	y := b.Add(MatMul{}, b.Add(Transpose{Perm: perm}, cols), in[1]) // places, n, filters
	y = b.Add(Transpose{Perm: []int{1, 0, 2}}, y)
	shape := []int64{0}
	for _, s := range sizes {
		shape = append(shape, int64(s))
	}
	y = b.Add(Reshape{}, y, b.Ints(append(shape, -1)...))
	if len(in) > 2 && in[2] != nil {
		y = b.Add(Add{}, y, in[2])
	}
	if l.Format == NCHW {
		back := []int{0, rank - 1}
		for i := 1; i < rank-1; i++ {
			back = append(back, i)
		}
		y = b.Add(Transpose{Perm: back}, y)
	}
	return []*graph.Value{y}
}

// Im2Col is the patches under a sliding window: N, channels*kernel, places in NCHW, and N, places,
// kernel*channels in NHWC, both with the kernel and the places in row-major order. Padding is zeros.
type Im2Col struct {
	KernelShape []int
	Strides     []int // empty: 1
	Dilations   []int // empty: 1
	Pads        []int // begins, then ends; empty: 0
	Format      Format
}

// Name implements graph.Op.
func (Im2Col) Name() string { return "Im2Col" }

func (m Im2Col) window() window {
	return window{kernel: m.KernelShape, strides: m.Strides, dilations: m.Dilations, pads: m.Pads}
}

// Window resolves the windows for data of that shape.
func (m Im2Col) Window(x []int) (Window, error) {
	return m.window().resolve(SpatialDims(m.Format, x))
}

// Infer implements graph.Op.
func (m Im2Col) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	y, err := inferWindow(in[0], m.window(), m.Format)
	if err != nil || in[0].Rank() < 0 {
		return []graph.Type{graph.TensorOf(in[0].DType, unknownDims(3)...)}, err
	}
	places := graph.Product(SpatialDims(m.Format, y.Dims))
	patch := in[0].Dims[m.Format.Channel(in[0].Rank())]
	for _, k := range m.KernelShape {
		patch = patch.Mul(graph.D(k))
	}
	if m.Format == NHWC {
		places, patch = patch, places
	}
	return []graph.Type{graph.TensorOf(in[0].DType, in[0].Dims[0], patch, places)}, nil
}

// VJP adds the patches up.
func (m Im2Col) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x := n.In[0]
	if x.Type.Rank() < 0 {
		b.Fail(errs.Errorf("gradient of Im2Col: the rank of %v is not known", x.Type))
		return []*graph.Value{nil}
	}
	lo, hi := m.Format.Spatial(x.Type.Rank())
	kernel := make([]int64, len(m.KernelShape))
	for i, k := range m.KernelShape {
		kernel[i] = int64(k)
	}
	image := b.Add(Shape{Start: lo, End: hi, HasEnd: true}, x)
	return []*graph.Value{b.Add(m.back(), dy[0], image, b.Ints(kernel...))}
}

func (m Im2Col) back() Col2Im {
	return Col2Im{Strides: m.Strides, Dilations: m.Dilations, Pads: m.Pads, Format: m.Format}
}

// Col2Im adds patches up to an image: inputs the columns as Im2Col makes them, the image's spatial sizes,
// and those of the kernel.
type Col2Im struct {
	Strides   []int // empty: 1
	Dilations []int // empty: 1
	Pads      []int // begins, then ends; empty: 0
	Format    Format
}

// Name implements graph.Op.
func (Col2Im) Name() string { return "Col2Im" }

// Window resolves the windows for an image and a kernel of those spatial sizes.
func (m Col2Im) Window(image, kernel []int) (Window, error) {
	return window{kernel: kernel, strides: m.Strides, dilations: m.Dilations, pads: m.Pads}.resolve(image)
}

// Infer implements graph.Op.
func (m Col2Im) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	x := in[0]
	if r := x.Rank(); r >= 0 && r != 3 {
		return nil, errs.Errorf("columns %v are not of rank 3", x)
	}
	image, ok := in[1].Contents()
	if !ok {
		n, ok := vectorLen(in[1])
		if !ok {
			if n, ok = vectorLen(in[2]); !ok {
				return []graph.Type{graph.UnrankedOf(x.DType)}, nil
			}
		}
		image = unknownDims(n)
	}
	batch, channels := graph.Unknown(), graph.Unknown()
	kernel, ok := knownInts(in, 2)
	if x.Rank() == 3 {
		batch = x.Dims[0]
	}
	if ok && x.Rank() == 3 {
		taps := 1
		for _, k := range kernel {
			if k < 1 || k > 1<<20 {
				return nil, errs.Errorf("kernel %v", kernel)
			}
			if taps *= k; taps > maxTaps {
				return nil, errs.Errorf("kernel %v", kernel)
			}
		}
		rows := x.Dims[1]
		if m.Format == NHWC {
			rows = x.Dims[2]
		}
		if n, ok := rows.Const(); ok && n%taps != 0 {
			return nil, errs.Errorf("%d rows of %v for kernel %v", n, x, kernel)
		}
		channels = rows.Div(graph.D(taps))
		if err := m.checkPlaces(x, image, kernel); err != nil {
			return nil, err
		}
	}
	return []graph.Type{graph.TensorOf(x.DType, dataDims(m.Format, batch, channels, image)...)}, nil
}

func (m Col2Im) checkPlaces(x graph.Type, image []graph.Dim, kernel []int) error {
	if len(image) != len(kernel) {
		return errs.Errorf("image %v for kernel %v", image, kernel)
	}
	w := window{kernel: kernel, strides: m.Strides, dilations: m.Dilations, pads: m.Pads}
	if err := w.check(len(kernel)); err != nil {
		return err
	}
	out, err := w.outDims(image)
	if err != nil {
		return err
	}
	have := x.Dims[2]
	if m.Format == NHWC {
		have = x.Dims[1]
	}
	if want := graph.Product(out); !want.IsUnknown() && !graph.Compatible(want, have) {
		return errs.Errorf("%v places in %v where image %v and kernel %v have %v", have, x, image, kernel, want)
	}
	return nil
}

// VJP takes the patches out.
func (m Col2Im) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	kernel, ok := knownInts([]graph.Type{n.In[2].Type}, 0)
	if !ok {
		b.Fail(errs.Errorf("gradient of Col2Im: the kernel is not known"))
		return []*graph.Value{nil, nil, nil}
	}
	fwd := Im2Col{KernelShape: kernel, Strides: m.Strides, Dilations: m.Dilations, Pads: m.Pads, Format: m.Format}
	return []*graph.Value{b.Add(fwd, dy[0]), nil, nil}
}

// patchSamples is the cases of patchOps.
func patchSamples() map[string][]Sample {
	return map[string][]Sample{
		"DeformConv": {
			Case(DeformConv{Pads: []int{1, 0, 1, 1}}, F(1, 2, 4, 4), F(2, 2, 2, 2), FR(0.1, 0.4, 1, 8, 5, 4), F(2), FR(0.2, 1, 1, 4, 5, 4)),
			Case(DeformConv{Group: 2, OffsetGroup: 2, Strides: []int{2, 2}}, F(1, 4, 4, 4), F(2, 2, 2, 2), FR(0.1, 0.4, 1, 16, 2, 2))},
		"DeformConvGrad": {
			Case(DeformConvGrad{Pads: []int{1, 0, 1, 1}}, F(1, 2, 4, 4), F(2, 2, 2, 2), FR(0.1, 0.4, 1, 8, 5, 4), F(1, 2, 5, 4), FR(0.2, 1, 1, 4, 5, 4))},
		"LocallyConnected": {
			Case(LocallyConnected{KernelShape: []int{2, 2}}, F(2, 2, 3, 4), F(6, 8, 3), F(2, 3, 3)),
			Case(LocallyConnected{KernelShape: []int{3}, Strides: []int{2}, Format: NHWC}, F(2, 7, 2), F(3, 6, 2), F(3, 2))},
		"Im2Col": {
			Case(Im2Col{KernelShape: []int{2, 2}, Pads: []int{1, 0, 0, 1}, Strides: []int{1, 2}}, F(1, 2, 3, 4)),
			Case(Im2Col{KernelShape: []int{2}, Dilations: []int{2}, Format: NHWC}, F(2, 5, 3))},
		"Col2Im": {
			Case(Col2Im{Pads: []int{1, 0, 0, 1}, Strides: []int{1, 2}}, F(1, 8, 6), IV(3, 4), IV(2, 2)),
			Case(Col2Im{Dilations: []int{2}, Format: NHWC}, F(2, 3, 6), IV(5), IV(2))},
	}
}
