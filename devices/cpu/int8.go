package cpu

import (
	"fmt"
	"unsafe"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// intKernels multiply 8-bit integers less their zero points as 16-bit ones, exactly in int32.
func (d *Device) intKernels() []devices.Kernel {
	lvl := d.Level()
	return []devices.Kernel{
		devices.For("matmulinteger/"+lvl, func(_ ops.MatMulInteger, r devices.Request) int {
			return matchIntMatMul(r, intOperands{a: 0, az: 2, b: 1, bz: 3})
		}, func(_ ops.MatMulInteger, r devices.Request) (devices.Step, error) {
			return d.prepareIntMatMul(r, intOperands{a: 0, az: 2, b: 1, bz: 3}), nil
		}),
		devices.For("qlinearmatmul/"+lvl, func(_ ops.QLinearMatMul, r devices.Request) int {
			return min(matchIntMatMul(r, quantized), matchRequantize(r))
		}, func(_ ops.QLinearMatMul, r devices.Request) (devices.Step, error) {
			return d.prepareIntMatMul(r, quantized), nil
		}),
		devices.For("convinteger/"+lvl, func(op ops.ConvInteger, r devices.Request) int {
			return matchIntConv(op, r, intOperands{a: 0, az: 2, b: 1, bz: 3})
		}, func(op ops.ConvInteger, r devices.Request) (devices.Step, error) {
			return d.prepareIntConv(op, r, intOperands{a: 0, az: 2, b: 1, bz: 3})
		}),
		devices.For("qlinearconv/"+lvl, func(op ops.QLinearConv, r devices.Request) int {
			return min(matchIntConv(ops.ConvInteger(op), r, quantized), matchRequantize(r))
		}, func(op ops.QLinearConv, r devices.Request) (devices.Step, error) {
			return d.prepareIntConv(ops.ConvInteger(op), r, quantized)
		}),
	}
}

// intOperands is where the operands and zero points of a product are among an operator's inputs.
type intOperands struct {
	a, az, b, bz int
	scaled       bool // QLinear: scales of a, b and y are inputs 1, 4 and 6, y's zero point 7, the bias 8
}

var quantized = intOperands{a: 0, az: 2, b: 3, bz: 5, scaled: true}

func is8(dt tensor.DType) bool { return dt == tensor.Int8 || dt == tensor.Uint8 }

// matchInts takes 8-bit operands of known shapes, b and its zero points constant, and one zero point for all of a. channels
// is the number of zero points that b may have.
func matchInts(r devices.Request, o intOperands, channels int) bool {
	if !is8(r.In[o.a].DType) || !is8(r.In[o.b].DType) || r.Const[o.b] == nil || !r.In[o.a].Static() || !r.Out[0].Static() || prod(dims(r.Out[0])) == 0 {
		return false
	}
	if has(r, o.az) && (r.In[o.az].DType != r.In[o.a].DType || !r.In[o.az].Static() || prod(dims(r.In[o.az])) != 1) {
		return false
	}
	if has(r, o.bz) {
		z := r.Const[o.bz]
		return z != nil && z.DType() == r.In[o.b].DType && (z.Len() == 1 || z.Rank() == 1 && z.Len() == channels)
	}
	return true
}

// matchRequantize takes scales of float32: one of a and y, one or a constant one for each channel of b.
func matchRequantize(r devices.Request) int {
	for _, i := range []int{1, 4, 6} {
		if r.In[i].DType != tensor.Float32 || !r.In[i].Static() || i != 4 && prod(dims(r.In[i])) != 1 {
			return 0
		}
	}
	if !is8(r.Out[0].DType) || prod(dims(r.In[7])) != 1 || r.In[7].DType != r.Out[0].DType || has(r, 8) && r.In[8].DType != tensor.Int32 {
		return 0
	}
	return 10
}

func matchIntMatMul(r devices.Request, o intOperands) int {
	if len(r.In) <= o.b || r.In[o.b].Rank() != 2 || r.In[o.a].Rank() < 1 {
		return 0
	}
	b := r.Const[o.b]
	if b == nil || !matchInts(r, o, b.Dim(1)) || b.Len() == 0 {
		return 0
	}
	if o.scaled {
		if s := dims(r.In[4]); prod(s) != 1 && (len(s) != 1 || s[0] != b.Dim(1)) {
			return 0
		}
	}
	return 10
}

// intWeights is a packed right-hand side, less its zero points.
type intWeights struct {
	k, n int
	data []int16
}

// column is the elements of all panels before column j.
func (w *intWeights) column(j int) int { return j * ((w.k + 1) / 2 * 2) }

// bytesAs reads 8-bit integers, of either sign.
func bytesAs(t *tensor.Tensor) (b []byte, signed bool) { return t.Bytes(), t.DType() == tensor.Int8 }

// widen writes x less zero to dst.
func widen(dst []int16, x []byte, signed bool, zero int16) {
	dst = dst[:len(x)]
	if signed {
		for i, v := range unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(x))), len(x)) {
			dst[i] = int16(v) - zero
		}
		return
	}
	for i, v := range x {
		dst[i] = int16(v) - zero
	}
}

