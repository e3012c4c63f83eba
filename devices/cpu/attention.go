package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func (d *Device) attentionKernels() []devices.Kernel {
	return []devices.Kernel{devices.For("attention/f32_"+d.Level(), matchAttention, d.prepareAttention)}
}

// matchAttention takes float32 operands of known shape and masks of float32 or bool.
func matchAttention(_ ops.FusedAttention, r devices.Request) int {
	if !isF32(r.In[:3]...) || !isF32(r.Out...) || prod(dims(r.Out[0])) == 0 || prod(dims(r.In[0])) == 0 || prod(dims(r.In[1])) == 0 {
		return 0
	}
	if has(r, 3) {
		m := r.In[3]
		if m.DType != tensor.Float32 && m.DType != tensor.Bool || !m.Static() || m.Kind != graph.TensorKind || m.Rank() > 4 {
			return 0
		}
		shape := scoresShape(r)
		for i, n := range dims(m) {
			if want := shape[4-m.Rank()+i]; n != 1 && n != want {
				return 0
			}
		}
	}
	return 10
}

// scoresShape is (batch, heads, queries, keys).
func scoresShape(r devices.Request) []int {
	op := r.Node.Op.(ops.FusedAttention)
	q, k := viewHeads(dims(r.In[0]), op.QPacked), viewHeads(dims(r.In[1]), op.KPacked)
	return []int{q.b, q.h, q.n, k.n}
}

// headView is where (batch, head, position) of an operand lies: at b*sb + h*sh + n*sn.
type headView struct {
	b, h, n, d int
	sb, sh, sn int
}

func viewHeads(s []int, packed bool) headView {
	if packed {
		return headView{b: s[0], h: s[2], n: s[1], d: s[3], sb: s[1] * s[2] * s[3], sh: s[3], sn: s[2] * s[3]}
	}
	return headView{b: s[0], h: s[1], n: s[2], d: s[3], sb: s[1] * s[2] * s[3], sh: s[2] * s[3], sn: s[3]}
}

// attentionRows bounds the queries of a tile, attentionScores its scores: they stay in the second-level cache.
const (
	attentionRows   = 64
	attentionScores = 1 << 15
)

// attentionStep is attention head by head: keys and values of a head are packed once, then tiles of queries go through
// scores, softmax and weighted values while all of it is in the cache.
type attentionStep struct {
	d          *Device
	op         ops.FusedAttention
	q, k, v, y headView
	mask       [4]int // strides over (batch, heads, queries, keys)
	rows, cut  int    // queries of a tile, tiles of a head
	kLen, vLen int    // elements of the packed keys and values of a head
	scores     int    // elements of a tile's scores
	tasks      freelist[*attentionTask]
}

func (d *Device) prepareAttention(op ops.FusedAttention, r devices.Request) (devices.Step, error) {
	s := &attentionStep{d: d, op: op, q: viewHeads(dims(r.In[0]), op.QPacked), k: viewHeads(dims(r.In[1]), op.KPacked),
		v: viewHeads(dims(r.In[2]), op.VPacked), y: viewHeads(dims(r.Out[0]), op.YPacked)}
	g := &d.k.Gemm
	s.rows = min(s.q.n, max(g.MR, min(attentionRows, attentionScores/s.k.n)))
	s.cut = ceilDiv(s.q.n, s.rows)
	s.rows = ceilDiv(s.q.n, s.cut)
	s.kLen, s.vLen = pad64(g.PackedLen(s.k.d, s.k.n)), pad64(g.PackedLen(s.v.n, s.v.d))
	s.scores = pad64(s.rows * s.k.n)
	if has(r, 3) {
		m := dims(r.In[3])
		copy(s.mask[:], broadcastStrides(m, scoresShape(r)))
	}
	return s, nil
}

func (s *attentionStep) Scratch() int {
	return (s.k.b*s.k.h*(s.kLen+s.vLen) + s.d.pool.Workers()*s.scores) * 4
}

func (s *attentionStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.q, t.k, t.v, t.y, t.bias, t.keep = s, f32(a, 0), f32(a, 1), f32(a, 2), f32Out(a, 0), nil, nil
	if m := a.Tensor(3); m != nil && m.DType() == tensor.Bool {
		t.keep = m.Bytes()
	} else if m != nil {
		t.bias = tensor.As[float32](m)
	}
	buf := floats(a.Scratch)
	heads := s.k.b * s.k.h
	t.keys, t.values, t.scores = buf[:heads*s.kLen], buf[heads*s.kLen:][:heads*s.vLen], buf[heads*(s.kLen+s.vLen):]
	t.packing = true
	s.d.pool.Run(t, 2*heads)
	t.packing = false
	s.d.pool.RunUntil(stopOf(a), t, s.q.b*s.q.h*s.cut)
	return nil
}

