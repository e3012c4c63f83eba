package optest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// Tolerance is what one number may differ by: |got-want| <= Abs*largest + Rel*|want|, where largest is the
// largest finite |want| of the tensor, or 1 if that is less.
type Tolerance struct{ Abs, Rel float64 }

// Difference says where got differs from want, or is nil. NaN equals NaN; infinities are equal by sign.
func Difference(got, want tensor.Value, tol Tolerance) error {
	switch w := want.(type) {
	case *tensor.Tensor:
		g, ok := got.(*tensor.Tensor)
		if !ok {
			return errs.Errorf("got a %T, want a tensor", got)
		}
		return tensorsDiffer(g, w, tol)
	case *tensor.Sequence:
		g, ok := got.(*tensor.Sequence)
		if !ok || len(g.Elems) != len(w.Elems) {
			return errs.Errorf("got %v, want a sequence of %d", got, len(w.Elems))
		}
		for i := range w.Elems {
			if err := Difference(g.Elems[i], w.Elems[i], tol); err != nil {
				return errs.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	case *tensor.Optional:
		g, ok := got.(*tensor.Optional)
		if !ok || (g.Elem == nil) != (w.Elem == nil) {
			return errs.Errorf("got %v, want %v", got, want)
		}
		if w.Elem == nil {
			return nil
		}
		return Difference(g.Elem, w.Elem, tol)
	case *tensor.Map:
		g, ok := got.(*tensor.Map)
		if !ok {
			return errs.Errorf("got a %T, want a map", got)
		}
		if err := tensorsDiffer(g.Keys, w.Keys, tol); err != nil {
			return errs.Errorf("keys: %w", err)
		}
		return tensorsDiffer(g.Values, w.Values, tol)
	}
	return errs.Errorf("got %v, want %v", got, want)
}

func tensorsDiffer(got, want *tensor.Tensor, tol Tolerance) error {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return errs.Errorf("got %v%v, want %v%v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	if want.DType() == tensor.String || want.DType().IsComplex() {
		if !slices.Equal(got.Strings(), want.Strings()) || !slices.Equal(got.Bytes(), want.Bytes()) {
			return errs.Errorf("contents differ")
		}
		return nil
	}
	g, err := got.Float64s()
	if err != nil {
		return err
	}
	w, err := want.Float64s()
	if err != nil {
		return err
	}
	largest := 1.0
	for _, v := range w {
		if a := math.Abs(v); a > largest && !math.IsInf(a, 0) {
			largest = a
		}
	}
	if want.DType().IsInt() || want.DType() == tensor.Bool {
		tol = Tolerance{}
	}
	for i := range w {
		same := g[i] == w[i] || math.IsNaN(g[i]) && math.IsNaN(w[i])
		if !same && !(math.Abs(g[i]-w[i]) <= tol.Abs*largest+tol.Rel*math.Abs(w[i])) {
			return errs.Errorf("element %d of %v: got %v, want %v", i, want.Shape(), g[i], w[i])
		}
	}
	return nil
}

// tolerances of a device's kernel of each float type, by the type's precision; sums of hundreds of
// elements in another order stay within.
var tolerances = map[tensor.DType]Tolerance{
	tensor.Float32:  {Abs: 2e-6, Rel: 1e-5},
	tensor.Float64:  {Abs: 1e-12, Rel: 1e-11},
	tensor.Float16:  {Abs: 1e-3, Rel: 2e-3},
	tensor.BFloat16: {Abs: 8e-3, Rel: 1.6e-2},
}

// CompareDevice checks every kernel of a device against the reference device: over the samples of the
// registry with floats of each type that has kernels, and for elementwise operators over broadcast and
// empty shapes and over NaN, infinities and extreme numbers. Samples that the device has no kernel for are
// passed over. Known differences go into skip, by operator name, with the reason.
func CompareDevice(t *testing.T, dev devices.Device, skip map[string]string) {
	for _, info := range ops.Registry() {
		if !ownKernel(dev, info.Op) {
			continue
		}
		t.Run(info.Op.Name(), func(t *testing.T) {
			if why := skip[info.Op.Name()]; why != "" {
				t.Skip(why)
			}
			for i, s := range ops.Samples(info.Op) {
				for dt, tol := range tolerances {
					vals, err := Inputs(s, dt, uint64(i))
					if err != nil {
						t.Fatal(err)
					}
					compareOn(t, dev, s.Op, vals, tol, fmt.Sprintf("sample %d %v", i, dt))
				}
			}
			for _, c := range variations(info) {
				for dt, tol := range tolerances {
					compareOn(t, dev, c.op, c.values(dt), tol, c.name+" "+dt.String())
				}
			}
		})
	}
}

// ownKernel reports whether a device has a kernel for op that is not borrowed from the reference device.
func ownKernel(dev devices.Device, op graph.Op) bool {
	return slices.ContainsFunc(dev.Kernels().Candidates(op), func(k devices.Kernel) bool {
		return !strings.HasPrefix(k.Name, "ref/")
	})
}

// compareOn runs op on both devices: with shapes as constants or, where nothing would be left to run, with
// none; and with everything but the first input as constants, to be prepacked.
func compareOn(t *testing.T, dev devices.Device, op graph.Op, vals []tensor.Value, tol Tolerance, what string) {
	t.Helper()
	if !hasFloats(vals) {
		compareKnowing(t, dev, op, vals, Nothing, tol, what)
		return
	}
	compareKnowing(t, dev, op, vals, Shapes, tol, what)
	if len(vals) > 1 && hasFloats(vals[:1]) && hasFloats(vals[1:]) {
		compareKnowing(t, dev, op, vals, Weights, tol, what+", constant weights")
	}
}

func hasFloats(vals []tensor.Value) bool {
	return slices.ContainsFunc(vals, func(v tensor.Value) bool {
		x, ok := v.(*tensor.Tensor)
		return v != nil && (!ok || x.DType().IsFloat())
	})
}

func compareKnowing(t *testing.T, dev devices.Device, op graph.Op, vals []tensor.Value, known Known, tol Tolerance, what string) {
	t.Helper()
	want, err := Run(ref.New(), op, vals, known)
	if err != nil {
		return // the sample is not for this element type
	}
	got, err := Run(dev, op, vals, known)
	var none *devices.NoKernelError
	if errors.Is(err, runtime.ErrUnsupported) || errors.As(err, &none) {
		return
	}
	if err != nil {
		t.Errorf("%s: %s fails: %v", what, dev.Name(), err)
		return
	}
	if st, ok := op.(graph.Stateful); ok && st.Stateful() {
		return
	}
	for k := range want {
		if err := Difference(got[k], want[k], tol); err != nil {
			t.Errorf("%s output %d: %v", what, k, err)
		}
	}
}

// variation is an elementwise operator on made-up inputs.
type variation struct {
	name   string
	op     graph.Op
	shapes [][]int
	data   func(k, i int) float64 // element i of input k
}

func (v variation) values(dt tensor.DType) []tensor.Value {
	out := make([]tensor.Value, len(v.shapes))
	for k, shape := range v.shapes {
		t := tensor.New(dt, shape...)
		vs := make([]float64, t.Len())
		for i := range vs {
			vs[i] = v.data(k, i)
		}
		if err := t.SetFloat64s(vs); err != nil {
			panic(err) // dt is a float type
		}
		out[k] = t
	}
	return out
}

// extremes is numbers at which elementwise kernels go wrong.
var extremes = []float64{0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 1e-40, -1e-40, 1e-8, -1e-8,
	20, -20, 87, -87, 88.8, -88.8, 104, -104, 3e38, -3e38, math.Inf(1), math.Inf(-1), math.NaN()}

// variations makes shapes and numbers for the elementwise operators among the registry's: those whose
// samples have float inputs only, and which take any shapes that broadcast.
func variations(info ops.Info) []variation {
	if strings.HasSuffix(info.Op.Name(), "Grad") {
		return nil // written by gradients only, which hand in shapes that fit
	}
	var out []variation
	for _, s := range ops.Samples(info.Op)[:min(1, len(ops.Samples(info.Op)))] {
		n := len(s.In)
		for _, in := range s.In {
			if !in.DType.IsFloat() || in.Data != nil || in.NoGrad {
				return nil
			}
		}
		if n == 0 || n > 3 || !takes(s.Op, n, []int{5, 7}) || !takes(s.Op, n, []int{}) {
			return nil
		}
		mild := func(k, i int) float64 { return math.Sin(float64(13*k+7*i)) * 3 }
		shaped := func(shape ...int) [][]int { return slices.Repeat([][]int{shape}, n) }
		out = append(out,
			variation{"one", s.Op, shaped(1), mild}, variation{"scalar", s.Op, shaped(), mild},
			variation{"long", s.Op, shaped(1037), mild}, variation{"empty", s.Op, shaped(3, 0, 2), mild},
			variation{"extremes", s.Op, shaped(len(extremes)), func(_, i int) float64 { return extremes[i] }})
		if n == 2 {
			out = append(out, pairings(s.Op, mild)...)
		}
	}
	return out
}

// pairings is variations of broadcast shapes, and of every pair of extremes, where op takes them.
func pairings(op graph.Op, data func(k, i int) float64) []variation {
	if !takesShapes(op, []int{3, 1}, []int{4}) {
		return nil
	}
	var out []variation
	for _, p := range [][2][]int{{{3, 1}, {4}}, {{17, 5}, {5}}, {{5}, {17, 5}}, {{2, 3, 4, 5}, {3, 1, 1}}, {{3, 1, 1}, {2, 3, 4, 5}},
		{{6, 1, 9}, {1, 33, 1}}, {{}, {70}}, {{70}, {}}, {{1, 1}, {3}}, {{2, 0}, {1, 1}}, {{4, 5, 6}, {1, 5, 1}}} {
		out = append(out, variation{fmt.Sprint(p), op, p[:], data})
	}
	n := len(extremes)
	all := func(k, i int) float64 {
		if k == 0 {
			return extremes[i/n]
		}
		return extremes[i%n]
	}
	return append(out, variation{"extreme pairs", op, [][]int{{n, n}, {n, n}}, all})
}

func takes(op graph.Op, n int, shape []int) bool {
	return takesShapes(op, slices.Repeat([][]int{shape}, n)...)
}

// takesShapes reports whether op maps float tensors of those shapes to one that is as large.
func takesShapes(op graph.Op, shapes ...[]int) bool {
	in := make([]graph.Type, len(shapes))
	size := 1
	for i, s := range shapes {
		in[i] = graph.TensorOf(tensor.Float32, graph.Dims(s...)...)
		for _, d := range s {
			size = max(size, d)
		}
	}
	out, err := op.Infer(in)
	if err != nil || len(out) != 1 {
		return false
	}
	shape, ok := out[0].Shape()
	return ok && len(shape) == in[0].Rank() || ok && len(shapes) == 2
}
