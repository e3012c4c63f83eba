package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func quantKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(quantizeLinear),
		fn(dequantizeLinear),
		fn(dynamicQuantize),
		fn(matMulInteger),
		fn(convInteger),
		fn(qLinearMatMul),
		fn(qLinearConv),
	}
}

// scaleIndex maps element i of a tensor of shape to its place in a scale of n elements.
func scaleIndex(shape []int, n, axis, block int) (func(i int) int, error) {
	if n == 1 && block == 0 {
		return func(int) int { return 0 }, nil
	}
	if axis < 0 {
		axis += len(shape)
	}
	if axis < 0 || axis >= len(shape) {
		return nil, errs.Errorf("axis %d of %v", axis, shape)
	}
	inner := product(shape[axis+1:])
	d := shape[axis]
	if block == 0 {
		if n != d {
			return nil, errs.Errorf("%d scales along axis %d of %v", n, axis, shape)
		}
		return func(i int) int { return i / inner % d }, nil
	}
	blocks := (d + block - 1) / block
	if n != product(shape[:axis])*blocks*inner {
		return nil, errs.Errorf("%d scales for blocks of %d along axis %d of %v", n, block, axis, shape)
	}
	return func(i int) int {
		outer, a := i/inner/d, i/inner%d
		return (outer*blocks+a/block)*inner + i%inner
	}, nil
}

// roundTo rounds a number to what a float type can hold; other types leave it as it is.
func roundTo(dt tensor.DType, v []float64) ([]float64, error) {
	if !dt.IsFloat() || dt == tensor.Float64 {
		return v, nil
	}
	t := tensor.New(dt, len(v))
	if err := t.SetFloat64s(v); err != nil {
		return nil, err
	}
	return t.Float64s()
}

func quantizeLinear(op ops.QuantizeLinear, c *Call) error {
	x, s, zp, at, err := scaled(c, op.Axis, op.BlockSize)
	if err != nil {
		return err
	}
	q := make([]float64, len(x))
	for i, v := range x {
		q[i] = v / s[at(i)]
	}
	precision := op.Precision
	if !precision.Valid() {
		if precision = c.In(1).DType(); precision == tensor.Float8E8M0 {
			precision = c.In(0).DType()
		}
	}
	if q, err = roundTo(precision, q); err != nil {
		return err
	}
	out := c.Out(0)
	if out.DType().IsFloat() {
		for i := range q {
			q[i] += zp[at(i)]
		}
		return castFloats(out, q, op.Saturate)
	}
	for i, v := range q {
		q[i] = math.RoundToEven(v) + zp[at(i)]
	}
	return setSaturated(out, q)
}

// castFloats stores numbers in a float tensor as Cast does.
func castFloats(out *tensor.Tensor, v []float64, saturate bool) error {
	f := tensor.New(tensor.Float32, out.Shape()...)
	if err := f.SetFloat64s(v); err != nil {
		return err
	}
	y, err := tensor.Cast(f, out.DType(), tensor.CastOptions{NoSaturate: !saturate})
	if err != nil {
		return err
	}
	return out.CopyFrom(y)
}

// scaled is the data, scales and zero points of inputs 0 to 2, and the place of a datum's scale.
func scaled(c *Call, axis, block int) (x, scale, zero []float64, at func(i int) int, err error) {
	if x, scale, err = floatPair(c.In(0), c.In(1)); err != nil {
		return nil, nil, nil, nil, err
	}
	if zero, err = zeroPoints(c, 2, len(scale)); err == nil {
		at, err = scaleIndex(c.In(0).Shape(), len(scale), axis, block)
	}
	return x, scale, zero, at, err
}

// zeroPoints is input i, or n zeros.
func zeroPoints(c *Call, i, n int) ([]float64, error) {
	if i >= c.NIn() || c.In(i) == nil {
		return make([]float64, n), nil
	}
	z, err := c.In(i).Float64s()
	if err == nil && len(z) != n {
		if len(z) == 1 {
			for len(z) < n {
				z = append(z, z[0])
			}
			return z, nil
		}
		return nil, errs.Errorf("%d zero points for %d scales", len(z), n)
	}
	return z, err
}