// zeroOf is zero point j of t, which may be missing or one for all.
func zeroOf(t *tensor.Tensor, j int) int16 {
	if t == nil {
		return 0
	}
	b, signed := bytesAs(t)
	v := b[0]
	if len(b) > 1 {
		v = b[j]
	}
	if signed {
		return int16(int8(v))
	}
	return int16(v)
}

func optional(ts []*tensor.Tensor, i int) *tensor.Tensor {
	if i >= len(ts) {
		return nil
	}
	return ts[i]
}

// packInts packs k x n numbers that at gives.
func (d *Device) packInts(k, n int, fill func(dst []int16)) *intWeights {
	tmp := make([]int16, k*n)
	fill(tmp)
	g := &d.k.Int
	w := &intWeights{k: k, n: n, data: make([]int16, g.PackedLen(k, n))}
	g.Pack(w.data, tmp, n, 1, k, n)
	return w
}

func (d *Device) prepareIntMatMul(r devices.Request, o intOperands) devices.Step {
	w, z := r.Const[o.b], optional(r.Const, o.bz)
	k, n := w.Dim(0), w.Dim(1)
	s := &intStep{d: d, op: o, m: prod(dims(r.In[o.a])) / k, lda: k}
	key := devices.PackKey{T: w, Kind: fmt.Sprintf("cpu/int/%s/%p", d.Level(), z)}
	s.w = r.Packs.Get(key, func() any {
		return d.packInts(k, n, func(dst []int16) {
			b, signed := bytesAs(w)
			widen(dst, b, signed, 0)
			for i := range dst {
				dst[i] -= zeroOf(z, i%n)
			}
		})
	}).(*intWeights)
	s.cut()
	return s
}

// intRowsOf and intColsOf bound a tile: its rows of a and of c stay in the second-level cache.
const (
	intTileRows = 48
	intTileCols = 512
)

// intStep is a product of integers, of which the right-hand side is packed; its result is int32 or quantized.
type intStep struct {
	d          *Device
	op         intOperands
	w          *intWeights
	m, lda     int
	rows, cols int // of a tile
	tm, tn     int
	tasks      freelist[*intTask]
}

func (s *intStep) cut() {
	s.rows, s.cols = min(s.m, intTileRows), min(s.d.k.Int.Cols(s.w.n), intTileCols)
	s.tm, s.tn = ceilDiv(s.m, s.rows), ceilDiv(s.w.n, s.cols)
}

// even is the length of a row of pairs.
func even(k int) int { return (k + 1) / 2 * 2 }

// perWorker is the bytes of a worker's rows and products.
func (s *intStep) perWorker() (a, all int) {
	a = roundUp(s.rows*even(s.w.k)*2, 64)
	return a, a + roundUp(s.rows*s.cols*4, 64)
}

func (s *intStep) Scratch() int {
	_, all := s.perWorker()
	return all*s.d.pool.Workers() + s.w.n*8
}

