package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func microsoftKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(matMulNBits),
		fn(groupQueryAttention),
	}
}

// matMulNBits takes one row of the matrix out of its few bits at a time.
func matMulNBits(op ops.MatMulNBits, c *Call) error {
	a, scales, err := floatPair(c.In(0), c.In(2))
	if err != nil {
		return err
	}
	zero, err := blockZeros(op, c.In(3))
	if err != nil {
		return err
	}
	var group, bias = []int64(nil), []float64(nil)
	if t := c.In(4); t != nil {
		if group, err = t.Int64s(); err != nil {
			return err
		}
		for _, g := range group[:min(op.K, len(group))] {
			if g < 0 || int(g) >= op.Blocks() {
				return errs.Errorf("g_idx has block %d of %d", g, op.Blocks())
			}
		}
	}
	if t := c.In(5); t != nil {
		if bias, err = t.Float64s(); err != nil {
			return err
		}
	}
	b, blocks := c.In(1).Bytes(), op.Blocks()
	if len(b) != op.N*blocks*op.BlockSize*op.Bits/8 || len(scales) != op.N*blocks || len(a)%op.K != 0 ||
		group != nil && len(group) < op.K || bias != nil && len(bias) != op.N {
		return errs.Errorf("%v, B %v and scales %v don't fit", c.In(0).Shape(), c.In(1).Shape(), c.In(2).Shape())
	}
	rows := len(a) / op.K
	y, w := make([]float64, rows*op.N), make([]float64, op.K)
	for j := range op.N {
		packed := b[j*blocks*op.BlockSize*op.Bits/8:]
		for k := range w {
			at := k / op.BlockSize
			if group != nil {
				at = int(group[k])
			}
			w[k] = (bitsAt(packed, k, op.Bits) - zero(j, at)) * scales[j*blocks+at]
		}
		for i := range rows {
			v := dot(w, a[i*op.K:])
			if bias != nil {
				v += bias[j]
			}
			y[i*op.N+j] = v
		}
	}
	return c.Out(0).SetFloat64s(y)
}

// bitsAt is number i of those packed in bytes, from the low bits on.
func bitsAt(b []byte, i, bits int) float64 {
	return float64(b[i*bits/8] >> (i * bits % 8) & (1<<bits - 1))
}

// blockZeros finds the zero point of a block in a row.
func blockZeros(op ops.MatMulNBits, t *tensor.Tensor) (func(row, block int) float64, error) {
	switch {
	case t == nil:
		half := float64(int(1) << (op.Bits - 1))
		return func(int, int) float64 { return half }, nil
	case t.DType() == tensor.Uint8:
		b, n := t.Bytes(), op.ZeroBytes()
		if len(b) != op.N*n {
			return nil, errs.Errorf("zero_points are %v for %d rows of %d blocks", t.Shape(), op.N, op.Blocks())
		}
		return func(row, block int) float64 { return bitsAt(b[row*n:], block, op.Bits) }, nil
	}
	v, err := t.Float64s()
	if err == nil && len(v) != op.N*op.Blocks() {
		err = errs.Errorf("zero_points are %v for %d rows of %d blocks", t.Shape(), op.N, op.Blocks())
	}
	return func(row, block int) float64 { return v[row*op.Blocks()+block] }, err
}

// cached is attention over a cache at work.
type cached struct {
	op           ops.GroupQueryAttention
	q, k, v      heads
	lengths      []int64 // the keys of each row of the batch
	total        int
	bias, sink   []float64
	biasShape    []int
	scale        float64
	firstPrompt  bool
	cos, sin     []float64
	half, places int
	ids          []int64
}

func groupQueryAttention(op ops.GroupQueryAttention, c *Call) error {
	g := cached{op: op}
	if err := g.load(c); err != nil {
		return err
	}
	if op.DoRotary {
		if err := g.rotate(); err != nil {
			return err
		}
	}
	pastK, pastV := c.In(3), c.In(4)
	keys, err := g.present(g.k, pastK)
	if err != nil {
		return err
	}
	values, err := g.present(g.v, pastV)
	if err != nil {
		return err
	}
	y := heads{g.q.b, g.q.h, g.q.n, g.q.d, make([]float64, len(g.q.v))}
	for b := range y.b {
		for h := range y.h {
			for i := range y.n {
				g.attend(y.row(b, h, i), keys, values, b, h, i)
			}
		}
	}
	if err := c.Out(0).SetFloat64s(y.packed()); err != nil {
		return err
	}
	for i, x := range []heads{keys, values} {
		if c.NOut() <= i+1 {
			break
		}
		out, err := c.OutOf(i+1, c.In(0).DType(), x.b, x.h, x.n, x.d)
		if err != nil {
			return err
		}
		if err := out.SetFloat64s(x.v); err != nil {
			return err
		}
	}
	return nil
}

