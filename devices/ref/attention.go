package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func attentionKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(attention),
		fn(rotaryEmbedding),
		fn(linearAttention),
		fn(causalConvWithState),
		new(devices.For("ref/FlexAttention", nil, prepareFlexAttention)),
	}
}

// heads is a tensor seen as (batch, heads, length, size).
type heads struct {
	b, h, n, d int
	v          []float64
}

func (x heads) row(b, h, i int) []float64 { return x.v[((b*x.h+h)*x.n+i)*x.d:][:x.d] }

// asHeads reads a rank-4 tensor, or unpacks a rank-3 one into n heads.
func asHeads(t *tensor.Tensor, n int) (heads, error) {
	v, err := t.Float64s()
	if err != nil {
		return heads{}, err
	}
	s := t.Shape()
	if len(s) == 4 {
		return heads{s[0], s[1], s[2], s[3], v}, nil
	}
	if len(s) != 3 || n <= 0 || s[2]%n != 0 {
		return heads{}, errs.Errorf("%v does not split into %d heads", s, n)
	}
	x := heads{b: s[0], h: n, n: s[1], d: s[2] / n, v: make([]float64, len(v))}
	for b := range x.b {
		for i := range x.n {
			for h := range n {
				copy(x.row(b, h, i), v[((b*x.n+i)*n+h)*x.d:][:x.d])
			}
		}
	}
	return x, nil
}

// packed undoes asHeads for rank 3.
func (x heads) packed() []float64 {
	out := make([]float64, len(x.v))
	for b := range x.b {
		for h := range x.h {
			for i := range x.n {
				copy(out[((b*x.n+i)*x.h+h)*x.d:][:x.d], x.row(b, h, i))
			}
		}
	}
	return out
}

// after is past followed by x along the length.
func (x heads) after(past *tensor.Tensor) (heads, error) {
	if past == nil {
		return x, nil
	}
	p, err := asHeads(past, 0)
	if err != nil {
		return x, err
	}
	if p.b != x.b || p.h != x.h || p.d != x.d {
		return x, errs.Errorf("a past of %v does not fit", past.Shape())
	}
	y := heads{x.b, x.h, p.n + x.n, x.d, make([]float64, x.b*x.h*(p.n+x.n)*x.d)}
	for b := range x.b {
		for h := range x.h {
			copy(y.v[(b*y.h+h)*y.n*y.d:], p.v[(b*p.h+h)*p.n*p.d:][:p.n*p.d])
			copy(y.v[((b*y.h+h)*y.n+p.n)*y.d:], x.v[(b*x.h+h)*x.n*x.d:][:x.n*x.d])
		}
	}
	return y, nil
}

// rounded rounds in place to what dt holds, as a computation in that type would after each step.
func rounded(dt tensor.DType, v []float64) ([]float64, error) {
	if dt == tensor.Float32 { // the oracle keeps more precision than float32 where that is no type of its own
		return v, nil
	}
	return roundTo(dt, v)
}

// threeHeads is queries, keys and values.
func threeHeads(c *Call, queries, keys int) (q, k, v heads, err error) {
	if q, err = asHeads(c.In(0), queries); err != nil {
		return
	}
	if k, err = asHeads(c.In(1), keys); err != nil {
		return
	}
	v, err = asHeads(c.In(2), keys)
	return
}

func attention(op ops.Attention, c *Call) error {
	q, k, v, err := threeHeads(c, op.QNumHeads, op.KVNumHeads)
	if err != nil {
		return err
	}
	past := 0
	if p := c.In(4); p != nil {
		past = p.Dim(2)
	}
	if k, err = k.after(c.In(4)); err != nil {
		return err
	}
	if v, err = v.after(c.In(5)); err != nil {
		return err
	}
	if k.h == 0 || q.h%k.h != 0 {
		return errs.Errorf("%d query heads over %d key heads", q.h, k.h)
	}
	dt := c.In(0).DType()
	scores, err := attentionScores(q, k, op.Scale, dt)
	if err != nil {
		return err
	}
	raw := append([]float64{}, scores...)
	if op.Softcap > 0 {
		for i, s := range scores {
			scores[i] = op.Softcap * math.Tanh(s/op.Softcap)
		}
		if op.QKMatmulOutputMode != 0 {
			copy(raw, scores)
		}
	}
	bias, err := attentionBias(op, c, q, k, past)
	if err != nil {
		return err
	}
	for i := range scores {
		scores[i] += bias[i]
	}
	if op.QKMatmulOutputMode == 2 {
		copy(raw, scores)
	}
	precision := op.SoftmaxPrecision
	if !precision.Valid() {
		precision = dt
	}
	if scores, err = rounded(precision, scores); err != nil {
		return err
	}
	for r := 0; r < len(scores); r += max(k.n, 1) {
		softmaxRow(scores[r:][:k.n], bias[r:][:k.n])
	}
	if scores, err = rounded(precision, scores); err != nil {
		return err
	}
	if op.QKMatmulOutputMode == 3 {
		copy(raw, scores)
	}
	return setAttention(c, weighted(scores, q, v), k, v, raw)
}

