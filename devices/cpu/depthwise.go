package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
)

// windowTable is how windows slide over a picture: rows and columns of output pixels that share a set of valid taps.
type windowTable struct {
	rows  []tapRange // for each output row
	spans []tapSpan  // cuts an output row
	taps  [][]int    // for each pair of a row class and a span: offsets as kern.TapFunc takes them
	kinds int        // row classes
	class []int      // of each output row
}

// tapRange is the taps of one dimension that lie inside the picture.
type tapRange struct{ lo, hi int }

// tapSpan is n neighbouring output columns with the same valid taps.
type tapSpan struct {
	at, n int
	tapRange
}

// validTaps is the range of k in [0, kernel) for which 0 <= o*stride - pad + k*dilation < size.
func validTaps(o, kernel, stride, pad, dilation, size int) tapRange {
	start := o*stride - pad
	r := tapRange{0, kernel}
	for r.lo < kernel && start+r.lo*dilation < 0 {
		r.lo++
	}
	for r.hi > r.lo && start+(r.hi-1)*dilation >= size {
		r.hi--
	}
	return r
}

// newWindowTable makes the table for pixels that lie pix elements apart, and taps of the weights that lie channels apart.
func newWindowTable(g *geometry, pix, channels int) *windowTable {
	t := &windowTable{}
	for o := range g.ow {
		r := validTaps(o, g.kw, g.sw, g.pl, g.dw, g.w)
		if n := len(t.spans); n > 0 && t.spans[n-1].tapRange == r {
			t.spans[n-1].n++
			continue
		}
		t.spans = append(t.spans, tapSpan{o, 1, r})
	}
	classes := map[tapRange]int{}
	for o := range g.oh {
		r := validTaps(o, g.kh, g.sh, g.pt, g.dh, g.h)
		t.rows = append(t.rows, r)
		c, ok := classes[r]
		if !ok {
			c = len(classes)
			classes[r] = c
			for _, s := range t.spans {
				t.taps = append(t.taps, tapOffsets(g, r, s.tapRange, pix, channels))
			}
		}
		t.class = append(t.class, c)
	}
	return t
}

// tapOffsets lists the taps of a window, relative to the first.
func tapOffsets(g *geometry, rows, cols tapRange, pix, channels int) []int {
	var out []int
	for i := rows.lo; i < rows.hi; i++ {
		for j := cols.lo; j < cols.hi; j++ {
			out = append(out, ((i-rows.lo)*g.dh*g.w+(j-cols.lo)*g.dw)*pix, (i*g.kw+j)*channels)
		}
	}
	return out
}

// origin is which pixel of a picture the first valid tap of output pixel (oh, ow) lies in.
func (g *geometry) origin(oh, ow int, rows, cols tapRange) int {
	return (oh*g.sh-g.pt+rows.lo*g.dh)*g.w + ow*g.sw - g.pl + cols.lo*g.dw
}

// rowTiling cuts n pictures of oh rows into tiles of some rows, by the work of a row.
func rowTiling(oh, work int) (rows, tiles int) {
	const aim = 1 << 19
	rows = max(1, min(oh, aim/max(1, work)))
	tiles = ceilDiv(oh, rows)
	return ceilDiv(oh, tiles), tiles
}

// depthwise is a convolution whose channels don't mix.
type depthwise struct {
	d     *Device
	p     *convPlan
	t     *windowTable
	row   kern.RowFunc // for windows that have all their columns; may be nil
	w     []float32    // [tap][channel]
	zeros []float32
	rows  int // of one tile
	tiles int // of one picture
	tasks freelist[*depthwiseTask]
}

func (d *Device) newDepthwise(p *convPlan, r devices.Request) *depthwise {
	s := &depthwise{d: d, p: p, t: newWindowTable(&p.geometry, p.c, p.c), zeros: make([]float32, p.c)}
	if p.dw == 1 {
		s.row = d.k.Spatial.RowKernel(p.kw, p.sw)
	}
	s.rows, s.tiles = rowTiling(p.oh, 2*p.ow*p.c*p.taps())
	if !p.dyn {
		key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/dw/%s", p.key)}
		s.w = r.Packs.Get(key, func() any {
			w := d.packs.floats(p.taps() * p.c)
			p.wt.byTap(w)
			return w
		}).([]float32)
	}
	return s
}

