package ref

import (
	"math"
	"strings"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func recurrentKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(op ops.RNN, c *Call) error { return runRecurrent(rnnSpec(op), c, 2) }),
		fn(func(op ops.GRU, c *Call) error { return runRecurrent(gruSpec(op), c, 2) }),
		fn(func(op ops.LSTM, c *Call) error { return runRecurrent(lstmSpec(op), c, 3) }),
		fn(func(op ops.RNNGrad, c *Call) error { return runRecurrentGrad(rnnSpec(op.Of), c, false) }),
		fn(func(op ops.GRUGrad, c *Call) error { return runRecurrentGrad(gruSpec(op.Of), c, false) }),
		fn(func(op ops.LSTMGrad, c *Call) error { return runRecurrentGrad(lstmSpec(op.Of), c, false) }),
		fn(func(op ops.LSTMTrain, c *Call) error { return runRecurrentTrain(lstmSpec(op.Of), c) }),
		fn(func(op ops.GRUTrain, c *Call) error { return runRecurrentTrain(gruSpec(op.Of), c) }),
		fn(func(op ops.LSTMTrainGrad, c *Call) error { return runRecurrentGrad(lstmSpec(op.Of), c, true) }),
		fn(func(op ops.GRUTrainGrad, c *Call) error { return runRecurrentGrad(gruSpec(op.Of), c, true) }),
	}
}

// recurrentSpec is a recurrent operator's attributes in one form.
type recurrentSpec struct {
	gates       int
	lstm        bool
	direction   string
	layout      int
	clip        float64
	inputForget bool
	linear      bool // GRU's linear_before_reset
	acts        []boundActivation
	perDir      int
}

// boundActivation is an activation with its parameters.
type boundActivation struct {
	ops.CellActivation
}

func (a boundActivation) f(x float64) float64    { return a.F(x, a.Alpha, a.Beta) }
func (a boundActivation) d(x, y float64) float64 { return a.D(x, y, a.Alpha, a.Beta) }

func rnnSpec(o ops.RNN) recurrentSpec {
	return recurrentSpec{gates: 1, direction: o.Direction, layout: o.Layout, clip: o.Clip, perDir: 1,
		acts: activations(o.Activations, o.ActivationAlpha, o.ActivationBeta, o.Direction, "Tanh")}
}

func gruSpec(o ops.GRU) recurrentSpec {
	return recurrentSpec{gates: 3, direction: o.Direction, layout: o.Layout, clip: o.Clip, linear: o.LinearBeforeReset, perDir: 2,
		acts: activations(o.Activations, o.ActivationAlpha, o.ActivationBeta, o.Direction, "Sigmoid", "Tanh")}
}

func lstmSpec(o ops.LSTM) recurrentSpec {
	return recurrentSpec{gates: 4, lstm: true, direction: o.Direction, layout: o.Layout, clip: o.Clip, inputForget: o.InputForget,
		perDir: 3, acts: activations(o.Activations, o.ActivationAlpha, o.ActivationBeta, o.Direction, "Sigmoid", "Tanh", "Tanh")}
}

// activations binds names to functions. Alphas and betas go, in order, to the activations that have such
// a parameter, as the ONNX reference does.
func activations(names []string, alpha, beta []float64, direction string, defaults ...string) []boundActivation {
	if len(names) == 0 {
		for range ops.Directions(direction) {
			names = append(names, defaults...)
		}
	}
	out := make([]boundActivation, len(names))
	for i, n := range names {
		a, _ := ops.LookupActivation(n)
		switch strings.ToLower(n) {
		case "affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu":
			if len(alpha) > 0 {
				a.Alpha, alpha = alpha[0], alpha[1:]
			}
		}
		switch strings.ToLower(n) {
		case "affine", "scaledtanh", "hardsigmoid":
			if len(beta) > 0 {
				a.Beta, beta = beta[0], beta[1:]
			}
		}
		out[i] = boundActivation{a}
	}
	return out
}

// recurrence is one direction of a layer at work, all in float64 and with the time first.
type recurrence struct {
	recurrentSpec
	T, N, I, H   int
	x            []float64 // [T,N,I]
	w, r         []float64 // [G*H,I], [G*H,H]
	wb, rb       []float64 // [G*H]
	p            []float64 // [3H] or nil
	h0, c0       []float64 // [N,H]
	lens         []int64
	act          []boundActivation
	reverse      bool
	pre, post    []float64 // [T,N,G*H]: clipped arguments and values of the gates
	rec          []float64 // GRU with linear: H_{t-1} Rh + Rbh, [T,N,H]
	hPrev, cPrev []float64 // [T,N,H]
	cNew         []float64 // [T,N,H]
	hEnd, cEnd   []float64 // [N,H]
	y            []float64 // [T,N,H]
	dx, dw, dr   []float64
	dwb, drb, dp []float64
	dh, dc       []float64 // [N,H]: running, then those of the initial states
	dpre, drec   []float64 // [T,N,G*H]: at the gates' arguments, and at their recurrent parts
}