// intRange is the least and greatest number of an integer type.
func intRange(dt tensor.DType) (lo, hi float64) {
	b := float64(dt.Bits())
	if dt.IsSigned() {
		return -math.Exp2(b - 1), math.Exp2(b-1) - 1
	}
	return 0, math.Exp2(b) - 1
}

// setSaturated stores whole numbers in an integer tensor of at most 32 bits; NaN becomes 0.
func setSaturated(t *tensor.Tensor, v []float64) error {
	lo, hi := intRange(t.DType())
	ints := make([]int64, len(v))
	for i, x := range v {
		if x != x {
			x = 0
		}
		ints[i] = int64(math.Min(math.Max(x, lo), hi))
	}
	switch t.DType() {
	case tensor.Int4, tensor.Int2:
		wrap(tensor.As[int8](t), ints)
		return nil
	case tensor.Uint4, tensor.Uint2:
		wrap(tensor.As[uint8](t), ints)
		return nil
	}
	return setInts(t, ints)
}

func dequantizeLinear(op ops.DequantizeLinear, c *Call) error {
	x, s, zp, at, err := scaled(c, op.Axis, op.BlockSize)
	if err != nil {
		return err
	}
	for i, v := range x {
		k := at(i)
		x[i] = (v - zp[k]) * s[k]
	}
	return c.Out(0).SetFloat64s(x)
}

// dynamicQuantize follows ONNX's function body, which computes in float32.
func dynamicQuantize(_ ops.DynamicQuantizeLinear, c *Call) error {
	x := tensor.As[float32](c.In(0))
	lo, hi := float32(0), float32(0)
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	scale := (hi - lo) / 255
	zp := float32(0)
	if scale != 0 {
		zp = float32(math.RoundToEven(math.Min(math.Max(float64(-lo/scale), 0), 255)))
	}
	y := tensor.As[uint8](c.Out(0))
	for i, v := range x {
		q := float64(0)
		if scale != 0 {
			q = math.RoundToEven(float64(v/scale)) + float64(zp)
		}
		y[i] = uint8(math.Min(math.Max(q, 0), 255))
	}
	tensor.As[float32](c.Out(1))[0] = scale
	tensor.As[uint8](c.Out(2))[0] = uint8(zp)
	return nil
}

// spread maps elements of a tensor of shape to those of scales or zero points: one for all, a vector along
// axis, or a tensor of the same rank that is broadcast.
func spread(shape []int, z *tensor.Tensor, axis int) (func(i int) int, error) {
	if z == nil || z.Len() == 1 {
		return func(int) int { return 0 }, nil
	}
	if axis < 0 {
		axis += len(shape)
	}
	zs := z.Shape()
	if len(zs) == 1 && axis >= 0 && axis < len(shape) && zs[0] == shape[axis] {
		inner := max(1, product(shape[axis+1:]))
		return func(i int) int { return i / inner % zs[0] }, nil
	}
	if len(zs) != len(shape) {
		return nil, errs.Errorf("%v scales or zero points for %v", zs, shape)
	}
	step := tensor.Strides(zs)
	for a, d := range zs {
		switch d {
		case shape[a]:
		case 1:
			step[a] = 0
		default:
			return nil, errs.Errorf("%v scales or zero points for %v", zs, shape)
		}
	}
	own := tensor.Strides(shape)
	return func(i int) int {
		at := 0
		for a := range shape {
			at += i / max(1, own[a]) % max(1, shape[a]) * step[a]
		}
		return at
	}, nil
}

// minusZero is input i minus its zero points, which stand along axis where they are a vector.
func minusZero(c *Call, i, zero, axis int) (*tensor.Tensor, error) {
	t := c.In(i)
	v, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	zp := []float64{0}
	var z *tensor.Tensor
	if zero < c.NIn() && c.In(zero) != nil {
		z = c.In(zero)
		if zp, err = z.Float64s(); err != nil {
			return nil, err
		}
	}
	at, err := spread(t.Shape(), z, axis)
	if err != nil {
		return nil, err
	}
	out := tensor.New(tensor.Float64, t.Shape()...)
	d := tensor.As[float64](out)
	for k, x := range v {
		d[k] = x - zp[at(k)]
	}
	return out, nil
}

