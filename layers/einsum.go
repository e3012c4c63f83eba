package layers

import (
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

// EinsumDense is a Dense whose product is an Einstein summation of input and kernel.
type EinsumDense struct {
	Base
	OutputShape         []int // without the batch; -1 for sizes taken from the input
	Equation            string
	Activation          Activation
	BiasAxes            string  // letters of the output that the bias has; empty: no bias
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
	QuantizationConfig  any
	LoraRank            *int `keras:",omitzero"`
}

// Call implements Layer.
func (l *EinsumDense) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	kernel, bias, ok := l.shapes(c, x)
	if !ok {
		return one(x)
	}
	k := c.Weight("kernel", kernel, With(orInit(l.KernelInitializer, "GlorotUniform"), l.KernelRegularizer, l.KernelConstraint))
	var b *graph.Value
	if bias != nil {
		b = c.Weight("bias", bias, With(orInit(l.BiasInitializer, "Zeros"), l.BiasRegularizer, l.BiasConstraint))
	}
	y := c.Add(ops.Einsum{Equation: strings.ReplaceAll(l.Equation, " ", "")}, x, k)
	if b != nil {
		y = c.add(y, b)
	}
	return one(c.activate(y, l.Activation))
}

// shapes finds the kernel's and the bias' shape from the equation, the input's shape and OutputShape.
func (l *EinsumDense) shapes(c *Call, x *graph.Value) (kernel, bias []int, ok bool) {
	eq := strings.ReplaceAll(l.Equation, " ", "")
	ins, out, found := strings.Cut(eq, "->")
	in, kern, two := strings.Cut(ins, ",")
	if !found || !two {
		c.Failf("equation %q is not of the form a,b->c", l.Equation)
		return nil, nil, false
	}
	r := c.rank(x)
	sizes := map[rune]int{}
	// an ellipsis stands for the dimensions in excess; the letters behind it count from the end
	head, tail, dots := strings.Cut(in, "...")
	for i, ch := range head {
		sizes[ch] = c.dim(x, i)
	}
	for i, ch := range tail {
		sizes[ch] = c.dim(x, r-len(tail)+i)
	}
	if !dots && len(in) != r || dots && len(head)+len(tail) > r {
		c.Failf("equation %q does not fit input %v", l.Equation, x.Type)
		return nil, nil, false
	}
	// the output shape lacks the batch (the first dimension), whichever letter or ellipsis that is
	head, tail, dots = strings.Cut(out, "...")
	shape := l.OutputShape
	full := append([]int{-1}, shape...)
	if len(full) < len(head)+len(tail) || !dots && len(full) != len(head) {
		c.Failf("output_shape %v does not fit equation %q", shape, l.Equation)
		return nil, nil, false
	}
	set := func(ch rune, n int) {
		if old, known := sizes[ch]; !known || old < 0 && n >= 0 {
			sizes[ch] = n
		}
	}
	for i, ch := range head {
		set(ch, full[i])
	}
	for i, ch := range tail {
		set(ch, full[len(full)-len(tail)+i])
	}
	for _, ch := range kern {
		n, known := sizes[ch]
		if !known {
			c.Failf("equation %q: nothing tells the size of %q", l.Equation, ch)
			return nil, nil, false
		}
		kernel = append(kernel, n)
	}
	if l.BiasAxes == "" {
		return kernel, nil, c.Err() == nil
	}
	bias, ok = l.biasShape(c, out, sizes)
	return kernel, bias, ok && c.Err() == nil
}

// biasShape is the sizes of the output's letters from the first that the bias has on, 1 where it lacks one.
func (l *EinsumDense) biasShape(c *Call, out string, sizes map[rune]int) ([]int, bool) {
	flat := strings.ReplaceAll(out, "...", "0")
	first := len(flat)
	for _, ch := range l.BiasAxes {
		i := strings.IndexRune(flat, ch)
		if i < 0 {
			c.Failf("bias axis %q is not in the output of %q", ch, l.Equation)
			return nil, false
		}
		first = min(first, i)
	}
	bias := []int{}
	for _, ch := range flat[first:] {
		if strings.ContainsRune(l.BiasAxes, ch) {
			bias = append(bias, sizes[ch])
		} else {
			bias = append(bias, 1)
		}
	}
	return bias, true
}