// times is the order in which steps run.
func (q *recurrence) times(backward bool) func(k int) int {
	if q.reverse != backward {
		return func(k int) int { return q.T - 1 - k }
	}
	return func(k int) int { return k }
}

func (q *recurrence) forward() {
	gh := q.gates * q.H
	q.pre, q.post = make([]float64, q.T*q.N*gh), make([]float64, q.T*q.N*gh)
	q.hPrev, q.cPrev, q.cNew = make([]float64, q.T*q.N*q.H), make([]float64, q.T*q.N*q.H), make([]float64, q.T*q.N*q.H)
	q.y, q.rec = make([]float64, q.T*q.N*q.H), make([]float64, q.T*q.N*q.H)
	q.hEnd, q.cEnd = append([]float64{}, q.h0...), append([]float64{}, q.c0...)
	at := q.times(false)
	for k := range q.T {
		t := at(k)
		for n := range q.N {
			if int64(t) >= q.lens[n] {
				continue
			}
			q.stepForward(t, n)
		}
	}
}

func (q *recurrence) clipped(v float64) float64 {
	if q.clip > 0 {
		return math.Min(math.Max(v, -q.clip), q.clip)
	}
	return v
}

// stepForward is one time step of one row.
func (q *recurrence) stepForward(t, n int) {
	H, row := q.H, t*q.N+n
	pre, post := q.pre[row*q.gates*H:][:q.gates*H], q.post[row*q.gates*H:][:q.gates*H]
	h, c := q.hEnd[n*H:][:H], q.cEnd[n*H:][:H]
	copy(q.hPrev[row*H:], h)
	copy(q.cPrev[row*H:], c)
	x := q.x[row*q.I:][:q.I]
	for g := range pre {
		pre[g] = q.wb[g] + dot(q.w[g*q.I:][:q.I], x)
	}
	hp := q.hPrev[row*H:][:H]
	switch {
	case q.lstm:
		q.lstmStep(row, pre, post, hp, c)
	case q.gates == 3:
		q.gruStep(row, pre, post, hp)
	default:
		for i := range pre {
			pre[i] = q.clipped(pre[i] + q.rb[i] + dot(q.r[i*H:][:H], hp))
			post[i] = q.act[0].f(pre[i])
		}
		copy(h, post)
	}
	copy(q.y[row*H:], h)
}

func (q *recurrence) lstmStep(row int, pre, post, hp, c []float64) {
	H, n := q.H, row%q.N
	for g := range pre {
		pre[g] += q.rb[g] + dot(q.r[g*H:][:H], hp)
	}
	h := q.hEnd[n*H:][:H]
	for j := range H {
		i, o, f, g := j, H+j, 2*H+j, 3*H+j
		old := c[j]
		if q.p != nil {
			pre[i] += q.p[j] * old
			pre[f] += q.p[2*H+j] * old
		}
		pre[i] = q.clipped(pre[i])
		post[i] = q.act[0].f(pre[i])
		if q.inputForget {
			post[f] = 1 - post[i]
		} else {
			pre[f] = q.clipped(pre[f])
			post[f] = q.act[0].f(pre[f])
		}
		pre[g] = q.clipped(pre[g])
		post[g] = q.act[1].f(pre[g])
		c[j] = post[f]*old + post[i]*post[g]
		q.cNew[row*H+j] = c[j]
		if q.p != nil {
			pre[o] += q.p[H+j] * c[j]
		}
		pre[o] = q.clipped(pre[o])
		post[o] = q.act[0].f(pre[o])
		h[j] = post[o] * q.act[2].f(c[j])
	}
}

