// Package half converts between float32, float64 and the narrow floating-point
// formats of ONNX: float16, bfloat16, the float8 kinds, E8M0 and float4 E2M1.
// Every conversion to a narrower format rounds once, from the exact source
// value, to nearest with ties to even unless a rounding mode says otherwise.
package half

import "math"

const (
	f64ExpMask = 0x7ff
	f64ManBits = 52
	f64Bias    = 1023
)

// roundTo rounds |x|, finite, to a binary format with man stored mantissa bits
// and the given exponent bias, and gives the magnitude's bit pattern with an
// exponent field of unlimited width: the caller compares it with its largest
// finite code to see overflow.
func roundTo(x float64, man, bias int) uint64 {
	b := math.Float64bits(x) &^ (1 << 63)
	if b == 0 {
		return 0
	}
	sig := b & (1<<f64ManBits - 1)
	e := int(b>>f64ManBits) - f64Bias
	if b>>f64ManBits == 0 {
		e++ // subnormal float64: no implicit bit
	} else {
		sig |= 1 << f64ManBits
	}
	emin := 1 - bias
	shift := f64ManBits - man
	field := uint64(0) // biased exponent minus one of a normal result
	if e < emin {
		shift += emin - e
	} else {
		field = uint64(e - emin)
	}
	if shift > f64ManBits+2 {
		return 0 // below half of the smallest subnormal
	}
	q := sig >> shift
	rem, mid := sig&(1<<shift-1), uint64(1)<<(shift-1)
	if rem > mid || rem == mid && q&1 == 1 {
		q++ // a carry runs into the exponent field, as it should
	}
	return field<<man + q
}

// F16To32 is the exact value of the float16 with bits h. A NaN keeps its sign
// and payload and becomes quiet.
func F16To32(h uint16) float32 {
	const magic = 113 << 23 // 2^-14, as float32 bits
	sign := uint32(h&0x8000) << 16
	o := uint32(h&0x7fff) << 13
	switch h & 0x7c00 {
	case 0x7c00:
		o += (255 - 31) << 23
		if h&0x3ff != 0 {
			o |= 1 << 22
		}
	case 0:
		f := math.Float32frombits(o+magic) - math.Float32frombits(magic)
		o = math.Float32bits(f)
	default:
		o += (127 - 15) << 23
	}
	return math.Float32frombits(o | sign)
}

// F16To64 is the exact value of the float16 with bits h.
func F16To64(h uint16) float64 { return float64(F16To32(h)) }

// F16From32 rounds f to float16, to nearest even; beyond the range it gives an
// infinity. A NaN keeps its sign and the top of its payload and becomes quiet,
// as VCVTPS2PH does.
func F16From32(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x477ff000: // 65520 and more: rounds past the largest finite value
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: adding 0.5 lines the subnormal's last bit up with float32's
		r := math.Float32bits(math.Float32frombits(b) + 0.5)
		return sign | uint16(r-0x3f000000)
	}
	odd := b >> 13 & 1
	return sign | uint16((b+0xfff+odd-(127-15)<<23)>>13)
}

// F16From64 rounds f to float16 as F16From32 does, in one step.
func F16From64(f float64) uint16 {
	sign := uint16(math.Float64bits(f)>>48) & 0x8000
	if f != f {
		return sign | 0x7e00 | uint16(math.Float64bits(f)>>42)&0x3ff
	}
	if math.IsInf(f, 0) {
		return sign | 0x7c00
	}
	return sign | uint16(min(roundTo(f, 10, 15), 0x7c00))
}

// BF16To32 is the exact value of the bfloat16 with bits h.
func BF16To32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// BF16To64 is the exact value of the bfloat16 with bits h.
func BF16To64(h uint16) float64 { return float64(BF16To32(h)) }

// BF16From32 rounds f to bfloat16, to nearest even; beyond the range it gives
// an infinity. A NaN keeps its sign and the top of its payload and becomes quiet.
func BF16From32(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// BF16From64 rounds f to bfloat16 as BF16From32 does, in one step.
func BF16From64(f float64) uint16 {
	sign := uint16(math.Float64bits(f)>>48) & 0x8000
	if f != f {
		return sign | 0x7fc0 | uint16(math.Float64bits(f)>>45)&0x7f
	}
	if math.IsInf(f, 0) {
		return sign | 0x7f80
	}
	return sign | uint16(min(roundTo(f, 7, 127), 0x7f80))
}

// F16To32Slice sets dst[i] to the value of the float16 src[i], for i < len(src).
// It panics if dst is shorter than src, as do the other slice functions.
func F16To32Slice(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = F16To32(h)
	}
}

// F16From32Slice sets dst[i] to src[i] rounded to float16, for i < len(src).
func F16From32Slice(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, f := range src {
		dst[i] = F16From32(f)
	}
}

// BF16To32Slice sets dst[i] to the value of the bfloat16 src[i], for i < len(src).
func BF16To32Slice(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = BF16To32(h)
	}
}

// BF16From32Slice sets dst[i] to src[i] rounded to bfloat16, for i < len(src).
func BF16From32Slice(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, f := range src {
		dst[i] = BF16From32(f)
	}
}
