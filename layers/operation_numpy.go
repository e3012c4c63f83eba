package layers

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// numpyOperations is the rest of keras.ops.numpy: what works element by element.
var numpyOperations = []opRow{
	{name: "Fabs", params: "x", f: unaryFloat, op: ops.Abs{}}, {name: "Conjugate", params: "x", f: unary, op: ops.Identity{}}, {name: "Real", params: "x", f: unary, op: ops.Identity{}},
	{name: "Imag", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.filled(o.x(), o.x().Type.DType, 0)) }},
	{name: "Isreal", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.filled(o.x(), tensor.Bool, 1)) }},
	{name: "Angle", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.floatX()
		return one(o.choose(o.Add(ops.Less{}, x, o.num(x, 0)), o.num(x, math.Pi), o.num(x, 0)))
	}},
	{name: "Array", params: "x", f: func(o *opArgs) []*graph.Value { x := o.x(); return one(o.cast(x, o.dtype(x.Type.DType, "dtype"))) }},
	{name: "View", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.x()
		return one(o.Add(ops.BitCast{To: o.dtype(x.Type.DType, "dtype")}, x))
	}},
	{name: "SaturateCast", params: "x", f: saturateCast},
	{name: "Heaviside", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		y := o.choose(o.Add(ops.Greater{}, a, o.num(a, 0)), o.num(a, 1), o.num(a, 0))
		return one(o.choose(o.Add(ops.Equal{}, a, o.num(a, 0)), b, y))
	}},
	{name: "BitwiseAnd", f: bitwise(ops.BitwiseAnd{})}, {name: "BitwiseOr", f: bitwise(ops.BitwiseOr{})}, {name: "BitwiseXor", f: bitwise(ops.BitwiseXor{})},
	{name: "BitwiseNot", params: "x", f: unary, op: ops.BitwiseNot{}}, {name: "BitwiseInvert", params: "x", f: unary, op: ops.BitwiseNot{}},
	{name: "LeftShift", params: "x y", f: shift(true)}, {name: "BitwiseLeftShift", params: "x y", f: shift(true)},
	{name: "RightShift", params: "x y", f: shift(false)}, {name: "BitwiseRightShift", params: "x y", f: shift(false)},
	{name: "Cbrt", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.floatX()
		return one(o.mul(o.Add(ops.Sign{}, x), o.Add(ops.Pow{}, o.Add(ops.Abs{}, x), o.num(x, 1.0/3))))
	}},
	{name: "Deg2rad", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.mulN(o.floatX(), math.Pi/180)) }},
	{name: "Rad2deg", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.mulN(o.floatX(), 180/math.Pi)) }},
	{name: "Exp2", params: "x", f: func(o *opArgs) []*graph.Value { x := o.floatX(); return one(o.Add(ops.Pow{}, o.num(x, 2), x)) }},
	{name: "Hypot", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		return one(o.Add(ops.Sqrt{}, o.add(o.mul(a, a), o.mul(b, b))))
	}},
	{name: "Ldexp", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		return one(o.mul(a, o.Add(ops.Pow{}, o.num(b, 2), b)))
	}},
	{name: "Logaddexp", params: "x1 x2", f: func(o *opArgs) []*graph.Value { a, b := o.floatPair(); return one(o.logAddExp(a, b)) }},
	{name: "Logaddexp2", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.floatPair()
		return one(o.mulN(o.logAddExp(o.mulN(a, math.Ln2), o.mulN(b, math.Ln2)), 1/math.Ln2))
	}},
	{name: "Fmax", params: "x1 x2", f: ignoreNaN(ops.Max{})}, {name: "Fmin", params: "x1 x2", f: ignoreNaN(ops.Min{})},
	{name: "Fmod", params: "x1 x2", f: func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.Add(ops.Mod{Fmod: true}, a, b)) }},
	{name: "Gcd", params: "x1 x2", f: func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.gcd(a, b)) }},
	{name: "Lcm", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		g := o.gcd(a, b)
		zero := o.Add(ops.Equal{}, g, o.num(g, 0))
		return one(o.mul(o.Add(ops.FloorDiv{}, o.Add(ops.Abs{}, a), o.choose(zero, o.num(g, 1), g)), o.Add(ops.Abs{}, b)))
	}},
	{name: "Isfinite", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.floatX()
		return one(o.Add(ops.Not{}, o.Add(ops.Or{}, o.Add(ops.IsNaN{}, x), o.Add(ops.IsInf{DetectNegative: true, DetectPositive: true}, x))))
	}},
	{name: "Isinf", params: "x", f: unaryFloat, op: ops.IsInf{DetectNegative: true, DetectPositive: true}},
	{name: "Isneginf", params: "x", f: unaryFloat, op: ops.IsInf{DetectNegative: true}}, {name: "Isposinf", params: "x", f: unaryFloat, op: ops.IsInf{DetectPositive: true}},
	{name: "Isclose", params: "x1 x2 rtol atol equal_nan", f: func(o *opArgs) []*graph.Value { return one(o.isClose()) }},
	{name: "AllClose", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		m := o.cast(o.isClose(), tensor.Int32)
		return one(o.cast(o.Add(ops.ReduceMin{}, m), tensor.Bool))
	}},
	{name: "IsIn", params: "x1 x2", f: func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		y := o.any(o.Add(ops.Equal{}, o.expandDims(a, -1), o.reshapeTo(b, -1)), false, -1)
		if o.bool(false, "invert") {
			y = o.Add(ops.Not{}, y)
		}
		o.bool(false, "assume_unique")
		return one(y)
	}},
	{name: "NanToNum", params: "x", f: nanToNum},
	{name: "Signbit", params: "x", f: func(o *opArgs) []*graph.Value { x := o.x(); return one(o.Add(ops.Less{}, x, o.num(x, 0))) }},
	{name: "Sinc", params: "x", f: func(o *opArgs) []*graph.Value {
		x := o.mulN(o.floatX(), math.Pi)
		zero := o.Add(ops.Equal{}, x, o.num(x, 0))
		safe := o.choose(zero, o.num(x, 1), x)
		return one(o.choose(zero, o.num(x, 1), o.div(o.Add(ops.Sin{}, safe), safe)))
	}},
	{name: "Trunc", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.truncate(o.x())) }},
	{name: "Round", params: "x", f: roundOp},
	{name: "I0", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.bessel0(o.floatX())) }},
	{name: "Erfc", params: "x", f: func(o *opArgs) []*graph.Value { x := o.floatX(); return one(o.sub(o.num(x, 1), o.Add(ops.Erf{}, x))) }},
	{name: "Erfinv", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.erfInverse(o.floatX())) }},
	{name: "Polar", params: "abs_ angle", f: func(o *opArgs) []*graph.Value {
		o.Failf("gives complex numbers, which Keras models can't hold")
		return one(o.tensor(nil, "abs_"))
	}},
	{name: "Ndim", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.scalar(tensor.Int32, float64(o.rank(o.x())))) }},
	{name: "Size", params: "x", f: func(o *opArgs) []*graph.Value { return one(o.cast(o.Add(ops.Size{}, o.x()), tensor.Int32)) }},
	{name: "FullLike", params: "x fill_value", f: func(o *opArgs) []*graph.Value { return one(o.fullLike()) }},
	{name: "EmptyLike", params: "x dtype", f: func(o *opArgs) []*graph.Value { return one(o.fillLike(0)) }},
	{name: "Full", params: "fill_value", f: func(o *opArgs) []*graph.Value {
		v := o.tensor(nil, "fill_value")
		s, _ := o.intList("shape")
		return one(o.Add(ops.Expand{}, o.cast(v, o.dtype(v.Type.DType, "dtype")), o.ints(s...)))
	}},
	{name: "Arange", params: "start stop step", f: arange},
	{name: "Linspace", params: "start stop", f: func(o *opArgs) []*graph.Value { return o.linspace(nil) }},
	{name: "Logspace", params: "start stop", f: func(o *opArgs) []*graph.Value {
		base := o.float(10, "base")
		return o.linspace(func(v *graph.Value) *graph.Value { return o.Add(ops.Pow{}, o.num(v, base), v) })
	}},
	{name: "Geomspace", params: "start stop", f: geomspace},
	{name: "Select", params: "condlist choicelist default", f: selectOp},
	{name: "Clip", params: "x x_min x_max", f: clipOp},
	{name: "Where", params: "condition x1 x2", f: whereOrNonzero},
}

