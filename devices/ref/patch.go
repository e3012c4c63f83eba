package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// remake fills out by f, which is given zeros and the elements of x.
func remake(out, x *tensor.Tensor, f func(ys, xs []float64)) error {
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	ys := make([]float64, out.Len())
	f(ys, xs)
	return out.SetFloat64s(ys)
}

func patchKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.Im2Col, c *Call) error {
			x := c.In(0)
			win, err := op.Window(x.Shape())
			if err != nil {
				return err
			}
			p := newPatches(win, op.Format, x.Shape())
			shape := []int{p.n, p.c * p.taps, p.places}
			if op.Format == ops.NHWC {
				shape[1], shape[2] = shape[2], shape[1]
			}
			out, err := c.OutOf(0, x.DType(), shape...)
			if err != nil {
				return err
			}
			return remake(out, x, func(ys, xs []float64) {
				p.each(func(xi, ci int) { ys[ci] = xs[xi] })
			})
		}),
		fn(func(op ops.Col2Im, c *Call) error {
			image, err := c.ints(1)
			if err != nil {
				return err
			}
			kernel, err := c.ints(2)
			if err != nil {
				return err
			}
			win, err := op.Window(image, kernel)
			if err != nil {
				return err
			}
			return byParts(c, func(c *Call, _ int) error {
				x := c.In(0)
				channels := x.Dim(1)
				if op.Format == ops.NHWC {
					channels = x.Dim(2)
				}
				out, err := c.OutOf(0, x.DType(), spatialShape(op.Format, x.Dim(0), channels/product(kernel), image)...)
				if err != nil {
					return err
				}
				return remake(out, x, func(ys, xs []float64) {
					newPatches(win, op.Format, out.Shape()).each(func(xi, ci int) { ys[xi] += xs[ci] })
				})
			})
		}),
		fn(locallyConnected),
		fn(func(op ops.DeformConv, c *Call) error {
			k, err := newDeform(op, c, c.In(2), c.In(4))
			if err != nil {
				return err
			}
			return k.forward(c)
		}),
		fn(func(op ops.DeformConvGrad, c *Call) error {
			k, err := newDeform(ops.DeformConv(op), c, c.In(2), c.In(4))
			if err != nil {
				return err
			}
			return k.backward(c)
		}),
	}
}

// patches relates the elements of an image to those of its columns.
type patches struct {
	win                ops.Window
	n, c, taps, places int
	xn, xc             int
	xs                 []int
	last               bool // channels last
}

func newPatches(win ops.Window, f ops.Format, x []int) *patches {
	st, ch := tensor.Strides(x), f.Channel(len(x))
	return &patches{win: win, n: x[0], c: x[ch], taps: product(win.Kernel), places: product(win.Out),
		xn: st[0], xc: st[ch], xs: ops.SpatialDims(f, st), last: f == ops.NHWC}
}

// each calls f with every pair of an element of the image and its place in the columns.
func (p *patches) each(f func(x, col int)) {
	var taps []int
	for l := range p.places {
		taps = windowTaps(p.win, unravel(l, p.win.Out), p.xs, taps)
		for n := range p.n {
			for ch := range p.c {
				for t, off := range taps {
					if off < 0 {
						continue
					}
					col := ((n*p.c+ch)*p.taps+t)*p.places + l
					if p.last {
						col = ((n*p.places+l)*p.taps+t)*p.c + ch
					}
					f(n*p.xn+ch*p.xc+off, col)
				}
			}
		}
	}
}

func locallyConnected(op ops.LocallyConnected, c *Call) error {
	x, w := c.In(0), c.In(1)
	win, err := op.Window(x.Shape())
	if err != nil {
		return err
	}
	filters := w.Dim(2)
	out, err := c.OutOf(0, x.DType(), spatialShape(op.Format, x.Dim(0), filters, win.Out)...)
	if err != nil {
		return err
	}
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	ws, err := w.Float64s()
	if err != nil {
		return err
	}
	p := newPatches(win, op.Format, x.Shape())
	cols := make([]float64, p.n*p.places*p.taps*p.c)
	p.each(func(xi, ci int) { cols[ci] = xs[xi] })
	var bias []float64
	if b := c.In(2); b != nil {
		if bias, err = b.Float64s(); err != nil {
			return err
		}
	}
	depth := p.taps * p.c
	ys := make([]float64, out.Len())
	for n := range p.n {
		for l := range p.places {
			for f := range filters {
				s := 0.0
				for d := range depth {
					col := (n*depth+d)*p.places + l
					if p.last {
						col = (n*p.places+l)*depth + d
					}
					s += cols[col] * ws[(l*depth+d)*filters+f]
				}
				if bias != nil {
					s += bias[l*filters+f]
				}
				if p.last {
					ys[(n*p.places+l)*filters+f] = s
				} else {
					ys[(n*filters+f)*p.places+l] = s
				}
			}
		}
	}
	return out.SetFloat64s(ys)
}

// deform is a deformable convolution in numbers.
type deform struct {
	win                       ops.Window
	n, c, h, w, m, groups, og int
	oh, ow, kh, kw            int
	xs, ws, offset, mask      []float64
}

