package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/nnrt/nnrt/tensor"
)

// elementTypes is the element type of each ONNXTensorElementDataType (its numbers are ONNX's).
var elementTypes = [...]tensor.DType{1: tensor.Float32, 2: tensor.Uint8, 3: tensor.Int8, 4: tensor.Uint16, 5: tensor.Int16,
	6: tensor.Int32, 7: tensor.Int64, 8: tensor.String, 9: tensor.Bool, 10: tensor.Float16, 11: tensor.Float64, 12: tensor.Uint32,
	13: tensor.Uint64, 14: tensor.Complex64, 15: tensor.Complex128, 16: tensor.BFloat16, 17: tensor.Float8E4M3FN,
	18: tensor.Float8E4M3FNUZ, 19: tensor.Float8E5M2, 20: tensor.Float8E5M2FNUZ, 21: tensor.Uint4, 22: tensor.Int4,
	23: tensor.Float4E2M1, 24: tensor.Float8E8M0, 25: tensor.Uint2, 26: tensor.Int2}

// The kinds of values that ONNXType tells apart.
const (
	kindTensor   = 1
	kindSequence = 2
	kindMap      = 3
	kindOptional = 6
)

// ErrValue is matched by errors about values that the library's interface can't carry.
var ErrValue = errors.New("ONNX Runtime's interface has no such value")

// Value is a value of the library.
type Value struct {
	r    *Runtime
	h    handle
	keep any // the Go memory that the value stands on
}

// Close frees the value.
func (v *Value) Close() {
	v.r.release(releaseValue, v.h)
	v.h = 0
}

// NewValue wraps a value; the bytes of tensors are shared, not copied.
func (r *Runtime) NewValue(v tensor.Value) (*Value, error) {
	switch v := v.(type) {
	case *tensor.Tensor:
		return r.newTensor(v)
	case *tensor.Sequence:
		out := &Value{r: r}
		var hs []handle
		var elems []*Value
		for _, e := range v.Elems {
			x, err := r.NewValue(e)
			if err != nil {
				return nil, err
			}
			hs, elems = append(hs, x.h), append(elems, x)
		}
		if len(hs) == 0 {
			return nil, fmt.Errorf("an empty sequence: %w", ErrValue)
		}
		out.keep = elems
		return out, r.call(createValue, uintptr(unsafe.Pointer(&hs[0])), uintptr(len(hs)), kindSequence, uintptr(unsafe.Pointer(&out.h)))
	case *tensor.Map:
		keys, err := r.newTensor(v.Keys)
		if err != nil {
			return nil, err
		}
		values, err := r.newTensor(v.Values)
		if err != nil {
			return nil, err
		}
		out := &Value{r: r, keep: []*Value{keys, values}}
		hs := []handle{keys.h, values.h}
		return out, r.call(createValue, uintptr(unsafe.Pointer(&hs[0])), 2, kindMap, uintptr(unsafe.Pointer(&out.h)))
	case *tensor.Optional:
		if v.Elem != nil {
			return r.NewValue(v.Elem)
		}
		return nil, fmt.Errorf("an empty optional: %w", ErrValue)
	}
	return nil, fmt.Errorf("%T: %w", v, ErrValue)
}

func (r *Runtime) newTensor(t *tensor.Tensor) (*Value, error) {
	at := slices.Index(elementTypes[:], t.DType())
	if at <= 0 {
		return nil, fmt.Errorf("a tensor of %v: %w", t.DType(), ErrValue)
	}
	dims := make([]int64, len(t.Shape()), len(t.Shape())+1)
	for i, d := range t.Shape() {
		dims[i] = int64(d)
	}
	shape := uintptr(unsafe.Pointer(unsafe.SliceData(dims[:cap(dims)])))
	v := &Value{r: r}
	if t.DType() == tensor.String {
		if err := r.call(createTensorAsOrtValue, uintptr(r.allocator), shape, uintptr(len(dims)), uintptr(at), uintptr(unsafe.Pointer(&v.h))); err != nil {
			return nil, err
		}
		runtime.KeepAlive(dims)
		return v, v.fill(t.Strings())
	}
	data := t.Bytes()
	if t.DType().Bits() < 8 {
		data = pack(data, t.DType().Bits())
	}
	if cap(data) == 0 {
		data = make([]byte, 0, 16)
	}
	v.keep = data
	err := r.call(createTensorWithDataAsOrtValue, uintptr(r.memory), uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)), shape,
		uintptr(len(dims)), uintptr(at), uintptr(unsafe.Pointer(&v.h)))
	runtime.KeepAlive(dims)
	return v, err
}

// pack puts elements of a few bits together, the first lowest.
func pack(b []byte, bits int) []byte {
	per := 8 / bits
	out := make([]byte, (len(b)+per-1)/per)
	for i, x := range b {
		out[i/per] |= x & (1<<bits - 1) << (i % per * bits)
	}
	return out
}

// unpack undoes pack for n elements, with the sign of signed ones.
func unpack(b []byte, bits, n int, signed bool) []byte {
	per := 8 / bits
	out := make([]byte, n)
	for i := range out {
		x := b[i/per] >> (i % per * bits) & (1<<bits - 1)
		if signed && x>>(bits-1) != 0 {
			x |= 0xff << bits
		}
		out[i] = x
	}
	return out
}