// choose is a where cond, and b elsewhere.
//
//go:noinline
func (o *opArgs) choose(cond, a, b *graph.Value) *graph.Value {
	return o.Add(ops.Where{}, o.cast(cond, tensor.Bool), a, b)
}

// filled is a tensor of x's shape.
//
//go:noinline
func (o *opArgs) filled(x *graph.Value, dt tensor.DType, v float64) *graph.Value {
	return o.expand(o.scalar(dt, v), x.Type.Dims, x)
}

func bitwise(op graph.Op) opDef {
	return opDef{"x y", func(o *opArgs) []*graph.Value { a, b := o.pair(); return one(o.Add(op, a, b)) }}
}

// shift is a product with, or a floor division by, a power of two: arithmetic shifts of signed integers.
func shift(left bool) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		p := o.Add(ops.Pow{}, o.num(b, 2), b)
		if left {
			return one(o.mul(a, p))
		}
		return one(o.Add(ops.FloorDiv{}, a, p))
	}
}

// logAddExp is log(exp(a) + exp(b)).
func (o *opArgs) logAddExp(a, b *graph.Value) *graph.Value {
	m := o.Add(ops.Max{}, a, b)
	d := o.Add(ops.Neg{}, o.Add(ops.Abs{}, o.sub(a, b)))
	return o.add(m, o.Add(ops.Log1p{}, o.Add(ops.Exp{}, d)))
}