// sub applies another operator's reference kernel to tensors at hand.
func (c *Call) sub(op graphOp, in ...*tensor.Tensor) (*tensor.Tensor, error) {
	return apply(c.Ctx, op, in...)
}

func matMulInteger(_ ops.MatMulInteger, c *Call) error {
	y, err := intProduct(c, 0, 2, 1, 3)
	if err != nil {
		return err
	}
	return c.Out(0).SetFloat64s(tensor.As[float64](y))
}

// intProduct is the exact product of two integer matrices less their zero points.
func intProduct(c *Call, a, az, b, bz int) (*tensor.Tensor, error) {
	x, err := minusZero(c, a, az, -2)
	if err != nil {
		return nil, err
	}
	y, err := minusZero(c, b, bz, -1)
	if err != nil {
		return nil, err
	}
	return c.sub(ops.MatMul{}, x, y)
}

func intConv(c *Call, op ops.ConvInteger, x, xz, w, wz int) (*tensor.Tensor, error) {
	a, err := minusZero(c, x, xz, 1)
	if err != nil {
		return nil, err
	}
	b, err := minusZero(c, w, wz, 0)
	if err != nil {
		return nil, err
	}
	return c.sub(op.ConvOf(), a, b)
}

func convInteger(op ops.ConvInteger, c *Call) error {
	y, err := intConv(c, op, 0, 2, 1, 3)
	if err != nil {
		return err
	}
	return c.Out(0).SetFloat64s(tensor.As[float64](y))
}

func qLinearMatMul(_ ops.QLinearMatMul, c *Call) error {
	y, err := intProduct(c, 0, 2, 3, 5)
	if err != nil {
		return err
	}
	yAxis := -1 // a vector for the output stands along its columns, or else its rows
	if n := y.Rank(); n > 1 && c.In(6).Len() != y.Dim(-1) {
		yAxis = -2
	}
	return requantize(c, y, [3]int{-2, -1, yAxis}, nil)
}

func qLinearConv(op ops.QLinearConv, c *Call) error {
	y, err := intConv(c, ops.ConvInteger(op), 0, 2, 3, 5)
	if err != nil {
		return err
	}
	var bias []float64
	if c.NIn() > 8 && c.In(8) != nil {
		if bias, err = c.In(8).Float64s(); err != nil {
			return err
		}
	}
	return requantize(c, y, [3]int{1, 1, 1}, bias)
}

// requantize scales exact integers to the output's quantization: inputs 1, 4 and 6 are the scales of the
// operands and of the output, which stand along axes where they are vectors, 7 the output's zero points.
// The bias stands along axis 1.
func requantize(c *Call, y *tensor.Tensor, axes [3]int, bias []float64) error {
	v := tensor.As[float64](y)
	var scale [3][]float64
	var at [3]func(i int) int
	for k, i := range []int{1, 4, 6} {
		var err error
		if scale[k], err = c.In(i).Float64s(); err != nil {
			return err
		}
		if at[k], err = spread(y.Shape(), c.In(i), axes[k]); err != nil {
			return err
		}
	}
	zp, err := zeroPoints(c, 7, len(scale[2]))
	if err != nil {
		return err
	}
	inner := 1
	if bias != nil {
		if inner = max(1, product(y.Shape()[2:])); len(bias) != y.Dim(1) {
			return errs.Errorf("%d biases for %d channels", len(bias), y.Dim(1))
		}
	}
	for i := range v {
		if bias != nil {
			v[i] += bias[i/inner%len(bias)]
		}
		m := scale[0][at[0](i)] * scale[1][at[1](i)] / scale[2][at[2](i)]
		v[i] = math.RoundToEven(v[i]*m) + zp[at[2](i)]
	}
	return setSaturated(c.Out(0), v)
}
