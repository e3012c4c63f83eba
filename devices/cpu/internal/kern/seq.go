package kern

import "math"

// Cells are the last part of a step of recurrent layers with the usual activations: sigmoid for gates, tanh for candidates
// and outputs. Lengths are multiples of CellLanes.
type Cells struct {
	// LSTM updates the cell state c and writes the hidden state h of len(h) units; gates i, o, f and c lie stride
	// elements apart in g.
	LSTM func(g []float32, stride int, c, h []float32)
	// GRU writes the hidden state h from the one before, h0; gates z, r and the data's part of the candidate lie
	// stride elements apart in g; rec is the state's part of the candidate, to which the gate r applies.
	GRU func(g []float32, stride int, rec, h0, h []float32)
}

// CellLanes is what the lengths that Cells take are multiples of.
const CellLanes = 16

func cellsGo() Cells { return Cells{LSTM: lstmCellGo, GRU: gruCellGo} }

func sigmoid32(x float32) float32 { return float32(sigmoidGo(float64(x))) }

func tanh32(x float32) float32 { return float32(math.Tanh(float64(x))) }

func lstmCellGo(g []float32, stride int, c, h []float32) {
	for i := range h {
		c[i] = sigmoid32(g[2*stride+i])*c[i] + sigmoid32(g[i])*tanh32(g[3*stride+i])
		h[i] = sigmoid32(g[stride+i]) * tanh32(c[i])
	}
}

func gruCellGo(g []float32, stride int, rec, h0, h []float32) {
	for i := range h {
		cand := tanh32(g[2*stride+i] + sigmoid32(g[stride+i])*rec[i])
		h[i] = sigmoid32(g[i])*(h0[i]-cand) + cand
	}
}

// rowPanels bounds the panels of one assembly call.
const rowPanels = 32

// Row adds x·B to the n elements of c, for one row x of k elements and b packed by Pack for exactly k rows. With back, the
// panels of B are read from the last to the first, which finds what the caches hold of them after reading them forward.
func (g *Gemm) Row(n, k int, x, b, c []float32, back bool) {
	full := 0
	if g.row != nil {
		full = n / g.NR
	}
	rest := n - full*g.NR
	if rest > 0 && back {
		g.Block(1, rest, Whole(k), x, k, b[full*g.NR*k:], c[full*g.NR:], rest, true, Epilogue{})
	}
	for done := 0; done < full; {
		p := min(rowPanels, full-done)
		at := done
		if back {
			at = full - done - p
		}
		g.row(p, k, x, b[at*g.NR*k:], c[at*g.NR:], back)
		done += p
	}
	if rest > 0 && !back {
		g.Block(1, rest, Whole(k), x, k, b[full*g.NR*k:], c[full*g.NR:], rest, true, Epilogue{})
	}
}
