package tensor

import (
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/half"
)

// E8M0Round is how a cast to Float8E8M0 rounds; ONNX Cast's round_mode.
type E8M0Round uint8

// The rounding modes of a cast to Float8E8M0.
const (
	RoundUp      E8M0Round = iota // away from zero: the default
	RoundDown                     // toward zero
	RoundNearest                  // to nearest, ties up
)

// CastOptions are the attributes of ONNX Cast; the zero value is its default.
type CastOptions struct {
	NoSaturate bool      // out of range becomes NaN or infinity in the float8 types, not the largest value
	Round      E8M0Round // to Float8E8M0 only
}

// Cast converts t to another element type as ONNX Cast and numpy's astype do:
//
//   - to a float: to nearest even, one rounding, out of range to infinity; the 8-bit floats by
//     ONNX's saturation tables, Float4E2M1 always saturating;
//   - float to integer: toward zero. What does not fit is undefined in ONNX; here it is what x86 and
//     numpy give, on every machine: the type's (at least int32's) smallest value, low bits kept;
//   - integer to integer: the low bits;
//   - to Bool: whether it differs from zero, so NaN is true;
//   - String to a number: decimal or scientific notation, inf and nan in any case; a fraction is cut off
//     where an integer is wanted. Anything else is an error that names the element;
//   - to String: the shortest decimal that reads back as the same value, in Python's spelling.
//
// Complex types convert to each other and from real ones only.
func Cast(t *Tensor, to DType, o CastOptions) (*Tensor, error) {
	out, err := Make(to, t.shape)
	if err != nil {
		return nil, err
	}
	return out, CastInto(out, t, o)
}

// castBlock is how many elements pass through the intermediate form at once.
const castBlock = 512

// CastInto is Cast into existing memory of the same number of elements; their types say what to do.
func CastInto(dst, src *Tensor, o CastOptions) error {
	n := src.Len()
	if dst.Len() != n {
		return errs.Errorf("tensor: can't cast %v%v into %v%v", src.dtype, src.shape, dst.dtype, dst.shape)
	}
	switch {
	case dst.dtype == src.dtype:
		return dst.CopyFrom(src)
	case dst.dtype == Float16 && src.dtype == Float32:
		half.F16From32Slice(As[uint16](dst), As[float32](src))
		return nil
	case dst.dtype == Float32 && src.dtype == Float16:
		half.F16To32Slice(As[float32](dst), As[uint16](src))
		return nil
	case dst.dtype == BFloat16 && src.dtype == Float32:
		half.BF16From32Slice(As[uint16](dst), As[float32](src))
		return nil
	case dst.dtype == Float32 && src.dtype == BFloat16:
		half.BF16To32Slice(As[float32](dst), As[uint16](src))
		return nil
	case src.dtype == String:
		return castStrings(dst, src.strs, o)
	case dst.dtype == String:
		return castToStrings(dst.strs, src)
	case src.dtype.IsComplex() && !dst.dtype.IsComplex():
		return errs.Errorf("tensor: no cast from %v to %v: the imaginary part would be lost", src.dtype, dst.dtype)
	case dst.dtype == Complex64 && src.dtype == Complex128:
		d := As[complex64](dst)
		for i, v := range As[complex128](src) {
			d[i] = complex64(v)
		}
		return nil
	case dst.dtype == Complex128 && src.dtype == Complex64:
		d := As[complex128](dst)
		for i, v := range As[complex64](src) {
			d[i] = complex128(v)
		}
		return nil
	case src.dtype.IsFloat():
		var buf [castBlock]float64
		table := src.floatTable()
		for i := 0; i < n; i += castBlock {
			b := buf[:min(castBlock, n-i)]
			loadFloats(b, src, i, table)
			storeFloats(dst, i, b, o)
		}
		return nil
	}
	var buf [castBlock]int64
	for i := 0; i < n; i += castBlock {
		b := buf[:min(castBlock, n-i)]
		loadInts(b, src, i)
		storeInts(dst, i, b, src.dtype == Uint64, o)
	}
	return nil
}

