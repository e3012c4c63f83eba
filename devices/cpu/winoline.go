package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
)

// lineFiltering is the one-dimensional minimal filtering that a cost model expects to be faster than plain convolution for p, nil
// where there is none.
func (d *Device) lineFiltering(p *convPlan) *kern.WinoLine {
	if p.dyn || p.groups != 1 || p.sh != 1 || p.sw != 1 || p.dh != 1 || p.dw != 1 || p.pt < 0 || p.pl < 0 || min(p.kh, p.kw) != 1 {
		return nil
	}
	if p.kh == 1 && p.oh != p.h || p.kw == 1 && p.ow != p.geometry.w {
		return nil
	}
	for i := range d.k.Lines {
		l := &d.k.Lines[i]
		if l.K != p.taps() || p.c%l.Lanes != 0 || p.oc%l.Lanes != 0 {
			continue
		}
		s := winoLine{d: d, p: p, w: l}
		s.lay()
		const worth = 1.3 // it takes more memory: a few per cent don't pay for that
		if worth*d.minimalCost(p, l.N, s.tiles) < d.convCost(p.flops(), p.n*p.pixels()) {
			return l
		}
	}
	return nil
}

// winoLine is a convolution with a window of height or width 1 by minimal filtering along the other dimension.
type winoLine struct {
	d    *Device
	p    *convPlan
	w    *kern.WinoLine
	u    *winogradWeights
	size int // of the dimension of the window, in the data
	out  int // and in the result
	pad  int
	step int // elements from one place to the next along it, in the data
	yst  int // and in the result
	// Lines of one picture, and what lies between them.
	lines, lineStep, yLine int
	per                    int // tiles of one line
	tiles, block           int
	patch                  int // elements of scratch of each worker
	zeros                  []float32
	tasks                  freelist[*lineTask]
}

// lineBlockBytes bounds the transformed data and products of a block.
const lineBlockBytes = 16 << 20

// lay finds how lines lie in the data.
func (s *winoLine) lay() {
	p := s.p
	w := p.geometry.w
	if p.kh == 1 {
		s.size, s.out, s.pad, s.step, s.yst = w, p.ow, p.pl, p.c, p.oc
		s.lines, s.lineStep, s.yLine = p.h, w*p.c, p.ow*p.oc
	} else {
		s.size, s.out, s.pad, s.step, s.yst = p.h, p.oh, p.pt, w*p.c, p.ow*p.oc
		s.lines, s.lineStep, s.yLine = w, p.c, p.oc
	}
	s.per = ceilDiv(s.out, s.w.O)
	s.tiles = p.n * s.lines * s.per
}

func (d *Device) newWinoLine(p *convPlan, r devices.Request, l *kern.WinoLine) *winoLine {
	s := &winoLine{d: d, p: p, w: l}
	s.lay()
	s.block = max(1, min(s.tiles, lineBlockBytes/(4*l.N*(p.c+p.oc))))
	s.patch = pad64(l.N * max(p.c, p.oc))
	if p.bias < 0 {
		s.zeros = make([]float32, p.oc)
	}
	key := devices.PackKey{T: r.Const[1], Kind: fmt.Sprintf("cpu/line%d/%s/%s", l.O, d.Level(), p.key)}
	s.u = r.Packs.Get(key, func() any {
		defer evict(r.Const[1])
		u, size := d.newWinogradWeights(p, l.N)
		t := &linePacker{s: s, u: u, size: size, chunk: panelChunk(d.k.Gemm.NR, l.K, p.c)}
		t.per = t.chunk * l.K * d.k.Gemm.NR
		t.tmp = alignedFloats(t.per * d.pool.Workers())
		d.pool.Run(t, ceilDiv(p.oc, d.k.Gemm.NR))
		return u
	}).(*winogradWeights)
	return s
}

// newWinogradWeights is memory for n transformed matrices, which lie size elements apart.
func (d *Device) newWinogradWeights(p *convPlan, n int) (u *winogradWeights, size int) {
	u = &winogradWeights{packedB: packedB{k: p.c, n: p.oc, kc: blockDepth(p.c), period: p.c, cols: d.k.Gemm.PackedCols(p.oc)}}
	size = apart(u.k * u.cols)
	u.data = d.packs.floats(size * n)
	for i := range n {
		b := u.packedB
		b.data = u.data[i*size:][:u.k*u.cols]
		u.at = append(u.at, b)
	}
	return u, size
}

// linePacker transforms the weights, panel by panel.
type linePacker struct {
	s                *winoLine
	u                *winogradWeights
	size, per, chunk int
	tmp              []float32
}

// Tile implements par.Task.
func (t *linePacker) Tile(i, worker int) {
	g, w, l := &t.s.d.k.Gemm, &t.s.p.wt, t.s.w
	j := i * g.NR
	width := g.PanelWidth(j, t.u.n)
	tmp := t.tmp[worker*t.per:][:t.per]
	for p := 0; p < t.u.k; p += t.u.kc {
		kc := min(t.u.kc, t.u.k-p)
		dst := t.u.data[p*t.u.cols+kc*j:]
		for c := 0; c < kc; c += t.chunk {
			n := min(t.chunk, kc-c)
			w.panel(g, tmp, j, min(width, t.u.n-j), width, p+c, n)
			for q := range n {
				l.Weights(dst[(c+q)*width:], t.size, tmp[q*l.K*width:], width, width)
			}
		}
	}
}

