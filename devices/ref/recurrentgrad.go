package ref

import (
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// runRecurrentGrad runs each direction forward, keeping the gates (or takes them from inputs, if they were kept), and
// then backward.
func runRecurrentGrad(s recurrentSpec, c *Call, kept bool) error {
	dirs := ops.Directions(s.direction)
	nIn, nState := 6, 1
	if s.lstm {
		nIn, nState = 8, 2
	}
	first := nIn
	if kept {
		if err := checkTrain(s); err != nil {
			return err
		}
		nIn += 1 + nState
	}
	var dx []float64
	outs := make([][]float64, c.NOut())
	for d := range dirs {
		q, err := s.load(c, d)
		if err != nil {
			return err
		}
		if kept {
			err = q.restore(c, d, first)
		} else {
			q.forward()
		}
		if err != nil {
			return err
		}
		dy, err := q.loadGrads(c, d, nIn)
		if err != nil {
			return err
		}
		q.backward(dy)
		if d == 0 {
			dx = make([]float64, len(q.x))
			for i := range outs {
				outs[i] = make([]float64, c.Out(i).Len())
			}
		}
		for i, v := range q.dx {
			dx[i] += v
		}
		copy(outs[1][d*len(q.dw):], q.dw)
		copy(outs[2][d*len(q.dr):], q.dr)
		copy(outs[3][d*2*len(q.dwb):], append(q.dwb, q.drb...))
		for i, v := range [][]float64{q.dh, q.dc}[:nState] {
			for n := range q.N {
				copy(outs[4+i][q.stateAt(d, n)*q.H:][:q.H], v[n*q.H:])
			}
		}
		if s.lstm {
			copy(outs[6][d*3*q.H:], q.dp)
		}
		if kept {
			copy(outs[len(outs)-1][d*q.T*q.N*4*q.H:], q.argGrads())
		}
		outs[0] = batchFirst(dx, s.layout, q.N, q.T, q.I)
	}
	for i, v := range outs {
		if err := c.Out(i).SetFloat64s(v); err != nil {
			return err
		}
	}
	return nil
}

// batchFirst undoes timeFirst.
func batchFirst(v []float64, layout, n, t, rest int) []float64 {
	return timeFirst(v, layout, t, n, rest)
}

// loadGrads is dY of direction d as [T,N,H]; the final states' gradients start dh and dc.
func (q *recurrence) loadGrads(c *Call, d, at int) ([]float64, error) {
	dy := make([]float64, q.T*q.N*q.H)
	if t := c.In(at); t != nil {
		v, err := t.Float64s()
		if err != nil {
			return nil, err
		}
		if len(v) != ops.Directions(q.direction)*len(dy) {
			return nil, errs.Errorf("dY is %v for %d steps, a batch of %d and %d units", t.Shape(), q.T, q.N, q.H)
		}
		for t := range q.T {
			for n := range q.N {
				copy(dy[(t*q.N+n)*q.H:][:q.H], v[q.yAt(t, d, n)*q.H:])
			}
		}
	}
	var err error
	if q.dh, err = q.state(c.In(at+1), d); err != nil {
		return nil, errs.Errorf("dY_h: %w", err)
	}
	q.dc = make([]float64, q.N*q.H)
	if q.lstm {
		var t *tensor.Tensor = c.In(at + 2)
		if q.dc, err = q.state(t, d); err != nil {
			return nil, errs.Errorf("dY_c: %w", err)
		}
	}
	return dy, nil
}

func (q *recurrence) backward(dy []float64) {
	gh := q.gates * q.H
	q.dx = make([]float64, len(q.x))
	q.dw, q.dr = make([]float64, len(q.w)), make([]float64, len(q.r))
	q.dwb, q.drb, q.dp = make([]float64, gh), make([]float64, gh), make([]float64, 3*q.H)
	q.dpre, q.drec = make([]float64, q.T*q.N*gh), make([]float64, q.T*q.N*gh)
	at := q.times(true)
	for k := range q.T {
		t := at(k)
		for n := range q.N {
			if int64(t) >= q.lens[n] {
				continue
			}
			q.stepBackward(t*q.N+n, n, dy)
		}
	}
}

// stepBackward takes the gradient of one row's step through the gates to x, h and the weights.
func (q *recurrence) stepBackward(row, n int, dy []float64) {
	H := q.H
	dh, dc := q.dh[n*H:][:H], q.dc[n*H:][:H]
	for j := range H {
		dh[j] += dy[row*H+j]
	}
	// dpre is the gradient at the gates' arguments; drec, where it differs, that at their recurrent part.
	dpre := make([]float64, q.gates*H)
	drec := dpre
	dhPrev := make([]float64, H)
	switch {
	case q.lstm:
		q.lstmBackward(row, dpre, dh, dc)
	case q.gates == 3:
		drec = q.gruBackward(row, dpre, dh, dhPrev)
	default:
		for j := range H {
			dpre[j] = dh[j] * q.actGrad(0, row*H+j)
		}
	}
	copy(q.dpre[row*q.gates*H:], dpre)
	copy(q.drec[row*q.gates*H:], drec)
	x, hp := q.x[row*q.I:][:q.I], q.hPrev[row*H:][:H]
	rh := hp
	for g, d := range dpre {
		q.dwb[g] += d
		for i, v := range x {
			q.dw[g*q.I+i] += d * v
			q.dx[row*q.I+i] += d * q.w[g*q.I+i]
		}
	}
	for g, d := range drec {
		q.drb[g] += d
		if q.gates == 3 && !q.linear && g >= 2*H {
			rh = q.resetState(row)
		}
		for i, v := range rh {
			q.dr[g*H+i] += d * v
			if q.gates != 3 || q.linear || g < 2*H {
				dhPrev[i] += d * q.r[g*H+i]
			}
		}
	}
	copy(dh, dhPrev)
}

// actGrad is the derivative of gate element i under activation a; 0 where clipping holds its argument.
func (q *recurrence) actGrad(a, i int) float64 {
	if q.clip > 0 && (q.pre[i] <= -q.clip || q.pre[i] >= q.clip) {
		return 0
	}
	return q.act[a].d(q.pre[i], q.post[i])
}

// resetState is r * H_{t-1}, what the candidate of a GRU without linear_before_reset multiplies.
func (q *recurrence) resetState(row int) []float64 {
	H := q.H
	rh := make([]float64, H)
	for j := range H {
		rh[j] = q.post[row*3*H+H+j] * q.hPrev[row*H+j]
	}
	return rh
}

func (q *recurrence) lstmBackward(row int, dpre, dh, dc []float64) {
	H, base := q.H, row*4*q.H
	for j := range H {
		i, o, f, g := j, H+j, 2*H+j, 3*H+j
		c, cp := q.cNew[row*H+j], q.cPrev[row*H+j]
		hc := q.act[2].f(c)
		dpre[o] = dh[j] * hc * q.actGrad(0, base+o)
		dC := dc[j] + dh[j]*q.post[base+o]*q.act[2].d(c, hc)
		if q.p != nil {
			dC += dpre[o] * q.p[H+j]
			q.dp[H+j] += dpre[o] * c
		}
		di := dC * q.post[base+g]
		if q.inputForget {
			di -= dC * cp
		} else {
			dpre[f] = dC * cp * q.actGrad(0, base+f)
		}
		dpre[i] = di * q.actGrad(0, base+i)
		dpre[g] = dC * q.post[base+i] * q.actGrad(1, base+g)
		dc[j] = dC * q.post[base+f]
		if q.p != nil {
			dc[j] += dpre[i]*q.p[j] + dpre[f]*q.p[2*H+j]
			q.dp[j] += dpre[i] * cp
			q.dp[2*H+j] += dpre[f] * cp
		}
	}
}

// gruBackward fills dpre, adds the direct paths to dhPrev, and returns the gradient at the recurrent parts.
func (q *recurrence) gruBackward(row int, dpre, dh, dhPrev []float64) []float64 {
	H, base := q.H, row*3*q.H
	drec := make([]float64, 3*H)
	drh := make([]float64, H)
	for j := range H {
		z, g := q.post[base+j], q.post[base+2*H+j]
		hp := q.hPrev[row*H+j]
		dpre[j] = dh[j] * (hp - g) * q.actGrad(0, base+j)
		dpre[2*H+j] = dh[j] * (1 - z) * q.actGrad(1, base+2*H+j)
		dhPrev[j] += dh[j] * z
		if q.linear {
			drec[2*H+j] = dpre[2*H+j] * q.post[base+H+j]
			dpre[H+j] = dpre[2*H+j] * q.rec[row*H+j] * q.actGrad(0, base+H+j)
		}
	}
	if !q.linear {
		for g := range H {
			d := dpre[2*H+g]
			drec[2*H+g] = d
			for i := range H {
				drh[i] += d * q.r[(2*H+g)*H+i]
			}
		}
		for j := range H {
			dpre[H+j] = drh[j] * q.hPrev[row*H+j] * q.actGrad(0, base+H+j)
			dhPrev[j] += drh[j] * q.post[base+H+j]
		}
	}
	copy(drec[:2*H], dpre[:2*H])
	return drec
}