// smallFormat is the half.Format of the sub-16-bit signed floats.
func smallFormat(d DType) half.Format {
	switch d {
	case Float8E4M3FN:
		return half.E4M3FN
	case Float8E4M3FNUZ:
		return half.E4M3FNUZ
	case Float8E5M2:
		return half.E5M2
	case Float8E5M2FNUZ:
		return half.E5M2FNUZ
	}
	return half.E2M1
}

// floatTable is the value of every code of a one-byte float type; nil for the others.
func (t *Tensor) floatTable() *[256]float32 {
	switch {
	case t.dtype == Float8E8M0:
		var tab [256]float32
		for i := range tab {
			tab[i] = half.E8M0To32(uint8(i))
		}
		return &tab
	case t.dtype.IsFloat() && t.dtype.Size() == 1:
		return smallFormat(t.dtype).Table()
	}
	return nil
}

// loadFloats reads elements i and on of a float tensor; every one is exact in float64.
func loadFloats(b []float64, t *Tensor, i int, table *[256]float32) {
	switch t.dtype {
	case Float64:
		copy(b, As[float64](t)[i:])
	case Float32:
		for k, v := range As[float32](t)[i : i+len(b)] {
			b[k] = float64(v)
		}
	case Float16:
		for k, v := range As[uint16](t)[i : i+len(b)] {
			b[k] = half.F16To64(v)
		}
	case BFloat16:
		for k, v := range As[uint16](t)[i : i+len(b)] {
			b[k] = half.BF16To64(v)
		}
	default:
		for k, v := range t.data[i : i+len(b)] {
			b[k] = float64(table[v])
		}
	}
}

func loadInts(b []int64, t *Tensor, i int) {
	switch t.dtype {
	case Int64:
		copy(b, As[int64](t)[i:])
	case Int32:
		widen(b, As[int32](t)[i:i+len(b)])
	case Int16:
		widen(b, As[int16](t)[i:i+len(b)])
	case Int8, Int4, Int2:
		widen(b, As[int8](t)[i:i+len(b)])
	case Uint64:
		widen(b, As[uint64](t)[i:i+len(b)])
	case Uint32:
		widen(b, As[uint32](t)[i:i+len(b)])
	case Uint16:
		widen(b, As[uint16](t)[i:i+len(b)])
	default:
		widen(b, t.data[i:i+len(b)])
	}
}

// storeFloats writes b from element i on, rounding or truncating to dst's type.
func storeFloats(dst *Tensor, i int, b []float64, o CastOptions) {
	n := i + len(b)
	switch dst.dtype {
	case Float64:
		copy(As[float64](dst)[i:], b)
	case Float32:
		d := As[float32](dst)[i:n]
		for k, v := range b {
			d[k] = float32(v)
		}
	case Float16:
		d := As[uint16](dst)[i:n]
		for k, v := range b {
			d[k] = half.F16From64(v)
		}
	case BFloat16:
		d := As[uint16](dst)[i:n]
		for k, v := range b {
			d[k] = half.BF16From64(v)
		}
	case Float8E8M0:
		for k, v := range b {
			dst.data[i+k] = half.E8M0From64(v, !o.NoSaturate, half.Mode(o.Round))
		}
	case Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float4E2M1:
		f := smallFormat(dst.dtype)
		for k, v := range b {
			dst.data[i+k] = f.From64(v, !o.NoSaturate)
		}
	case Complex64:
		d := As[complex64](dst)[i:n]
		for k, v := range b {
			d[k] = complex(float32(v), 0)
		}
	case Complex128:
		d := As[complex128](dst)[i:n]
		for k, v := range b {
			d[k] = complex(v, 0)
		}
	case Bool:
		for k, v := range b {
			dst.data[i+k] = truth(v != 0)
		}
	default:
		var ints [castBlock]int64
		truncate(ints[:len(b)], b, dst.dtype)
		storeInts(dst, i, ints[:len(b)], false, o)
	}
}

