package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// ConvTranspose is transposed convolution plus an optional bias: inputs x, w, b. Its kernel is that of the
// convolution whose gradient it is.
type ConvTranspose struct {
	KernelShape   []int // empty: the kernel's own
	Strides       []int // empty: 1
	Dilations     []int // empty: 1
	Pads          []int // with Explicit and no OutputShape: begins, then ends; empty: 0
	OutputPadding []int // what is added at the end; empty: 0
	OutputShape   []int // spatial sizes of the output, from which the padding follows; empty: not given
	Group         int   // 0 means 1
	AutoPad       AutoPad
	Format        Format
}

// Name implements graph.Op.
func (ConvTranspose) Name() string { return "ConvTranspose" }

// Window resolves the operator for data and a kernel of those shapes, as the window of the convolution
// that goes the other way: In is the output's spatial sizes and Out the data's.
func (c ConvTranspose) Window(x, w []int) (Window, error) {
	kernel, _, _ := KernelDims(c.Format, w)
	in := SpatialDims(c.Format, x)
	if err := c.check(kernel, len(in)); err != nil {
		return Window{}, err
	}
	r := Window{Out: in, Kernel: kernel}
	for i, d := range in {
		r.Strides = append(r.Strides, at(c.Strides, i, 1))
		r.Dilations = append(r.Dilations, at(c.Dilations, i, 1))
		out, begin, end := c.dim(i, len(in), kernel[i], d)
		if out < 0 {
			return r, errs.Errorf("an output of %d in spatial dimension %d", out, i)
		}
		r.In, r.Begin, r.End = append(r.In, out), append(r.Begin, begin), append(r.End, end)
	}
	return r, nil
}

func (c ConvTranspose) check(kernel []int, n int) error {
	w := window{kernel: kernel, strides: c.Strides, dilations: c.Dilations, pads: c.Pads}
	if err := w.check(n); err != nil {
		return err
	}
	if len(c.OutputPadding) != 0 && len(c.OutputPadding) != n {
		return errs.Errorf("output_padding %v for %d spatial dimensions", c.OutputPadding, n)
	}
	if len(c.OutputShape) != 0 && len(c.OutputShape) != n {
		return errs.Errorf("output_shape %v for %d spatial dimensions", c.OutputShape, n)
	}
	for _, p := range c.OutputPadding {
		if p < 0 {
			return errs.Errorf("negative output_padding %v", c.OutputPadding)
		}
	}
	return nil
}

// dim is the output size and the padding along spatial dimension i of n, for k kernel and d data elements.
func (c ConvTranspose) dim(i, n, k, d int) (out, begin, end int) {
	stride, extra := at(c.Strides, i, 1), at(c.OutputPadding, i, 0)
	full := stride*(d-1) + extra + (k-1)*at(c.Dilations, i, 1) + 1
	if d == 0 {
		full = 0
	}
	switch {
	case len(c.OutputShape) > 0:
		out = c.OutputShape[i]
	case c.AutoPad == SameUpper || c.AutoPad == SameLower:
		out = stride * d
	case c.AutoPad == Valid:
		return full, 0, 0
	default:
		begin, end = at(c.Pads, i, 0), at(c.Pads, n+i, 0)
		return full - begin - end, begin, end
	}
	// The specification halves the other way round unless SAME_UPPER. What the kernel does not reach is zero.
	begin, end = splitPad(max(0, full-out), c.AutoPad != SameUpper)
	return out, begin, end
}

