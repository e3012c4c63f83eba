package hdf5

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"reflect"

	"github.com/nnrt/nnrt/internal/errs"
)

// Data is a value to be written: what a dataset or attribute will hold.
// DataOf, Strings and FixedStrings make the common kinds; a literal can hold
// any type:
//
//	hdf5.Data{Type: hdf5.NewFloat(2), Dims: []uint64{3, 4}, Bytes: b}
//
// Exactly one of Bytes, Source and Strings is used. Bytes and slices given to
// DataOf are not copied: they must not change until the file is written.
type Data struct {
	Type    *Datatype
	Dims    []uint64 // nil for a scalar
	MaxDims []uint64 // datasets with chunks: nil for Dims; Unlimited where without bound
	Null    bool     // a null space: no elements

	Bytes   []byte                  // elements as stored, in row-major order
	Source  func(w io.Writer) error // writes what Bytes would hold; for contiguous datasets
	Strings []string                // elements of a variable string type
	nums    any                     // a slice of numbers
}

// DataOf returns the value of a Go number, bool or string, or of a slice of
// them with the given dimensions (none for one dimension as long as the slice).
// ints become 64-bit, bools h5py's booleans, and strings variable-length UTF-8.
func DataOf(v any, dims ...uint64) (Data, error) {
	r := reflect.ValueOf(v)
	scalar := r.IsValid() && r.Kind() != reflect.Slice
	if scalar {
		s := reflect.MakeSlice(reflect.SliceOf(r.Type()), 1, 1)
		s.Index(0).Set(r)
		r = s
	}
	if !r.IsValid() || scalar && len(dims) > 0 {
		return Data{}, errs.Errorf("hdf5: value %T with dims %v", v, dims)
	}
	d := Data{Dims: dims}
	if !scalar && len(dims) == 0 {
		d.Dims = []uint64{uint64(r.Len())}
	}
	if n, ok := product(d.Dims); !ok || n != uint64(r.Len()) {
		return Data{}, errs.Errorf("hdf5: %d elements for dims %v", r.Len(), d.Dims)
	}
	switch k := r.Type().Elem().Kind(); k {
	case reflect.Bool:
		d.Type = NewBool()
		d.Bytes = make([]byte, r.Len())
		for i := range d.Bytes {
			if r.Index(i).Bool() {
				d.Bytes[i] = 1
			}
		}
	case reflect.String:
		d.Type = NewVarString(UTF8)
		d.Strings = make([]string, r.Len())
		for i := range d.Strings {
			d.Strings[i] = r.Index(i).String()
		}
	case reflect.Int:
		d.Type = NewInteger(8, true)
		s := make([]int64, r.Len())
		for i := range s {
			s[i] = r.Index(i).Int()
		}
		d.nums = s
	case reflect.Uint8:
		d.Type, d.Bytes = NewInteger(1, false), r.Bytes()
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.Type, d.nums = NewInteger(int(r.Type().Elem().Size()), true), r.Interface()
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.Type, d.nums = NewInteger(int(r.Type().Elem().Size()), false), r.Interface()
	case reflect.Float32, reflect.Float64:
		d.Type, d.nums = NewFloat(int(r.Type().Elem().Size())), r.Interface()
	default:
		return Data{}, errs.Errorf("hdf5: value %T: %w", v, &UnsupportedError{What: "Go type " + k.String()})
	}
	return d, nil
}

// Strings returns variable-length strings of one dimension.
func Strings(s []string, cset Cset) Data {
	return Data{Type: NewVarString(cset), Dims: []uint64{uint64(len(s))}, Strings: s}
}

// String returns a scalar variable-length string.
//
//go:noinline
func String(s string, cset Cset) Data {
	return Data{Type: NewVarString(cset), Strings: []string{s}}
}

// FixedStrings returns strings of one dimension in fields as long as the
// longest, filled up with NULs: what NumPy's byte strings become.
func FixedStrings(s []string) Data {
	n := 1
	for _, x := range s {
		n = max(n, len(x))
	}
	b := make([]byte, n*len(s))
	for i, x := range s {
		copy(b[i*n:], x)
	}
	return Data{Type: NewFixedString(n, NullPad, ASCII), Dims: []uint64{uint64(len(s))}, Bytes: b}
}

// FixedString returns a scalar string in a field of its own length.
func FixedString(s string) Data {
	d := FixedStrings([]string{s})
	d.Dims = nil
	return d
}

// size returns the bytes of all elements as stored.
func (d *Data) size() (uint64, error) {
	if d.Type == nil {
		return 0, errs.Errorf("hdf5: value without a type")
	}
	if d.Null {
		return 0, nil
	}
	n, ok := product(d.Dims)
	size, ok2 := mulSize(n, d.Type.Size)
	if !ok || !ok2 || len(d.Dims) > maxRank {
		return 0, errs.Errorf("hdf5: dims %v of %d-byte elements", d.Dims, d.Type.Size)
	}
	have := uint64(len(d.Bytes))
	switch {
	case d.Source != nil:
		return size, nil
	case d.Type.Class == ClassVLen && d.Type.VarString:
		have = uint64(len(d.Strings) * d.Type.Size)
	case d.Type.hasRefs():
		return 0, unsupported("writing variable-length members")
	case d.nums != nil:
		have = uint64(reflect.ValueOf(d.nums).Len() * d.Type.Size)
	}
	if have != size {
		return 0, errs.Errorf("hdf5: %d bytes of values for dims %v of %d-byte elements", have, d.Dims, d.Type.Size)
	}
	return size, nil
}

// writeTo writes the elements in the order of Bytes; w gets blocks of moderate
// size where the value is a slice of numbers.
func (d *Data) writeTo(w io.Writer) error {
	switch {
	case d.Source != nil:
		return d.Source(w)
	case d.nums == nil:
		_, err := w.Write(d.Bytes)
		return err
	}
	switch s := d.nums.(type) {
	case []float32:
		return putBlocks(w, s, 4, func(b []byte, v float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(v)) })
	case []float64:
		return putBlocks(w, s, 8, func(b []byte, v float64) { binary.LittleEndian.PutUint64(b, math.Float64bits(v)) })
	case []int64:
		return putBlocks(w, s, 8, func(b []byte, v int64) { binary.LittleEndian.PutUint64(b, uint64(v)) })
	case []int32:
		return putBlocks(w, s, 4, func(b []byte, v int32) { binary.LittleEndian.PutUint32(b, uint32(v)) })
	}
	return binary.Write(w, binary.LittleEndian, d.nums)
}

// rows returns the bytes of n rows, the parts of the first dimension, from
// first on.
func (d *Data) rows(first, n uint64) ([]byte, error) {
	per, _ := product(d.Dims[1:])
	from, to := int(first*per), int((first+n)*per)
	if d.nums == nil {
		return d.Bytes[from*d.Type.Size : to*d.Type.Size], nil
	}
	part := Data{Type: d.Type, nums: reflect.ValueOf(d.nums).Slice(from, to).Interface()}
	var b bytes.Buffer
	b.Grow((to - from) * d.Type.Size)
	err := part.writeTo(&b)
	return b.Bytes(), err
}

func putBlocks[T any](w io.Writer, s []T, size int, put func([]byte, T)) error {
	buf := make([]byte, min(len(s), blockBytes/size)*size)
	for len(s) > 0 {
		n := min(len(s), len(buf)/size)
		for i, v := range s[:n] {
			put(buf[i*size:], v)
		}
		if _, err := w.Write(buf[:n*size]); err != nil {
			return err
		}
		s = s[n:]
	}
	return nil
}
