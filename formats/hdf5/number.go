package hdf5

import (
	"encoding/binary"
	"math"
	"math/bits"
)

var (
	ieee16 = FloatFormat{SignPos: 15, ExpPos: 10, ExpSize: 5, MantPos: 0, MantLen: 10, Bias: 15, Norm: 2}
	ieee32 = FloatFormat{SignPos: 31, ExpPos: 23, ExpSize: 8, MantPos: 0, MantLen: 23, Bias: 127, Norm: 2}
	ieee64 = FloatFormat{SignPos: 63, ExpPos: 52, ExpSize: 11, MantPos: 0, MantLen: 52, Bias: 1023, Norm: 2}
	bfloat = FloatFormat{SignPos: 15, ExpPos: 7, ExpSize: 8, MantPos: 0, MantLen: 7, Bias: 127, Norm: 2}
)

// IsIEEE reports whether the type is the IEEE 754 float of its size: 2, 4 or 8
// bytes.
func (t *Datatype) IsIEEE() bool {
	if t.Class != ClassFloat || t.Order == VAX {
		return false
	}
	switch t.Size {
	case 2:
		return *t.Float == ieee16
	case 4:
		return *t.Float == ieee32
	case 8:
		return *t.Float == ieee64
	}
	return false
}

// IsBFloat16 reports whether the type is the upper half of an IEEE float32.
func (t *Datatype) IsBFloat16() bool {
	return t.Class == ClassFloat && t.Size == 2 && t.Order != VAX && *t.Float == bfloat
}

// numberOf returns the number type behind enums, for example h5py's booleans.
func numberOf(t *Datatype) *Datatype {
	if t.Class == ClassEnum {
		return t.Base
	}
	return t
}

// checkNumber says why a type cannot be read as a number, or nil.
func checkNumber(t *Datatype) error {
	switch t = numberOf(t); {
	case !t.IsNumeric():
		return unsupported("%s elements read as numbers", t.Class)
	case t.Order == VAX:
		return unsupported("VAX floats")
	case t.Class != ClassFloat && t.Precision > 64:
		return unsupported("integers of %d bits", t.Precision)
	case t.Class == ClassFloat && t.Size > 16:
		return unsupported("floats of %d bytes", t.Size)
	}
	return nil
}

// bitField returns n bits, n <= 64, from bit off of a number's bytes.
func bitField(b []byte, bigEndian bool, off, n int) uint64 {
	if len(b) <= 8 {
		var v uint64
		if bigEndian {
			for _, x := range b {
				v = v<<8 | uint64(x)
			}
		} else {
			v = leUint(b)
		}
		v >>= off
		if n < 64 {
			v &= 1<<n - 1
		}
		return v
	}
	var v uint64
	for i := n - 1; i >= 0; i-- {
		p := (off + i) / 8
		if bigEndian {
			p = len(b) - 1 - p
		}
		v = v<<1 | uint64(b[p]>>((off+i)%8)&1)
	}
	return v
}

// intBits returns an integer's bits, sign-extended to 64 if it is signed.
func intBits(t *Datatype, b []byte) uint64 {
	v := bitField(b, t.Order == BigEndian, t.BitOffset, t.Precision)
	if t.Signed {
		s := 64 - t.Precision
		v = uint64(int64(v<<s) >> s)
	}
	return v
}

// floatValue decodes a float of any format.
func floatValue(t *Datatype, b []byte) float64 {
	if t.IsIEEE() {
		v := bitField(b, t.Order == BigEndian, 0, 8*t.Size)
		switch t.Size {
		case 4:
			return float64(math.Float32frombits(uint32(v)))
		case 8:
			return math.Float64frombits(v)
		}
	}
	f, be := t.Float, t.Order == BigEndian
	sign := bitField(b, be, f.SignPos, 1)
	exp := bitField(b, be, f.ExpPos, f.ExpSize)
	n := min(f.MantLen, 63)
	mant := bitField(b, be, f.MantPos+f.MantLen-n, n)
	if f.MantLen > n && bitField(b, be, f.MantPos, min(f.MantLen-n, 64)) != 0 {
		mant |= 1 // the bits below round like one sticky bit
	}
	// Where the leading bit is stored it does not tell infinity from NaN.
	frac := mant
	if f.Norm != 2 {
		frac &= 1<<(n-1) - 1
	}
	v := 0.0
	switch e := int(exp) - int(f.Bias); {
	case exp == 1<<f.ExpSize-1 && frac == 0:
		v = math.Inf(1)
	case exp == 1<<f.ExpSize-1:
		v = math.NaN()
	case f.Norm == 2 && exp != 0:
		v = math.Ldexp(float64(mant|1<<n), e-n)
	default:
		v = math.Ldexp(float64(mant), e+1-n)
	}
	if sign != 0 {
		v = -v
	}
	return v
}

// float is a Go floating-point type.
type float interface{ float32 | float64 }

// floats decodes len(dst) numbers of type t, which checkNumber has approved.
func floats[T float](dst []T, b []byte, t *Datatype) {
	t = numberOf(t)
	if t.Class == ClassFloat && t.IsIEEE() && t.Order == LittleEndian && t.Size > 2 {
		if t.Size == 4 {
			// Four at a time, which spares most bounds checks.
			for len(dst) >= 4 && len(b) >= 16 {
				dst[0] = T(math.Float32frombits(binary.LittleEndian.Uint32(b)))
				dst[1] = T(math.Float32frombits(binary.LittleEndian.Uint32(b[4:])))
				dst[2] = T(math.Float32frombits(binary.LittleEndian.Uint32(b[8:])))
				dst[3] = T(math.Float32frombits(binary.LittleEndian.Uint32(b[12:])))
				dst, b = dst[4:], b[16:]
			}
			for i := range dst {
				dst[i] = T(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
			}
			return
		}
		for i := range dst {
			dst[i] = T(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
		return
	}
	for i := range dst {
		e := b[i*t.Size : (i+1)*t.Size]
		switch {
		case t.Class == ClassFloat:
			dst[i] = T(floatValue(t, e))
		case t.Signed:
			dst[i] = T(int64(intBits(t, e)))
		default:
			dst[i] = T(intBits(t, e))
		}
	}
}

// ints decodes len(dst) integers.
func ints(dst []int64, b []byte, t *Datatype) error {
	t = numberOf(t)
	for i := range dst {
		v := intBits(t, b[i*t.Size:(i+1)*t.Size])
		if !t.Signed && bits.Len64(v) == 64 {
			return formatErr(-1, "element %d is %d, beyond int64", i, v)
		}
		dst[i] = int64(v)
	}
	return nil
}
