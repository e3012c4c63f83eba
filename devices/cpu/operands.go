package cpu

import (
	"unsafe"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// f32 is input i's elements, nil where omitted.
//
//go:noinline
func f32(a *devices.Args, i int) []float32 {
	t := a.Tensor(i)
	if t == nil {
		return nil
	}
	return tensor.As[float32](t)
}

// f32Out is output i's elements.
//
//go:noinline
func f32Out(a *devices.Args, i int) []float32 { return tensor.As[float32](a.OutTensor(i)) }

// floats views scratch bytes, which are 64-byte aligned, as float32.
//
//go:noinline
func floats(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// isF32 reports whether all present types are float32 tensors of known shape.
//
//go:noinline
func isF32(ts ...graph.Type) bool {
	for _, t := range ts {
		if t.DType == tensor.Invalid {
			continue
		}
		if t.DType != tensor.Float32 || !t.Static() {
			return false
		}
	}
	return true
}

// allF32 reports whether a request's inputs and outputs are float32 tensors of known shape.
//
//go:noinline
func allF32(r devices.Request) bool { return isF32(r.In...) && isF32(r.Out...) }

// has reports whether input i is present.
//
//go:noinline
func has(r devices.Request, i int) bool {
	return i < len(r.In) && r.In[i].DType != tensor.Invalid
}

// dims is the shape of a type that is known to be static.
//
//go:noinline
func dims(t graph.Type) []int {
	s, _ := t.Shape()
	return s
}

// prod is the product of ds.
//
//go:noinline
func prod(ds []int) int {
	n := 1
	for _, d := range ds {
		n *= d
	}
	return n
}

// roundUp is the least multiple of m that is at least n.
//
//go:noinline
func roundUp(n, m int) int { return (n + m - 1) / m * m }

// ceilDiv is n/d rounded up.
//
//go:noinline
func ceilDiv(n, d int) int { return (n + d - 1) / d }

// pad64 rounds a count of float32 up to a cache line.
//
//go:noinline
func pad64(n int) int { return roundUp(n, 16) }

// evict lets the system drop a constant that has been packed from memory, if it is part of a mapped file.
func evict(t *tensor.Tensor) {
	if f, ok := t.Keep().(interface{ Evict([]byte) }); ok {
		f.Evict(t.Bytes())
	}
}

// bytesOf views float32 scratch as bytes.
//
//go:noinline
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), len(x)*4)
}
