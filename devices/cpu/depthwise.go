package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
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

func newWindowTable(g *geometry, channels int) *windowTable {
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
				t.taps = append(t.taps, tapOffsets(g, r, s.tapRange, channels))
			}
		}
		t.class = append(t.class, c)
	}
	return t
}

// tapOffsets lists the taps of a window, relative to the first.
func tapOffsets(g *geometry, rows, cols tapRange, channels int) []int {
	var out []int
	for i := rows.lo; i < rows.hi; i++ {
		for j := cols.lo; j < cols.hi; j++ {
			out = append(out, ((i-rows.lo)*g.dh*g.w+(j-cols.lo)*g.dw)*channels, (i*g.kw+j)*channels)
		}
	}
	return out
}

// origin is where the first valid tap of output pixel (oh, ow) lies in a picture.
func (g *geometry) origin(oh, ow int, rows, cols tapRange) int {
	return ((oh*g.sh-g.pt+rows.lo*g.dh)*g.w + ow*g.sw - g.pl + cols.lo*g.dw) * g.c
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
	w     []float32 // [tap][channel]
	zeros []float32
	rows  int // of one tile
	tiles int // of one picture
	tasks freelist[depthwiseTask]
}

func (d *Device) newDepthwise(p *convPlan, r devices.Request) *depthwise {
	s := &depthwise{d: d, p: p, t: newWindowTable(&p.geometry, p.c), zeros: make([]float32, p.c)}
	s.rows, s.tiles = rowTiling(p.oh, 2*p.ow*p.c*p.taps())
	if !p.dyn {
		key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/dw/%s", p.key)}
		s.w = r.Packs.Get(key, func() any {
			w := alignedFloats(p.taps() * p.c)
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
	s.d.pool.Run(t, s.p.n*s.tiles)
}

type depthwiseTask struct {
	s *depthwise
	o convOperands
	w []float32
}

// Tile implements par.Task.
func (t *depthwiseTask) Tile(i, _ int) {
	s, p := t.s, t.s.p
	n, r0 := i/s.tiles, i%s.tiles*s.rows
	x := t.o.x[n*p.h*p.geometry.w*p.c:]
	for oh := r0; oh < min(r0+s.rows, p.oh); oh++ {
		t.row(x, 0, n, oh)
	}
}

// row computes output row oh of picture n. x is the picture from element skip on.
func (t *depthwiseTask) row(x []float32, skip, n, oh int) {
	s, p := t.s, t.s.p
	lo, hi := p.lo, p.hi
	if t.o.res != nil {
		lo, hi = negInf, posInf
	}
	at := (n*p.oh + oh) * p.ow * p.c
	y := t.o.y[at:][:p.ow*p.c]
	for k, sp := range s.t.spans {
		taps := s.t.taps[s.t.class[oh]*len(s.t.spans)+k]
		dst := y[sp.at*p.c:]
		if len(taps) == 0 {
			t.empty(dst[:sp.n*p.c], lo, hi)
			continue
		}
		s.d.k.Spatial.Dw(dst, p.c, sp.n, p.c, x[p.origin(oh, sp.at, s.t.rows[oh], sp.tapRange)-skip:], p.sw*p.c, t.w, taps, t.o.bias, lo, hi)
	}
	if t.o.res != nil {
		s.d.k.Vec.AddClip(y, y, t.o.res[at:], p.lo, p.hi)
	}
	if p.act.f != nil {
		p.act.f(y, y, p.act.a, p.act.b)
	}
}

// empty fills pixels whose windows lie in the padding altogether.
func (t *depthwiseTask) empty(dst []float32, lo, hi float32) {
	for len(dst) > 0 {
		t.s.d.k.Vec.Clip(dst[:t.s.p.c], t.o.bias, lo, hi)
		dst = dst[t.s.p.c:]
	}
}