func (v *Value) fill(s []string) error {
	if len(s) == 0 {
		return nil
	}
	list := make([]*byte, len(s))
	for i, x := range s {
		list[i] = cString(x)
	}
	err := v.r.call(fillStringTensor, uintptr(v.h), uintptr(unsafe.Pointer(&list[0])), uintptr(len(s)))
	runtime.KeepAlive(list)
	return err
}

// Go copies the value to Go's memory.
func (v *Value) Go() (tensor.Value, error) {
	var kind int32
	if err := v.r.call(getValueType, uintptr(v.h), uintptr(unsafe.Pointer(&kind))); err != nil {
		return nil, err
	}
	switch kind {
	case kindTensor:
		return v.tensor()
	case kindSequence:
		elems, err := v.elems()
		return &tensor.Sequence{Elems: elems}, err
	case kindMap:
		elems, err := v.elems()
		if err != nil {
			return nil, err
		}
		return &tensor.Map{Keys: elems[0].(*tensor.Tensor), Values: elems[1].(*tensor.Tensor)}, nil
	case kindOptional:
		var has int32
		if err := v.r.call(hasValue, uintptr(v.h), uintptr(unsafe.Pointer(&has))); err != nil {
			return nil, err
		}
		if has == 0 {
			return &tensor.Optional{}, nil
		}
	}
	return nil, fmt.Errorf("kind %d: %w", kind, ErrValue)
}

// elems are the parts of a sequence, or of a map its keys and values.
func (v *Value) elems() ([]tensor.Value, error) {
	var n uint64
	if err := v.r.call(getValueCount, uintptr(v.h), uintptr(unsafe.Pointer(&n))); err != nil {
		return nil, err
	}
	var out []tensor.Value
	for i := range n {
		e := &Value{r: v.r}
		if err := v.r.call(getValue, uintptr(v.h), uintptr(i), uintptr(v.r.allocator), uintptr(unsafe.Pointer(&e.h))); err != nil {
			return nil, err
		}
		x, err := e.Go()
		e.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// Bytes is the memory of a tensor; it lives as long as the value.
func (v *Value) Bytes() ([]byte, error) {
	dt, _, n, err := v.info()
	if err != nil || n == 0 {
		return nil, err
	}
	p, err := v.data()
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), (n*dt.Bits()+7)/8), nil
}

func (v *Value) data() (unsafe.Pointer, error) {
	var p unsafe.Pointer
	err := v.r.call(getTensorMutableData, uintptr(v.h), uintptr(unsafe.Pointer(&p)))
	return p, err
}

// info is a tensor's element type, shape, and number of elements.
func (v *Value) info() (tensor.DType, []int, int, error) {
	var info handle
	if err := v.r.call(getTensorTypeAndShape, uintptr(v.h), uintptr(unsafe.Pointer(&info))); err != nil {
		return 0, nil, 0, err
	}
	defer v.r.release(releaseTensorTypeAndShapeInfo, info)
	var et int32
	var rank, count uint64
	if err := v.r.call(getTensorElementType, uintptr(info), uintptr(unsafe.Pointer(&et))); err != nil {
		return 0, nil, 0, err
	}
	if err := v.r.call(getDimensionsCount, uintptr(info), uintptr(unsafe.Pointer(&rank))); err != nil {
		return 0, nil, 0, err
	}
	if err := v.r.call(getTensorShapeElementCount, uintptr(info), uintptr(unsafe.Pointer(&count))); err != nil {
		return 0, nil, 0, err
	}
	dims := make([]int64, rank+1)
	if err := v.r.call(getDimensions, uintptr(info), uintptr(unsafe.Pointer(&dims[0])), uintptr(rank)); err != nil {
		return 0, nil, 0, err
	}
	if et <= 0 || int(et) >= len(elementTypes) {
		return 0, nil, 0, fmt.Errorf("element type %d: %w", et, ErrValue)
	}
	shape := make([]int, rank)
	for i := range shape {
		shape[i] = int(dims[i])
	}
	return elementTypes[et], shape, int(count), nil
}

func (v *Value) tensor() (*tensor.Tensor, error) {
	dt, shape, n, err := v.info()
	if err != nil {
		return nil, err
	}
	t, err := tensor.Make(dt, shape)
	if err != nil || n == 0 {
		return t, err
	}
	if dt == tensor.String {
		return t, v.strings(t.Strings())
	}
	b, err := v.Bytes()
	if err != nil {
		return nil, err
	}
	if dt.Bits() < 8 {
		b = unpack(b, dt.Bits(), n, dt.IsSigned())
	}
	copy(t.Bytes(), b)
	return t, nil
}

func (v *Value) strings(out []string) error {
	var total uint64
	if err := v.r.call(getStringTensorDataLength, uintptr(v.h), uintptr(unsafe.Pointer(&total))); err != nil {
		return err
	}
	buf, offs := make([]byte, total+1), make([]uint64, len(out)+1)
	if err := v.r.call(getStringTensorContent, uintptr(v.h), uintptr(unsafe.Pointer(&buf[0])), uintptr(total), uintptr(unsafe.Pointer(&offs[0])), uintptr(len(out))); err != nil {
		return err
	}
	offs[len(out)] = total
	for i := range out {
		out[i] = string(buf[offs[i]:offs[i+1]])
	}
	return nil
}
