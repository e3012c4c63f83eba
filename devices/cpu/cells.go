package cpu

// finish turns the gates g of one row and block into its new hidden state h, from the one before, h0; c is the cell state.
func (t *recurrentTask) finish(q *recurrentRun, b int, g, c, h0, h []float32) {
	s := t.s
	u := s.unit
	k := &s.d.k.Cells
	switch s.kind {
	case lstmCell:
		if q.usual && q.peephole == nil {
			k.LSTM(g, u, c, h)
			return
		}
		t.finishLSTM(q, b, g, c, h)
	case gruCell:
		if q.usual {
			k.GRU(g, u, g[3*u:4*u], h0, h)
			return
		}
		s.gate(q.acts[0], g[:2*u])
		v := &s.d.k.Vec
		cand := g[2*u : 3*u]
		v.MulAdd(cand, g[u:2*u], g[3*u:4*u], cand)
		s.gate(q.acts[1], cand)
		s.mix(g[:u], cand, h0, h)
	case gruEarlyCell:
		cand := g[2*u : 3*u]
		s.gate(q.acts[1], cand)
		s.mix(g[:u], cand, h0, h)
	default:
		copy(h, g)
		s.gate(q.acts[0], h)
	}
}

// gate clips and activates x.
func (s *recurrentStep) gate(a activation, x []float32) {
	if s.clip > 0 {
		s.d.k.Vec.Clip(x, x, -float32(s.clip), float32(s.clip))
	}
	a.f(x, x, a.a, a.b)
}

// mix is h = (1-z)·cand + z·h0.
func (s *recurrentStep) mix(z, cand, h0, h []float32) {
	v := &s.d.k.Vec
	v.Sub(h, h0, cand)
	v.MulAdd(h, h, z, cand)
}

// reset finishes the gates z and r and puts the state behind the reset gate where the second phase takes it from.
func (t *recurrentTask) reset(q *recurrentRun, b int, g []float32, stride int, h0 []float32) {
	s := t.s
	u := s.unit
	for n := range s.n {
		o := (n*s.blocks + b) * u
		zr := g[n*stride:][:2*u]
		s.gate(q.acts[0], zr)
		s.d.k.Vec.Mul(q.c[o:][:u], zr[u:], h0[o:][:u])
	}
}

// finishLSTM is the general LSTM cell, with clipping, peepholes, a coupled forget gate and any activations.
func (t *recurrentTask) finishLSTM(q *recurrentRun, b int, g, c, h []float32) {
	s := t.s
	v, u := &s.d.k.Vec, s.unit
	in, out, forget, cand := g[:u], g[u:2*u], g[2*u:3*u], g[3*u:4*u]
	peep := func(i int, dst []float32) {
		if q.peephole != nil {
			v.MulAdd(dst, q.peephole[(i*s.blocks+b)*u:][:u], c, dst)
		}
	}
	peep(0, in)
	s.gate(q.acts[0], in)
	if s.inputForget {
		v.SubFrom(forget, in, 1, 0)
	} else {
		peep(2, forget)
		s.gate(q.acts[0], forget)
	}
	s.gate(q.acts[1], cand)
	v.Mul(cand, cand, in)
	v.MulAdd(c, c, forget, cand)
	peep(1, out)
	s.gate(q.acts[0], out)
	copy(h, c)
	a := q.acts[2]
	a.f(h, h, a.a, a.b)
	v.Mul(h, h, out)
}
