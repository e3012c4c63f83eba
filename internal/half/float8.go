package half

import "math"

// A Format is a signed floating-point format of at most eight bits. The zero
// value is not a format.
type Format struct {
	name      string
	man, bias int
	sign      uint8 // the sign bit; the magnitude is below it
	max       uint8 // magnitude of the largest finite value
	nan       uint8 // the NaN that a NaN becomes; for E2M1, which has none, see there
	inf       uint8 // magnitude of infinity, 0 if the format has none
	uz        bool  // unsigned zero: the code of -0 is the only NaN
}

// The formats of ONNX. E4M3FN, E5M2 are those of arXiv 2209.05433, the FNUZ
// kinds those of arXiv 2206.02915, E2M1 is the OCP Microscaling element type.
var (
	E4M3FN   = Format{name: "float8e4m3fn", man: 3, bias: 7, sign: 0x80, max: 0x7e, nan: 0x7f}
	E4M3FNUZ = Format{name: "float8e4m3fnuz", man: 3, bias: 8, sign: 0x80, max: 0x7f, nan: 0x80, uz: true}
	E5M2     = Format{name: "float8e5m2", man: 2, bias: 15, sign: 0x80, max: 0x7b, nan: 0x7e, inf: 0x7c}
	E5M2FNUZ = Format{name: "float8e5m2fnuz", man: 2, bias: 16, sign: 0x80, max: 0x7f, nan: 0x80, uz: true}

	// E2M1 always saturates. It has no NaN: one becomes -0, which is what ONNX's
	// published vectors (test_cast_FLOAT_to_FLOAT4E2M1) hold, though the prose
	// of its float4 page says 6.
	E2M1 = Format{name: "float4e2m1", man: 1, bias: 1, sign: 0x8, max: 0x7}
)

// String is the format's ONNX name in lower case.
func (f Format) String() string { return f.name }

// Max is the largest finite value of f.
func (f Format) Max() float32 { return f.To32(f.max) }

// From64 rounds x to nearest even in f. What lies beyond f's range after
// rounding, and infinity, becomes the largest finite value if saturate is set
// (always, for E2M1); otherwise infinity, or NaN where f has no infinity: the
// two tables of ONNX's Cast.
func (f Format) From64(x float64, saturate bool) uint8 {
	neg := math.Signbit(x)
	if x != x {
		if f.sign == E2M1.sign {
			return f.sign
		}
		return f.signed(f.nan, neg)
	}
	code := uint64(math.MaxUint64)
	if !math.IsInf(x, 0) {
		code = roundTo(x, f.man, f.bias)
	}
	switch {
	case code <= uint64(f.max):
		return f.signed(uint8(code), neg)
	case saturate || f.sign == E2M1.sign:
		return f.signed(f.max, neg)
	case f.inf != 0:
		return f.signed(f.inf, neg)
	}
	return f.signed(f.nan, neg)
}

// From32 is From64 of float64(x).
func (f Format) From32(x float32, saturate bool) uint8 { return f.From64(float64(x), saturate) }

// signed puts the sign on magnitude code, except where that would turn a zero
// into the NaN of an unsigned-zero format.
func (f Format) signed(code uint8, neg bool) uint8 {
	if neg && !(f.uz && code == 0) {
		code |= f.sign
	}
	return code
}

// To32 is the exact value of the code b; bits above the format's width are
// ignored.
func (f Format) To32(b uint8) float32 {
	mag := b & (f.sign - 1)
	neg := b&f.sign != 0
	switch {
	case f.uz && neg && mag == 0:
		return float32(math.NaN())
	case f.inf != 0 && mag == f.inf:
		return float32(math.Inf(1 - 2*int(b>>7)))
	case mag > f.max:
		return math.Float32frombits(0x7fc00000 | uint32(b>>7)<<31)
	}
	e, m := int(mag>>f.man), int(mag&(1<<f.man-1))
	if e == 0 {
		e = 1
	} else {
		m |= 1 << f.man
	}
	// e-bias-man is at least -18: the scale is a normal float32.
	v := float32(m) * math.Float32frombits(uint32(127+e-f.bias-f.man)<<23)
	if neg {
		v = -v
	}
	return v
}

// Table is To32 of every code of f, for conversions of many values.
func (f Format) Table() *[256]float32 {
	var t [256]float32
	for i := range t {
		t[i] = f.To32(uint8(i))
	}
	return &t
}

// Mode says how E8M0From64 rounds.
type Mode uint8

// The rounding modes of ONNX Cast's round_mode attribute, whose default is Up.
const (
	Up      Mode = iota // away from zero
	Down                // toward zero
	Nearest             // to nearest, ties up
)

const (
	e8m0NaN  = 0xff
	e8m0Max  = 0xfe
	e8m0Bias = 127
)

// E8M0To32 is the value of an E8M0 code: 2^(b-127), or NaN for 255.
func E8M0To32(b uint8) float32 {
	switch b {
	case e8m0NaN:
		return float32(math.NaN())
	case 0:
		return math.Float32frombits(1 << 22) // 2^-127, a float32 subnormal
	}
	return math.Float32frombits(uint32(b) << 23)
}

// E8M0From64 rounds x to a power of two. Zero and what rounds to below 2^-127
// or above 2^127 becomes the nearer end if saturate is set, otherwise NaN. NaN
// and negative numbers, for which ONNX defines nothing, become NaN.
func E8M0From64(x float64, saturate bool, mode Mode) uint8 {
	if x != x || x < 0 {
		return e8m0NaN
	}
	e := -1 << 16
	if math.IsInf(x, 0) {
		e = 1 << 16
	} else if x > 0 {
		frac, exp := math.Frexp(x) // frac in [0.5, 1)
		e = exp - 1
		if mode == Up && frac > 0.5 || mode == Nearest && frac >= 0.75 {
			e++
		}
	}
	switch code := e + e8m0Bias; {
	case code >= 0 && code <= e8m0Max:
		return uint8(code)
	case !saturate:
		return e8m0NaN
	case code < 0:
		return 0
	}
	return e8m0Max
}