// attentionTask packs, then attends.
type attentionTask struct {
	s                    *attentionStep
	q, k, v, y           []float32
	bias                 []float32
	keep                 []byte
	keys, values, scores []float32
	packing              bool
}

// Tile implements par.Task.
func (t *attentionTask) Tile(i, worker int) {
	if t.packing {
		t.pack(i)
		return
	}
	s := t.s
	head, i0 := i/s.cut, i%s.cut*s.rows
	b, h := head/s.q.h, head%s.q.h
	m := min(s.rows, s.q.n-i0)
	shared := b*s.k.h + h/(s.q.h/s.k.h)
	x := t.scores[worker*s.scores:][:m*s.k.n]
	g := &s.d.k.Gemm
	// None of these queries of causal attention sees later keys, up to whole panels and blocks of what is packed.
	cols, depth := s.k.n, s.k.n
	if s.op.IsCausal {
		cols = min(depth, roundUp(i0+m, g.NR))
		depth = min(depth, roundUp(cols, blockDepth(depth)))
	}
	multiplyBlocks(g, m, cols, s.k.d, s.k.d, s.k.n, t.q[b*s.q.sb+h*s.q.sh+i0*s.q.sn:], s.q.sn, t.keys[shared*s.kLen:], x, s.k.n)
	for r := range m {
		t.softmax(x[r*s.k.n:][:depth], b, h, i0+r)
	}
	y := t.y[b*s.y.sb+h*s.y.sh+i0*s.y.sn:]
	multiplyBlocks(g, m, s.v.d, depth, s.v.n, s.v.d, x, s.k.n, t.values[shared*s.vLen:], y, s.y.sn)
}

// multiplyBlocks is c = a·b for n columns and the first k rows of b, which packBlocks packed with all of its rows and columns.
func multiplyBlocks(g *kern.Gemm, m, n, k, rows, cols int, a []float32, lda int, b, c []float32, ldc int) {
	kc, width := blockDepth(rows), g.PackedCols(cols)
	for p := 0; p < k; p += kc {
		g.Block(m, n, kern.Whole(min(kc, rows-p)), a[p:], lda, b[p*width:], c, ldc, p > 0, kern.Epilogue{})
	}
}

// pack packs the keys, transposed and scaled, or the values of a head.
func (t *attentionTask) pack(i int) {
	s, g := t.s, &t.s.d.k.Gemm
	head, values := i/2, i%2 == 1
	b, h := head/s.k.h, head%s.k.h
	if !values {
		dst := t.keys[head*s.kLen:][:g.PackedLen(s.k.d, s.k.n)]
		packBlocks(g, dst, t.k[b*s.k.sb+h*s.k.sh:], 1, s.k.sn, s.k.d, s.k.n)
		s.d.k.Vec.MulS(dst, dst, float32(s.op.Scale), 0)
		return
	}
	packBlocks(g, t.values[head*s.vLen:], t.v[b*s.v.sb+h*s.v.sh:], s.v.sn, 1, s.v.n, s.v.d)
}

// packBlocks packs a k x n matrix, element (i, j) at src[i*rs+j*cs], in blocks of depth.
func packBlocks(g *kern.Gemm, dst, src []float32, rs, cs, k, n int) {
	kc, width := blockDepth(k), g.PackedCols(n)
	for p := 0; p < k; p += kc {
		g.Pack(dst[p*width:], src[p*rs:], rs, cs, min(kc, k-p), n)
	}
}

// softmax masks a row of scores and turns it into probabilities.
func (t *attentionTask) softmax(x []float32, b, h, i int) {
	s, v := t.s, &t.s.d.k.Vec
	at := b*s.mask[0] + h*s.mask[1] + i*s.mask[2]
	seen := len(x)
	if s.op.IsCausal && i+1 < seen {
		seen = i + 1
		clear(x[seen:])
		x = x[:seen]
	}
	switch {
	case t.bias != nil && s.mask[3] == 0:
		v.AddS(x, x, t.bias[at], 0)
	case t.bias != nil:
		v.Add(x, x, t.bias[at:][:seen])
	case t.keep != nil:
		for j := range x {
			if t.keep[at+j*s.mask[3]] == 0 {
				x[j] = negInf
			}
		}
	}
	top := v.MaxOf(x)
	if top == negInf {
		if s.op.Zero && t.maskedWholly(at, seen) {
			clear(x)
			return
		}
		top = 0 // the definition gives NaN
	}
	v.MulS(x, x, 1/v.ExpSum(x, x, top), 0)
}

// maskedWholly reports whether the mask alone, and not the scores, hides n keys.
func (t *attentionTask) maskedWholly(at, n int) bool {
	step := t.s.mask[3]
	for j := range n {
		if t.bias == nil && t.keep == nil || t.bias != nil && !math.IsInf(float64(t.bias[at+j*step]), -1) || t.keep != nil && t.keep[at+j*step] != 0 {
			return false
		}
	}
	return true
}
