package kern

import (
	"math"
	"math/bits"
)

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

// rowPanel adds x·b to the elements of c, for one row x of k elements and a panel of some vectors' width.
type rowPanel struct {
	vecs int
	f    func(k int, x, b, c *float32)
}

// rowPanels is how many panels n columns are cut into for products of one row.
func (g *Gemm) rowPanels(n int) int {
	wide := g.row[0].vecs * g.Lanes
	return n/wide + bits.OnesCount(uint(n%wide/g.Lanes))
}

// rowPanel is the first column and the kernel of panel p of those: as many of the widest as go, then narrower ones.
func (g *Gemm) rowPanel(p, n int) (int, *rowPanel) {
	wide := g.row[0].vecs * g.Lanes
	full := n / wide
	if p < full {
		return p * wide, &g.row[0]
	}
	j := full * wide
	for i := 1; ; i++ {
		w := g.row[i].vecs * g.Lanes
		if w > n-j {
			continue
		}
		if p == full {
			return j, &g.row[i]
		}
		p, j = p-1, j+w
	}
}

// PackRow packs the k x n matrix b, element (i, j) at b[i*rs+j*cs], for Row; n is a multiple of CellLanes.
func (g *Gemm) PackRow(dst []float32, b []float32, rs, cs, k, n int) {
	if g.row == nil {
		g.Pack(dst, b, rs, cs, k, n)
		return
	}
	for i := range g.rowPanels(n) {
		j, p := g.rowPanel(i, n)
		w := p.vecs * g.Lanes
		packCols(dst[k*j:][:k*w], b[j*cs:], rs, cs, k, w, w)
	}
}

// Row adds x·B to the n elements of c, for one row x of k elements and b packed by PackRow for exactly k rows. With back, the
// panels of B are read from the last to the first, which finds what the caches hold of them after reading them forward.
func (g *Gemm) Row(n, k int, x, b, c []float32, back bool) {
	if g.row == nil {
		g.Block(1, n, Whole(k), x, k, b, c, n, true, Epilogue{})
		return
	}
	_, _, _ = x[k-1], b[k*n-1], c[n-1]
	count := g.rowPanels(n)
	for i := range count {
		if back {
			i = count - 1 - i
		}
		j, p := g.rowPanel(i, n)
		p.f(k, &x[0], &b[j*k], &c[j])
	}
}