func (q *recurrence) gruStep(row int, pre, post, hp []float64) {
	H, n := q.H, row%q.N
	for g := range 2 * H {
		pre[g] = q.clipped(pre[g] + q.rb[g] + dot(q.r[g*H:][:H], hp))
		post[g] = q.act[0].f(pre[g])
	}
	rh := make([]float64, H)
	for j := range H {
		rh[j] = post[H+j] * hp[j]
	}
	h := q.hEnd[n*H:][:H]
	for j := range H {
		g := 2*H + j
		if q.linear {
			q.rec[row*H+j] = q.rb[g] + dot(q.r[g*H:][:H], hp)
			pre[g] += post[H+j] * q.rec[row*H+j]
		} else {
			pre[g] += q.rb[g] + dot(q.r[g*H:][:H], rh)
		}
		pre[g] = q.clipped(pre[g])
		post[g] = q.act[1].f(pre[g])
		h[j] = (1-post[j])*post[g] + post[j]*hp[j]
	}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// load fills a recurrence for direction d from the operator's inputs.
func (s recurrentSpec) load(c *Call, d int) (*recurrence, error) {
	x, w, r := c.In(0), c.In(1), c.In(2)
	q := &recurrence{recurrentSpec: s, I: x.Dim(2), H: r.Dim(2), T: x.Dim(s.layout), N: x.Dim(1 - s.layout)}
	q.reverse = s.direction == "reverse" || d == 1
	q.act = s.acts[d*s.perDir:][:s.perDir]
	xs, err := x.Float64s()
	if err != nil {
		return nil, err
	}
	q.x = timeFirst(xs, s.layout, q.N, q.T, q.I)
	gh := s.gates * q.H
	if q.w, err = part(w, d, gh*q.I); err != nil {
		return nil, err
	}
	if q.r, err = part(r, d, gh*q.H); err != nil {
		return nil, err
	}
	q.wb, q.rb = make([]float64, gh), make([]float64, gh)
	if b := c.In(3); b != nil {
		v, err := part(b, d, 2*gh)
		if err != nil {
			return nil, errs.Errorf("B: %w", err)
		}
		q.wb, q.rb = v[:gh], v[gh:]
	}
	if err := q.loadLens(c.In(4)); err != nil {
		return nil, err
	}
	if q.h0, err = q.state(c.In(5), d); err != nil {
		return nil, errs.Errorf("initial_h: %w", err)
	}
	q.c0 = make([]float64, q.N*q.H)
	if s.lstm {
		if q.c0, err = q.state(c.In(6), d); err != nil {
			return nil, errs.Errorf("initial_c: %w", err)
		}
		if p := c.In(7); p != nil {
			if q.p, err = part(p, d, 3*q.H); err != nil {
				return nil, errs.Errorf("P: %w", err)
			}
		}
	}
	return q, nil
}

func (q *recurrence) loadLens(t *tensor.Tensor) error {
	q.lens = make([]int64, q.N)
	for n := range q.lens {
		q.lens[n] = int64(q.T)
	}
	if t == nil {
		return nil
	}
	v, err := t.Int64s()
	if err != nil {
		return err
	}
	if len(v) != q.N {
		return errs.Errorf("sequence_lens has %d lengths for a batch of %d", len(v), q.N)
	}
	for _, l := range v {
		if l < 0 || l > int64(q.T) {
			return errs.Errorf("sequence_lens: %d steps of %d", l, q.T)
		}
	}
	copy(q.lens, v)
	return nil
}

// state is direction d of an initial state as [N,H]; zeros where omitted.
func (q *recurrence) state(t *tensor.Tensor, d int) ([]float64, error) {
	out := make([]float64, q.N*q.H)
	if t == nil {
		return out, nil
	}
	v, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	dirs := ops.Directions(q.direction)
	if len(v) != dirs*len(out) {
		return nil, errs.Errorf("%v for %d directions, a batch of %d and %d units", t.Shape(), dirs, q.N, q.H)
	}
	for n := range q.N {
		copy(out[n*q.H:][:q.H], v[q.stateAt(d, n)*q.H:])
	}
	return out, nil
}

// stateAt is the row of [D,N,H] or, with layout 1, [N,D,H].
func (q *recurrence) stateAt(d, n int) int {
	if q.layout == 1 {
		return n*ops.Directions(q.direction) + d
	}
	return d*q.N + n
}

// part is direction d of a weight, size elements.
func part(t *tensor.Tensor, d, size int) ([]float64, error) {
	v, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	if len(v) < (d+1)*size {
		return nil, errs.Errorf("%v has fewer than %d elements a direction", t.Shape(), size)
	}
	return v[d*size:][:size], nil
}

// timeFirst swaps the first two axes of [N,T,rest] where layout is 1.
func timeFirst(v []float64, layout, n, t, rest int) []float64 {
	if layout == 0 {
		return v
	}
	out := make([]float64, len(v))
	for i := range n {
		for j := range t {
			copy(out[(j*n+i)*rest:][:rest], v[(i*t+j)*rest:])
		}
	}
	return out
}

// yAt is the row of Y [T,D,N,H] or, with layout 1, [N,T,D,H].
func (q *recurrence) yAt(t, d, n int) int {
	dirs := ops.Directions(q.direction)
	if q.layout == 1 {
		return (n*q.T+t)*dirs + d
	}
	return (t*dirs+d)*q.N + n
}

// runRecurrent fills the first outputs: Y and the final states.
func runRecurrent(s recurrentSpec, c *Call, outs int) error {
	dirs := ops.Directions(s.direction)
	var y, h, cc []float64
	for d := range dirs {
		q, err := s.load(c, d)
		if err != nil {
			return err
		}
		if d == 0 {
			y, h, cc = make([]float64, dirs*q.T*q.N*q.H), make([]float64, dirs*q.N*q.H), make([]float64, dirs*q.N*q.H)
		}
		q.forward()
		for t := range q.T {
			for n := range q.N {
				copy(y[q.yAt(t, d, n)*q.H:][:q.H], q.y[(t*q.N+n)*q.H:])
			}
		}
		for n := range q.N {
			copy(h[q.stateAt(d, n)*q.H:][:q.H], q.hEnd[n*q.H:])
			copy(cc[q.stateAt(d, n)*q.H:][:q.H], q.cEnd[n*q.H:])
		}
	}
	for i, v := range [][]float64{y, h, cc}[:min(outs, c.NOut())] {
		if err := c.Out(i).SetFloat64s(v); err != nil {
			return err
		}
	}
	return nil
}
