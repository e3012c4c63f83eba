package conformance

import (
	"fmt"
	"math"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// Tolerance is how far numbers may lie apart: |got - want| <= Abs + Rel*|want|.
type Tolerance struct{ Abs, Rel float64 }

// Check is what a case works with: the device, and the judgement of its numbers.
type Check struct {
	Device devices.Device
	// MaxAbs and MaxRel are the largest differences seen so far.
	MaxAbs, MaxRel float64
	compared       int
	readONNX       func(path string) (*graph.Graph, error)
	runner         Runner
}

// program is a graph that is ready to be run.
type program struct {
	g   *graph.Graph
	run RunFunc
}

// compile prepares a graph.
func (c *Check) compile(g *graph.Graph) (*program, error) {
	if c.runner != nil {
		run, err := c.runner(g)
		return &program{g, run}, err
	}
	p, err := runtime.Compile(g, c.Device, runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := p.NewSession()
	if err != nil {
		return nil, err
	}
	return &program{p.Graph(), s.RunValues}, nil
}

// Compare judges a value of any kind: type, shape and every element. NaN equals NaN, infinities are equal
// by sign, strings are to be the same.
func (c *Check) Compare(name string, got, want tensor.Value, tol Tolerance) error {
	switch w := want.(type) {
	case *tensor.Tensor:
		g, ok := got.(*tensor.Tensor)
		if !ok || g == nil {
			return errs.Errorf("%s: got %s, want a tensor", name, kindOf(got))
		}
		return c.Tensor(name, g, w, tol)
	case *tensor.Sequence:
		g, ok := got.(*tensor.Sequence)
		if !ok || len(g.Elems) != len(w.Elems) {
			return errs.Errorf("%s: got %s, want a sequence of %d", name, kindOf(got), len(w.Elems))
		}
		c.compared++
		for i := range w.Elems {
			if err := c.Compare(fmt.Sprintf("%s[%d]", name, i), g.Elems[i], w.Elems[i], tol); err != nil {
				return err
			}
		}
		return nil
	case *tensor.Optional:
		return c.optional(name, got, w, tol)
	case *tensor.Map:
		g, ok := got.(*tensor.Map)
		if !ok {
			return errs.Errorf("%s: got %s, want a map", name, kindOf(got))
		}
		if err := c.Tensor(name+" keys", g.Keys, w.Keys, Tolerance{}); err != nil {
			return err
		}
		return c.Tensor(name+" values", g.Values, w.Values, tol)
	}
	return errs.Errorf("%s: nothing to compare with", name)
}

func (c *Check) optional(name string, got tensor.Value, want *tensor.Optional, tol Tolerance) error {
	g, ok := got.(*tensor.Optional)
	if !ok {
		g = &tensor.Optional{Elem: got}
	}
	if (g.Elem == nil) != (want.Elem == nil) {
		return errs.Errorf("%s: got %s, want %s", name, kindOf(g.Elem), kindOf(want.Elem))
	}
	c.compared++
	if want.Elem == nil {
		return nil
	}
	return c.Compare(name, g.Elem, want.Elem, tol)
}

func kindOf(v tensor.Value) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case *tensor.Tensor:
		if v == nil {
			return "nothing"
		}
		return fmt.Sprintf("%v%v", v.DType(), v.Shape())
	case *tensor.Sequence:
		return fmt.Sprintf("a sequence of %d", len(v.Elems))
	case *tensor.Optional:
		return "an optional of " + kindOf(v.Elem)
	case *tensor.Map:
		return fmt.Sprintf("a map of %d", v.Keys.Len())
	}
	return fmt.Sprintf("%T", v)
}

// Tensor judges one tensor.
func (c *Check) Tensor(name string, got, want *tensor.Tensor, tol Tolerance) error {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return errs.Errorf("%s: got %v%v, want %v%v", name, got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	c.compared++
	if want.DType() == tensor.String {
		for i, w := range want.Strings() {
			if g := got.Strings()[i]; g != w {
				return errs.Errorf("%s: element %d is %q, want %q", name, i, g, w)
			}
		}
		return nil
	}
	g, err := numbers(got)
	if err != nil {
		return err
	}
	w, err := numbers(want)
	if err != nil {
		return err
	}
	return c.numbers(name, g, w, want.Shape(), tol)
}

// numbers is a tensor's elements; of complex ones the real and imaginary parts.
func numbers(t *tensor.Tensor) ([]float64, error) {
	switch t.DType() {
	case tensor.Complex64:
		out := make([]float64, 0, 2*t.Len())
		for _, v := range tensor.As[complex64](t) {
			out = append(out, float64(real(v)), float64(imag(v)))
		}
		return out, nil
	case tensor.Complex128:
		out := make([]float64, 0, 2*t.Len())
		for _, v := range tensor.As[complex128](t) {
			out = append(out, real(v), imag(v))
		}
		return out, nil
	}
	d, err := tensor.Cast(t, tensor.Float64, tensor.CastOptions{})
	if err != nil {
		return nil, err
	}
	return tensor.As[float64](d), nil
}

func (c *Check) numbers(name string, got, want []float64, shape []int, tol Tolerance) error {
	bad, first := 0, -1
	for i, w := range want {
		g := got[i]
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		d := math.Abs(g - w)
		if !math.IsNaN(d) && !math.IsInf(d, 0) {
			c.MaxAbs = math.Max(c.MaxAbs, d)
			if w != 0 {
				c.MaxRel = math.Max(c.MaxRel, d/math.Abs(w))
			}
		}
		if math.IsNaN(d) || math.IsInf(w, 0) || d > tol.Abs+tol.Rel*math.Abs(w) {
			if bad++; first < 0 {
				first = i
			}
		}
	}
	if bad == 0 {
		return nil
	}
	return errs.Errorf("%s%v: %d of %d elements differ, the first at %d: got %v, want %v", name, shape, bad, len(want),
		first, got[first], want[first])
}