// attentionScores is Q K^T, both scaled by the root of scale first.
func attentionScores(q, k heads, scale float64, dt tensor.DType) ([]float64, error) {
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(q.d))
	}
	root := math.Sqrt(scale)
	scaled := func(v []float64) ([]float64, error) {
		out := make([]float64, len(v))
		for i, x := range v {
			out[i] = x * root
		}
		return rounded(dt, out)
	}
	var err error
	if q.v, err = scaled(q.v); err != nil {
		return nil, err
	}
	if k.v, err = scaled(k.v); err != nil {
		return nil, err
	}
	out := make([]float64, q.b*q.h*q.n*k.n)
	group := q.h / k.h
	for b := range q.b {
		for h := range q.h {
			for i := range q.n {
				row := out[((b*q.h+h)*q.n+i)*k.n:][:k.n]
				for j := range row {
					row[j] = dot(q.row(b, h, i), k.row(b, h/group, j))
				}
			}
		}
	}
	return rounded(dt, out)
}

// attentionBias is what mask, causality, window and padding add to each score: 0, -inf, or the mask's own.
func attentionBias(op ops.Attention, c *Call, q, k heads, past int) ([]float64, error) {
	bias := make([]float64, q.b*q.h*q.n*k.n)
	if m := c.In(3); m != nil {
		if err := addMask(bias, m, []int{q.b, q.h, q.n, k.n}); err != nil {
			return nil, err
		}
	}
	var valid []int64
	if t := c.In(6); t != nil {
		v, err := t.Int64s()
		if err != nil || len(v) != q.b {
			return nil, errs.Errorf("nonpad_kv_seqlen is %v%v for a batch of %d", t.DType(), t.Shape(), q.b)
		}
		valid = v
	}
	for b := range q.b {
		offset := past
		if valid != nil {
			offset = int(valid[b]) - q.n
		}
		for h := range q.h {
			for i := range q.n {
				row := bias[((b*q.h+h)*q.n+i)*k.n:][:k.n]
				for j := range row {
					p := i + offset
					if op.IsCausal && j > p || op.LeftWindowSize >= 0 && j < p-op.LeftWindowSize ||
						op.RightWindowSize >= 0 && j > p+op.RightWindowSize || valid != nil && j >= int(valid[b]) {
						row[j] = math.Inf(-1)
					}
				}
			}
		}
	}
	return bias, nil
}

// addMask adds a mask, broadcast to shape; a last dimension that is short counts as masked behind its end.
func addMask(bias []float64, m *tensor.Tensor, shape []int) error {
	v, err := m.Float64s()
	if err != nil {
		return err
	}
	if m.DType() == tensor.Bool {
		for i, x := range v {
			v[i] = 0
			if x == 0 {
				v[i] = math.Inf(-1)
			}
		}
	}
	ms := m.Shape()
	last := shape[3]
	if len(ms) > 0 && ms[len(ms)-1] != 1 {
		last = ms[len(ms)-1]
	}
	if last > shape[3] || len(ms) > 4 {
		return errs.Errorf("a mask of %v for scores of %v", ms, shape)
	}
	for i, d := range ms[:max(len(ms)-1, 0)] {
		if want := shape[4-len(ms)+i]; d != 1 && d != want {
			return errs.Errorf("a mask of %v for scores of %v", ms, shape)
		}
	}
	inner := append(append([]int{}, shape[:3]...), last)
	walk(inner, [][]int{broadcastStrides(ms, inner)}, func(i int, off []int) {
		bias[i/max(last, 1)*shape[3]+i%max(last, 1)] += v[off[0]]
	})
	if last < shape[3] {
		for r := 0; r < len(bias); r += shape[3] {
			for j := last; j < shape[3]; j++ {
				bias[r+j] = math.Inf(-1)
			}
		}
	}
	return nil
}

// softmaxRow is the softmax in place; a row that the bias masks wholly becomes zeros.
func softmaxRow(s, bias []float64) {
	masked := true
	for _, b := range bias {
		masked = masked && math.IsInf(b, -1)
	}
	if masked {
		clear(s)
		return
	}
	top, sum := math.Inf(-1), 0.0
	for i, v := range s {
		if !math.IsInf(bias[i], -1) {
			top = math.Max(top, v)
		}
	}
	for i, v := range s {
		if s[i] = math.Exp(v - top); math.IsInf(bias[i], -1) {
			s[i] = 0 // also where the score itself was infinite or no number
		}
		sum += s[i]
	}
	for i := range s {
		s[i] /= sum
	}
}

// weighted is probabilities times V.
func weighted(p []float64, q, v heads) heads {
	y := heads{q.b, q.h, q.n, v.d, make([]float64, q.b*q.h*q.n*v.d)}
	group := q.h / v.h
	for b := range q.b {
		for h := range q.h {
			for i := range q.n {
				out := y.row(b, h, i)
				for j, w := range p[((b*q.h+h)*q.n+i)*v.n:][:v.n] {
					if w == 0 {
						continue
					}
					for e, x := range v.row(b, h/group, j) {
						out[e] += w * x
					}
				}
			}
		}
	}
	return y
}

