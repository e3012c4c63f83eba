package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
)

// phases is how a picture is laid out so that what a tap reads, over all output pixels, is one run of memory: a
// plane for each remainder of the place by the strides, with rows of pw elements. Output pixel (oh, ow) is element
// oh*pw + ow of the run; the elements between ow and pw are multiplied by zeros.
type phases struct {
	ph, pw int
	run    int // length of a run
	plane  int // elements of a plane
	all    int // of all planes of a channel
}

func newPhases(g *geometry) phases {
	p := phases{ph: g.oh + (g.kh-1)*g.dh/g.sh, pw: g.ow + (g.kw-1)*g.dw/g.sw}
	p.run = (g.oh-1)*p.pw + g.ow
	p.plane = p.ph * p.pw
	p.all = p.plane * g.sh * g.sw
	return p
}

// tap is where a tap's run begins in a channel.
func (p *phases) tap(g *geometry, kh, kw int) int {
	y, x := kh*g.dh, kw*g.dw
	return (y%g.sh*g.sw+x%g.sw)*p.plane + y/g.sh*p.pw + x/g.sw
}

func (d *Device) prepareConvGradWeight(op ops.Conv, r devices.Request) (devices.Step, error) {
	g, ok := gradGeometry(op, dims(r.In[0]), dims(r.Out[0]))
	if !ok {
		return nil, errs.Errorf("no kernel for this window")
	}
	s := &convGradWeight{d: d, g: g, format: op.Format, ph: newPhases(&g), together: 1, cols: g.oc}
	s.size = pad64(g.taps() * g.c / g.groups * g.oc)
	// Each slice of the batch has a sum of its own; their number is bounded by memory, not by threads.
	s.slices = max(1, min(g.n, 2*gradTiles, (4<<20)/max(1, s.size)))
	s.parts = 1
	if g.depthwise() {
		return s, nil
	}
	// Small pictures go together, so that sums are read and written less often.
	s.kc = blockDepth(s.ph.run)
	if s.kc == s.ph.run {
		s.together = max(1, min(maxKC/s.kc, g.n/s.slices, (1<<18)/(g.c*s.ph.all)))
	}
	if s.slices < gradTiles {
		s.cols = min(g.oc, roundUp(ceilDiv(g.oc, ceilDiv(gradTiles, s.slices)), d.k.Gemm.NR))
		s.parts = ceilDiv(g.oc, s.cols)
	}
	s.gathers = g.c < gatherBelow
	s.xLen = pad64(g.c * s.ph.all * s.together)
	if op.Format == ops.NCHW {
		s.dyLen = pad64(s.kc * s.together * g.oc)
	}
	s.packLen = pad64(d.k.Gemm.PackedLen(s.kc*s.together, s.cols))
	if s.gathers {
		s.gatherLen = pad64(g.taps() * g.c * s.kc * s.together)
	}
	return s, nil
}

// gatherBelow is the number of channels below which the runs of all taps are gathered into one left side.
const gatherBelow = 16

// convGradWeight is the gradient toward the kernel: for each tap the product of what it read, transposed, and dy.
type convGradWeight struct {
	d                               *Device
	g                               geometry
	format                          ops.Format
	ph                              phases
	size                            int // elements of a sum
	slices, parts                   int // of the batch, and of the outputs' channels
	cols                            int // channels of a part
	together                        int // pictures of one product
	kc                              int
	gathers                         bool
	xLen, dyLen, packLen, gatherLen int // scratch of a worker
	tasks                           freelist[*convGradWeightTask]
}

func (s *convGradWeight) perWorker() int { return s.xLen + s.dyLen + s.packLen + s.gatherLen }

// inPlace reports whether there is one sum, in the order of the result.
func (s *convGradWeight) inPlace() bool { return s.slices == 1 && s.format == ops.NHWC }

// sums is the elements of all sums that the result doesn't take.
func (s *convGradWeight) sums() int {
	if s.inPlace() {
		return 0
	}
	return s.size * s.slices
}

func (s *convGradWeight) Scratch() int { return (s.perWorker()*s.d.pool.Workers() + s.sums()) * 4 }

