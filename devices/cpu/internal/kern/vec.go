package kern

import "math"

// chunk bounds the elements of one assembly call.
const chunk = 1 << 14

var negInf = float32(math.Inf(-1))

// A Unary computes dst[i] = f(x[i]) for i < len(x); dst may be x. Functions without
// parameters ignore a and b.
type Unary func(dst, x []float32, a, b float32)

// A Binary computes dst[i] = f(x[i], y[i]) for i < len(x); dst may be x or y.
type Binary func(dst, x, y []float32)

// Vec holds the kernels on vectors.
type Vec struct {
	Exp, Log, Sigmoid, Silu, Tanh, Erf, Gelu, GeluTanh Unary
	Sqrt, Rsqrt, Reciprocal, Neg, Abs                  Unary
	Clip                                               Unary // clamp to [a, b]; NaN stays
	LeakyRelu                                          Unary // a·x where x is negative
	HardSigmoid                                        Unary // clamp(a·x+b, 0, 1)
	HardSwish                                          Unary // x·clamp(x/6+1/2, 0, 1)
	ScaleShift                                         Unary // a·x+b
	SubFrom, DivFrom, DivBy, AddS, MulS                Unary // a-x, a/x, x/a, x+a, x·a

	Add, Sub, Mul, Div Binary
	Max, Min           Binary // NaN if either is

	MulAdd     func(dst, x, y, z []float32)               // x·y+z
	MulAddClip func(dst, x, y, z []float32, a, b float32) // clamp(x·y+z, a, b)
	Normalize  func(dst, x, y, z []float32, a, b float32) // (x-a)·b·y+z
	AddClip    func(dst, x, y []float32, a, b float32)    // clamp(x+y, a, b)
	Axpy       func(dst, x []float32, a float32)          // dst += a·x

	Sum      func(x []float32) float32
	SumSq    func(x []float32) float32
	SumSqDev func(x []float32, a float32) float32 // Σ(x-a)²
	MaxOf    func(x []float32) float32            // NaN elements are passed over or returned
	Dot      func(x, y []float32) float32
	ExpSum   func(dst, x []float32, a float32) float32 // dst = e^(x-a); the sum of dst
}

// addLanes adds partial sums pairwise.
func addLanes(s []float32) float32 {
	for len(s) > 1 {
		h := len(s) / 2
		for i := range h {
			s[i] += s[h+i]
		}
		s = s[:h]
	}
	return s[0]
}

func maxLanes(s []float32) float32 {
	m := s[0]
	for _, v := range s[1:] {
		m = max(m, v)
	}
	return m
}

// unaryGo makes a Unary from the function that specifies it.
//
//go:noinline
func unaryGo(f func(x float64) float64) Unary {
	return func(dst, x []float32, _, _ float32) {
		dst = dst[:len(x)]
		for i, v := range x {
			dst[i] = float32(f(float64(v)))
		}
	}
}

//go:noinline
func paramGo(f func(x, a, b float32) float32) Unary {
	return func(dst, x []float32, a, b float32) {
		dst = dst[:len(x)]
		for i, v := range x {
			dst[i] = f(v, a, b)
		}
	}
}

//go:noinline
func binaryGo(f func(x, y float32) float32) Binary {
	return func(dst, x, y []float32) {
		dst, y = dst[:len(x)], y[:len(x)]
		for i, v := range x {
			dst[i] = f(v, y[i])
		}
	}
}