// byTap writes a depthwise kernel in the order (tap, channel).
func (w *weights) byTap(dst []float32) {
	st, _, so := w.strides()
	for t := range w.taps {
		for o := range w.oc {
			dst[t*w.oc+o] = w.data[t*st+o*so] * w.scaleOf(o)
		}
	}
}

func (s *depthwise) scratch() int {
	if s.p.dyn {
		return s.p.taps() * s.p.c * 4
	}
	return 0
}

func (s *depthwise) compute(o convOperands) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.o, t.w = s, o, s.w
	if s.p.dyn {
		wt := s.p.wt
		wt.data = o.w
		t.w = floats(o.scratch)
		wt.byTap(t.w)
	}
	if t.o.bias == nil {
		t.o.bias = s.zeros
	}
	s.d.pool.RunUntil(o.stop, t, s.p.n*s.tiles)
}

type depthwiseTask struct {
	s *depthwise
	o convOperands
	w []float32
}

// chanRange is n neighbouring channels, the first of them at, in data whose pixels lie pix elements apart, as the table has them.
type chanRange struct {
	at, n, pix int
	t          *windowTable
}

// Tile implements par.Task.
func (t *depthwiseTask) Tile(i, _ int) {
	s, p := t.s, t.s.p
	n, r0 := i/s.tiles, i%s.tiles*s.rows
	x := t.o.x[n*p.h*p.geometry.w*p.c:]
	for oh := r0; oh < min(r0+s.rows, p.oh); oh++ {
		t.row(x, 0, n, oh, chanRange{n: p.c, pix: p.c, t: s.t})
	}
}

// row computes channels ch of output row oh of picture n. x is the first of these channels of the picture from element skip on.
func (t *depthwiseTask) row(x []float32, skip, n, oh int, ch chanRange) {
	s, p := t.s, t.s.p
	lo, hi := p.lo, p.hi
	if t.o.res != nil {
		lo, hi = negInf, posInf
	}
	at := (n*p.oh+oh)*p.ow*p.c + ch.at
	y := t.o.y[at:][:p.ow*p.c-ch.at]
	rows := ch.t.rows[oh]
	bias := t.o.bias[ch.at:]
	for k, sp := range ch.t.spans {
		taps := ch.t.taps[ch.t.class[oh]*len(ch.t.spans)+k]
		dst := y[sp.at*p.c:]
		if len(taps) == 0 {
			t.empty(dst, sp.n, bias[:ch.n], lo, hi)
			continue
		}
		src := x[p.origin(oh, sp.at, rows, sp.tapRange)*ch.pix-skip:]
		if s.row == nil || sp.hi-sp.lo < p.kw {
			s.d.k.Spatial.Dw(dst, p.c, sp.n, ch.n, src, p.sw*ch.pix, t.w[ch.at:], taps, bias, lo, hi)
			continue
		}
		s.row(kern.DwRow{Dst: dst, DstStride: p.c, N: sp.n, C: ch.n, X: src, Pix: ch.pix, Row: p.dh * p.geometry.w * ch.pix,
			Rows: rows.hi - rows.lo, W: t.w[rows.lo*p.kw*p.c+ch.at:], WStride: p.c, Bias: bias, Lo: lo, Hi: hi})
	}
	if t.o.res != nil {
		s.d.k.Vec.AddClip(y, y, t.o.res[at:], p.lo, p.hi)
	}
	p.act.rows(y, p.c, p.ow, ch.n)
}

// empty fills n pixels whose windows lie in the padding altogether.
func (t *depthwiseTask) empty(dst []float32, n int, bias []float32, lo, hi float32) {
	for i := range n {
		t.s.d.k.Vec.Clip(dst[i*t.s.p.c:][:len(bias)], bias, lo, hi)
	}
}