func ignoreNaN(op graph.Op) func(o *opArgs) []*graph.Value {
	return func(o *opArgs) []*graph.Value {
		a, b := o.pair()
		if !a.Type.DType.IsFloat() {
			return one(o.Add(op, a, b))
		}
		y := o.Add(op, a, b)
		y = o.choose(o.Add(ops.IsNaN{}, a), b, y)
		return one(o.choose(o.Add(ops.IsNaN{}, b), a, y))
	}
}

// gcd is Euclid's algorithm, written out for as many steps as the type's numbers may need.
func (o *opArgs) gcd(a, b *graph.Value) *graph.Value {
	if !a.Type.DType.IsInt() {
		o.Failf("takes integers, got %v", a.Type)
		return a
	}
	a, b = o.Add(ops.Abs{}, a), o.Add(ops.Abs{}, b)
	for range a.Type.DType.Bits()*3/2 + 1 { // consecutive Fibonacci numbers take the most
		zero := o.Add(ops.Equal{}, b, o.num(b, 0))
		rest := o.Add(ops.Mod{}, a, o.choose(zero, o.num(b, 1), b))
		a, b = o.choose(zero, a, b), o.choose(zero, b, rest)
	}
	return a
}

func (o *opArgs) isClose() *graph.Value {
	a, b := o.floatPair()
	rtol, atol := o.float(1e-5, "rtol"), o.float(1e-8, "atol")
	limit := o.addN(o.mulN(o.Add(ops.Abs{}, b), rtol), atol)
	inf := ops.IsInf{DetectNegative: true, DetectPositive: true}
	near := o.Add(ops.LessOrEqual{}, o.Add(ops.Abs{}, o.sub(a, b)), limit)
	finite := o.Add(ops.Not{}, o.Add(inf, b))
	near = o.Add(ops.Or{}, o.Add(ops.And{}, near, finite), o.Add(ops.Equal{}, a, b))
	if o.bool(false, "equal_nan") {
		near = o.Add(ops.Or{}, near, o.Add(ops.And{}, o.Add(ops.IsNaN{}, a), o.Add(ops.IsNaN{}, b)))
	}
	return near
}

func nanToNum(o *opArgs) []*graph.Value {
	x := o.x()
	if !x.Type.DType.IsFloat() {
		return one(x)
	}
	big := map[tensor.DType]float64{tensor.Float16: 65504, tensor.BFloat16: 0x1.fep127, tensor.Float32: math.MaxFloat32}[x.Type.DType]
	if big == 0 {
		big = math.MaxFloat64
	}
	y := o.choose(o.Add(ops.IsNaN{}, x), o.num(x, o.float(0, "nan")), x)
	y = o.choose(o.Add(ops.IsInf{DetectPositive: true}, x), o.num(x, o.float(big, "posinf")), y)
	return one(o.choose(o.Add(ops.IsInf{DetectNegative: true}, x), o.num(x, o.float(-big, "neginf")), y))
}

// truncate is x rounded towards zero.
func (o *opArgs) truncate(x *graph.Value) *graph.Value {
	if !x.Type.DType.IsFloat() {
		return x
	}
	return o.choose(o.Add(ops.Less{}, x, o.num(x, 0)), o.Add(ops.Ceil{}, x), o.Add(ops.Floor{}, x))
}

func roundOp(o *opArgs) []*graph.Value {
	x := o.x()
	dt := x.Type.DType
	y := o.floatX()
	if d := o.int(0, "decimals"); d != 0 {
		scale := math.Pow(10, float64(d))
		if d < 0 { // the power of ten that is exact
			scale = math.Pow(10, float64(-d))
			return one(o.cast(o.mulN(o.Add(ops.Round{}, o.div(y, o.num(y, scale))), scale), dt))
		}
		return one(o.cast(o.div(o.Add(ops.Round{}, o.mulN(y, scale)), o.num(y, scale)), dt))
	}
	return one(o.cast(o.Add(ops.Round{}, y), dt))
}