// load reads the inputs and holds them against each other.
func (g *cached) load(c *Call) error {
	op := g.op
	var err error
	if c.In(1) == nil {
		all, err := asHeads(c.In(0), op.NumHeads+2*op.KVNumHeads)
		if err != nil {
			return err
		}
		g.q, g.k, g.v = all.part(0, op.NumHeads), all.part(op.NumHeads, op.KVNumHeads), all.part(op.NumHeads+op.KVNumHeads, op.KVNumHeads)
	} else {
		if g.q, err = asHeads(c.In(0), op.NumHeads); err != nil {
			return err
		}
		if g.k, err = asHeads(c.In(1), op.KVNumHeads); err != nil {
			return err
		}
		if g.v, err = asHeads(c.In(2), op.KVNumHeads); err != nil {
			return err
		}
	}
	if g.k.b != g.q.b || g.k.n != g.q.n || g.k.d != g.q.d || g.v.b != g.q.b || g.v.n != g.q.n || g.v.d != g.q.d {
		return errs.Errorf("query %v, key %v and value %v don't fit", c.In(0).Shape(), c.In(1).Shape(), c.In(2).Shape())
	}
	if g.lengths, err = c.In(5).Int64s(); err != nil {
		return err
	}
	total, err := c.In(6).Int64s()
	if err != nil {
		return err
	}
	if len(g.lengths) != g.q.b || len(total) != 1 {
		return errs.Errorf("seqlens_k %v and total_sequence_length %v for a batch of %d", c.In(5).Shape(), c.In(6).Shape(), g.q.b)
	}
	g.total = int(total[0])
	g.firstPrompt = g.q.n == g.total
	for i, n := range g.lengths {
		if g.lengths[i] = n + 1; n < 0 || int(n) >= g.total || !g.firstPrompt && int(n)+1 < g.q.n {
			return errs.Errorf("seqlens_k has %d, total_sequence_length is %d, the input %d long", n, g.total, g.q.n)
		}
	}
	if g.scale = op.Scale; g.scale == 0 {
		g.scale = 1 / math.Sqrt(float64(g.q.d))
	}
	return g.loadRest(c)
}

func (g *cached) loadRest(c *Call) error {
	floats := func(i int) ([]float64, error) {
		if c.NIn() <= i || c.In(i) == nil {
			return nil, nil
		}
		return c.In(i).Float64s()
	}
	var err error
	if g.cos, err = floats(7); err != nil {
		return err
	}
	if g.sin, err = floats(8); err != nil {
		return err
	}
	if g.bias, err = floats(10); err != nil {
		return err
	}
	if g.sink, err = floats(11); err != nil {
		return err
	}
	if g.sink != nil && len(g.sink) != g.op.NumHeads {
		return errs.Errorf("head_sink has %d numbers for %d heads", len(g.sink), g.op.NumHeads)
	}
	if g.cos != nil {
		if c.In(7).Rank() != 2 || len(g.cos) != len(g.sin) || 2*c.In(7).Dim(1) > g.q.d {
			return errs.Errorf("caches of %v and %v for heads of %d", c.In(7).Shape(), c.In(8).Shape(), g.q.d)
		}
		g.places, g.half = c.In(7).Dim(0), c.In(7).Dim(1)
	}
	if c.NIn() > 9 && c.In(9) != nil {
		if g.ids, err = c.In(9).Int64s(); err != nil {
			return err
		}
		if len(g.ids) != g.q.b*g.q.n && !(g.firstPrompt && len(g.ids) > 0) {
			return errs.Errorf("position_ids are %v", c.In(9).Shape())
		}
	}
	if g.bias != nil {
		s := c.In(10).Shape()
		if len(s) != 4 || s[0] != 1 && s[0] != g.q.b || s[1] != 1 && s[1] != g.q.h || s[2] != g.q.n || s[3] < g.total {
			return errs.Errorf("attention_bias is %v for %d heads, %d queries and %d keys", s, g.q.h, g.q.n, g.total)
		}
		g.biasShape = s
	}
	return nil
}

