package cpu

import "github.com/nnrt/nnrt/devices/cpu/internal/kern"

// packKernel packs the kernel of each group into memory of its own.
func packKernel(d *Device, p *convPlan, kc, period int) []*packedB {
	t := newKernelPacker(d, p, kc, period)
	for _, b := range t.dst {
		b.data = d.packs.floats(b.k * b.cols)
	}
	d.pool.Run(t, len(t.dst)*t.tiles())
	return t.dst
}

// newKernelPacker packs the kernels of p; where they go is not yet set.
func newKernelPacker(d *Device, p *convPlan, kc, period int) *kernelPacker {
	k, n := p.wt.c*p.taps(), p.oc/p.groups
	g := &d.k.Gemm
	t := &kernelPacker{g: g, w: p.wt, dst: make([]*packedB, p.groups)}
	for i := range t.dst {
		t.dst[i] = &packedB{k: k, n: n, kc: kc, period: period, cols: g.PackedCols(n)}
	}
	if !p.wt.last && p.taps() > 1 {
		t.chunk = panelChunk(g.NR, p.taps(), p.wt.c)
		t.step = t.chunk * p.taps() * g.NR
		t.tmp = make([]float32, t.step*d.pool.Workers())
	}
	return t
}

// dynKernel packs kernels that are known only when running, into scratch.
type dynKernel struct{ t *kernelPacker }

// pack packs w as p says, into mem.
func (k *dynKernel) pack(d *Device, p *convPlan, w []float32, kc, period int, mem []float32) []*packedB {
	if k.t == nil {
		k.t = newKernelPacker(d, p, kc, period)
	}
	t := k.t
	t.w.data = w
	for _, b := range t.dst {
		b.data = mem[:b.k*b.cols]
		mem = mem[pad64(len(b.data)):]
	}
	d.pool.Run(t, len(t.dst)*t.tiles())
	return t.dst
}

// panelChunk is how many channels of a panel of the kernel are gathered at once: they stay in the first-level cache.
func panelChunk(width, taps, c int) int {
	const bytes = 16 << 10
	return max(1, min(c, bytes/(4*width*taps)))
}

// kernelPacker packs weights, rows in the order (tap, channel), by panels.
type kernelPacker struct {
	g     *kern.Gemm
	w     weights
	dst   []*packedB
	chunk int       // channels gathered at once, for weights whose taps are innermost
	tmp   []float32 // of each worker
	step  int
}

func (t *kernelPacker) tiles() int { return ceilDiv(t.dst[0].n, t.g.NR) }

// Tile implements par.Task.
func (t *kernelPacker) Tile(i, worker int) {
	per := t.tiles()
	group, j := i/per, i%per*t.g.NR
	b, w := t.dst[group], &t.w
	width := t.g.PanelWidth(j, b.n)
	cols := min(width, b.n-j)
	o := group*b.n + j
	if t.tmp == nil {
		for p := 0; p < b.k; p += b.depthAt(p) {
			kc := b.depthAt(p)
			w.rows(t.g, b.block(p, kc, j)[:kc*width], o, cols, width, p, kc)
		}
		return
	}
	tmp := t.tmp[worker*t.step:][:t.step]
	for c := 0; c < w.c; c += t.chunk {
		n := min(t.chunk, w.c-c)
		w.panel(t.g, tmp, o, cols, width, c, n)
		for tap := range w.taps {
			for q := 0; q < n; {
				// Rows tap*C+c+q on, as far as their block goes.
				r := tap*w.c + c + q
				p, kc := b.blockOf(r)
				m := min(n-q, p+kc-r)
				dst := b.block(p, kc, j)[(r-p)*width:]
				for i := range m {
					copy(dst[i*width:][:width], tmp[((q+i)*w.taps+tap)*width:])
				}
				q += m
			}
		}
	}
}

// blockOf is the first row and the depth of the block that row r is in.
func (b *packedB) blockOf(r int) (p, kc int) {
	base := r / b.period * b.period
	p = base + (r-base)/b.kc*b.kc
	return p, b.depthAt(p)
}

// scales is the factors of outputs from o on, or nil.
func (w *weights) scales(o int) []float32 {
	if w.scale == nil {
		return nil
	}
	return w.scale[o:]
}

// panel writes the taps of channels [c, c+n) for outputs [o, o+cols), in the order (channel, tap).
func (w *weights) panel(g *kern.Gemm, dst []float32, o, cols, width, c, n int) {
	dst = dst[:n*w.taps*width]
	if cols < width {
		clear(dst)
	}
	if w.turned {
		w.turnedPanel(g, dst, o, cols, width, c, n)
		return
	}
	if !w.last {
		g.Transpose(dst, width, w.data[(o*w.c+c)*w.taps:], w.c*w.taps, n*w.taps, cols, w.scales(o))
		return
	}
	for i := range n * w.taps {
		w.copyRow(dst[i*width:][:cols], i%w.taps, c+i/w.taps, o)
	}
}

// turnedPanel is panel of a turned kernel.
func (w *weights) turnedPanel(g *kern.Gemm, dst []float32, o, cols, width, c, n int) {
	for tap := range w.taps {
		from := w.taps - 1 - tap
		if w.last {
			g.Transpose(dst[tap*width:], w.taps*width, w.data[(from*w.oc+o)*w.c+c:], w.c, n, cols, nil)
			continue
		}
		for i := range n {
			row, at := dst[(i*w.taps+tap)*width:][:cols], ((c+i)*w.oc+o)*w.taps+from
			for j := range row {
				row[j] = w.data[at]
				at += w.taps
			}
		}
	}
}

// rows writes rows [p, p+n) in the order (tap, channel) for outputs [o, o+cols). Where the taps are innermost, there is one.
func (w *weights) rows(g *kern.Gemm, dst []float32, o, cols, width, p, n int) {
	if cols < width {
		clear(dst)
	}
	if !w.last {
		g.Transpose(dst, width, w.data[o*w.c+p:], w.c, n, cols, w.scales(o))
		return
	}
	for i := range n {
		w.copyRow(dst[i*width:][:cols], (p+i)/w.c, (p+i)%w.c, o)
	}
}

// copyRow copies the weights of one tap and channel for outputs from o on, which are neighbours in memory.
func (w *weights) copyRow(dst []float32, tap, c, o int) {
	src := w.data[(tap*w.c+c)*w.oc+o:][:len(dst)]
	if w.scale == nil {
		copy(dst, src)
		return
	}
	scale := w.scale[o:][:len(dst)]
	for i := range dst {
		dst[i] = src[i] * scale[i]
	}
}