func (s *convGradWeight) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	buf := floats(a.Scratch)
	t.s, t.x, t.dy, t.dw = s, f32(a, 0), f32(a, 1), f32Out(a, 0)
	t.sums, t.buf = buf[:s.sums()], buf[s.sums():]
	t.summing = false
	if s.inPlace() {
		t.sums = t.dw
	}
	s.d.pool.Run(t, s.slices*s.parts)
	if s.inPlace() {
		return nil
	}
	t.summing = true
	s.d.pool.Run(t, ceilDiv(len(t.dw), pointwiseTile))
	return nil
}

type convGradWeightTask struct {
	s         *convGradWeight
	x, dy, dw []float32
	sums, buf []float32
	summing   bool
}

// Tile implements par.Task.
func (t *convGradWeightTask) Tile(i, worker int) {
	s, g := t.s, &t.s.g
	if t.summing {
		t.sum(i)
		return
	}
	slice, j0 := i/s.parts, i%s.parts*s.cols
	n := min(s.cols, g.oc-j0)
	part := t.sums[slice*s.size:]
	part = part[:min(s.size, len(part))]
	if n == g.oc {
		clear(part)
	} else {
		for at := j0; at < g.taps()*g.c*g.oc; at += g.oc {
			clear(part[at:][:n])
		}
	}
	buf := t.buf[worker*s.perWorker():]
	end := (slice + 1) * g.n / s.slices
	for at := slice * g.n / s.slices; at < end; at += s.together {
		if g.depthwise() {
			t.depthwise(at, part)
			continue
		}
		t.pictures(at, min(s.together, end-at), j0, n, part[j0:], buf)
	}
}

func (t *convGradWeightTask) depthwise(n int, part []float32) {
	g, muladd := &t.s.g, t.s.d.k.Vec.MulAdd
	g.eachTap(func(tap, out, in int) {
		w := part[tap*g.c:][:g.c]
		muladd(w, t.x[(n*g.h*g.w+in)*g.c:][:g.c], t.dy[(n*g.pixels()+out)*g.c:][:g.c], w)
	})
}

// pictures adds the part of count pictures from n on to cols columns of a sum from j0 on.
func (t *convGradWeightTask) pictures(n, count, j0, cols int, part, buf []float32) {
	s, g, k := t.s, &t.s.g, &t.s.d.k.Gemm
	xt, buf := buf[:s.xLen], buf[s.xLen:]
	dy, buf := buf[:s.dyLen], buf[s.dyLen:]
	packed, rows := buf[:s.packLen], buf[s.packLen:]
	clear(xt)
	ld := s.ph.all * s.together // of the channels in xt
	for i := range count {
		t.planes(n+i, ld, xt[i*s.ph.all:])
	}
	for q := 0; q < s.ph.run; q += s.kc {
		kc := min(s.kc, s.ph.run-q)
		for i := range count {
			if s.format == ops.NHWC {
				t.pack(n+i, q, kc, i*kc, count*kc, j0, cols, packed)
			} else {
				t.rows(n+i, q, kc, dy[i*kc*g.oc:])
			}
		}
		if s.format == ops.NCHW {
			k.Pack(packed, dy[j0:], g.oc, 1, count*kc, cols)
		}
		if s.gathers {
			for i := range count {
				t.gather(q, kc, xt[i*s.ph.all:], rows[i*kc:], count*kc)
			}
			k.Block(g.taps()*g.c, cols, kern.Whole(count*kc), rows, count*kc, packed, part, g.oc, true, kern.Epilogue{})
			continue
		}
		depth := kern.Depth{K: kc, Segs: count, Stride: s.ph.all}
		for kh := range g.kh {
			for kw := range g.kw {
				tap := kh*g.kw + kw
				k.Block(g.c, cols, depth, xt[s.ph.tap(g, kh, kw)+q:], ld, packed, part[tap*g.c*g.oc:], g.oc, true, kern.Epilogue{})
			}
		}
	}
}

// gather copies elements [q, q+kc) of all taps' runs, to rows that lie ld apart.
func (t *convGradWeightTask) gather(q, kc int, xt, rows []float32, ld int) {
	s, g := t.s, &t.s.g
	to := 0
	for kh := range g.kh {
		for kw := range g.kw {
			at := s.ph.tap(g, kh, kw) + q
			for c := range g.c {
				copy(rows[to:][:kc], xt[c*s.ph.all*s.together+at:])
				to += ld
			}
		}
	}
}

