package hdf5

import (
	"fmt"
	"math"

	"github.com/nnrt/nnrt/internal/errs"
)

// A Compound is an element of a compound type: its members in order.
type Compound []CompoundField

// A CompoundField is one member of a Compound.
type CompoundField struct {
	Name  string
	Value any
}

// A Reference is an element that refers to an object of the file.
type Reference struct {
	Addr   uint64 // of the object: see Object.Addr; 0 for a null reference
	Region []byte // region references: the selection as stored
}

// Deref opens the object that a reference refers to.
func (f *File) Deref(r Reference) (Object, error) {
	if r.Addr == 0 || r.Addr == undef {
		return nil, errs.Errorf("hdf5: null reference: %w", ErrNotFound)
	}
	return f.object(r.Addr, fmt.Sprintf("(object at %d)", r.Addr))
}

// Value returns the elements as Go values: nil for a null space, one value for
// a scalar, else a slice in row-major order. Integers become int8 to int64 and
// uint8 to uint64, floats float32 where that is exact, else float64, strings string, h5py's booleans
// bool, other enums their integer, bitfields uint64, opaque values []byte,
// complex numbers complex128, and compounds, references, arrays and sequences
// Compound, Reference and slices. Slices are typed for numbers and strings,
// []any otherwise.
func (v *value) Value() (any, error) {
	if v.space.Null {
		return nil, nil
	}
	x, err := v.slice()
	if err != nil {
		return nil, inObject(err, v.path)
	}
	if len(v.space.Dims) > 0 {
		return x, nil
	}
	return first(x), nil
}

// slice decodes all elements.
func (v *value) slice() (any, error) {
	if err := v.checkCost(); err != nil {
		return nil, err
	}
	b, err := v.load()
	if err != nil {
		return nil, err
	}
	return decodeSlice(v.typ, b, len(b)/v.typ.Size, v.f.heapReader())
}

// checkCost refuses values whose generic form would take far more memory than
// MaxValueBytes.
func (v *value) checkCost() error {
	n, err := v.storedBytes()
	if err != nil {
		return err
	}
	const perLeaf = 24
	limit := 8 * v.f.opts.MaxValueBytes
	leaves := min(v.typ.leaves(), int64(v.typ.Size))
	if cost := float64(n) / float64(v.typ.Size) * float64(leaves) * perLeaf; !v.typ.typed() && cost > float64(limit) {
		return &LimitError{What: "bytes as generic values (8 x MaxValueBytes)", Got: int64(min(cost, 1<<62)), Limit: limit}
	}
	return nil
}

// typed reports whether elements decode into a typed slice.
func (t *Datatype) typed() bool {
	switch t.Class {
	case ClassInteger, ClassFloat, ClassEnum, ClassString:
		return true
	}
	return false
}

// leaves counts the values that make up an element.
func (t *Datatype) leaves() int64 {
	switch t.Class {
	case ClassCompound:
		n := int64(1)
		for _, m := range t.Members {
			n += m.Type.leaves()
		}
		return n
	case ClassArray:
		if !t.Base.typed() {
			return 1 + int64(t.numElems())*t.Base.leaves()
		}
	}
	return 1
}

// first returns the only element of a slice that decodeSlice made.
func first(x any) any {
	switch s := x.(type) {
	case []int8:
		return s[0]
	case []int16:
		return s[0]
	case []int32:
		return s[0]
	case []int64:
		return s[0]
	case []uint8:
		return s[0]
	case []uint16:
		return s[0]
	case []uint32:
		return s[0]
	case []uint64:
		return s[0]
	case []float32:
		return s[0]
	case []float64:
		return s[0]
	case []string:
		return s[0]
	case []bool:
		return s[0]
	case []any:
		return s[0]
	}
	return x
}

// each calls dec for n consecutive elements of size bytes.
func each[T any](b []byte, n, size int, dec func(e []byte) (T, error)) (any, error) {
	out := make([]T, n)
	for i := range out {
		var err error
		if out[i], err = dec(b[i*size : (i+1)*size]); err != nil {
			return nil, errs.Errorf("element %d: %w", i, err)
		}
	}
	return out, nil
}

