package hdf5

import (
	"bytes"

	"github.com/nnrt/nnrt/internal/errs"
)

// count returns the number of elements after checking that check accepts their
// type and that the value may be read at all.
func (v *value) count(check func(*Datatype) error) (int, error) {
	if err := check(v.typ); err != nil {
		return 0, err
	}
	n, err := v.storedBytes()
	if err != nil {
		return 0, err
	}
	if n > uint64(v.f.opts.MaxValueBytes) {
		return 0, &LimitError{What: "bytes (MaxValueBytes)", Got: clampInt64(n), Limit: v.f.opts.MaxValueBytes}
	}
	return int(n) / v.typ.Size, nil
}

// convert reads all elements into a slice. conv decodes len(dst) of them.
func convert[T any](v *value, check func(*Datatype) error, conv func(dst []T, b []byte) error) ([]T, error) {
	n, err := v.count(check)
	if err != nil {
		return nil, inObject(err, v.path)
	}
	var out []T
	err = v.each(func(first int, b []byte) error {
		// Not earlier: what the file stores has been checked by now.
		if out == nil {
			out = make([]T, n)
		}
		return conv(out[first:first+len(b)/v.typ.Size], b)
	})
	if err != nil {
		return nil, inObject(err, v.path)
	}
	return out, nil
}

// ReadFloat32s reads integers, enums or floats of any format as float32, in
// row-major order. Values beyond float32 become infinite.
func (v *value) ReadFloat32s() ([]float32, error) {
	return convert(v, checkNumber, func(dst []float32, b []byte) error {
		floats(dst, b, v.typ)
		return nil
	})
}

// ReadFloat64s reads integers, enums or floats of any format as float64, in
// row-major order.
func (v *value) ReadFloat64s() ([]float64, error) {
	return convert(v, checkNumber, func(dst []float64, b []byte) error {
		floats(dst, b, v.typ)
		return nil
	})
}

// ReadInt64s reads integers or enums as int64, in row-major order. Unsigned
// values beyond int64 are an error; floats are refused.
func (v *value) ReadInt64s() ([]int64, error) {
	return convert(v, checkInteger, func(dst []int64, b []byte) error { return ints(dst, b, v.typ) })
}

// ReadUint64s reads integers, enums or bitfields as their bits, in row-major
// order; negative numbers are sign-extended.
func (v *value) ReadUint64s() ([]uint64, error) {
	return convert(v, checkInteger, func(dst []uint64, b []byte) error {
		t := numberOf(v.typ)
		for i := range dst {
			dst[i] = intBits(t, b[i*t.Size:(i+1)*t.Size])
		}
		return nil
	})
}

func checkInteger(t *Datatype) error {
	if t.Class == ClassFloat {
		return unsupported("floats read as integers")
	}
	return checkNumber(t)
}

// ReadStrings reads fixed or variable strings, without their padding, in
// row-major order. Bytes that are not valid in the declared character set are
// returned as they are.
func (v *value) ReadStrings() ([]string, error) {
	check := func(t *Datatype) error {
		if !t.IsString() {
			return unsupported("%s elements read as strings", t.Class)
		}
		return nil
	}
	h := v.f.heapReader()
	return convert(v, check, func(dst []string, b []byte) error {
		for i := range dst {
			s, err := stringValue(v.typ, b[i*v.typ.Size:(i+1)*v.typ.Size], h)
			if err != nil {
				return errs.Errorf("element %d: %w", i, err)
			}
			dst[i] = s
		}
		return nil
	})
}

func stringValue(t *Datatype, b []byte, h *heapReader) (string, error) {
	if t.Class == ClassVLen {
		b, _, err := vlenBytes(t, b, h)
		if err != nil {
			return "", err
		}
		return trimNull(b), nil
	}
	switch t.StrPad {
	case NullPad:
		b = bytes.TrimRight(b, "\x00")
	case SpacePad: // C programs leave a terminator in such fields too
		b = bytes.TrimRight(b, " \x00")
	default:
		return trimNull(b), nil
	}
	return string(b), nil
}

// vlenBytes returns the elements that a variable-length value refers to, and
// their number.
func vlenBytes(t *Datatype, b []byte, h *heapReader) ([]byte, int, error) {
	c := h.f.cursor(b, -1, "variable-length value")
	n, addr, index := c.u32(), c.offset(), c.u32()
	if c.err != nil || n == 0 {
		return nil, 0, c.err
	}
	size, ok := mulSize(uint64(n), t.Base.Size)
	o, err := h.object(addr, int(index))
	if err != nil {
		return nil, 0, err
	}
	if !ok || size > uint64(len(o)) {
		return nil, 0, formatErr(-1, "variable-length value of %d elements of %d bytes in an object of %d bytes", n, t.Base.Size, len(o))
	}
	return o[:size], int(n), nil
}
