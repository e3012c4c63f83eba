package optest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
)

// wide gives a sample's inputs with float64 where the operator takes that, else as they are, with the
// tolerance of differences and of the arithmetic.
func wide(t *testing.T, s ops.Sample, seed uint64) (vals []tensor.Value, eps float64, tol Tolerance) {
	t.Helper()
	vals, err := Inputs(s, tensor.Float64, seed)
	require.NoError(t, err)
	if _, err = Run(ref.New(), s.Op, vals, Shapes); err == nil {
		return vals, 1e-5, Tolerance{Abs: 1e-7, Rel: 1e-6}
	}
	narrow, err2 := Inputs(s, tensor.Invalid, seed)
	require.NoError(t, err2)
	if _, err2 = Run(ref.New(), s.Op, narrow, Shapes); err2 != nil {
		t.Fatalf("the reference device fails on float64 (%v) and as given: %v", err, err2)
	}
	return narrow, 1e-2, Tolerance{Abs: 1e-2, Rel: 1e-2}
}

func eachSample(t *testing.T, f func(t *testing.T, s ops.Sample, seed uint64)) {
	for _, info := range ops.Registry() {
		t.Run(info.Op.Name(), func(t *testing.T) {
			for i, s := range ops.Samples(info.Op) {
				t.Run(fmt.Sprint(i), func(t *testing.T) { f(t, s, uint64(100+i)) })
			}
		})
	}
}

// takesMap is the operators whose inputs are maps, which samples can't be.
var takesMap = map[string]bool{"CastMap": true, "DictVectorizer": true}

// TestRegistryIsComplete holds that every operator has a name of its own, a line of documentation, samples
// that it takes, and a reference kernel.
func TestRegistryIsComplete(t *testing.T) {
	seen := map[string]bool{}
	table := ref.New().Kernels()
	for _, info := range ops.Registry() {
		name := info.Op.Name()
		require.False(t, seen[name], "two operators are %s", name)
		seen[name] = true
		if info.Doc == "" {
			t.Errorf("%s has no documentation", name)
		}
		if len(ops.Samples(info.Op)) == 0 && !takesMap[name] {
			t.Errorf("%s has no samples", name)
		}
		if !table.Has(info.Op) {
			t.Errorf("%s has no reference kernel", name)
		}
	}
}

// TestInferIsWhatRuns holds that kernels give what Infer announced, with all contents known and with none.
func TestInferIsWhatRuns(t *testing.T) {
	eachSample(t, func(t *testing.T, s ops.Sample, seed uint64) {
		vals, err := Inputs(s, tensor.Invalid, seed)
		require.NoError(t, err)
		for _, known := range []Known{Shapes, Nothing} {
			a := apply(vals, known)
			outs := a.b.AddN(s.Op, a.in...)
			require.NoError(t, a.b.Err())
			got, err := Run(ref.New(), s.Op, vals, known)
			require.NoError(t, err)
			for k, v := range outs {
				require.NoError(t, announces(v.Type, got[k]), "output %d, known %v", k, known)
			}
		}
	})
}

// announces checks a value against the type that was inferred for it.
func announces(typ graph.Type, v tensor.Value) error {
	x, ok := v.(*tensor.Tensor)
	if !ok {
		if typ.Kind == graph.TensorKind {
			return fmt.Errorf("inferred %v, got %T", typ, v)
		}
		return nil
	}
	if typ.Kind != graph.TensorKind || typ.DType != x.DType() {
		return fmt.Errorf("inferred %v, got %v%v", typ, x.DType(), x.Shape())
	}
	if typ.Rank() >= 0 && typ.Rank() != x.Rank() {
		return fmt.Errorf("inferred %v, got %v%v", typ, x.DType(), x.Shape())
	}
	for i := 0; i < typ.Rank(); i++ {
		if n, ok := typ.Dims[i].Const(); ok && n != x.Dim(i) {
			return fmt.Errorf("inferred %v, got %v%v", typ, x.DType(), x.Shape())
		}
	}
	if typ.Ints == nil {
		return nil
	}
	ints, err := x.Int64s()
	if err != nil || len(ints) != len(typ.Ints) {
		return fmt.Errorf("inferred the contents %v of %v%v", typ.Ints, x.DType(), x.Shape())
	}
	for i, d := range typ.Ints {
		if n, ok := d.Const(); ok && int64(n) != ints[i] {
			return fmt.Errorf("inferred the contents %v, got %v", typ.Ints, ints)
		}
	}
	return nil
}