// Infer implements graph.Op.
func (c ConvTranspose) Infer(in []graph.Type) ([]graph.Type, error) {
	dt, unknown, err := convInputs(in)
	if err != nil || unknown != nil {
		return unknown, err
	}
	x, w := in[0], in[1]
	spatial, perGroup, channels := KernelDims(c.Format, w.Dims)
	if have := x.Dims[c.Format.Channel(x.Rank())]; !graph.Compatible(have, channels) {
		return nil, errs.Errorf("%v channels of the data %v where the kernel %v takes %v", have, x, w, channels)
	}
	if n, ok := channels.Const(); ok && n%max(1, c.Group) != 0 {
		return nil, errs.Errorf("%d channels do not divide into %d groups", n, c.Group)
	}
	m := perGroup.Mul(graph.D(max(1, c.Group)))
	if err := checkBias(in, 2, m); err != nil {
		return nil, err
	}
	out := unknownDims(len(spatial))
	if kernel, ok := kernelInts(spatial, c.KernelShape); ok {
		if err := sameKernel(kernel, c.KernelShape); err != nil {
			return nil, err
		}
		if err := c.check(kernel, len(spatial)); err != nil {
			return nil, err
		}
		for i, d := range SpatialDims(c.Format, x.Dims) {
			out[i] = c.outDim(i, len(spatial), kernel[i], d)
			if n, ok := out[i].Const(); ok && n < 0 {
				return nil, errs.Errorf("an output of %d in spatial dimension %d of %v", n, i, x)
			}
		}
	}
	return []graph.Type{graph.TensorOf(dt, dataDims(c.Format, x.Dims[0], m, out)...)}, nil
}

func (c ConvTranspose) outDim(i, n, k int, d graph.Dim) graph.Dim {
	if v, ok := d.Const(); ok {
		out, _, _ := c.dim(i, n, k, v)
		return graph.D(out)
	}
	stride := graph.D(at(c.Strides, i, 1))
	full := stride.Mul(d.Sub(graph.D(1))).Add(graph.D(at(c.OutputPadding, i, 0) + (k-1)*at(c.Dilations, i, 1) + 1))
	switch {
	case len(c.OutputShape) > 0:
		return graph.D(c.OutputShape[i])
	case c.AutoPad == SameUpper || c.AutoPad == SameLower:
		return stride.Mul(d)
	case c.AutoPad == Valid:
		return full
	}
	return full.Sub(graph.D(at(c.Pads, i, 0) + at(c.Pads, n+i, 0)))
}

// Backward is the convolution that goes the other way, for data and a kernel of those shapes. It ends where
// the data did, whatever the output has beyond.
func (c ConvTranspose) Backward(x, w []int) (Conv, error) {
	back := Conv{Strides: c.Strides, Dilations: c.Dilations, Group: c.Group, Format: c.Format}
	win, err := c.Window(x, w)
	for i := range win.End {
		reach := (win.Out[i]-1)*win.Strides[i] + win.Span(i)
		win.End[i] = reach - win.Begin[i] - win.In[i]
	}
	back.Pads = append(append([]int{}, win.Begin...), win.End...)
	return back, err
}

// VJP is the convolution that goes the other way.
func (c ConvTranspose) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	ws, ok := n.In[1].Type.Shape()
	if !ok || n.In[0].Type.Rank() < 0 {
		b.Fail(errs.Errorf("gradient of ConvTranspose: the shapes of %v and %v are not known", n.In[0].Type, n.In[1].Type))
		return dx
	}
	xs := make([]int, n.In[0].Type.Rank())
	lo, hi := c.Format.Spatial(len(xs))
	for i, d := range n.In[0].Type.Dims {
		known := false
		if xs[i], known = d.Const(); known {
			continue
		}
		if len(c.OutputShape) > 0 && i >= lo && i < hi {
			b.Fail(errs.Errorf("gradient of ConvTranspose: the padding follows from the shape of %v, which is not known", n.In[0].Type))
			return dx
		}
		xs[i] = 1 << 16 // the padding does not depend on it
	}
	back, err := c.Backward(xs, ws)
	if err != nil {
		b.Fail(err)
		return dx
	}
	if need[0] {
		dx[0] = b.Add(back, dy[0], n.In[1])
	}
	if need[1] {
		dx[1] = b.Add(ConvGradWeight(back), dy[0], n.In[0], b.Add(Shape{}, n.In[1]))
	}
	if len(n.In) > 2 && n.In[2] != nil && need[2] {
		dx[2] = biasGrad(b, dy[0], n.In[2], c.Format)
	}
	return dx
}
