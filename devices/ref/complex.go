package ref

import (
	"cmp"
	"math"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// complexOf is the elements of a complex tensor.
func complexOf(t *tensor.Tensor) []complex128 {
	if t.DType() == tensor.Complex128 {
		return tensor.As[complex128](t)
	}
	out := make([]complex128, t.Len())
	for i, v := range tensor.As[complex64](t) {
		out[i] = complex128(v)
	}
	return out
}

// setComplex stores numbers in a complex tensor.
func setComplex(t *tensor.Tensor, vs []complex128) {
	if t.DType() == tensor.Complex128 {
		copy(tensor.As[complex128](t), vs)
		return
	}
	for i, v := range vs {
		tensor.As[complex64](t)[i] = complex64(v)
	}
}

// byParts runs a kernel that is linear in its complex inputs on their real and on their imaginary parts;
// real ones it gets as they are. Part is 1 where the parts are imaginary.
func byParts(c *Call, f func(c *Call, part int) error) error {
	if c.In(0) == nil || !c.In(0).DType().IsComplex() {
		return f(c, 0)
	}
	dt := c.In(0).DType()
	var parts [2]*tensor.Tensor
	for p := range parts {
		args := *c.Args
		args.In, args.Out = make([]tensor.Value, c.NIn()), make([]tensor.Value, c.NOut())
		for i := range args.In {
			args.In[i] = c.Args.In[i]
			if t := c.In(i); t != nil && t.DType().IsComplex() {
				args.In[i] = partOf(t, p)
			}
		}
		if err := f(&Call{Args: &args, Req: c.Req}, p); err != nil {
			return err
		}
		if parts[p] = args.OutTensor(0); parts[p] == nil {
			return errs.Errorf("no output")
		}
	}
	out, err := c.OutOf(0, dt, parts[0].Shape()...)
	if err != nil {
		return err
	}
	vs := make([]complex128, out.Len())
	re, im := tensor.As[float64](parts[0]), tensor.As[float64](parts[1])
	for i := range vs {
		vs[i] = complex(re[i], im[i])
	}
	setComplex(out, vs)
	return nil
}

// partOf is the real parts of a complex tensor, or with p = 1 the imaginary ones.
func partOf(t *tensor.Tensor, p int) *tensor.Tensor {
	out := tensor.New(tensor.Float64, t.Shape()...)
	for i, v := range complexOf(t) {
		if tensor.As[float64](out)[i] = real(v); p == 1 {
			tensor.As[float64](out)[i] = imag(v)
		}
	}
	return out
}

// compareComplex orders by real, then by imaginary part, NaNs last, as numpy does.
func compareComplex(a, b complex128) int {
	part := func(x, y float64) int {
		if math.IsNaN(x) || math.IsNaN(y) {
			return cmp.Compare(bit(math.IsNaN(x)), bit(math.IsNaN(y)))
		}
		return cmp.Compare(x, y)
	}
	return cmp.Or(part(real(a), real(b)), part(imag(a), imag(b)))
}
