package cpu

import (
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) matmulKernels() []devices.Kernel {
	return []devices.Kernel{
		devices.For("matmul/f32_"+d.Level(), matchMatMul, func(_ ops.MatMul, r devices.Request) (devices.Step, error) {
			return d.prepareMatMul(r)
		}),
	}
}

func matchMatMul(_ ops.MatMul, r devices.Request) int {
	if !allF32(r) || len(r.In) != 2 {
		return 0
	}
	p := newProduct(dims(r.In[0]), dims(r.In[1]))
	if p.m*p.n*p.k == 0 {
		return 0
	}
	return 10
}

// product is a batch of matrix products: offsets and strides of matrix i of each operand, in elements.
type product struct {
	m, n, k  int
	a, b     []int // where each matrix of the batch starts; nil: the batch is one
	rsA      int
	rsB, csB int
	out      []int
	ldc      int
	batch    int
	sharedB  bool // one right-hand side for all: the batch has become rows
}

// newProduct lays out numpy.matmul of row-major operands.
func newProduct(x, y []int) product {
	if len(x) == 1 {
		x = []int{1, x[0]}
	}
	if len(y) == 1 {
		y = []int{y[0], 1}
	}
	p := product{m: x[len(x)-2], k: x[len(x)-1], n: y[len(y)-1], batch: 1}
	p.rsA, p.rsB, p.csB, p.ldc = p.k, p.n, 1, p.n
	bx, by := x[:len(x)-2], y[:len(y)-2]
	if prod(by) == 1 {
		p.m *= prod(bx)
		p.sharedB = true
		return p
	}
	shape := broadcastShape(bx, by)
	p.batch = prod(shape)
	p.a, p.b, p.out = make([]int, p.batch), make([]int, p.batch), make([]int, p.batch)
	sx, sy := broadcastStrides(bx, shape), broadcastStrides(by, shape)
	for i := range p.batch {
		rest, ox, oy := i, 0, 0
		for d := len(shape) - 1; d >= 0; d-- {
			ox += rest % shape[d] * sx[d]
			oy += rest % shape[d] * sy[d]
			rest /= shape[d]
		}
		p.a[i], p.b[i], p.out[i] = ox*p.m*p.k, oy*p.k*p.n, i*p.m*p.n
	}
	return p
}

// broadcastShape is the shape that a and b broadcast to, which is known to exist.
func broadcastShape(a, b []int) []int {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := append([]int(nil), a...)
	for i, n := range b {
		if j := len(a) - len(b) + i; out[j] == 1 {
			out[j] = n
		}
	}
	return out
}

// broadcastStrides is the strides of shape s within out: 0 where s repeats.
func broadcastStrides(s, out []int) []int {
	st := make([]int, len(out))
	n := 1
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] != 1 {
			st[len(out)-len(s)+i] = n
		}
		n *= s[i]
	}
	return st
}

func (d *Device) prepareMatMul(r devices.Request) (devices.Step, error) {
	p := newProduct(dims(r.In[0]), dims(r.In[1]))
	if p.sharedB && r.Const[1] != nil {
		return d.linearStep(r, p.m, p.k, p.n, p.rsB, p.csB, activation{}, kern.Epilogue{}), nil
	}
	return d.newBatchStep(p, 1, nil), nil
}

// linearStep multiplies m rows by constant input 1, element (i, j) at i*rs+j*cs.
func (d *Device) linearStep(r devices.Request, m, k, n, rs, cs int, act activation, ep kern.Epilogue) *linearStep {
	return &linearStep{d: d, m: m, lda: k, til: d.tiling(m, n, k, false), act: act, ep: ep, res: -1, bias: -1,
		b: d.packedConst(r, 1, k, n, rs, cs)}
}

// packedConst packs constant input i now, or takes what another program packed.
func (d *Device) packedConst(r devices.Request, i, k, n, rs, cs int) *packedB {
	w := r.Const[i]
	key := devices.PackKey{T: w, Kind: fmt.Sprintf("cpu/gemm/%s/%d/%d/%d/%d", d.Level(), k, n, rs, cs)}
	return r.Packs.Get(key, func() any {
		defer evict(w)
		return d.packB(tensor.As[float32](w), rs, cs, k, n)
	}).(*packedB)
}

// linearStep is a product with a packed constant.
type linearStep struct {
	d         *Device
	m, lda    int
	b         *packedB
	til       tiling
	act       activation
	ep        kern.Epilogue
	bias, res int // inputs of the bias and of the residual; -1 for none
	tasks     freelist[*gemmTask]
}

