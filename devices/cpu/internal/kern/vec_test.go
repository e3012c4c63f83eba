package kern

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// ulps is the distance of a and b in units of the last place.
func ulps(a, b float32) float64 {
	if a == b || a != a && b != b {
		return 0
	}
	if a != a || b != b || math.IsInf(float64(a), 0) || math.IsInf(float64(b), 0) {
		return math.Inf(1)
	}
	key := func(f float32) int64 {
		i := int64(int32(math.Float32bits(f)))
		if i < 0 {
			i = math.MinInt32 - i
		}
		return i
	}
	return math.Abs(float64(key(a) - key(b)))
}

// unaryBounds is the error allowed in ULP, and an absolute error below which it doesn't matter.
var unaryBounds = map[string]struct {
	ulp, abs float64
	lo, hi   float64
}{
	"Exp": {2, 0, -104, 89}, "Log": {2, 0, 0, 1e30}, "Sigmoid": {3, 2e-38, -110, 110}, "Silu": {4, 3e-36, -110, 110},
	"Tanh": {3, 0, -12, 12}, "Erf": {3, 0, -6, 6}, "Gelu": {4, 4e-7, -8, 8}, "GeluTanh": {6, 4e-7, -8, 8},
	"Sqrt": {0, 0, 0, 1e30}, "Rsqrt": {1, 0, 1e-20, 1e20}, "Reciprocal": {0, 0, -1e10, 1e10}, "Neg": {0, 0, -9, 9}, "Abs": {0, 0, -9, 9},
	"Clip": {0, 0, -9, 9}, "LeakyRelu": {0, 0, -9, 9}, "HardSigmoid": {1, 3e-6, -9, 9}, "HardSwish": {2, 1e-6, -9, 9}, "ScaleShift": {1, 3e-6, -9, 9},
	"SubFrom": {0, 0, -9, 9}, "DivFrom": {0, 0, -9, 9}, "DivBy": {0, 0, -9, 9}, "AddS": {0, 0, -9, 9}, "MulS": {0, 0, -9, 9},
}

func TestUnary(t *testing.T) {
	want := reflect.ValueOf(vecGo())
	special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), negInf, float32(math.NaN()), 1e-40, -1e-40,
		1e-20, 88.7, 88.8, -87.4, -103, -105, 200, -200, math.MaxFloat32, -math.MaxFloat32, 0.625, 0.6249999, 4, 3.9, 1e-38}
	eachLevel(t, func(t *testing.T, s *Set) {
		got := reflect.ValueOf(s.Vec)
		for i := range want.NumField() {
			name := want.Type().Field(i).Name
			ref, ok := want.Field(i).Interface().(Unary)
			if !ok {
				continue
			}
			bound, ok := unaryBounds[name]
			require.True(t, ok, name)
			fn := got.Field(i).Interface().(Unary)
			r := rand.New(rand.NewPCG(3, uint64(i)))
			for iter := range 300 {
				n := r.IntN(70)
				x := make([]float32, n)
				for j := range x {
					x[j] = float32(bound.lo + r.Float64()*(bound.hi-bound.lo))
					switch r.IntN(8) {
					case 0:
						x[j] = special[r.IntN(len(special))]
					case 1:
						x[j] = float32(r.NormFloat64() * math.Exp2(float64(-r.IntN(30))))
					}
				}
				a, b := float32(r.NormFloat64()), float32(r.NormFloat64())
				if name == "Clip" && a > b {
					a, b = b, a
				}
				w, g := make([]float32, n), make([]float32, n)
				ref(w, x, a, b)
				if iter%2 == 0 {
					copy(g, x)
					fn(g, g, a, b)
				} else {
					fn(g, x, a, b)
				}
				for j := range w {
					if d := ulps(w[j], g[j]); d > bound.ulp && !(math.Abs(float64(w[j])-float64(g[j])) <= bound.abs) {
						t.Fatalf("%s(%v) a %v b %v: want %v, got %v: %v ULP", name, x[j], a, b, w[j], g[j], d)
					}
				}
			}
		}
	})
}

