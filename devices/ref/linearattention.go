package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// linearAttention runs the recurrence token by token, in float64.
func linearAttention(op ops.LinearAttention, c *Call) error {
	q, k, v, err := threeHeads(c, op.QNumHeads, op.KVNumHeads)
	if err != nil {
		return err
	}
	var decay, beta heads
	if t := c.In(4); t != nil {
		if t.Dim(2) != k.h && t.Dim(2) != k.h*k.d {
			return errs.Errorf("decay is %v for %d heads of %d", t.Shape(), k.h, k.d)
		}
		if decay, err = asHeads(t, k.h); err != nil {
			return err
		}
	}
	if t := c.In(5); t != nil {
		if t.Dim(2) != k.h && t.Dim(2) != 1 {
			return errs.Errorf("beta is %v for %d heads", t.Shape(), k.h)
		}
		if beta, err = asHeads(t, t.Dim(2)); err != nil {
			return err
		}
	}
	state := make([]float64, k.b*k.h*k.d*v.d)
	if t := c.In(3); t != nil {
		if state, err = t.Float64s(); err != nil {
			return err
		}
		if len(state) != k.b*k.h*k.d*v.d {
			return errs.Errorf("past_state is %v, not [%d %d %d %d]", t.Shape(), k.b, k.h, k.d, v.d)
		}
	}
	scale := op.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(k.d))
	}
	y := heads{q.b, q.h, q.n, v.d, make([]float64, q.b*q.h*q.n*v.d)}
	for b := range q.b {
		for h := range k.h {
			s := state[(b*k.h+h)*k.d*v.d:][:k.d*v.d]
			for i := range q.n {
				updateState(s, k.row(b, h, i), v.row(b, h, i), decay, beta, b, h, i)
				for g := range q.h / k.h {
					hq := h*(q.h/k.h) + g
					readState(y.row(b, hq, i), s, q.row(b, hq, i), scale)
				}
			}
		}
	}
	if err := c.Out(0).SetFloat64s(y.packed()); err != nil {
		return err
	}
	return c.Out(1).SetFloat64s(state)
}

// updateState decays the state, corrects the value by what the state already holds for the key, and adds
// their outer product.
func updateState(s, k, v []float64, decay, beta heads, b, h, i int) {
	dv := len(v)
	if decay.v != nil {
		g := decay.row(b, h, i)
		for d := range k {
			f := math.Exp(g[min(d, len(g)-1)])
			for m := range dv {
				s[d*dv+m] *= f
			}
		}
	}
	if beta.v != nil {
		rate := beta.row(b, min(h, beta.h-1), i)[0]
		fixed := make([]float64, dv)
		for m := range dv {
			held := 0.0
			for d, x := range k {
				held += s[d*dv+m] * x
			}
			fixed[m] = rate * (v[m] - held)
		}
		v = fixed
	}
	for d, x := range k {
		for m, w := range v {
			s[d*dv+m] += x * w
		}
	}
}

func readState(out, s, q []float64, scale float64) {
	for d, x := range q {
		for m := range out {
			out[m] += scale * x * s[d*len(out)+m]
		}
	}
}

func prepareFlexAttention(op ops.FlexAttention, r devices.Request) (devices.Step, error) {
	var score, prob devices.Runner
	var err error
	if op.ScoreMod != nil {
		if score, err = r.Sub(op.ScoreMod); err != nil {
			return nil, err
		}
	}
	if op.ProbMod != nil {
		if prob, err = r.Sub(op.ProbMod); err != nil {
			return nil, err
		}
	}
	return callStep{req: r, f: func(c *Call) error { return flexAttention(op, score, prob, c) }}, nil
}

func flexAttention(op ops.FlexAttention, score, prob devices.Runner, c *Call) error {
	q, err := asHeads(c.In(0), 0)
	if err != nil {
		return err
	}
	k, err := asHeads(c.In(1), 0)
	if err != nil {
		return err
	}
	v, err := asHeads(c.In(2), 0)
	if err != nil {
		return err
	}
	dt := c.In(0).DType()
	precision := op.Precision(dt)
	scores, err := attentionScores(q, k, op.Scale, dt)
	if err != nil {
		return err
	}
	shape := []int{q.b, q.h, q.n, k.n}
	captured := c.Args.In[3:]
	n := min(op.NumScore, len(captured))
	if scores, err = modify(c, score, scores, precision, shape, captured[:n]); err != nil {
		return err
	}
	for r := 0; r < len(scores); r += max(k.n, 1) {
		softmaxRow(scores[r:][:k.n], make([]float64, k.n))
	}
	if scores, err = modify(c, prob, scores, precision, shape, captured[n:]); err != nil {
		return err
	}
	return c.Out(0).SetFloat64s(weighted(scores, q, v).v)
}

// modify passes numbers, in type dt, through a graph.
func modify(c *Call, g devices.Runner, v []float64, dt tensor.DType, shape []int, captured []tensor.Value) ([]float64, error) {
	if g == nil {
		return rounded(dt, v)
	}
	t := tensor.New(dt, shape...)
	if err := t.SetFloat64s(v); err != nil {
		return nil, err
	}
	out, err := g.Run(c.Ctx, append([]tensor.Value{t}, captured...))
	if err != nil {
		return nil, err
	}
	y, ok := out[0].(*tensor.Tensor)
	if !ok || y.Len() != len(v) {
		return nil, errs.Errorf("the graph does not keep the shape %v", shape)
	}
	return y.Float64s()
}