func newDeform(op ops.DeformConv, c *Call, offset, mask *tensor.Tensor) (*deform, error) {
	x, w := c.In(0), c.In(1)
	win, err := op.Window(x.Shape(), w.Shape())
	if err != nil {
		return nil, err
	}
	k := &deform{win: win, n: x.Dim(0), c: x.Dim(1), h: x.Dim(2), w: x.Dim(3), m: w.Dim(0), groups: max(1, op.Group),
		og: max(1, op.OffsetGroup), oh: win.Out[0], ow: win.Out[1], kh: win.Kernel[0], kw: win.Kernel[1]}
	if k.xs, err = x.Float64s(); err != nil {
		return nil, err
	}
	if k.ws, err = w.Float64s(); err != nil {
		return nil, err
	}
	if k.offset, err = offset.Float64s(); err != nil {
		return nil, err
	}
	if mask != nil {
		k.mask, err = mask.Float64s()
	}
	return k, err
}

// corner is one of the four elements that a sample is interpolated from: its weight, and the weight's
// derivatives in y and x.
type corner struct {
	off       int
	w, wy, wx float64
}

// corners is the elements around y, x inside an h by w plane. From -1 to 0 and beyond the last element the
// data fades to zero.
func corners(y, x float64, h, w int, dst []corner) []corner {
	dst = dst[:0]
	y0, x0 := math.Floor(y), math.Floor(x)
	for dy := range 2 {
		for dx := range 2 {
			cy, cx := y0+float64(dy), x0+float64(dx)
			if !(cy >= 0 && cy < float64(h) && cx >= 0 && cx < float64(w)) {
				continue
			}
			fy, fx := 1-math.Abs(y-cy), 1-math.Abs(x-cx)
			sy, sx := float64(2*dy-1), float64(2*dx-1)
			dst = append(dst, corner{int(cy)*w + int(cx), fy * fx, sy * fx, fy * sx})
		}
	}
	return dst
}

// each visits every tap of every place: f gets the batch entry, group of offsets, tap, place, and corners.
func (k *deform) each(f func(n, og, tap, place int, cs []corner)) {
	taps, places := k.kh*k.kw, k.oh*k.ow
	var cs []corner
	for n := range k.n {
		for og := range k.og {
			for t := range taps {
				for l := range places {
					base := ((n*k.og+og)*taps+t)*2*places + l
					y := float64(l/k.ow*k.win.Strides[0]-k.win.Begin[0]+t/k.kw*k.win.Dilations[0]) + k.offset[base]
					x := float64(l%k.ow*k.win.Strides[1]-k.win.Begin[1]+t%k.kw*k.win.Dilations[1]) + k.offset[base+places]
					cs = corners(y, x, k.h, k.w, cs)
					f(n, og, t, l, cs)
				}
			}
		}
	}
}

func (k *deform) maskAt(n, og, t, l int) float64 {
	if k.mask == nil {
		return 1
	}
	return k.mask[((n*k.og+og)*k.kh*k.kw+t)*k.oh*k.ow+l]
}

func (k *deform) forward(c *Call) error {
	out, err := c.OutOf(0, c.In(0).DType(), k.n, k.m, k.oh, k.ow)
	if err != nil {
		return err
	}
	ys := make([]float64, out.Len())
	taps, places := k.kh*k.kw, k.oh*k.ow
	cg, mg := k.c/k.groups, k.m/k.groups
	k.each(func(n, og, t, l int, cs []corner) {
		m := k.maskAt(n, og, t, l)
		for ch := og * k.c / k.og; ch < (og+1)*k.c/k.og; ch++ {
			v := 0.0
			for _, p := range cs {
				v += p.w * k.xs[(n*k.c+ch)*k.h*k.w+p.off]
			}
			g := ch / cg
			for f := g * mg; f < (g+1)*mg; f++ {
				ys[(n*k.m+f)*places+l] += m * v * k.ws[(f*cg+ch%cg)*taps+t]
			}
		}
	})
	if err := addBias(ys, c.In(3), places); err != nil {
		return err
	}
	return out.SetFloat64s(ys)
}

func (k *deform) backward(c *Call) error {
	gs, err := c.In(3).Float64s()
	if err != nil {
		return err
	}
	dx, dw, doff := make([]float64, len(k.xs)), make([]float64, len(k.ws)), make([]float64, len(k.offset))
	dmask := make([]float64, len(k.mask))
	taps, places := k.kh*k.kw, k.oh*k.ow
	cg, mg := k.c/k.groups, k.m/k.groups
	k.each(func(n, og, t, l int, cs []corner) {
		m := k.maskAt(n, og, t, l)
		for ch := og * k.c / k.og; ch < (og+1)*k.c/k.og; ch++ {
			v, vy, vx, g, dv := 0.0, 0.0, 0.0, ch/cg, 0.0
			plane := (n*k.c + ch) * k.h * k.w
			for _, p := range cs {
				v += p.w * k.xs[plane+p.off]
				vy += p.wy * k.xs[plane+p.off]
				vx += p.wx * k.xs[plane+p.off]
			}
			for f := g * mg; f < (g+1)*mg; f++ {
				gy := gs[(n*k.m+f)*places+l]
				w := (f*cg+ch%cg)*taps + t
				dw[w] += gy * m * v
				dv += gy * k.ws[w]
			}
			for _, p := range cs {
				dx[plane+p.off] += dv * m * p.w
			}
			at := ((n*k.og+og)*taps+t)*2*places + l
			doff[at] += dv * m * vy
			doff[at+places] += dv * m * vx
			if k.mask != nil {
				dmask[((n*k.og+og)*taps+t)*places+l] += dv * v
			}
		}
	})
	for i, vs := range [][]float64{dx, dw, doff, dmask} {
		src := c.In([]int{0, 1, 2, 4}[i])
		if src == nil {
			continue
		}
		out, err := c.OutOf(i, src.DType(), src.Shape()...)
		if err != nil {
			return err
		}
		if err := out.SetFloat64s(vs); err != nil {
			return err
		}
	}
	return nil
}