func saturateCast(o *opArgs) []*graph.Value {
	x := o.x()
	to := o.dtype(x.Type.DType, "dtype")
	if to.IsInt() && x.Type.DType != tensor.Bool {
		lo, hi := 0.0, math.Pow(2, float64(to.Bits()))-1
		if to.IsSigned() {
			lo, hi = -math.Pow(2, float64(to.Bits()-1)), math.Pow(2, float64(to.Bits()-1))-1
		}
		if x.Type.DType.IsFloat() || to.Bits() < x.Type.DType.Bits() {
			x = o.clip(x, lo, hi)
		}
	}
	return one(o.cast(x, to))
}

// bessel0 is the modified Bessel function of order zero by the approximations of Abramowitz and Stegun,
// 9.8.1 and 9.8.2.
func (o *opArgs) bessel0(x *graph.Value) *graph.Value {
	ax := o.Add(ops.Abs{}, x)
	small := o.Add(ops.LessOrEqual{}, ax, o.num(x, 3.75))
	t := o.mulN(o.choose(small, ax, o.num(x, 3.75)), 1/3.75)
	near := o.horner(o.mul(t, t), 1, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
	big := o.choose(small, o.num(x, 3.75), ax)
	far := o.horner(o.div(o.num(x, 3.75), big), 0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377)
	far = o.div(o.mul(far, o.Add(ops.Exp{}, big)), o.Add(ops.Sqrt{}, big))
	return o.choose(small, near, far)
}

// horner is a polynomial, lowest coefficient first.
func (o *opArgs) horner(x *graph.Value, coeffs ...float64) *graph.Value {
	y := o.num(x, coeffs[len(coeffs)-1])
	for _, k := range slices.Backward(coeffs[:len(coeffs)-1]) {
		y = o.addN(o.mul(y, x), k)
	}
	return y
}

// erfInverse starts from Giles' approximation in single precision and takes two of Newton's steps.
func (o *opArgs) erfInverse(x *graph.Value) *graph.Value {
	edge := o.Add(ops.GreaterOrEqual{}, o.Add(ops.Abs{}, x), o.num(x, 1))
	in := o.choose(edge, o.num(x, 0), x)
	w := o.Add(ops.Neg{}, o.Add(ops.Log1p{}, o.Add(ops.Neg{}, o.mul(in, in))))
	a := o.horner(o.addN(w, -2.5), 1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08)
	tail := o.Add(ops.Less{}, w, o.num(w, 5))
	b := o.horner(o.addN(o.Add(ops.Sqrt{}, w), -3), 2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257)
	y := o.mul(in, o.choose(tail, a, b))
	for range 2 {
		d := o.sub(o.Add(ops.Erf{}, y), in)
		y = o.sub(y, o.mul(o.mulN(d, math.Sqrt(math.Pi)/2), o.Add(ops.Exp{}, o.mul(y, y))))
	}
	inf := o.mul(o.Add(ops.Sign{}, x), o.num(x, math.Inf(1)))
	beyond := o.Add(ops.Greater{}, o.Add(ops.Abs{}, x), o.num(x, 1))
	return o.choose(edge, o.choose(beyond, o.num(x, math.NaN()), inf), y)
}

func (o *opArgs) fullLike() *graph.Value {
	x := o.x()
	dt := o.dtype(x.Type.DType, "dtype")
	return o.expand(o.cast(o.tensor(x, "fill_value"), dt), x.Type.Dims, x)
}

// arange is Range over numbers or computed scalars.
func arange(o *opArgs) []*graph.Value {
	start, stop := o.tensor(nil, "start"), o.num(o.tensor(nil, "start"), 0)
	if o.get("stop") == nil {
		start, stop = stop, start
	} else {
		stop = o.tensor(nil, "stop")
	}
	step := o.tensor(nil, "start")
	if o.get("step") == nil {
		step = o.num(start, 1)
	} else {
		step = o.tensor(nil, "step")
	}
	ints := isWhole(o.vals["start"]) && isWhole(o.vals["stop"]) && isWhole(o.vals["step"])
	def := tensor.Float32
	if ints {
		def = tensor.Int32
	}
	dt := o.dtype(def, "dtype")
	y := o.Add(ops.Range{}, o.cast(start, dt), o.cast(stop, dt), o.cast(step, dt))
	return one(y)
}

func isWhole(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case *graph.Value:
		return v.Type.DType.IsInt()
	}
	_, err := asInt(v)
	return err == nil
}