// storeInts writes b, the bits of uint64s if unsigned is set, from element i on.
func storeInts(dst *Tensor, i int, b []int64, unsigned bool, o CastOptions) {
	n := i + len(b)
	switch dst.dtype {
	case Int64:
		copy(As[int64](dst)[i:], b)
	case Uint64:
		wrap(As[uint64](dst)[i:n], b)
	case Int32:
		wrap(As[int32](dst)[i:n], b)
	case Uint32:
		wrap(As[uint32](dst)[i:n], b)
	case Int16:
		wrap(As[int16](dst)[i:n], b)
	case Uint16:
		wrap(As[uint16](dst)[i:n], b)
	case Int8:
		wrap(As[int8](dst)[i:n], b)
	case Uint8:
		wrap(As[uint8](dst)[i:n], b)
	case Int4, Int2, Uint4, Uint2:
		for k, v := range b {
			dst.data[i+k] = narrowCode(byte(v), dst.dtype)
		}
	case Bool:
		for k, v := range b {
			dst.data[i+k] = truth(v != 0)
		}
	case Float32: // Go rounds an integer to float32 once
		d := As[float32](dst)[i:n]
		for k, v := range b {
			if d[k] = float32(v); unsigned {
				d[k] = float32(uint64(v))
			}
		}
	case Float64, Complex128:
		var f [castBlock]float64
		for k, v := range b {
			if f[k] = float64(v); unsigned {
				f[k] = float64(uint64(v))
			}
		}
		storeFloats(dst, i, f[:len(b)], o)
	default:
		var f [castBlock]float64
		for k, v := range b {
			f[k] = stickyFloat(v, unsigned)
		}
		storeFloats(dst, i, f[:len(b)], o)
	}
}

func wrap[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](dst []T, src []int64) {
	for i, v := range src {
		dst[i] = T(v)
	}
}

func truth(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// narrowCode is the low 4 or 2 bits of v as the type keeps them in a byte.
func narrowCode(v byte, d DType) byte {
	switch d {
	case Int4:
		return byte(int8(v<<4) >> 4)
	case Int2:
		return byte(int8(v<<6) >> 6)
	case Uint4, Float4E2M1:
		return v & 15
	}
	return v & 3
}

// stickyFloat is v in float64, rounded to odd where it does not fit: rounding that on to a narrower
// type gives what rounding v itself would.
func stickyFloat(v int64, unsigned bool) float64 {
	u, neg := uint64(v), false
	if v < 0 && !unsigned {
		u, neg = -u, true
	}
	if u >= 1<<53 {
		lost := u & (1<<11 - 1)
		if u &^= 1<<11 - 1; lost != 0 {
			u |= 1 << 11
		}
	}
	if neg {
		return -float64(u)
	}
	return float64(u)
}

// truncate rounds toward zero to what an x86 conversion for integer type d gives before its low bits
// are kept: 64 bits for Int64, Uint64 and Uint32, else 32, with the smallest value for what does not fit.
func truncate(dst []int64, src []float64, d DType) {
	switch d {
	case Int64, Uint32:
		for i, v := range src {
			dst[i] = truncate64(v)
		}
	case Uint64:
		for i, v := range src {
			if v >= 1<<63 {
				dst[i] = truncate64(v-1<<63) ^ math.MinInt64
				continue
			}
			dst[i] = truncate64(v)
		}
	default:
		for i, v := range src {
			if v > math.MinInt32-1 && v < math.MaxInt32+1 {
				dst[i] = int64(v)
			} else {
				dst[i] = math.MinInt32
			}
		}
	}
}

func truncate64(v float64) int64 {
	if v >= math.MinInt64 && v < 1<<63 {
		return int64(v)
	}
	return math.MinInt64
}
