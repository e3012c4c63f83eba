package ref

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Elements by size, for kernels that move elements of any type without looking at them. As named types
// they can view a tensor of any element type of their size.
type (
	elem1  uint8
	elem2  uint16
	elem4  uint32
	elem8  uint64
	elem16 complex128
)

// strided is a position in a tensor and the element steps from there along each axis of a loop.
type strided struct {
	off  int
	step []int
}

// rowMajor is a tensor's own order.
func rowMajor(shape []int) strided { return strided{step: tensor.Strides(shape)} }

// copyND copies the elements under a loop over shape, for any one element type.
func copyND(dst *tensor.Tensor, d strided, src *tensor.Tensor, s strided, shape []int) {
	for _, n := range shape {
		if n == 0 {
			return
		}
	}
	if dst.DType() == tensor.String {
		copyLoop(dst.Strings(), d, src.Strings(), s, shape)
		return
	}
	switch dst.DType().Size() {
	case 1:
		copyLoop(tensor.As[elem1](dst), d, tensor.As[elem1](src), s, shape)
	case 2:
		copyLoop(tensor.As[elem2](dst), d, tensor.As[elem2](src), s, shape)
	case 4:
		copyLoop(tensor.As[elem4](dst), d, tensor.As[elem4](src), s, shape)
	case 8:
		copyLoop(tensor.As[elem8](dst), d, tensor.As[elem8](src), s, shape)
	default:
		copyLoop(tensor.As[elem16](dst), d, tensor.As[elem16](src), s, shape)
	}
}

func copyLoop[T any](dst []T, d strided, src []T, s strided, shape []int) {
	if len(shape) == 0 {
		dst[d.off] = src[s.off]
		return
	}
	n := shape[0]
	if len(shape) == 1 {
		di, si := d.off, s.off
		if d.step[0] == 1 && s.step[0] == 1 {
			copy(dst[di:di+n], src[si:si+n])
			return
		}
		for range n {
			dst[di] = src[si]
			di += d.step[0]
			si += s.step[0]
		}
		return
	}
	for i := range n {
		copyLoop(dst, strided{d.off + i*d.step[0], d.step[1:]}, src, strided{s.off + i*s.step[0], s.step[1:]}, shape[1:])
	}
}

// clearAll zeroes a tensor: an arena's memory has what was there before.
func clearAll(t *tensor.Tensor) {
	clear(t.Bytes())
	clear(t.Strings())
}

// ints is the contents of the integer input i, nil where it is omitted.
func (c *Call) ints(i int) ([]int, error) { return intsOf(c.In(i)) }

// dimsOf is a shape as dimensions.
func dimsOf(shape []int) []graph.Dim { return graph.Dims(shape...) }

// shapeOf is dimensions, all numbers, as a shape.
func shapeOf(dims []graph.Dim) []int {
	out := make([]int, len(dims))
	for i, d := range dims {
		out[i], _ = d.Const()
	}
	return out
}

// inferred is the output shapes that the operator gives for the values at hand.
func (c *Call) inferred(op graph.Op) ([][]int, error) {
	in := make([]graph.Type, c.NIn())
	for i := range in {
		if t := c.In(i); t != nil {
			in[i] = graph.ConstOf(t)
		}
	}
	types, err := op.Infer(in)
	if err != nil {
		return nil, err
	}
	out := make([][]int, len(types))
	for i, t := range types {
		shape, ok := t.Shape()
		if !ok {
			return nil, errs.Errorf("output %d has no known shape: %v", i, t)
		}
		out[i] = shape
	}
	return out, nil
}

// make is output 0 in the inferred shape and the type of input 0.
func (c *Call) make(op graph.Op) (*tensor.Tensor, error) {
	if t := c.OutTensor(0); t != nil {
		return t, nil
	}
	shapes, err := c.inferred(op)
	if err != nil {
		return nil, err
	}
	return c.OutOf(0, c.In(0).DType(), shapes[0]...)
}
