package ref

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func convKernels() []*devices.Kernel {
	return append([]*devices.Kernel{
		fn(func(op ops.Conv, c *Call) error {
			x, w := c.In(0), c.In(1)
			win, err := op.Window(x.Shape(), w.Shape())
			if err != nil {
				return err
			}
			out, err := c.OutOf(0, x.DType(), spatialShape(op.Format, x.Dim(0), outputs(op.Format, w), win.Out)...)
			if err != nil {
				return err
			}
			return newConv(win, op.Format, op.Group, x.Shape(), w.Shape(), out.Shape()).forward(x, w, c.In(2), out)
		}),
		fn(func(op ops.ConvGradInput, c *Call) error {
			dy, w := c.In(0), c.In(1)
			shape, err := c.ints(2)
			if err != nil {
				return err
			}
			out, err := c.OutOf(0, dy.DType(), shape...)
			if err != nil {
				return err
			}
			win, err := op.Window(shape, w.Shape())
			if err != nil {
				return err
			}
			return newConv(win, op.Format, op.Group, shape, w.Shape(), dy.Shape()).gradInput(dy, w, nil, out)
		}),
		fn(func(op ops.ConvGradWeight, c *Call) error {
			x, dy := c.In(0), c.In(1)
			shape, err := c.ints(2)
			if err != nil {
				return err
			}
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			win, err := op.Window(x.Shape(), shape)
			if err != nil {
				return err
			}
			return newConv(win, op.Format, op.Group, x.Shape(), shape, dy.Shape()).gradWeight(x, dy, out)
		}),
		fn(func(op ops.ConvTranspose, c *Call) error {
			x, w := c.In(0), c.In(1)
			win, err := op.Window(x.Shape(), w.Shape())
			if err != nil {
				return err
			}
			_, perGroup, _ := ops.KernelDims(op.Format, w.Shape())
			out, err := c.OutOf(0, x.DType(), spatialShape(op.Format, x.Dim(0), perGroup*max(1, op.Group), win.In)...)
			if err != nil {
				return err
			}
			return newConv(win, op.Format, op.Group, out.Shape(), w.Shape(), x.Shape()).gradInput(x, w, c.In(2), out)
		}),
	}, patchKernels()...)
}

func outputs(f ops.Format, w *tensor.Tensor) int {
	_, _, m := ops.KernelDims(f, w.Shape())
	return m
}

// spatialShape is the shape of data in a format.
//
//go:noinline
func spatialShape(f ops.Format, n, c int, spatial []int) []int {
	if f == ops.NHWC {
		return append(append([]int{n}, spatial...), c)
	}
	return append([]int{n, c}, spatial...)
}

// convBlock is how many places of the output the convolution works on at a time.
const convBlock = 32

// conv is a convolution x → y in numbers, with the strides of both formats: batch, channel, spatial.
type conv struct {
	win               ops.Window
	n, groups, cg, mg int // batch, groups, and channels of x and y in each
	taps, places      int
	xn, xc, yn, yc    int
	xs, ys            []int
	wm, wc            int
	ws                []int
}

func newConv(win ops.Window, f ops.Format, group int, x, w, y []int) *conv {
	g := max(1, group)
	k := &conv{win: win, n: x[0], groups: g, taps: product(win.Kernel), places: product(win.Out)}
	xs, ws, ys := tensor.Strides(x), tensor.Strides(w), tensor.Strides(y)
	ch := f.Channel(len(x))
	k.cg, k.mg = x[ch]/g, y[ch]/g
	k.xn, k.xc, k.xs = xs[0], xs[ch], ops.SpatialDims(f, xs)
	k.yn, k.yc, k.ys = ys[0], ys[ch], ops.SpatialDims(f, ys)
	k.ws, k.wc, k.wm = ops.KernelDims(f, ws)
	return k
}

// offsets is, for each tap of the window at place l, the offset in x's spatial dimensions, -1 outside.
func (k *conv) offsets(l int, dst []int) []int {
	return windowTaps(k.win, unravel(l, k.win.Out), k.xs, dst)
}

// windowTaps is, for each tap of the window at grid position o, the offset under strides, -1 outside.
func windowTaps(w ops.Window, o, strides, dst []int) []int {
	dst = append(dst[:0], 0)
	for a := range w.In {
		next := make([]int, 0, len(dst)*w.Kernel[a])
		for _, base := range dst {
			for t := range w.Kernel[a] {
				p := o[a]*w.Strides[a] - w.Begin[a] + t*w.Dilations[a]
				if base < 0 || p < 0 || p >= w.In[a] {
					next = append(next, -1)
				} else {
					next = append(next, base+p*strides[a])
				}
			}
		}
		dst = next
	}
	return dst
}

// unravel is the coordinates of linear index i in shape.
//
//go:noinline
func unravel(i int, shape []int) []int {
	out := make([]int, len(shape))
	for a := len(shape) - 1; a >= 0; a-- {
		out[a] = i % shape[a]
		i /= shape[a]
	}
	return out
}

// allOffsets is the taps of every place, and each place's offset in y.
func (k *conv) allOffsets() (taps [][]int, y []int) {
	taps, y = make([][]int, k.places), make([]int, k.places)
	for l := range k.places {
		taps[l] = k.offsets(l, nil)
		for a, p := range unravel(l, k.win.Out) {
			y[l] += p * k.ys[a]
		}
	}
	return taps, y
}