// part is count heads of x from first on.
func (x heads) part(first, count int) heads {
	y := heads{x.b, count, x.n, x.d, make([]float64, x.b*count*x.n*x.d)}
	for b := range x.b {
		copy(y.v[b*count*x.n*x.d:][:count*x.n*x.d], x.v[(b*x.h+first)*x.n*x.d:])
	}
	return y
}

// past is how many keys of the cache come before the input's own.
func (g *cached) past(b int) int {
	if g.firstPrompt {
		return 0
	}
	return int(g.lengths[b]) - g.q.n
}

func (g *cached) rotate() error {
	for b := range g.q.b {
		for i := range g.q.n {
			at := g.past(b) + i
			switch {
			case g.ids != nil && g.firstPrompt: // the first position counts, the others follow it
				at = int(g.ids[0]) + i
			case g.ids != nil:
				at = int(g.ids[b*g.q.n+i])
			}
			if at < 0 || at >= g.places {
				return errs.Errorf("position %d of %d", at, g.places)
			}
			cos, sin := g.cos[at*g.half:][:g.half], g.sin[at*g.half:][:g.half]
			for h := range g.q.h {
				rotate(g.q.row(b, h, i), cos, sin, g.op.RotaryInterleaved)
			}
			for h := range g.k.h {
				rotate(g.k.row(b, h, i), cos, sin, g.op.RotaryInterleaved)
			}
		}
	}
	return nil
}

// present is the cache with the input's own behind what is past.
func (g *cached) present(x heads, past *tensor.Tensor) (heads, error) {
	n := g.total
	var p heads
	if past != nil {
		var err error
		if p, err = asHeads(past, 0); err != nil {
			return p, err
		}
		if p.b != x.b || p.h != x.h || p.d != x.d {
			return p, errs.Errorf("a past of %v does not fit", past.Shape())
		}
		n = max(n, p.n)
	}
	y := heads{x.b, x.h, n, x.d, make([]float64, x.b*x.h*n*x.d)}
	for b := range x.b {
		before := g.past(b)
		if before > p.n {
			return y, errs.Errorf("%d keys are past, the cache has %d", before, p.n)
		}
		for h := range x.h {
			to := y.v[(b*x.h+h)*n*x.d:][:n*x.d]
			copy(to, p.v[min((b*x.h+h)*p.n*x.d, len(p.v)):][:before*x.d])
			copy(to[before*x.d:], x.v[(b*x.h+h)*x.n*x.d:][:x.n*x.d])
		}
	}
	return y, nil
}

// attend computes one row of the result.
func (g *cached) attend(out []float64, k, v heads, b, h, i int) {
	end := int(g.lengths[b])
	if g.op.Causal {
		end = min(end, g.past(b)+i+1)
	}
	begin := 0
	if w := g.op.LocalWindowSize; w >= 0 && g.op.Causal {
		begin = max(end-w, 0)
	}
	kh := h / (g.q.h / k.h)
	scores, top := make([]float64, end-begin), math.Inf(-1)
	for j := range scores {
		s := dot(g.q.row(b, h, i), k.row(b, kh, begin+j)) * g.scale
		if c := g.op.Softcap; c > 0 {
			s = c * math.Tanh(s/c)
		}
		if g.bias != nil {
			n := g.biasShape
			s += g.bias[((b%n[0]*n[1]+h%n[1])*n[2]+i)*n[3]+begin+j]
		}
		scores[j], top = s, math.Max(top, s)
	}
	sum := 0.0
	switch {
	case g.sink != nil:
		top = math.Max(top, g.sink[h])
		sum = math.Exp(g.sink[h] - top)
	case g.op.SmoothSoftmax:
		top = math.Max(top, 0)
		sum = math.Exp(-top)
	}
	for j, s := range scores {
		scores[j] = math.Exp(s - top)
		sum += scores[j]
	}
	for j, p := range scores {
		for e, x := range v.row(b, kh, begin+j) {
			out[e] += p / sum * x
		}
	}
}