// TestInferWithUnknowns holds that inference takes symbols for dimensions and tensors of unknown rank, and
// then says nothing that is not so.
func TestInferWithUnknowns(t *testing.T) {
	eachSample(t, func(t *testing.T, s ops.Sample, seed uint64) {
		vals, err := Inputs(s, tensor.Invalid, seed)
		require.NoError(t, err)
		got, err := Run(ref.New(), s.Op, vals, Shapes)
		require.NoError(t, err)
		for _, unranked := range []bool{false, true} {
			in := make([]graph.Type, len(vals))
			for i, v := range apply(vals, Nothing).in {
				if v == nil {
					continue
				}
				in[i] = v.Type
				if v.Type.Kind != graph.TensorKind {
					continue
				}
				if in[i] = graph.UnrankedOf(v.Type.DType); !unranked {
					dims := make([]graph.Dim, v.Type.Rank())
					for j := range dims {
						dims[j] = graph.Sym(fmt.Sprintf("d%d_%d", i, j))
					}
					in[i] = graph.TensorOf(v.Type.DType, dims...)
				}
			}
			out, err := s.Op.Infer(in)
			require.NoError(t, err, "unranked %v", unranked)
			require.Len(t, out, len(got))
			for k := range out {
				require.NoError(t, announces(out[k], got[k]), "output %d, unranked %v", k, unranked)
			}
		}
	})
}

// TestDecompositions holds that every Decomposer equals its decomposition.
func TestDecompositions(t *testing.T) {
	eachSample(t, func(t *testing.T, s ops.Sample, seed uint64) {
		d, ok := s.Op.(graph.Decomposer)
		if !ok {
			return
		}
		vals, _, tol := wide(t, s, seed)
		if tol.Rel < 1e-5 {
			tol = Tolerance{Abs: 1e-10, Rel: 1e-9}
		}
		want, err := Run(ref.New(), s.Op, vals, Shapes)
		require.NoError(t, err)
		for _, open := range []Open{Static, Batch, All} {
			got, err := decomposed(ref.New(), d, vals, open)
			require.NoError(t, err, "open %v", open)
			for k := range got {
				require.NoError(t, Difference(got[k], want[k], tol), "output %d, open %v", k, open)
			}
		}
	})
}

// needsBatch is the operators whose gradient depends on the size of the samples' first dimension.
var needsBatch = map[string]bool{"CenterCropPad": true}

// TestGradients holds that the gradient of every operator that has one, its own or its decomposition's or that of
// the graphs in it, is what central differences give.
func TestGradients(t *testing.T) {
	eachSample(t, func(t *testing.T, s ops.Sample, seed uint64) {
		_, own := s.Op.(graph.Differentiable)
		_, parts := s.Op.(graph.Decomposer)
		_, holds := s.Op.(graph.Subgrapher)
		if own || parts || holds {
			checkGradient(t, s, seed)
		}
	})
}

// checkGradient compares, with and without symbolic dimensions, against differences.
func checkGradient(t *testing.T, s ops.Sample, seed uint64) {
	vals, eps, tol := wide(t, s, seed)
	want := differences(t, s, vals, eps)
	for _, open := range []Open{Static, Batch} {
		if want == nil || open == Batch && needsBatch[s.Op.Name()] {
			continue
		}
		a := applyOpen(vals, Shapes, open)
		loss := weightedSum(a, s)
		var wrt []*graph.Value
		at := slices.Sorted(maps.Keys(want))
		for _, i := range at {
			wrt = append(wrt, a.in[i])
		}
		grads, err := autodiff.Grad(a.b, []*graph.Value{loss}, nil, wrt)
		var missing *autodiff.ErrNoGradient
		if _, own := s.Op.(graph.Differentiable); errors.As(err, &missing) && !own {
			t.Skipf("no gradient through the decomposition: %v", err)
		}
		require.NoError(t, err, "open %v", open)
		got := evaluate(t, a, grads)
		for k, i := range at {
			var grads []*tensor.Tensor
			if got[k] != nil {
				grads = pieces(got[k])
			}
			for p, x := range pieces(vals[i]) {
				g := make([]float64, x.Len())
				if got[k] != nil {
					require.Equal(t, x.Shape(), grads[p].Shape(), "shape of the gradient of input %d, open %v", i, open)
					g, err = grads[p].Float64s()
					require.NoError(t, err)
				}
				for j, w := range want[i][p] {
					if !(math.Abs(g[j]-w) <= tol.Abs+tol.Rel*math.Abs(w)) {
						t.Fatalf("open %v: gradient of input %d%v[%d]: got %v, differences give %v", open, i, x.Shape(), j, g[j], w)
					}
				}
			}
		}
	}
}

