// Package tensor holds the host side of data: element types, dense row-major tensors over
// pointer-free memory, and the other kinds of value that ONNX graphs carry (sequences, optionals,
// maps). It computes nothing beyond conversions.
package tensor

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"unsafe"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/mmap"
)

// MaxRank is the largest number of dimensions a tensor may have.
const MaxRank = 32

// Align is the alignment, in bytes, of memory that New allocates: a cache line, and the widest vector.
const Align = 64

// ErrShape is wrapped by errors about dimensions that are negative, too many, or overflow.
var ErrShape = errors.New("bad shape")

// Tensor is a dense, row-major array in host memory. Strings live in a slice of their own, all other
// types in bytes that hold no pointers. A Tensor is safe for concurrent reading.
type Tensor struct {
	dtype DType
	shape []int
	data  []byte
	strs  []string
	keep  any // keeps a file mapping alive for as long as the data is in use
}

// NumElements multiplies dims, refusing negative dimensions, too many of them, and overflow.
func NumElements(dims []int) (int, error) {
	if len(dims) > MaxRank {
		return 0, errs.Errorf("tensor: %w: rank %d is over %d", ErrShape, len(dims), MaxRank)
	}
	n := uint64(1)
	zero := false
	for _, d := range dims {
		if d < 0 {
			return 0, errs.Errorf("tensor: %w: negative dimension in %v", ErrShape, dims)
		}
		if d == 0 {
			zero = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > 1<<56 {
			return 0, errs.Errorf("tensor: %w: %v overflows", ErrShape, dims)
		}
		n = lo
	}
	if zero {
		return 0, nil
	}
	return int(n), nil
}

// AlignedBytes allocates n zeroed bytes whose first is 64-byte aligned. Much of it is in large pages, where the system has them.
func AlignedBytes(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	b := make([]byte, n+Align)
	if n >= hugeFrom {
		mmap.Huge(b)
	}
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (Align - 1))
	return b[off : off+n : off+n]
}

// hugeFrom is the size in bytes from which on memory is asked for in large pages.
const hugeFrom = 4 << 20

// New allocates a zeroed tensor. It panics where shape is impossible: use Make for shapes from outside.
//
//go:noinline
func New(dt DType, shape ...int) *Tensor {
	t, err := Make(dt, shape)
	if err != nil {
		panic(err)
	}
	return t
}

// Make allocates a zeroed tensor, or says why dt and shape allow none.
func Make(dt DType, shape []int) (*Tensor, error) {
	if !dt.Valid() {
		return nil, errs.Errorf("tensor: no element type %v", dt)
	}
	n, err := NumElements(shape)
	if err != nil {
		return nil, err
	}
	t := &Tensor{dtype: dt, shape: slices.Clone(shape)}
	if t.shape == nil {
		t.shape = []int{}
	}
	if dt == String {
		t.strs = make([]string, n)
		return t, nil
	}
	t.data = AlignedBytes(n * dt.Size())
	return t, nil
}

// FromBytes wraps data (native little-endian, one element per Size bytes) without copying it.
// keep, if any, is held for as long as the tensor: the owner of mapped memory.
func FromBytes(dt DType, shape []int, data []byte, keep any) (*Tensor, error) {
	n, err := NumElements(shape)
	if err != nil {
		return nil, err
	}
	if dt == String || !dt.Valid() {
		return nil, errs.Errorf("tensor: element type %v has no bytes", dt)
	}
	if len(data) != n*dt.Size() {
		return nil, errs.Errorf("tensor: %v%v takes %d bytes, got %d", dt, shape, n*dt.Size(), len(data))
	}
	if p := uintptr(unsafe.Pointer(unsafe.SliceData(data))); n > 0 && p%uintptr(elemAlign(dt)) != 0 {
		c := AlignedBytes(len(data))
		copy(c, data)
		data, keep = c, nil
	}
	t := &Tensor{dtype: dt, shape: slices.Clone(shape), data: data, keep: keep}
	if t.shape == nil {
		t.shape = []int{}
	}
	return t, nil
}

// elemAlign is the alignment that reading elements needs. The processors named here read numbers at any address, so tensors
// in a mapped model, which no format aligns, needn't be copied.
func elemAlign(dt DType) int {
	if runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" {
		return 1
	}
	if dt == Complex128 {
		return 8
	}
	return max(1, dt.Size())
}

// FromStrings wraps s as a string tensor.
func FromStrings(s []string, shape ...int) (*Tensor, error) {
	n, err := NumElements(shape)
	if err != nil {
		return nil, err
	}
	if n != len(s) {
		return nil, errs.Errorf("tensor: shape %v takes %d strings, got %d", shape, n, len(s))
	}
	return &Tensor{dtype: String, shape: append([]int{}, shape...), strs: s}, nil
}

// Elem is the Go types whose slices can view a tensor's memory.
type Elem interface {
	~float32 | ~float64 | ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 |
		~bool | ~complex64 | ~complex128
}

// DTypeOf is the element type that a Go slice of T has by itself.
func DTypeOf[T Elem]() DType {
	var z T
	switch any(z).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case bool:
		return Bool
	case complex64:
		return Complex64
	case complex128:
		return Complex128
	}
	return Invalid
}