func (s *winoLine) scratch() int {
	return (s.w.N*(apart(s.block*s.p.c)+apart(s.block*s.p.oc)) + s.patch*s.d.pool.Workers()) * 4
}

func (s *winoLine) compute(o convOperands) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.x, t.y, t.res, t.bias = s, o.x, o.y, o.res, o.bias
	if t.bias == nil {
		t.bias = s.zeros
	}
	buf := floats(o.scratch)
	for t.first = 0; t.first < s.tiles; t.first += s.block {
		t.count = min(s.block, s.tiles-t.first)
		t.vStep, t.mStep = apart(t.count*s.p.c), apart(t.count*s.p.oc)
		t.v, t.m, t.patch = buf, buf[s.w.N*t.vStep:], buf[s.w.N*(t.vStep+t.mStep):]
		t.nb, t.tn = splitColumns(&s.d.k.Gemm, t.count, s.p.oc, s.p.c)
		t.phase = inPhase
		s.d.pool.RunUntil(o.stop, t, ceilDiv(t.count, tilesPerTask))
		t.phase = gemmPhase
		s.d.pool.RunUntil(o.stop, t, s.w.N*t.tn)
		t.phase = outPhase
		s.d.pool.RunUntil(o.stop, t, ceilDiv(t.count, tilesPerTask))
	}
}

type lineTask struct {
	s            *winoLine
	x, y         []float32
	bias, res    []float32
	v, m, patch  []float32
	vStep, mStep int
	phase        winogradPhase
	first, count int
	nb, tn       int
}

// Tile implements par.Task.
func (t *lineTask) Tile(i, worker int) {
	if t.phase == gemmPhase {
		j := i % t.tn * t.nb
		t.gemm(i/t.tn, j, min(t.nb, t.s.p.oc-j))
		return
	}
	patch := t.patch[worker*t.s.patch:][:t.s.patch]
	for k := i * tilesPerTask; k < min((i+1)*tilesPerTask, t.count); k++ {
		if t.phase == inPhase {
			t.in(patch, k)
		} else {
			t.out(patch, k)
		}
	}
}

// place is the picture, the line and the place along it that tile i begins at. Neighbouring tiles lie side by side in memory.
func (s *winoLine) place(i int) (n, line, at int) {
	each := s.lines * s.per
	n, i = i/each, i%each
	if s.p.kh == 1 {
		return n, i / s.per, i % s.per * s.w.O
	}
	return n, i % s.lines, i / s.lines * s.w.O
}

// in transforms the data of tile i of the block.
func (t *lineTask) in(patch []float32, i int) {
	s, p, l := t.s, t.s.p, t.s.w
	n, line, at := s.place(t.first + i)
	x := t.x[n*p.h*p.geometry.w*p.c+line*s.lineStep:]
	first := at - s.pad
	dst := t.v[i*p.c:]
	if first >= 0 && first+l.N <= s.size {
		l.In(dst, t.vStep, x[first*s.step:], s.step, p.c)
		return
	}
	for k := range l.N {
		out := patch[k*p.c:][:p.c]
		if q := first + k; q >= 0 && q < s.size {
			copy(out, x[q*s.step:])
		} else {
			clear(out)
		}
	}
	l.In(dst, t.vStep, patch, p.c, p.c)
}

// gemm multiplies place u of a block: columns [j, j+n).
func (t *lineTask) gemm(u, j, n int) {
	p, b := t.s.p, &t.s.u.at[u]
	a, c := t.v[u*t.vStep:], t.m[u*t.mStep+j:]
	for q := 0; q < b.k; q += b.kc {
		kc := min(b.kc, b.k-q)
		t.s.d.k.Gemm.Block(t.count, n, kern.Whole(kc), a[q:], p.c, b.block(q, kc, j), c, p.oc, q > 0, kern.Epilogue{})
	}
}

// out transforms the products of tile i of the block back.
func (t *lineTask) out(patch []float32, i int) {
	s, p, l := t.s, t.s.p, t.s.w
	lo, hi := p.lo, p.hi
	if t.res != nil {
		lo, hi = negInf, posInf
	}
	n, line, first := s.place(t.first + i)
	at := n*p.pixels()*p.oc + line*s.yLine + first*s.yst
	count := min(l.O, s.out-first)
	if count == l.O {
		l.Out(t.y[at:], s.yst, t.m[i*p.oc:], t.mStep, p.oc, t.bias, lo, hi)
	} else {
		l.Out(patch, p.oc, t.m[i*p.oc:], t.mStep, p.oc, t.bias, lo, hi)
		for k := range count {
			copy(t.y[at+k*s.yst:][:p.oc], patch[k*p.oc:])
		}
	}
	for k := range count {
		y := t.y[at+k*s.yst:][:p.oc]
		if t.res != nil {
			s.d.k.Vec.AddClip(y, y, t.res[at+k*s.yst:], p.lo, p.hi)
		}
		if p.act.f != nil {
			p.act.f(y, y, p.act.a, p.act.b)
		}
	}
}