// pieces is the tensors that a value is made of: itself, or a sequence's.
func pieces(v tensor.Value) []*tensor.Tensor {
	switch v := v.(type) {
	case *tensor.Tensor:
		return []*tensor.Tensor{v}
	case *tensor.Sequence:
		var out []*tensor.Tensor
		for _, e := range v.Elems {
			out = append(out, pieces(e)...)
		}
		return out
	}
	return nil
}

// evaluate runs a's graph for values of which some may be nil.
func evaluate(t *testing.T, a *application, vs []*graph.Value) []tensor.Value {
	var outs []*graph.Value
	for _, v := range vs {
		if v != nil {
			outs = append(outs, v)
		}
	}
	got := make([]tensor.Value, len(vs))
	if outs == nil {
		return got
	}
	sess, err := a.compile(ref.New(), outs...)
	require.NoError(t, err)
	res, err := sess.RunValues(context.Background(), a.feed)
	require.NoError(t, err)
	for i, v := range vs {
		if v != nil {
			got[i], res = res[0], res[1:]
		}
	}
	return got
}

// differences is the central differences of the weighted sum by each element of the inputs that are
// differentiable, by input and its pieces; nil where the sum has no terms.
func differences(t *testing.T, s ops.Sample, vals []tensor.Value, eps float64) map[int][][]float64 {
	f := apply(vals, Shapes)
	loss := weightedSum(f, s)
	if loss == nil {
		return nil
	}
	fwd, err := f.compile(ref.New(), loss)
	require.NoError(t, err)
	at := func() float64 {
		out, err := fwd.RunValues(context.Background(), f.feed)
		require.NoError(t, err)
		v, err := out[0].(*tensor.Tensor).Float64s()
		require.NoError(t, err)
		return v[0]
	}
	all := map[int][][]float64{}
	for i, v := range vals {
		for _, x := range pieces(v) {
			if !x.DType().IsFloat() || s.In[i].NoGrad {
				continue
			}
			vs, err := x.Float64s()
			require.NoError(t, err)
			d := make([]float64, len(vs))
			for j, v := range vs {
				vs[j] = v + eps
				require.NoError(t, x.SetFloat64s(vs))
				up := at()
				vs[j] = v - eps
				require.NoError(t, x.SetFloat64s(vs))
				d[j] = (up - at()) / (2 * eps)
				vs[j] = v
			}
			require.NoError(t, x.SetFloat64s(vs))
			all[i] = append(all[i], d)
		}
	}
	return all
}

// weightedSum applies the sample's operator and joins its float outputs to one number, each element with a
// weight of its own.
func weightedSum(a *application, s ops.Sample) *graph.Value {
	var total *graph.Value
	for k, y := range a.b.AddN(s.Op, a.in...) {
		skip := false
		for _, o := range s.NoGradOut {
			skip = skip || o == k
		}
		if skip || !y.Type.DType.IsFloat() {
			continue
		}
		switch y.Type.Kind {
		case graph.TensorKind:
		case graph.OptionalKind:
			y = a.b.Add(ops.OptionalGetElement{}, y)
		case graph.SequenceKind:
			y = a.b.Add(ops.ConcatFromSequence{}, ops.MapSequence(a.b, func(b *graph.Builder, in []*graph.Value) *graph.Value {
				return b.Add(ops.Reshape{}, in[0], b.Ints(-1))
			}, y))
		default:
			continue
		}
		n := a.b.Add(ops.Cast{To: tensor.Float64, Saturate: true}, y)
		// cos(index) as weights: the running count of elements is the index.
		ones := a.b.Add(ops.Expand{}, a.b.Const("one", tensor.Scalar(1.0)), a.b.Add(ops.Shape{}, y))
		flat := a.b.Add(ops.CumSum{}, a.b.Add(ops.Reshape{}, ones, a.b.Ints(-1)), a.b.Const("axis", tensor.Scalar(int64(0))))
		w := a.b.Add(ops.Reshape{Allowzero: true}, a.b.Add(ops.Cos{}, flat), a.b.Add(ops.Shape{}, y))
		part := a.b.Add(ops.ReduceSum{}, a.b.Add(ops.Mul{}, n, w))
		if total == nil {
			total = part
		} else {
			total = a.b.Add(ops.Add{}, total, part)
		}
	}
	return total
}
