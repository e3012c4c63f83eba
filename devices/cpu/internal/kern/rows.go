package kern

// DwRow is part of one output row of a depthwise convolution, of windows that lie inside the picture: pixel i of npix is
// clamp(bias + Σ x·w, lo, hi) over the Rows x Width elements whose first is x[i*Stride*pix:], rows row elements apart.
// w holds the weights of these rows, wStride elements from one to the next.
type DwRow struct {
	Dst       []float32
	DstStride int
	N, C      int // pixels; channels
	X         []float32
	Pix, Row  int
	Rows      int
	W         []float32
	WStride   int
	Bias      []float32
	Lo, Hi    float32
}

// A RowFunc computes a DwRow of windows of one width and stride.
type RowFunc func(d DwRow)

// RowKernel is the fast kernel for windows of that width and stride, nil if there is none.
func (s *Spatial) RowKernel(width, stride int) RowFunc {
	for i := range s.rows {
		if s.rows[i].width == width && s.rows[i].stride == stride {
			return s.rows[i].f
		}
	}
	return nil
}

// rowChannels bounds the channels of one call of an assembly kernel.
const rowChannels = 512

// rowKernel is a RowFunc with what it is for.
type rowKernel struct {
	width, stride int
	f             RowFunc
}

// dwRowGo is the specification of a RowFunc.
func dwRowGo(width, stride int) RowFunc {
	return func(d DwRow) {
		for i := range d.N {
			for c := range d.C {
				s := d.Bias[c]
				for t := range d.Rows * width {
					s += d.X[t/width*d.Row+(i*stride+t%width)*d.Pix+c] * d.W[t*d.WStride+c]
				}
				d.Dst[i*d.DstStride+c] = clampGo(s, d.Lo, d.Hi)
			}
		}
	}
}

func rowsGo() []rowKernel {
	var ks []rowKernel
	for _, k := range [][2]int{{3, 1}, {3, 2}, {5, 1}, {5, 2}, {7, 1}} {
		ks = append(ks, rowKernel{k[0], k[1], dwRowGo(k[0], k[1])})
	}
	return ks
}

// check panics, as the Go twin would, where an operand is too short.
func (d *DwRow) check(width, stride int) {
	_, _, _ = d.Dst[(d.N-1)*d.DstStride+d.C-1], d.X[(d.Rows-1)*d.Row+((d.N-1)*stride+width-1)*d.Pix+d.C-1], d.Bias[d.C-1]
	_ = d.W[(d.Rows*width-1)*d.WStride+d.C-1]
}