// Of copies data into a new tensor. It panics where the number of elements does not fit shape;
// no shape at all means a vector.
func Of[T Elem](data []T, shape ...int) *Tensor {
	if len(shape) == 0 {
		shape = []int{len(data)}
	}
	t := New(DTypeOf[T](), shape...)
	if t.Len() != len(data) {
		panic(fmt.Sprintf("tensor: shape %v takes %d elements, got %d", shape, t.Len(), len(data)))
	}
	copy(As[T](t), data)
	return t
}

// Scalar is a rank-0 tensor.
func Scalar[T Elem](v T) *Tensor {
	t := New(DTypeOf[T]())
	As[T](t)[0] = v
	return t
}

// As views t's memory as a slice of T, without copying. T must have the size of t's element type:
// float16 and bfloat16 are viewed as uint16, the 8-bit floats and Bool also as uint8. It panics on any
// other pairing, which is a mistake in the program, not in data.
func As[T Elem](t *Tensor) []T {
	var z T
	if t.dtype == String || int(unsafe.Sizeof(z)) != t.dtype.Size() || !viewable(t.dtype, DTypeOf[T]()) {
		panic(fmt.Sprintf("tensor: a %v tensor can't be viewed as %T", t.dtype, z))
	}
	if len(t.data) == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.data))), len(t.data)/int(unsafe.Sizeof(z)))
}

//go:noinline
func viewable(dt, as DType) bool {
	if dt == as {
		return true
	}
	switch as {
	case Invalid: // a named type such as half.Float16: the size decides
		return true
	case Uint16:
		return dt == Float16 || dt == BFloat16
	case Uint8:
		return dt == Bool || dt == Uint4 || dt == Uint2 || dt >= Float8E4M3FN && dt <= Float4E2M1
	case Int8:
		return dt == Int4 || dt == Int2
	}
	return false
}

// DType is the element type.
//
//go:noinline
func (t *Tensor) DType() DType { return t.dtype }

// Shape is the dimensions, outermost first; not to be changed.
//
//go:noinline
func (t *Tensor) Shape() []int { return t.shape }

// Rank is the number of dimensions.
//
//go:noinline
func (t *Tensor) Rank() int { return len(t.shape) }

// Dim is dimension i; a negative i counts from the end.
//
//go:noinline
func (t *Tensor) Dim(i int) int {
	if i < 0 {
		i += len(t.shape)
	}
	return t.shape[i]
}

// Len is the number of elements.
//
//go:noinline
func (t *Tensor) Len() int {
	if t.dtype == String {
		return len(t.strs)
	}
	return len(t.data) / t.dtype.Size()
}

// Bytes is the memory itself, native byte order; nil for strings.
//
//go:noinline
func (t *Tensor) Bytes() []byte { return t.data }

// Strings is the elements of a string tensor; nil for other types.
//
//go:noinline
func (t *Tensor) Strings() []string { return t.strs }

// Keep is the owner of the tensor's memory, where that is not the tensor itself.
func (t *Tensor) Keep() any { return t.keep }

// Clone is a copy with memory of its own.
//
//go:noinline
func (t *Tensor) Clone() *Tensor {
	c := New(t.dtype, t.shape...)
	copy(c.data, t.data)
	copy(c.strs, t.strs)
	return c
}

// Reshape is the same memory under other dimensions, or an error where the counts differ.
func (t *Tensor) Reshape(shape ...int) (*Tensor, error) {
	n, err := NumElements(shape)
	if err != nil {
		return nil, err
	}
	if n != t.Len() {
		return nil, errs.Errorf("tensor: %w: %v has %d elements, %v takes %d", ErrShape, t.shape, t.Len(), shape, n)
	}
	c := *t
	c.shape = append([]int{}, shape...)
	return &c, nil
}

// View is t's memory from element off on, under another shape and the same type: what an arena hands out.
func (t *Tensor) View(off int, shape ...int) (*Tensor, error) {
	n, err := NumElements(shape)
	if err != nil {
		return nil, err
	}
	if off < 0 || off+n > t.Len() {
		return nil, errs.Errorf("tensor: elements %d to %d of %d", off, off+n, t.Len())
	}
	c := *t
	c.shape = append([]int{}, shape...)
	if t.dtype == String {
		c.strs = t.strs[off : off+n]
	} else {
		s := t.dtype.Size()
		c.data = t.data[off*s : (off+n)*s]
	}
	return &c, nil
}

// CopyFrom overwrites t's elements with those of src, which must have the same type and count.
func (t *Tensor) CopyFrom(src *Tensor) error {
	if t.dtype != src.dtype || t.Len() != src.Len() {
		return errs.Errorf("tensor: can't copy %v%v into %v%v", src.dtype, src.shape, t.dtype, t.shape)
	}
	copy(t.data, src.data)
	copy(t.strs, src.strs)
	return nil
}

// SameShape reports whether a and b have equal dimensions.
func SameShape(a, b *Tensor) bool { return slices.Equal(a.shape, b.shape) }

// Strides is the row-major element strides of shape.
//
//go:noinline
func Strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}
