package ops

import "github.com/nnrt/nnrt/graph"

// Coster ops know how many multiply-adds they take; others count as none.
type Coster interface {
	// MulAdds counts them for operands of known shapes; 0 where a shape is open.
	MulAdds(in, out []graph.Type) int64
}

// elements is the number of elements, 0 where it is not known.
func elements(t graph.Type) int64 {
	shape, ok := t.Shape()
	if !ok {
		return 0
	}
	n := int64(1)
	for _, d := range shape {
		n *= int64(d)
	}
	return n
}

// kernelCost is outputs times the kernel's elements for one output channel.
func kernelCost(out, w graph.Type, channels int) int64 {
	shape, ok := w.Shape()
	if !ok || len(shape) == 0 || shape[channels] == 0 {
		return 0
	}
	return elements(out) * (elements(w) / int64(shape[channels]))
}

// MulAdds implements Coster.
func (c Conv) MulAdds(in, out []graph.Type) int64 {
	if c.Format == NHWC {
		return kernelCost(out[0], in[1], in[1].Rank()-1)
	}
	return kernelCost(out[0], in[1], 0)
}

// MulAdds implements Coster.
func (c ConvTranspose) MulAdds(in, out []graph.Type) int64 {
	if c.Format == NHWC {
		return kernelCost(in[0], in[1], in[1].Rank()-1)
	}
	return kernelCost(in[0], in[1], 0)
}

// MulAdds implements Coster.
func (MatMul) MulAdds(in, out []graph.Type) int64 {
	if r := in[0].Rank(); r > 0 {
		if k, ok := in[0].Dims[r-1].Const(); ok {
			return elements(out[0]) * int64(k)
		}
	}
	return 0
}

// MulAdds implements Coster.
func (g Gemm) MulAdds(in, out []graph.Type) int64 {
	if in[0].Rank() != 2 {
		return 0
	}
	axis := 1
	if g.TransA {
		axis = 0
	}
	k, ok := in[0].Dims[axis].Const()
	if !ok {
		return 0
	}
	return elements(out[0]) * int64(k)
}

// recurrentCost is both products of every step.
func recurrentCost(in []graph.Type) int64 {
	if in[0].Rank() != 3 {
		return 0
	}
	steps, ok := in[0].Dims[0].Mul(in[0].Dims[1]).Const()
	if !ok {
		return 0
	}
	return int64(steps) * (elements(in[1]) + elements(in[2]))
}

// MulAdds implements Coster.
func (RNN) MulAdds(in, _ []graph.Type) int64 { return recurrentCost(in) }

// MulAdds implements Coster.
func (GRU) MulAdds(in, _ []graph.Type) int64 { return recurrentCost(in) }

// MulAdds implements Coster.
func (LSTM) MulAdds(in, _ []graph.Type) int64 { return recurrentCost(in) }