// eachRun calls f for elements [q, q+kc) of a picture's run: those from i on are the m pixels from at on, or, where at is
// negative, lie between rows.
func (t *convGradWeightTask) eachRun(q, kc int, f func(i, m, at int)) {
	g, pw := &t.s.g, t.s.ph.pw
	for i := 0; i < kc; {
		oh, ow := (q+i)/pw, (q+i)%pw
		m, at := min(g.ow-ow, kc-i), oh*g.ow+ow
		if ow >= g.ow {
			m, at = min(pw-ow, kc-i), -1
		}
		f(i, m, at)
		i += m
	}
}

// pack packs elements [q, q+kc) of cols columns from j0 on of a picture of dy that lies channels last, with zeros between its
// rows: rows from first on of a packed matrix of depth k.
func (t *convGradWeightTask) pack(n, q, kc, first, k, j0, cols int, dst []float32) {
	g, gemm := &t.s.g, &t.s.d.k.Gemm
	dy := t.dy[n*g.pixels()*g.oc:][:g.pixels()*g.oc]
	for j := 0; j < cols; j += gemm.NR {
		w := gemm.PanelWidth(j, cols)
		panel, width := dst[k*j+first*w:][:kc*w], min(w, cols-j)
		t.eachRun(q, kc, func(i, m, at int) {
			if at < 0 {
				clear(panel[i*w:][:m*w])
				return
			}
			gemm.Pack(panel[i*w:][:m*w], dy[at*g.oc+j0+j:], g.oc, 1, m, width)
		})
	}
}

// rows lays out elements [q, q+kc) of a picture of dy that lies channels first: channels last, with zeros between its rows.
func (t *convGradWeightTask) rows(n, q, kc int, dst []float32) {
	g := &t.s.g
	dy := t.dy[n*g.pixels()*g.oc:][:g.pixels()*g.oc]
	t.eachRun(q, kc, func(i, m, at int) {
		if at < 0 {
			clear(dst[i*g.oc:][:m*g.oc])
			return
		}
		for o := range g.oc {
			for j, v := range dy[o*g.pixels()+at:][:m] {
				dst[(i+j)*g.oc+o] = v
			}
		}
	})
}

// planes lays out a picture channel by channel in phases; channels lie ld apart in xt, which is zero.
func (t *convGradWeightTask) planes(n, ld int, xt []float32) {
	g, ph := &t.s.g, &t.s.ph
	x := t.x[n*g.h*g.w*g.c:][:g.h*g.w*g.c]
	sp, sc := g.c, 1
	if t.s.format == ops.NCHW {
		sp, sc = 1, g.h*g.w
	}
	for ih := max(0, -g.pt); ih < g.h; ih++ {
		y := ih + g.pt
		if y/g.sh >= ph.ph {
			continue
		}
		for phase := range g.sw {
			first := 0 // the first column of that phase
			for first+g.pl < 0 || (first+g.pl)%g.sw != phase {
				first++
			}
			at := (y%g.sh*g.sw+phase)*ph.plane + y/g.sh*ph.pw + (first+g.pl)/g.sw
			m := min(ceilDiv(g.w-first, g.sw), ph.pw-(first+g.pl)/g.sw)
			if m <= 0 {
				continue
			}
			row := x[(ih*g.w+first)*sp:]
			if sc == 1 {
				t.s.d.k.Flip(xt[at:], ld, row, g.sw*sp, m, g.c)
				continue
			}
			for c := range g.c {
				dst := xt[c*ld+at:][:m]
				from := c * sc
				for j := range dst {
					dst[j] = row[from]
					from += g.sw * sp
				}
			}
		}
	}
}

// sum adds up the slices for a tile of the result.
func (t *convGradWeightTask) sum(i int) {
	s, g := t.s, &t.s.g
	lo := i * pointwiseTile
	dst := t.dw[lo:min(lo+pointwiseTile, len(t.dw))]
	if s.format == ops.NHWC {
		copy(dst, t.sums[lo:])
		for k := 1; k < s.slices; k++ {
			s.d.k.Vec.Add(dst, dst, t.sums[k*s.size+lo:][:len(dst)])
		}
		return
	}
	taps := g.taps()
	for j := range dst {
		at := lo + j
		o, rest := at/(taps*g.c), at%(taps*g.c)
		src := (rest%taps*g.c+rest/taps)*g.oc + o
		v := t.sums[src]
		for k := 1; k < s.slices; k++ {
			v += t.sums[k*s.size+src]
		}
		dst[j] = v
	}
}