func TestBinary(t *testing.T) {
	want := reflect.ValueOf(vecGo())
	special := []float32{0, 1, -1, float32(math.Inf(1)), negInf, float32(math.NaN())}
	eachLevel(t, func(t *testing.T, s *Set) {
		got := reflect.ValueOf(s.Vec)
		for i := range want.NumField() {
			ref, ok := want.Field(i).Interface().(Binary)
			if !ok {
				continue
			}
			name := want.Type().Field(i).Name
			fn := got.Field(i).Interface().(Binary)
			r := rand.New(rand.NewPCG(4, uint64(i)))
			for n := range 70 {
				x, y := randSlice(r, n), randSlice(r, n)
				for range n / 4 {
					x[r.IntN(n)], y[r.IntN(n)] = special[r.IntN(len(special))], special[r.IntN(len(special))]
				}
				w, g := make([]float32, n), make([]float32, n)
				ref(w, x, y)
				fn(g, x, y)
				for j := range w {
					require.Zero(t, ulps(w[j], g[j]), "%s(%v, %v): want %v got %v", name, x[j], y[j], w[j], g[j])
				}
			}
		}
	})
}

func TestVecRest(t *testing.T) {
	ref := vecGo()
	eachLevel(t, func(t *testing.T, s *Set) {
		r := rand.New(rand.NewPCG(5, 6))
		for n := range 150 {
			x, y, z := randSlice(r, n), randSlice(r, n), randSlice(r, n)
			w, g := make([]float32, n), make([]float32, n)
			what := fmt.Sprintf("n %d", n)
			check := func(name string) { t.Helper(); closeSlices(t, w, g, 3e-6, name+" "+what) }
			ref.MulAdd(w, x, y, z)
			s.Vec.MulAdd(g, x, y, z)
			check("MulAdd")
			ref.MulAddClip(w, x, y, z, -1, 0.5)
			s.Vec.MulAddClip(g, x, y, z, -1, 0.5)
			check("MulAddClip")
			ref.Normalize(w, x, y, z, 0.3, 1.7)
			s.Vec.Normalize(g, x, y, z, 0.3, 1.7)
			check("Normalize")
			ref.AddClip(w, x, y, 0, 1)
			s.Vec.AddClip(g, x, y, 0, 1)
			check("AddClip")
			ref.Axpy(w, y, 0.7)
			s.Vec.Axpy(g, y, 0.7)
			check("Axpy")
			ws, gs := ref.ExpSum(w, x, 0.5), s.Vec.ExpSum(g, x, 0.5)
			check("ExpSum")
			closeSlices(t, []float32{ws, ref.Sum(x), ref.SumSq(x), ref.SumSqDev(x, 0.25), ref.Dot(x, y), ref.MaxOf(x)},
				[]float32{gs, s.Vec.Sum(x), s.Vec.SumSq(x), s.Vec.SumSqDev(x, 0.25), s.Vec.Dot(x, y), s.Vec.MaxOf(x)}, 3e-6, "reductions "+what)
		}
	})
}

func BenchmarkVec(b *testing.B) {
	for _, l := range levels() {
		v := reflect.ValueOf(New(l).Vec)
		for i := range v.NumField() {
			x, y := make([]float32, 2048), make([]float32, 2048)
			for j := range x {
				x[j] = float32(j%17) - 8
			}
			name := l.String() + "/" + v.Type().Field(i).Name
			switch fn := v.Field(i).Interface().(type) {
			case Unary:
				b.Run(name, func(b *testing.B) {
					b.SetBytes(8 * 2048)
					for b.Loop() {
						fn(y, x, 1, 2)
					}
				})
			case Binary:
				b.Run(name, func(b *testing.B) {
					b.SetBytes(12 * 2048)
					for b.Loop() {
						fn(y, x, x)
					}
				})
			}
		}
	}
}