func decodeSlice(t *Datatype, b []byte, n int, h *heapReader) (any, error) {
	switch t.Class {
	case ClassInteger, ClassEnum:
		return decodeInts(t, b, n)
	case ClassFloat:
		if err := checkNumber(t); err != nil {
			return nil, err
		}
		if t.Float.MantLen <= 23 && t.Float.ExpSize <= 8 {
			out := make([]float32, n)
			floats(out, b, t)
			return out, nil
		}
		out := make([]float64, n)
		floats(out, b, t)
		return out, nil
	case ClassString, ClassVLen:
		if t.IsString() {
			return each(b, n, t.Size, func(e []byte) (string, error) { return stringValue(t, e, h) })
		}
	}
	return each(b, n, t.Size, func(e []byte) (any, error) { return decodeOne(t, e, h) })
}

func decodeInts(t *Datatype, b []byte, n int) (any, error) {
	if err := checkNumber(t); err != nil {
		return nil, err
	}
	if t.IsBool() {
		return each(b, n, 1, func(e []byte) (bool, error) { return e[0] != 0, nil })
	}
	k := numberOf(t)
	switch size := k.Size; {
	case k.Signed && size == 1:
		return each(b, n, size, func(e []byte) (int8, error) { return int8(intBits(k, e)), nil })
	case k.Signed && size == 2:
		return each(b, n, size, func(e []byte) (int16, error) { return int16(intBits(k, e)), nil })
	case k.Signed && size <= 4:
		return each(b, n, size, func(e []byte) (int32, error) { return int32(intBits(k, e)), nil })
	case k.Signed:
		return each(b, n, size, func(e []byte) (int64, error) { return int64(intBits(k, e)), nil })
	case size == 1:
		return each(b, n, size, func(e []byte) (uint8, error) { return uint8(intBits(k, e)), nil })
	case size == 2:
		return each(b, n, size, func(e []byte) (uint16, error) { return uint16(intBits(k, e)), nil })
	case size <= 4:
		return each(b, n, size, func(e []byte) (uint32, error) { return uint32(intBits(k, e)), nil })
	}
	return each(b, n, k.Size, func(e []byte) (uint64, error) { return intBits(k, e), nil })
}

// decodeOne decodes an element that has no typed slice.
func decodeOne(t *Datatype, b []byte, h *heapReader) (any, error) {
	switch t.Class {
	case ClassBitfield:
		return intBits(t, b), checkNumber(t)
	case ClassTime:
		return bitField(b, t.Order == BigEndian, 0, min(t.Precision, 64)), nil
	case ClassOpaque:
		return append([]byte(nil), b...), nil
	case ClassCompound:
		c := make(Compound, len(t.Members))
		for i, m := range t.Members {
			x, err := decodeSlice(m.Type, b[m.Offset:m.Offset+m.Type.Size], 1, h)
			if err != nil {
				return nil, errs.Errorf("member %q: %w", m.Name, err)
			}
			c[i] = CompoundField{m.Name, first(x)}
		}
		return c, nil
	case ClassArray:
		return decodeSlice(t.Base, b, t.numElems(), h)
	case ClassVLen:
		b, n, err := vlenBytes(t, b, h)
		if err != nil {
			return nil, err
		}
		return decodeSlice(t.Base, b, n, h)
	case ClassReference:
		return decodeRef(t, b, h)
	case ClassComplex:
		n := t.Base.Size
		if err := checkNumber(t.Base); err != nil {
			return nil, err
		}
		return complex(floatValue(t.Base, b[:n]), floatValue(t.Base, b[n:])), nil
	}
	return nil, unsupported("%s elements", t.Class)
}

func decodeRef(t *Datatype, b []byte, h *heapReader) (any, error) {
	c := h.f.cursor(b, -1, "reference")
	addr := c.offset()
	if t.RefType == 0 || c.err != nil {
		return Reference{Addr: addr}, c.err
	}
	index := c.u32()
	if c.err != nil || addr == 0 || addr == math.MaxUint64 {
		return Reference{}, c.err
	}
	o, err := h.object(addr, int(index))
	if err != nil {
		return nil, err
	}
	r := h.f.cursor(o, -1, "region reference")
	ref := Reference{Addr: r.offset()}
	if r.err == nil {
		ref.Region = append([]byte(nil), o[r.pos:]...)
	}
	return ref, r.err
}
