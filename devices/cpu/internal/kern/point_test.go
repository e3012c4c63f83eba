package kern

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPoint compares every kernel with its twin, over all lengths below 70 and over numbers that go wrong.
func TestPoint(t *testing.T) {
	special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, float32(math.Inf(1)), negInf, float32(math.NaN()), 1e-40, -1e-40, 1e-20, -1e-9,
		88.7, 88.8, -87.4, -103, 200, -200, math.MaxFloat32, -math.MaxFloat32, 0.5, 1.5, 2.5, -2.5, -0.99999, 1e-38, 8388609, -8388607.5}
	want := reflect.ValueOf(pointGo())
	eachLevel(t, func(t *testing.T, s *Set) {
		got := reflect.ValueOf(s.Point)
		for i := range want.NumField() {
			name := want.Type().Field(i).Name
			bound := 0.0
			if name == "Expm1" || name == "Log1p" {
				bound = 4
			}
			r := rand.New(rand.NewPCG(9, uint64(i)))
			pick := func(n int) []float32 {
				x := make([]float32, n)
				for j := range x {
					switch r.IntN(3) {
					case 0:
						x[j] = special[r.IntN(len(special))]
					case 1:
						x[j] = float32(r.NormFloat64() * 20)
					default:
						x[j] = float32(r.NormFloat64() * math.Exp2(float64(-r.IntN(30))))
					}
				}
				return x
			}
			for n := range 70 {
				x, y, w, g := pick(n), pick(n), make([]float32, n), make([]float32, n)
				cond := make([]float32, n)
				for j := range cond {
					cond[j] = maskOf(r.IntN(2) == 0)
				}
				switch f := want.Field(i).Interface().(type) {
				case Unary:
					f(w, x, 0, 0)
					got.Field(i).Interface().(Unary)(g, x, 0, 0)
				case Binary:
					f(w, x, y)
					got.Field(i).Interface().(Binary)(g, x, y)
				case func(dst, c, x, y []float32):
					f(w, cond, x, y)
					got.Field(i).Interface().(func(dst, c, x, y []float32))(g, cond, x, y)
				case func([]float32, []byte):
					b := make([]byte, n)
					narrowGo(b, cond)
					f(w, b)
					require.Equal(t, bitsOf(cond), bitsOf(w))
					got.Field(i).Interface().(func([]float32, []byte))(g, b)
				case func([]byte, []float32):
					b, c := make([]byte, n), make([]byte, n)
					f(b, cond)
					got.Field(i).Interface().(func([]byte, []float32))(c, cond)
					require.Equal(t, b, c)
					continue
				default:
					t.Fatalf("%s is a %T", name, f)
				}
				if bound == 0 && name != "Pow" {
					for j := range w { // a NaN may have any sign
						if w[j] != w[j] && g[j] != g[j] && math.Float32bits(w[j]) != math.MaxUint32 {
							g[j] = w[j]
						}
					}
					require.Equal(t, bitsOf(w), bitsOf(g), "%s of %v, %v", name, x, y)
				}
				for j := range w {
					if d := ulps(w[j], g[j]); d > bound {
						t.Fatalf("%s(%v, %v): want %v, got %v: %v ULP", name, x[j], y[j], w[j], g[j], d)
					}
				}
			}
		}
	})
}

func bitsOf(x []float32) []uint32 {
	out := make([]uint32, len(x))
	for i, v := range x {
		out[i] = math.Float32bits(v)
	}
	return out
}