func (s *intStep) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s = s
	x := a.Tensor(s.op.a)
	t.x, t.signed = bytesAs(x)
	t.zero = zeroOf(a.Tensor(s.op.az), 0)
	_, all := s.perWorker()
	t.scratch = a.Scratch[:all*s.d.pool.Workers()]
	t.out.bind(a, s.op, s.w.n, a.Scratch[len(t.scratch):])
	s.d.pool.RunUntil(stopOf(a), t, s.tm*s.tn)
	return nil
}

type intTask struct {
	s       *intStep
	x       []byte
	signed  bool
	zero    int16
	scratch []byte
	out     intResult
}

// Tile implements par.Task.
func (t *intTask) Tile(i, worker int) {
	s := t.s
	i0, j0 := i/s.tn*s.rows, i%s.tn*s.cols
	m, n := min(s.rows, s.m-i0), min(s.cols, s.w.n-j0)
	rowBytes, all := s.perWorker()
	buf := t.scratch[worker*all:][:all]
	k, lda := s.w.k, even(s.w.k)
	a, c := int16s(buf[:rowBytes]), int32s(buf[rowBytes:])
	for r := range m {
		row := a[r*lda:][:lda]
		widen(row, t.x[(i0+r)*s.lda:][:k], t.signed, t.zero)
		if lda > k {
			row[k] = 0
		}
	}
	s.d.k.Int.Multiply(m, n, k, a, lda, s.w.data[s.w.column(j0):], c, s.cols)
	for r := range m {
		t.out.row((i0+r)*s.w.n+j0, 1, j0, c[r*s.cols:][:n])
	}
}

func int16s(b []byte) []int16 {
	return unsafe.Slice((*int16)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/2)
}

func int32s(b []byte) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// intResult is where products go: as they are, or quantized.
type intResult struct {
	raw    []int32
	bytes  []byte
	signed bool
	factor []float64 // of each column
	bias   []int32   // nil for none
	zero   float64
	lo, hi float64
}

// bind takes scales and the result from an operator's operands; buf holds n numbers.
func (o *intResult) bind(a *devices.Args, op intOperands, n int, buf []byte) {
	*o = intResult{}
	y := a.OutTensor(0)
	if !op.scaled {
		o.raw = tensor.As[int32](y)
		return
	}
	o.bytes, o.signed = bytesAs(y)
	o.factor = unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(buf))), n)
	as, bs, ys := f32(a, 1), f32(a, 4), f32(a, 6)
	for j := range o.factor {
		b := bs[0]
		if len(bs) > 1 {
			b = bs[j]
		}
		o.factor[j] = float64(as[0]) * float64(b) / float64(ys[0])
	}
	if b := a.Tensor(8); b != nil {
		o.bias = tensor.As[int32](b)
	}
	o.zero = float64(zeroOf(a.Tensor(7), 0))
	o.lo, o.hi = 0, 255
	if o.signed {
		o.lo, o.hi = -128, 127
	}
}

// halfway added to a number of less than 51 bits and taken off again leaves it rounded to even.
const halfway = 3 << 51

// row stores sums of columns from col on, which lie step elements apart from at on.
func (o *intResult) row(at, step, col int, sums []int32) {
	if o.raw != nil {
		if step == 1 {
			copy(o.raw[at:], sums)
			return
		}
		for j, v := range sums {
			o.raw[at+j*step] = v
		}
		return
	}
	for j, s := range sums {
		v := float64(s)
		if o.bias != nil {
			v += float64(o.bias[col+j])
		}
		o.bytes[at+j*step] = saturate(v*o.factor[col+j], o.zero, o.lo, o.hi)
	}
}

// saturate rounds v to even, adds zero and limits the sum to what the type holds; NaN is 0.
func saturate(v, zero, lo, hi float64) byte {
	switch {
	case v > 1e6:
		v = 1e6
	case v < -1e6:
		v = -1e6
	case v != v:
		return 0
	}
	v = v + halfway - halfway + zero
	if v < lo {
		v = lo
	}
	if v > hi {
		v = hi
	}
	return byte(int32(v))
}
