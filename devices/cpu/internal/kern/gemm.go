package kern

// Flags say what a GEMM tile does beside the product.
type Flags int

// The flags. Bias, Residual and Clamp belong to the last block of k.
const (
	Accumulate Flags = 1 << iota // add to what C holds
	Bias                         // add bias[j] to column j
	Residual                     // add the residual matrix
	Clamp                        // clamp to [lo, hi]; NaN stays NaN
)

// Depth is the inner dimension of a product: Segs runs of K elements, each Stride elements behind the one
// before it in the rows of A. The rows of B follow each other.
type Depth struct{ K, Segs, Stride int }

// Whole is a depth of one run.
func Whole(k int) Depth { return Depth{K: k, Segs: 1, Stride: k} }

// Total is the number of elements of a row.
func (d Depth) Total() int { return d.K * d.Segs }

// reach is how far a row of A extends.
func (d Depth) reach() int { return (d.Segs-1)*d.Stride + d.K }

// tileFunc computes m rows and n <= NR columns of C = A·B. b is one packed panel; next, which may be empty, is what the caller
// multiplies by afterwards.
type tileFunc func(m, n int, d Depth, a []float32, lda int, b, next []float32, c []float32, ldc int, ep Epilogue, flags Flags)

// An Epilogue is what happens to C after the product.
type Epilogue struct {
	Bias   []float32 // per column; nil for none
	Res    []float32 // added element by element; nil for none
	LdRes  int       // row stride of Res
	Clamp  bool
	Lo, Hi float32 // if Clamp
}

// Gemm is the float32 matrix product with a packed right-hand side.
type Gemm struct {
	MR, NR int // register tile
	Lanes  int // panel widths are multiples of this
	// Transpose makes dst[i*dstStride+j] = src[j*srcStride+i]·scale[j] for i < k and j < cols; a nil scale is 1.
	Transpose func(dst []float32, dstStride int, src []float32, srcStride, k, cols int, scale []float32)
	tile      tileFunc
	row       []rowPanel // for one row, widest first; none: tiles do it
}

// PanelWidth returns the width of the panel that starts at column j of n.
//
//go:noinline
func (g *Gemm) PanelWidth(j, n int) int {
	if n-j >= g.NR {
		return g.NR
	}
	return (n - j + g.Lanes - 1) / g.Lanes * g.Lanes
}

// PackedCols returns the number of columns that n columns take once packed.
//
//go:noinline
func (g *Gemm) PackedCols(n int) int {
	full := n / g.NR * g.NR
	if full == n {
		return n
	}
	return full + g.PanelWidth(full, n)
}

// PackedLen returns the length of k rows of n columns packed.
func (g *Gemm) PackedLen(k, n int) int { return k * g.PackedCols(n) }

// Pack packs the k x n matrix b, element (i, j) at b[i*rs+j*cs], into panels: for each panel of columns, its k rows.
// Columns past n are zero.
func (g *Gemm) Pack(dst []float32, b []float32, rs, cs, k, n int) {
	for j := 0; j < n; j += g.NR {
		w := g.PanelWidth(j, n)
		p := dst[k*j:][:k*w]
		cols := min(w, n-j)
		switch {
		case cs == 1:
			packRows(p, b[j:], rs, k, w, cols)
		case rs == 1 && cols == w:
			g.Transpose(p, w, b[j*cs:], cs, k, cols, nil)
		default:
			packCols(p, b[j*cs:], rs, cs, k, w, cols)
		}
	}
}

// transposeGo is the specification of Transpose.
func transposeGo(dst []float32, dstStride int, src []float32, srcStride, k, cols int, scale []float32) {
	for j := range cols {
		f := float32(1)
		if scale != nil {
			f = scale[j]
		}
		for i, v := range src[j*srcStride:][:k] {
			dst[i*dstStride+j] = v * f
		}
	}
}

func packRows(p, b []float32, rs, k, w, cols int) {
	for i := range k {
		row := p[i*w:][:w]
		copy(row, b[i*rs:][:cols])
		clear(row[cols:])
	}
}

func packCols(p, b []float32, rs, cs, k, w, cols int) {
	for j := range w {
		if j >= cols {
			for i := range k {
				p[i*w+j] = 0
			}
			continue
		}
		src := b[j*cs:]
		for i := range k {
			p[i*w+j] = src[i*rs]
		}
	}
}

// Block computes c = a·b for m rows, n columns and depth k > 0, with b packed by Pack for exactly k.Total() rows.
// acc adds to c instead of overwriting it; ep is applied last. It is passed by value so that it needn't live on the heap.
// What a row comes to is the same to the bit in blocks of any number of rows but one.
func (g *Gemm) Block(m, n int, k Depth, a []float32, lda int, b []float32, c []float32, ldc int, acc bool, ep Epilogue) {
	flags := Flags(0)
	if acc {
		flags |= Accumulate
	}
	if ep.Bias != nil {
		flags |= Bias
	}
	if ep.Res != nil {
		flags |= Residual
	}
	if ep.Clamp {
		flags |= Clamp
	}
	// One call is bounded work.
	rows := max(1, callFlops/(2*k.Total()*g.NR*g.MR)) * g.MR
	tep := ep
	for j := 0; j < n; j += g.NR {
		w := g.PanelWidth(j, n)
		cols := min(w, n-j)
		at := k.Total() * j
		panel, next := b[at:][:k.Total()*w], b[at+k.Total()*w:]
		next = next[:min(len(next), k.Total()*g.NR)]
		if ep.Bias != nil {
			tep.Bias = ep.Bias[j:]
		}
		for i := 0; i < m; {
			if ep.Res != nil {
				tep.Res = ep.Res[i*ep.LdRes+j:]
			}
			h := min(rows, m-i)
			if m-i == h+1 {
				h++
			}
			g.tile(h, cols, k, a[i*lda:], lda, panel, next, c[i*ldc+j:], ldc, tep, flags)
			i += h
		}
	}
}

// callFlops is about the most operations of one call of a tile function.
const callFlops = 2 << 20

// gemmTileGo is the specification of a tile: c[i][j] = bias[j] + sum over p of a[i][p]*b[p][j], then
// plus c if Accumulate, plus res[i][j], clamped.
func gemmTileGo(m, n int, d Depth, a []float32, lda int, b, _ []float32, c []float32, ldc int, ep Epilogue, flags Flags) {
	w := len(b) / d.Total()
	var sum [64]float32
	for i := range m {
		row := sum[:n]
		clear(row)
		if flags&Bias != 0 {
			copy(row, ep.Bias)
		}
		for s := range d.Segs {
			ai := a[i*lda+s*d.Stride:][:d.K]
			for p, av := range ai {
				bp := b[(s*d.K+p)*w:][:n]
				for j, bv := range bp {
					row[j] += av * bv
				}
			}
		}
		ci := c[i*ldc:][:n]
		for j := range ci {
			v := row[j]
			if flags&Accumulate != 0 {
				v += ci[j]
			}
			if flags&Residual != 0 {
				v += ep.Res[i*ep.LdRes+j]
			}
			if flags&Clamp != 0 {
				v = clampGo(v, ep.Lo, ep.Hi)
			}
			ci[j] = v
		}
	}
}

// clampGo limits v to [lo, hi]; NaN stays NaN.
func clampGo(v, lo, hi float32) float32 {
	if v < lo {
		return lo
	}
	if v > hi {
		return hi
	}
	return v
}
