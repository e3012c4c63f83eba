//go:build amd64 && !noasm

package kern

// rowFunc is an assembly kernel for rows of windows of that width and stride.
type rowFunc struct {
	width, stride int
	f             func(pixels, blocks, nv int, dst *float32, dstStride int, x *float32, pixStride, rowStride, nrows int, w *float32, wStride int, bias *float32, lo, hi float32, mask int)
}

// rowsOf wraps assembly kernels for registers of that many lanes. masks says whether they deal with a part of a register.
func rowsOf(fs []rowFunc, lanes int, masks bool) []rowKernel {
	var ks []rowKernel
	for _, f := range fs {
		f := f
		slow := dwRowGo(f.width, f.stride)
		ks = append(ks, rowKernel{f.width, f.stride, func(d DwRow) { f.run(&d, lanes, masks, slow) }})
	}
	return ks
}

// run cuts a row into the blocks of pixels that the assembly takes.
func (f *rowFunc) run(d *DwRow, lanes int, masks bool, slow RowFunc) {
	if d.N == 0 || d.C == 0 {
		return
	}
	d.check(f.width, f.stride)
	c := d.C
	if !masks {
		c = c / lanes * lanes
	}
	for at := 0; at < c; at += rowChannels {
		f.pixels(d, at, min(rowChannels, c-at), lanes)
	}
	if c < d.C {
		rest := *d
		rest.Dst, rest.X, rest.W, rest.Bias, rest.C = d.Dst[c:], d.X[c:], d.W[c:], d.Bias[c:], d.C-c
		slow(rest)
	}
}

// pixels computes channels [at, at+c). The last block may begin before the one ahead of it has ended: it computes
// some pixels again.
func (f *rowFunc) pixels(d *DwRow, at, c, lanes int) {
	nv := (c + lanes - 1) / lanes
	mask := 1<<(c-(nv-1)*lanes) - 1
	call := func(p, i, blocks int) {
		f.f(p, blocks, nv, &d.Dst[i*d.DstStride+at], d.DstStride*4, &d.X[i*f.stride*d.Pix+at], d.Pix*4, d.Row*4, d.Rows, &d.W[at], d.WStride*4, &d.Bias[at], d.Lo, d.Hi, mask)
	}
	const block = 7
	i := d.N / block * block
	if i > 0 {
		call(block, 0, d.N/block)
	}
	switch rest := d.N - i; {
	case rest > 4 && i > 0:
		call(block, d.N-block, 1)
	case rest > 4:
		call(4, 0, 1)
		call(4, d.N-4, 1)
	case rest > 2 && d.N >= 4:
		call(4, d.N-4, 1)
	case rest > 2:
		call(2, 0, 1)
		call(1, 2, 1)
	case rest > 0:
		call(rest, i, 1)
	}
}