func setAttention(c *Call, y, k, v heads, raw []float64) error {
	out := y.v
	if c.In(0).Rank() == 3 {
		out = y.packed()
	}
	for i, x := range [][]float64{out, k.v, v.v, raw}[:min(c.NOut(), 4)] {
		if err := c.Out(i).SetFloat64s(x); err != nil {
			return err
		}
	}
	return nil
}

func rotaryEmbedding(op ops.RotaryEmbedding, c *Call) error {
	x, err := asHeads(c.In(0), op.NumHeads)
	if err != nil {
		return err
	}
	cos, err := c.In(1).Float64s()
	if err != nil {
		return err
	}
	sin, err := c.In(2).Float64s()
	if err != nil {
		return err
	}
	dim := op.RotaryEmbeddingDim
	if dim == 0 {
		dim = x.d
	}
	half := dim / 2
	if dim < 0 || dim%2 != 0 || c.In(1).Rank() == 0 || c.In(2).Rank() == 0 || len(cos) != len(sin) {
		return errs.Errorf("caches of %v and %v for %d rotated elements", c.In(1).Shape(), c.In(2).Shape(), dim)
	}
	if c.In(1).Dim(-1) != half || c.In(2).Dim(-1) != half || dim > x.d {
		return errs.Errorf("caches of %v and %v for %d rotated elements", c.In(1).Shape(), c.In(2).Shape(), dim)
	}
	at := func(b, i int) int { return b*x.n + i }
	if (c.NIn() <= 3 || c.In(3) == nil) && len(cos) < x.b*x.n*half {
		return errs.Errorf("caches of %v for %d positions of %d rows", c.In(1).Shape(), x.n, x.b)
	}
	if c.NIn() > 3 && c.In(3) != nil {
		ids, err := c.In(3).Int64s()
		if err != nil {
			return err
		}
		if len(ids) != x.b*x.n {
			return errs.Errorf("position_ids are %v for %d positions of %d rows", c.In(3).Shape(), x.n, x.b)
		}
		for _, p := range ids {
			if p < 0 || int(p) >= c.In(1).Dim(0) {
				return errs.Errorf("position %d of %d", p, c.In(1).Dim(0))
			}
		}
		at = func(b, i int) int { return int(ids[b*x.n+i]) }
	}
	for b := range x.b {
		for i := range x.n {
			cs, sn := cos[at(b, i)*half:][:half], sin[at(b, i)*half:][:half]
			for h := range x.h {
				rotate(x.row(b, h, i), cs, sn, op.Interleaved)
			}
		}
	}
	if c.In(0).Rank() == 3 {
		x.v = x.packed()
	}
	return c.Out(0).SetFloat64s(x.v)
}

// rotate turns pairs of r's elements: neighbours where interleaved, else one of each half.
func rotate(r, cos, sin []float64, interleaved bool) {
	half := len(cos)
	for k := range half {
		i, j := k, half+k
		if interleaved {
			i, j = 2*k, 2*k+1
		}
		a, b := r[i], r[j]
		r[i], r[j] = cos[k]*a-sin[k]*b, sin[k]*a+cos[k]*b
	}
}

func causalConvWithState(op ops.CausalConvWithState, c *Call) error {
	x, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	w, err := c.In(1).Float64s()
	if err != nil {
		return err
	}
	s := c.In(0).Shape()
	k, n := c.In(1).Dim(2), s[2]
	var bias, past []float64
	if t := c.In(2); t != nil {
		if bias, err = t.Float64s(); err != nil {
			return err
		}
	}
	if t := c.In(3); t != nil {
		if past, err = t.Float64s(); err != nil {
			return err
		}
		if len(past) != s[0]*s[1]*(k-1) {
			return errs.Errorf("past_state is %v for %d channels and a kernel of %d", t.Shape(), s[1], k)
		}
	}
	y, state := make([]float64, len(x)), make([]float64, s[0]*s[1]*(k-1))
	for r := range s[0] * s[1] {
		ch := r % s[1]
		line := make([]float64, k-1+n)
		if past != nil {
			copy(line, past[r*(k-1):][:k-1])
		}
		copy(line[k-1:], x[r*n:][:n])
		for i := range n {
			v := dot(w[ch*k:][:k], line[i:])
			if bias != nil {
				v += bias[ch]
			}
			y[r*n+i] = v
		}
		copy(state[r*(k-1):], line[n:])
	}
	if y, err = rounded(c.In(0).DType(), y); err != nil {
		return err
	}
	if op.Activation == "silu" || op.Activation == "swish" {
		for i, v := range y {
			y[i] = v / (1 + math.Exp(-v))
		}
	}
	if err := c.Out(0).SetFloat64s(y); err != nil {
		return err
	}
	return c.Out(1).SetFloat64s(state)
}
