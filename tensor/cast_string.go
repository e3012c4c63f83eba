package tensor

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/half"
)

// castStrings parses every element of s into dst.
func castStrings(dst *Tensor, s []string, o CastOptions) error {
	one, err := Make(dst.dtype, []int{1})
	if err != nil {
		return err
	}
	size := dst.dtype.Size()
	for i, text := range s {
		if err := parseInto(one, strings.TrimSpace(text), o); err != nil {
			return errs.Errorf("tensor: element %d: %q as %v: %w", i, text, dst.dtype, err)
		}
		copy(dst.data[i*size:], one.data)
	}
	return nil
}

var errNotNumber = errors.New("not a number")

// parseInto sets the only element of t from text.
func parseInto(t *Tensor, text string, o CastOptions) error {
	if t.dtype == Bool {
		switch strings.ToLower(text) {
		case "true":
			t.data[0] = 1
			return nil
		case "false":
			t.data[0] = 0
			return nil
		}
	}
	if t.dtype.IsInt() {
		done, err := parseInt(t, text)
		if done || err != nil {
			return err
		}
	}
	if t.dtype.IsComplex() {
		return errors.New("no complex numbers are read from text")
	}
	bits := 64
	if t.dtype == Float32 {
		bits = 32
	}
	f, err := parseFloat(text, bits)
	if err != nil {
		return err
	}
	if t.dtype.IsInt() {
		if lo, hi := intRange(t.dtype); !(f > lo-1 && f < hi+1) {
			return strconv.ErrRange
		}
	}
	storeFloats(t, 0, []float64{f}, o)
	return nil
}

// parseInt reads text as an integer; done is false where it is not spelled as one.
func parseInt(t *Tensor, text string) (done bool, err error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if t.dtype == Uint64 && (errors.Is(err, strconv.ErrRange) || err == nil && v < 0) {
		var u uint64
		if u, err = strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 64); err != nil {
			return false, strconv.ErrRange
		}
		v = int64(u)
	} else if errors.Is(err, strconv.ErrRange) {
		return false, strconv.ErrRange
	} else if err != nil {
		return false, nil
	}
	if lo, hi := intRange(t.dtype); t.dtype != Uint64 && t.dtype != Int64 && (float64(v) < lo || float64(v) > hi) {
		return false, strconv.ErrRange
	}
	storeInts(t, 0, []int64{v}, t.dtype == Uint64, CastOptions{})
	return true, nil
}

// intRange is the least and greatest value of an integer type (64-bit ones rounded).
func intRange(d DType) (lo, hi float64) {
	n := d.Bits()
	if d.IsUnsigned() {
		return 0, math.Ldexp(1, n) - 1
	}
	return -math.Ldexp(1, n-1), math.Ldexp(1, n-1) - 1
}

// parseFloat reads plain and scientific decimal notation, inf and nan in any case; beyond the range is
// infinity. Go's own extensions (hexadecimal, underscores, "infinity") are refused.
func parseFloat(text string, bits int) (float64, error) {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case "inf", "nan":
	default:
		if text == "" || strings.Trim(text, "0123456789+-.eE") != "" {
			return 0, errNotNumber
		}
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		if strings.EqualFold(strings.TrimLeft(text, "+-"), "nan") && len(text) == 4 {
			return math.NaN(), nil // Go takes no sign before nan
		}
		return 0, errNotNumber
	}
	return f, nil
}

// castToStrings prints every element of src.
func castToStrings(dst []string, src *Tensor) error {
	if src.dtype.IsComplex() {
		return errs.Errorf("tensor: no cast from %v to string", src.dtype)
	}
	table := src.floatTable()
	var f [1]float64
	var n [1]int64
	for i := range dst {
		switch {
		case src.dtype == Bool:
			dst[i] = "False"
			if src.data[i] != 0 {
				dst[i] = "True"
			}
		case src.dtype == Uint64:
			dst[i] = strconv.FormatUint(As[uint64](src)[i], 10)
		case src.dtype.IsFloat():
			loadFloats(f[:], src, i, table)
			dst[i] = pythonFloat(f[0], src.dtype)
		default:
			loadInts(n[:], src, i)
			dst[i] = strconv.FormatInt(n[0], 10)
		}
	}
	return nil
}

// shortest is the least number of significant decimal digits that name v in its type. The types narrower
// than float16, and bfloat16, go by float32, as ml_dtypes prints them: few digits of their own would show
// 448 as 450.
func shortest(v float64, d DType) string {
	switch d {
	case Float64:
		return strconv.FormatFloat(v, 'e', -1, 64)
	case Float16:
		for digits := 0; digits < 5; digits++ {
			s := strconv.FormatFloat(v, 'e', digits, 64)
			if back, _ := strconv.ParseFloat(s, 64); half.F16To64(half.F16From64(back)) == v {
				return s
			}
		}
	}
	return strconv.FormatFloat(v, 'e', -1, 32)
}

// pythonFloat spells v as Python's repr and numpy's str do: scientific below 1e-4 and from 1e16 on.
func pythonFloat(v float64, d DType) string {
	switch {
	case v != v:
		return "nan"
	case math.IsInf(v, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+"))
	}
	e := shortest(v, d)
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return e
	}
	short, _ := strconv.ParseFloat(e, 64)
	s := strconv.FormatFloat(short, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