// linspace is num places from start to stop, in front of the shape of both; f maps them.
func (o *opArgs) linspace(f func(*graph.Value) *graph.Value) []*graph.Value {
	a, b := o.pairOf("start", "stop")
	return one(o.spaced(a, b, f))
}

func (o *opArgs) pairOf(first, second string) (a, b *graph.Value) {
	if v, ok := o.get(first).(*graph.Value); ok {
		a = v
		b = o.tensor(a, second)
	} else {
		b = o.tensor(nil, second)
		a = o.tensor(b, first)
	}
	dt := promote(promote(a.Type.DType, b.Type.DType), tensor.Float32)
	return o.cast(a, dt), o.cast(b, dt)
}

func (o *opArgs) spaced(a, b *graph.Value, f func(*graph.Value) *graph.Value) *graph.Value {
	n := o.int(50, "num")
	if n < 1 || !o.atMost("num", n, maxConstant) || o.bool(false, "retstep") || o.int(0, "axis") != 0 {
		o.Failf("num %d, retstep %v, axis %v", n, o.vals["retstep"], o.vals["axis"])
		return a
	}
	parts := n - 1
	if !o.bool(true, "endpoint") {
		parts = n
	}
	ts := make([]float64, n)
	for i := range ts {
		ts[i] = float64(i) / float64(max(parts, 1))
	}
	shape := append([]int{n}, repeat(1, max(o.rank(a), o.rank(b)))...)
	y := o.add(a, o.mul(o.sub(b, a), o.constant(a.Type.DType, ts, shape...)))
	if f != nil {
		y = f(y)
	}
	return o.cast(y, o.dtype(a.Type.DType, "dtype"))
}

func geomspace(o *opArgs) []*graph.Value {
	a, b := o.pairOf("start", "stop")
	sign := o.Add(ops.Sign{}, a)
	la, lb := o.Add(ops.Log{}, o.Add(ops.Abs{}, a)), o.Add(ops.Log{}, o.Add(ops.Abs{}, b))
	return one(o.spaced(la, lb, func(v *graph.Value) *graph.Value { return o.mul(o.Add(ops.Exp{}, v), sign) }))
}

// selectOp takes the first choice whose condition holds.
func selectOp(o *opArgs) []*graph.Value {
	conds := o.list("condlist")
	choices, _ := o.get("choicelist").([]any)
	if len(conds) != len(choices) || len(conds) == 0 {
		o.Failf("%d conditions and %d choices", len(conds), len(choices))
		return one(o.scalar(tensor.Float32, 0))
	}
	vs := make([]*graph.Value, len(choices))
	for i := range choices {
		o.vals["choice"] = choices[i]
		vs[i] = o.tensor(nil, "choice")
	}
	o.vals["choice"] = nil
	var y *graph.Value
	if o.get("default") == nil {
		y = o.num(vs[0], 0)
	} else {
		y = o.tensor(vs[0], "default")
	}
	dt := y.Type.DType
	for _, v := range vs {
		dt = promote(dt, v.Type.DType)
	}
	y = o.cast(y, dt)
	for i := len(vs) - 1; i >= 0; i-- {
		y = o.choose(conds[i], o.cast(vs[i], dt), y)
	}
	return one(y)
}

// clipOp takes bounds that are numbers, tensors or missing.
func clipOp(o *opArgs) []*graph.Value {
	x := o.x()
	bound := func(name string, op graph.Op) {
		if o.get(name) == nil {
			return
		}
		b := o.tensor(x, name)
		dt := promote(x.Type.DType, b.Type.DType)
		x = o.Add(op, o.cast(x, dt), o.cast(b, dt))
	}
	_, loTensor := o.get("x_min").(*graph.Value)
	_, hiTensor := o.get("x_max").(*graph.Value)
	lo, err1 := asNumber(o.get("x_min"))
	hi, err2 := asNumber(o.get("x_max"))
	if !loTensor && !hiTensor && err1 == nil && err2 == nil && x.Type.DType.IsFloat() {
		return one(o.clip(x, lo, hi))
	}
	bound("x_min", ops.Max{})
	bound("x_max", ops.Min{})
	return one(x)
}

func whereOrNonzero(o *opArgs) []*graph.Value {
	if o.get("x1", "x") == nil {
		return o.nonzero(o.tensor(nil, "condition"))
	}
	return o.whereOp()
}
