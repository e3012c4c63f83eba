package kern

import "math"

// Point holds the kernels that only programs of elementwise functions need, beside those of Vec. A truth value is a
// float32 whose bits are all one or all zero.
type Point struct {
	Not               Unary // of truth values
	One               Unary // 1 where true, else 0
	NaN               Unary // whether x is NaN
	Floor, Ceil       Unary
	Round             Unary // halves to even
	Sign              Unary // -1, 0 or 1; zero and NaN stay
	Expm1, Log1p      Unary
	Greater, Equal    Binary // false where either is NaN
	GreaterOrEqual    Binary
	And, Or, Xor      Binary                          // of truth values
	Select            func(dst, cond, x, y []float32) // x where cond, else y
	Widen             func(dst []float32, x []byte)   // truth values of bytes that are zero or not
	Narrow            func(dst []byte, x []float32)   // and back, as 0 and 1
	Sin, Cos, Tan     Unary
	Asin, Acos, Atan  Unary
	Sinh, Cosh, Asinh Unary
	Acosh, Atanh      Unary
	Pow               Binary
}

// maskOf is a truth value.
func maskOf(b bool) float32 {
	if b {
		return math.Float32frombits(math.MaxUint32)
	}
	return 0
}

//go:noinline
func bitsGo(f func(x, y uint32) uint32) Binary {
	return binaryGo(func(x, y float32) float32 {
		return math.Float32frombits(f(math.Float32bits(x), math.Float32bits(y)))
	})
}

// pointGo returns the twins in Go: what each kernel means.
func pointGo() Point {
	return Point{
		Not:            paramGo(func(x, _, _ float32) float32 { return math.Float32frombits(^math.Float32bits(x)) }),
		One:            paramGo(func(x, _, _ float32) float32 { return math.Float32frombits(math.Float32bits(x) & 0x3f800000) }),
		NaN:            paramGo(func(x, _, _ float32) float32 { return maskOf(x != x) }),
		Floor:          unaryGo(math.Floor),
		Ceil:           unaryGo(math.Ceil),
		Round:          unaryGo(math.RoundToEven),
		Sign:           paramGo(signGo),
		Expm1:          unaryGo(math.Expm1),
		Log1p:          unaryGo(math.Log1p),
		Greater:        binaryGo(func(x, y float32) float32 { return maskOf(x > y) }),
		GreaterOrEqual: binaryGo(func(x, y float32) float32 { return maskOf(x >= y) }),
		Equal:          binaryGo(func(x, y float32) float32 { return maskOf(x == y) }),
		And:            bitsGo(func(x, y uint32) uint32 { return x & y }),
		Or:             bitsGo(func(x, y uint32) uint32 { return x | y }),
		Xor:            bitsGo(func(x, y uint32) uint32 { return x ^ y }),
		Select:         selectGo,
		Widen:          widenGo,
		Narrow:         narrowGo,
		Sin:            unaryGo(math.Sin),
		Cos:            unaryGo(math.Cos),
		Tan:            unaryGo(math.Tan),
		Asin:           unaryGo(math.Asin),
		Acos:           unaryGo(math.Acos),
		Atan:           unaryGo(math.Atan),
		Sinh:           unaryGo(math.Sinh),
		Cosh:           unaryGo(math.Cosh),
		Asinh:          unaryGo(math.Asinh),
		Acosh:          unaryGo(math.Acosh),
		Atanh:          unaryGo(math.Atanh),
		Pow:            binaryGo(func(x, y float32) float32 { return float32(math.Pow(float64(x), float64(y))) }),
	}
}

func signGo(x, _, _ float32) float32 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func selectGo(dst, cond, x, y []float32) {
	for i, c := range cond {
		if math.Float32bits(c) != 0 {
			dst[i] = x[i]
		} else {
			dst[i] = y[i]
		}
	}
}

func widenGo(dst []float32, x []byte) {
	for i, b := range x {
		dst[i] = maskOf(b != 0)
	}
}

func narrowGo(dst []byte, x []float32) {
	for i, v := range x {
		dst[i] = byte(math.Float32bits(v) >> 31)
	}
}
