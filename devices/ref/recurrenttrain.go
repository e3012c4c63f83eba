package ref

import (
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
)

// kept is what a direction keeps for the gradient, by row of X: [rows, 4H] gates, and [rows, H] cell states of an LSTM.
func (q *recurrence) kept() (gates, cells []float64) {
	H := q.H
	gates, cells = make([]float64, q.T*q.N*4*H), make([]float64, q.T*q.N*H)
	q.eachRow(func(row, at int) {
		copy(gates[at*4*H:], q.post[row*q.gates*H:][:q.gates*H])
		if !q.lstm {
			copy(gates[(at*4+3)*H:], q.rec[row*H:][:H])
		}
		copy(cells[at*H:], q.cNew[row*H:][:H])
	})
	return gates, cells
}

// eachRow calls f with the rows of q's own memory and of X, but those behind the end of a sequence.
func (q *recurrence) eachRow(f func(row, at int)) {
	for t := range q.T {
		for n := range q.N {
			if int64(t) < q.lens[n] {
				f(t*q.N+n, q.xRow(t, n))
			}
		}
	}
}

// xRow is the row of X, both of whose first axes are flattened.
func (q *recurrence) xRow(t, n int) int {
	if q.layout == 1 {
		return n*q.T + t
	}
	return t*q.N + n
}

// runRecurrentTrain is runRecurrent with the kept values as further outputs.
func runRecurrentTrain(s recurrentSpec, c *Call) error {
	states := 2
	if s.lstm {
		states = 3
	}
	if err := runRecurrent(s, c, states); err != nil {
		return err
	}
	var kept [2][]float64
	for d := range ops.Directions(s.direction) {
		q, err := s.load(c, d)
		if err != nil {
			return err
		}
		q.forward()
		g, cells := q.kept()
		kept[0], kept[1] = append(kept[0], g...), append(kept[1], cells...)
	}
	for i := states; i < c.NOut(); i++ {
		if err := c.Out(i).SetFloat64s(kept[i-states]); err != nil {
			return err
		}
	}
	return nil
}

// restore fills a direction with what forward would have left, out of Y, gates and cell states, inputs at and after.
func (q *recurrence) restore(c *Call, d, at int) error {
	q.forward() // allocates
	H := q.H
	vals := make([][]float64, 3)
	for i := range vals {
		if i == 2 && !q.lstm {
			break
		}
		v, err := c.In(at + i).Float64s()
		if err != nil {
			return err
		}
		vals[i] = v
	}
	gates := vals[1][d*q.T*q.N*4*H:]
	order := q.times(false)
	for n := range q.N {
		h, cell := q.h0[n*H:][:H], q.c0[n*H:][:H]
		for k := range q.T {
			t := order(k)
			if int64(t) >= q.lens[n] {
				continue
			}
			row, x := t*q.N+n, q.xRow(t, n)
			copy(q.post[row*q.gates*H:], gates[x*4*H:][:q.gates*H])
			copy(q.hPrev[row*H:], h)
			copy(q.cPrev[row*H:], cell)
			h = vals[0][q.yAt(t, d, n)*H:][:H]
			if q.lstm {
				cell = vals[2][(d*q.T*q.N+x)*H:][:H]
				copy(q.cNew[row*H:], cell)
			} else {
				copy(q.rec[row*H:], gates[(x*4+3)*H:][:H])
			}
		}
	}
	return nil
}

// argGrads is the gradients at the gates' arguments that backward left, in the places of the gates.
func (q *recurrence) argGrads() []float64 {
	H := q.H
	out := make([]float64, q.T*q.N*4*H)
	q.eachRow(func(row, at int) {
		copy(out[at*4*H:], q.dpre[row*q.gates*H:][:q.gates*H])
		if !q.lstm {
			copy(out[(at*4+3)*H:], q.drec[(row*q.gates+2)*H:][:H])
		}
	})
	return out
}

func checkTrain(s recurrentSpec) error {
	if s.clip != 0 || s.inputForget || !s.lstm && !s.linear {
		return errs.Errorf("clipping, input_forget and linear_before_reset=0 are not for training forms")
	}
	return nil
}