// kernel is group g's kernel as rows of mg by channels, taps.
func (k *conv) kernel(ws []float64, g int) []float64 {
	out := make([]float64, 0, k.mg*k.cg*k.taps)
	for m := range k.mg {
		for c := range k.cg {
			base := (g*k.mg+m)*k.wm + c*k.wc
			for t := range k.taps {
				out = append(out, ws[base+k.tapOffset(t)])
			}
		}
	}
	return out
}

func (k *conv) tapOffset(t int) int {
	off := 0
	for a := len(k.win.Kernel) - 1; a >= 0; a-- {
		off += t % k.win.Kernel[a] * k.ws[a]
		t /= k.win.Kernel[a]
	}
	return off
}

// patches reads the rows channels, taps of places lo to hi of batch entry n and group g.
func (k *conv) patches(xs []float64, taps [][]int, n, g, lo, hi int, dst []float64) []float64 {
	dst = dst[:0]
	for l := lo; l < hi; l++ {
		for c := range k.cg {
			base := n*k.xn + (g*k.cg+c)*k.xc
			for _, off := range taps[l] {
				if off < 0 {
					dst = append(dst, 0)
				} else {
					dst = append(dst, xs[base+off])
				}
			}
		}
	}
	return dst
}

func (k *conv) forward(x, w, bias, out *tensor.Tensor) error {
	xs, ws, err := floatPair(x, w)
	if err != nil {
		return err
	}
	ys := make([]float64, out.Len())
	taps, yo := k.allOffsets()
	var rows []float64
	for g := range k.groups {
		kernel := k.kernel(ws, g)
		for n := range k.n {
			base := n*k.yn + g*k.mg*k.yc
			for lo := 0; lo < k.places; lo += convBlock {
				hi := min(k.places, lo+convBlock)
				rows = k.patches(xs, taps, n, g, lo, hi, rows)
				dots(k.mg, hi-lo, k.cg*k.taps, kernel, rows, func(m, l int, v float64) {
					ys[base+m*k.yc+yo[lo+l]] = v
				})
			}
		}
	}
	if err := addBias(ys, bias, k.yc); err != nil {
		return err
	}
	return out.SetFloat64s(ys)
}

// addBias adds a bias per channel, whose stride is given.
func addBias(ys []float64, bias *tensor.Tensor, stride int) error {
	if bias == nil {
		return nil
	}
	bs, err := bias.Float64s()
	if err != nil {
		return err
	}
	for i := range ys {
		ys[i] += bs[i/stride%len(bs)]
	}
	return nil
}

func (k *conv) gradInput(dy, w, bias, out *tensor.Tensor) error {
	gs, ws, err := floatPair(dy, w)
	if err != nil {
		return err
	}
	xs := make([]float64, out.Len())
	taps, yo := k.allOffsets()
	depth := k.cg * k.taps
	rows := make([]float64, 0, convBlock*k.mg)
	for g := range k.groups {
		kernel := flipped(k.kernel(ws, g), k.mg, depth)
		for n := range k.n {
			base := n*k.xn + g*k.cg*k.xc
			for lo := 0; lo < k.places; lo += convBlock {
				hi := min(k.places, lo+convBlock)
				rows = rows[:0]
				for l := lo; l < hi; l++ {
					for m := range k.mg {
						rows = append(rows, gs[n*k.yn+(g*k.mg+m)*k.yc+yo[l]])
					}
				}
				dots(depth, hi-lo, k.mg, kernel, rows, func(d, l int, v float64) {
					if off := taps[lo+l][d%k.taps]; off >= 0 {
						xs[base+d/k.taps*k.xc+off] += v
					}
				})
			}
		}
	}
	if err := addBias(xs, bias, k.xc); err != nil {
		return err
	}
	return out.SetFloat64s(xs)
}

// flipped is the transpose of an m by n matrix.
func flipped(a []float64, m, n int) []float64 {
	out := make([]float64, len(a))
	for i := range m {
		for j := range n {
			out[j*m+i] = a[i*n+j]
		}
	}
	return out
}

func (k *conv) gradWeight(x, dy, out *tensor.Tensor) error {
	xs, gs, err := floatPair(x, dy)
	if err != nil {
		return err
	}
	taps, yo := k.allOffsets()
	depth := k.cg * k.taps
	sum := make([]float64, k.groups*k.mg*depth)
	var rows, grads []float64
	for g := range k.groups {
		part := sum[g*k.mg*depth:][:k.mg*depth]
		for n := range k.n {
			for lo := 0; lo < k.places; lo += convBlock {
				hi := min(k.places, lo+convBlock)
				rows = k.patches(xs, taps, n, g, lo, hi, rows)
				grads = grads[:0]
				for m := range k.mg {
					for l := lo; l < hi; l++ {
						grads = append(grads, gs[n*k.yn+(g*k.mg+m)*k.yc+yo[l]])
					}
				}
				dots(k.mg, depth, hi-lo, grads, flipped(rows, hi-lo, depth), func(m, d int, v float64) {
					part[m*depth+d] += v
				})
			}
		}
	}
	ws := make([]float64, out.Len())
	for m := range k.groups * k.mg {
		for c := range k.cg {
			for t := range k.taps {
				ws[m*k.wm+c*k.wc+k.tapOffset(t)] = sum[m*depth+c*k.taps+t]
			}
		}
	}
	return out.SetFloat64s(ws)
}
