package tensor

import "github.com/nnrt/nnrt/internal/errs"

// Int64s copies the elements of an integer or bool tensor; it fails on other types. It is for the small
// tensors that steer operators (shapes, axes, repeats), not for data.
func (t *Tensor) Int64s() ([]int64, error) {
	out := make([]int64, t.Len())
	switch t.dtype {
	case Int64:
		copy(out, As[int64](t))
	case Int32:
		widen(out, As[int32](t))
	case Int16:
		widen(out, As[int16](t))
	case Int8, Int4, Int2:
		widen(out, As[int8](t))
	case Uint64:
		widen(out, As[uint64](t))
	case Uint32:
		widen(out, As[uint32](t))
	case Uint16:
		widen(out, As[uint16](t))
	case Uint8, Uint4, Uint2, Bool:
		widen(out, As[uint8](t))
	default:
		return nil, errs.Errorf("tensor: %v elements are no integers", t.dtype)
	}
	return out, nil
}

func widen[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](dst []int64, src []T) {
	for i, v := range src {
		dst[i] = int64(v)
	}
}

// Float64s copies the elements of any real type as float64 (64-bit integers round).
func (t *Tensor) Float64s() ([]float64, error) {
	out := make([]float64, t.Len())
	switch {
	case t.dtype.IsFloat():
		loadFloats(out, t, 0, t.floatTable())
	case t.dtype == Uint64:
		for i, v := range As[uint64](t) {
			out[i] = float64(v)
		}
	default:
		ints, err := t.Int64s()
		if err != nil {
			return nil, errs.Errorf("tensor: %v elements are no real numbers", t.dtype)
		}
		for i, v := range ints {
			out[i] = float64(v)
		}
	}
	return out, nil
}

// SetFloat64s overwrites the elements of a real tensor with vs, rounded, truncated or tested for zero as
// Cast from Float64 does.
func (t *Tensor) SetFloat64s(vs []float64) error {
	if len(vs) != t.Len() {
		return errs.Errorf("tensor: %d numbers for %v%v", len(vs), t.dtype, t.shape)
	}
	if t.dtype == String || t.dtype.IsComplex() {
		return errs.Errorf("tensor: can't store float64 in %v", t.dtype)
	}
	for i := 0; i < len(vs); i += castBlock {
		storeFloats(t, i, vs[i:min(i+castBlock, len(vs))], CastOptions{})
	}
	return nil
}
