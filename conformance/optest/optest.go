// Package optest runs the samples of ops.Registry: each operator against its decomposition, its gradient
// against differences, and the kernels of a device against those of the reference device.
package optest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// errRefused is wrapped by errors of samples that an operator does not take.
var errRefused = errors.New("not taken by the operator")

// Inputs makes the values of a sample, seeded by seed: nil where an input is omitted. Floats are of the
// type f where it is valid, else as the sample says.
func Inputs(s ops.Sample, f tensor.DType, seed uint64) ([]tensor.Value, error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]tensor.Value, len(s.In))
	for i, in := range s.In {
		if in.Seq != nil {
			seq := &tensor.Sequence{}
			for _, e := range in.Seq {
				t, err := input(e, f, rng)
				if err != nil {
					return nil, err
				}
				seq.DType, seq.Elems = t.DType(), append(seq.Elems, t)
			}
			out[i] = seq
			continue
		}
		if in.DType == tensor.Invalid {
			continue
		}
		t, err := input(in, f, rng)
		if err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

func input(in ops.SampleIn, f tensor.DType, rng *rand.Rand) (*tensor.Tensor, error) {
	dt := in.DType
	if dt == tensor.Float32 && f.Valid() {
		dt = f
	}
	if in.Data != nil {
		return tensor.Cast(in.Data, dt, tensor.CastOptions{})
	}
	lo, hi := in.Lo, in.Hi
	if lo == 0 && hi == 0 {
		lo, hi = -1, 1
		if !dt.IsFloat() {
			lo, hi = -5, 6
		}
	}
	if dt.IsUnsigned() || dt == tensor.Bool {
		lo = max(lo, 0)
	}
	t, err := tensor.Make(dt, in.Shape)
	if err != nil {
		return nil, err
	}
	vs := make([]float64, t.Len())
	for i := range vs {
		vs[i] = lo + (hi-lo)*rng.Float64()
	}
	if dt == tensor.Bool {
		for i := range vs {
			vs[i] = float64(rng.IntN(2))
		}
	}
	return t, t.SetFloat64s(vs)
}

// application is a graph in the making: one operator on the values of a sample.
type application struct {
	b    *graph.Builder
	in   []*graph.Value // nil where omitted
	feed []tensor.Value // of the graph's inputs
}

// Known says which inputs of a sample are constants of the graph that is compiled.
type Known uint8

// What may be known: nothing; the tensors that are no floats (shapes, axes, labels), which inference may
// look into; or all inputs but the first, which kernels may prepack.
const (
	Nothing Known = iota
	Shapes
	Weights
)

// Open says which dimensions of a graph's inputs are symbols.
type Open uint8

// What may be a symbol: no dimension; the first of the first input, as a batch size; or all that are not 1,
// equal sizes being one symbol.
const (
	Static Open = iota
	Batch
	All
)

func (o Open) typeOf(t *tensor.Tensor, input int) graph.Type {
	typ := graph.ConstOf(t).WithoutValue()
	for i, n := range t.Shape() {
		if n > 1 && (o == All || o == Batch && input == 0 && i == 0) {
			typ.Dims[i] = graph.Sym(fmt.Sprintf("n%d", n))
		}
	}
	return typ
}

// apply makes graph inputs and constants of a sample's values.
func apply(vals []tensor.Value, known Known) *application { return applyOpen(vals, known, Static) }

func applyOpen(vals []tensor.Value, known Known, open Open) *application {
	a := &application{b: graph.NewBuilder(&graph.Graph{Name: "sample"})}
	for i, v := range vals {
		name := fmt.Sprintf("in%d", i)
		switch v := v.(type) {
		case nil:
			a.in = append(a.in, nil)
		case *tensor.Tensor:
			if known != Nothing && !v.DType().IsFloat() || known == Weights && i > 0 {
				a.in = append(a.in, a.b.Const(name, v))
				continue
			}
			a.in = append(a.in, a.b.Input(name, open.typeOf(v, i)))
			a.feed = append(a.feed, v)
		case *tensor.Sequence:
			elem := graph.UnrankedOf(v.DType)
			a.in = append(a.in, a.b.Input(name, graph.SequenceOf(elem)))
			a.feed = append(a.feed, v)
		}
	}
	return a
}

// compile makes what is in a's graph ready to run.
func (a *application) compile(dev devices.Device, outs ...*graph.Value) (*runtime.Session, error) {
	if err := a.b.Err(); err != nil {
		return nil, errs.Errorf("%w: %w", errRefused, err)
	}
	a.b.Graph().Outputs = outs
	p, err := runtime.Compile(a.b.Graph(), dev, runtime.Options{NoFusion: true})
	if err != nil {
		return nil, err
	}
	return p.NewSession()
}

// Run applies an operator to values on a device.
func Run(dev devices.Device, op graph.Op, vals []tensor.Value, known Known) ([]tensor.Value, error) {
	a := apply(vals, known)
	s, err := a.compile(dev, a.b.AddN(op, a.in...)...)
	if err != nil {
		return nil, err
	}
	return s.RunValues(context.Background(), a.feed)
}

// decomposed runs an operator's decomposition; nil where these inputs have none.
func decomposed(dev devices.Device, op graph.Decomposer, vals []tensor.Value, open Open) ([]tensor.Value, error) {
	a := applyOpen(vals, Shapes, open)
	outs := op.Decompose(a.b, a.in)
	if outs == nil {
		return nil, nil
	}
	s, err := a.compile(dev, outs...)
	if err != nil {
		return nil, err
	}
	return s.RunValues(context.Background(), a.feed)
}