func (s *linearStep) Scratch() int { return 0 }

func (s *linearStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.k, t.b, t.m, t.til, t.act, t.ep = s.d.k, s.b, s.m, s.til, s.act, s.ep
	t.flat = dense{a: f32(a, 0), lda: s.lda}
	t.a = &t.flat
	t.c, t.ldc = f32Out(a, 0), s.b.n
	if s.bias >= 0 {
		t.ep.Bias = f32(a, s.bias)
	}
	if s.res >= 0 {
		t.ep.Res, t.ep.LdRes = f32(a, s.res), s.b.n
	}
	t.run(s.d.pool, stopOf(a))
	return nil
}

// batchStep multiplies matrices that are known only when running: it packs the right-hand sides first.
type batchStep struct {
	d      *Device
	p      product
	right  int // the input that is the right-hand side
	packed int // elements of one packed right-hand side
	til    tiling
	ep     kern.Epilogue
	finish func(ep *kern.Epilogue, a *devices.Args)
	tasks  freelist[*batchTask]
}

func (d *Device) newBatchStep(p product, right int, finish func(*kern.Epilogue, *devices.Args)) *batchStep {
	return &batchStep{d: d, p: p, right: right, finish: finish, til: d.tiling(p.m, p.n, p.k, false),
		packed: pad64(d.k.Gemm.PackedLen(p.k, p.n))}
}

func (s *batchStep) distinct() int {
	if s.p.sharedB {
		return 1
	}
	return s.p.batch
}

func (s *batchStep) Scratch() int { return s.packed * s.distinct() * 4 }

func (s *batchStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.a, t.b, t.c = s, f32(a, 0), f32(a, s.right), f32Out(a, 0)
	t.packed = floats(a.Scratch)
	t.ep = s.ep
	if s.finish != nil {
		s.finish(&t.ep, a)
	}
	t.kc = blockDepth(s.p.k)
	t.packing = true
	t.panels = ceilDiv(s.p.n, s.d.k.Gemm.NR*panelsPerTile)
	s.d.pool.Run(t, t.panels*s.distinct())
	t.packing = false
	s.d.pool.RunUntil(stopOf(a), t, s.p.batch*s.til.tm*s.til.tn)
	return nil
}

// batchTask packs, then multiplies.
type batchTask struct {
	s       *batchStep
	a, b, c []float32
	packed  []float32
	ep      kern.Epilogue
	kc      int
	panels  int // tiles of packing for one matrix
	packing bool
}

// Tile implements par.Task.
func (t *batchTask) Tile(i, _ int) {
	if t.packing {
		t.pack(i/t.panels, i%t.panels)
		return
	}
	p, til, g := &t.s.p, &t.s.til, &t.s.d.k.Gemm
	per := til.tm * til.tn
	n, i := i/per, i%per
	a, b, c := t.a, t.packed, t.c
	if p.a != nil {
		a, b, c = a[p.a[n]:], b[n*t.s.packed:], c[p.out[n]:]
	}
	i0, j0 := til.place(i)
	rows, cols := min(til.mb, p.m-i0), min(til.nb, p.n-j0)
	ep := t.ep
	if ep.Bias != nil {
		ep.Bias = ep.Bias[j0:]
	}
	if ep.Res != nil {
		ep.Res = ep.Res[i0*ep.LdRes+j0:]
	}
	width := g.PackedCols(p.n)
	for q := 0; q < p.k; q += t.kc {
		kc := min(t.kc, p.k-q)
		last := kern.Epilogue{}
		if q+kc == p.k {
			last = ep
		}
		g.Block(rows, cols, kern.Whole(kc), a[i0*p.rsA+q:], p.rsA, b[q*width+kc*j0:], c[i0*p.ldc+j0:], p.ldc, q > 0, last)
	}
}

func (t *batchTask) pack(n, tile int) {
	p, g := &t.s.p, &t.s.d.k.Gemm
	b, dst := t.b, t.packed[n*t.s.packed:]
	if p.b != nil {
		b = b[p.b[n]:]
	}
	width := g.PackedCols(p.n)
	j := tile * g.NR * panelsPerTile
	cols := min(g.NR*panelsPerTile, p.n-j)
	for q := 0; q < p.k; q += t.kc {
		kc := min(t.kc, p.k-q)
		g.Pack(dst[q*width+kc*j:], b[q*p.rsB+j*p.csB:], p.rsB, p.csB, kc, cols)
	}
}
