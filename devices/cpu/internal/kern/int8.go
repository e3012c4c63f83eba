package kern

// Int is the product of matrices of 16-bit integers, such as 8-bit ones less their zero points, exact in int32.
type Int struct {
	MR, NR int // register tile
	tile   func(m, pairs int, a []int16, lda int, b []int16, c []int32, ldc int)
	rows   []int // heights that tile takes, falling to 1
}

func intGo() Int {
	return Int{MR: 4, NR: 8, tile: intTileGo, rows: []int{4, 3, 2, 1}}
}

// Cols returns the number of columns that n columns take in C and once packed.
func (g *Int) Cols(n int) int { return (n + g.NR - 1) / g.NR * g.NR }

// PackedLen returns the length of k rows of n columns packed.
func (g *Int) PackedLen(k, n int) int { return (k + 1) / 2 * 2 * g.Cols(n) }

// Pack packs the k x n matrix b, element (i, j) at b[i*rs+j*cs], into panels of NR columns: for each pair of rows, the pairs of
// all columns. What is missing is zero.
func (g *Int) Pack(dst, b []int16, rs, cs, k, n int) {
	pairs := (k + 1) / 2
	for j := range g.Cols(n) {
		p := dst[j/g.NR*g.NR*2*pairs+j%g.NR*2:]
		for i := range 2 * pairs {
			v := int16(0)
			if i < k && j < n {
				v = b[i*rs+j*cs]
			}
			p[i/2*g.NR*2+i%2] = v
		}
	}
}

// Multiply computes c = a·b for m rows and n columns, up to Cols(n), with b packed by Pack for k rows. Rows of a have k elements
// and, where that is odd, a zero.
func (g *Int) Multiply(m, n, k int, a []int16, lda int, b []int16, c []int32, ldc int) {
	pairs := (k + 1) / 2
	for j := 0; j < n; j += g.NR {
		panel := b[j*2*pairs:][:g.NR*2*pairs]
		h := 0
		for i := 0; i < m; i += g.rows[h] {
			for g.rows[h] > m-i {
				h++
			}
			g.tile(g.rows[h], pairs, a[i*lda:], lda, panel, c[i*ldc+j:], ldc)
		}
	}
}

// intTileGo is the specification of a tile: c[i][j] = sum over p of a[i][p]*b[p][j], modulo 2^32.
func intTileGo(m, pairs int, a []int16, lda int, b []int16, c []int32, ldc int) {
	nr := len(b) / (2 * pairs)
	for i := range m {
		row := c[i*ldc:][:nr]
		clear(row)
		for p := range pairs {
			a0, a1 := int32(a[i*lda+2*p]), int32(a[i*lda+2*p+1])
			bp := b[p*2*nr:][:2*nr]
			for j := range row {
				row[j] += a0*int32(bp[2*j]) + a1*int32(bp[2*j+1])
			}
		}
	}
}