func sigmoidGo(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// vecGo returns the twins in Go: what each kernel means.
func vecGo() Vec {
	return Vec{
		Exp:         unaryGo(math.Exp),
		Log:         unaryGo(math.Log),
		Sigmoid:     unaryGo(sigmoidGo),
		Silu:        unaryGo(func(x float64) float64 { return x * sigmoidGo(x) }),
		Tanh:        unaryGo(math.Tanh),
		Erf:         unaryGo(math.Erf),
		Gelu:        unaryGo(func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }),
		GeluTanh:    unaryGo(func(x float64) float64 { return x * sigmoidGo(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)) }),
		Sqrt:        unaryGo(math.Sqrt),
		Rsqrt:       unaryGo(func(x float64) float64 { return 1 / math.Sqrt(x) }),
		Reciprocal:  unaryGo(func(x float64) float64 { return 1 / x }),
		Neg:         paramGo(func(x, _, _ float32) float32 { return -x }),
		Abs:         paramGo(func(x, _, _ float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }),
		Clip:        paramGo(clampGo),
		LeakyRelu:   paramGo(leakyGo),
		HardSigmoid: paramGo(func(x, a, b float32) float32 { return clampGo(a*x+b, 0, 1) }),
		HardSwish:   paramGo(func(x, _, _ float32) float32 { return x * clampGo(x*(1.0/6)+0.5, 0, 1) }),
		ScaleShift:  paramGo(func(x, a, b float32) float32 { return a*x + b }),
		SubFrom:     paramGo(func(x, a, _ float32) float32 { return a - x }),
		DivFrom:     paramGo(func(x, a, _ float32) float32 { return a / x }),
		DivBy:       paramGo(func(x, a, _ float32) float32 { return x / a }),
		AddS:        paramGo(func(x, a, _ float32) float32 { return x + a }),
		MulS:        paramGo(func(x, a, _ float32) float32 { return x * a }),
		Add:         binaryGo(func(x, y float32) float32 { return x + y }),
		Sub:         binaryGo(func(x, y float32) float32 { return x - y }),
		Mul:         binaryGo(func(x, y float32) float32 { return x * y }),
		Div:         binaryGo(func(x, y float32) float32 { return x / y }),
		Max:         binaryGo(func(x, y float32) float32 { return max(x, y) }),
		Min:         binaryGo(func(x, y float32) float32 { return min(x, y) }),
		MulAdd:      mulAddGo,
		MulAddClip:  mulAddClipGo,
		Normalize:   normalizeGo,
		AddClip:     addClipGo,
		Axpy:        axpyGo,
		Sum:         sumGo,
		SumSq:       func(x []float32) float32 { return sumSqDevGo(x, 0) },
		SumSqDev:    sumSqDevGo,
		MaxOf:       maxOfGo,
		Dot:         dotGo,
		ExpSum:      expSumGo,
	}
}

func leakyGo(x, a, _ float32) float32 {
	if x < 0 {
		return a * x
	}
	return x
}

func mulAddGo(dst, x, y, z []float32) {
	for i, v := range x {
		dst[i] = v*y[i] + z[i]
	}
}

func mulAddClipGo(dst, x, y, z []float32, a, b float32) {
	for i, v := range x {
		dst[i] = clampGo(v*y[i]+z[i], a, b)
	}
}

func normalizeGo(dst, x, y, z []float32, a, b float32) {
	for i, v := range x {
		dst[i] = (v-a)*b*y[i] + z[i]
	}
}

func addClipGo(dst, x, y []float32, a, b float32) {
	for i, v := range x {
		dst[i] = clampGo(v+y[i], a, b)
	}
}

func axpyGo(dst, x []float32, a float32) {
	for i, v := range x {
		dst[i] += a * v
	}
}

// sumGo adds in sixteen lanes, which keeps rounding errors as small as the vector kernels do.
func sumGo(x []float32) float32 {
	var s [16]float32
	for i, v := range x {
		s[i%16] += v
	}
	return addLanes(s[:])
}

func sumSqDevGo(x []float32, a float32) float32 {
	var s [16]float32
	for i, v := range x {
		s[i%16] += (v - a) * (v - a)
	}
	return addLanes(s[:])
}

func dotGo(x, y []float32) float32 {
	var s [16]float32
	for i, v := range x {
		s[i%16] += v * y[i]
	}
	return addLanes(s[:])
}

func maxOfGo(x []float32) float32 {
	m := negInf
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

func expSumGo(dst, x []float32, a float32) float32 {
	var s [16]float32
	for i, v := range x {
		e := float32(math.Exp(float64(v - a)))
		dst[i] = e
		s[i%16] += e
	}
	return addLanes(s[:])
}
