package half

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
)

// value is the textbook value of a code, computed apart from the code under test.
func value(code, man, bias int) float64 {
	e, m := code>>man, code&(1<<man-1)
	if e == 0 {
		return math.Ldexp(float64(m), 1-bias-man)
	}
	return math.Ldexp(float64(m|1<<man), e-bias-man)
}

func TestF16EveryPattern(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := F16To32(h)
		mag := i & 0x7fff
		switch {
		case mag > 0x7c00:
			require.True(t, f != f, "%#x", i)
			require.Equal(t, h|0x200, F16From32(f))
			require.Equal(t, h|0x200, F16From64(float64(f)))
			continue
		case mag == 0x7c00:
			require.True(t, math.IsInf(float64(f), 1-2*(i>>15)), "%#x", i)
		default:
			want := value(mag, 10, 15)
			if i>>15 == 1 {
				want = -want
			}
			require.Equal(t, math.Float64bits(want), math.Float64bits(float64(f)), "%#x", i)
		}
		require.Equal(t, h, F16From32(f), "%#x", i)
		require.Equal(t, h, F16From64(F16To64(h)), "%#x", i)
	}
}

func TestBF16EveryPattern(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		f := BF16To32(h)
		require.Equal(t, uint32(i)<<16, math.Float32bits(f))
		if i&0x7fff > 0x7f80 {
			h |= 0x40
		}
		require.Equal(t, h, BF16From32(f), "%#x", i)
		require.Equal(t, h, BF16From64(float64(f)), "%#x", i)
	}
}

// TestRoundingAtEveryBoundary asks for the values halfway between neighbours, and
// those one step to either side of it, in both source widths.
func TestRoundingAtEveryBoundary(t *testing.T) {
	kinds := []struct {
		name      string
		man, bias int
		max       int // the largest finite code; max+1 is infinity
		f32       func(float32) uint16
		f64       func(float64) uint16
	}{
		{"f16", 10, 15, 0x7bff, F16From32, F16From64},
		{"bf16", 7, 127, 0x7f7f, BF16From32, BF16From64},
	}
	for _, k := range kinds {
		for c := 0; c <= k.max; c++ {
			mid := (value(c, k.man, k.bias) + value(c+1, k.man, k.bias)) / 2
			even := uint16(c + c&1)
			if got := k.f64(mid); got != even {
				t.Fatalf("%s: %g: got %#x, want %#x", k.name, mid, got, even)
			}
			if got := k.f64(math.Nextafter(mid, 0)); got != uint16(c) {
				t.Fatalf("%s: below %g: got %#x, want %#x", k.name, mid, got, c)
			}
			if got := k.f64(-math.Nextafter(mid, math.Inf(1))); got != uint16(c+1)|0x8000 {
				t.Fatalf("%s: above %g: got %#x, want %#x", k.name, mid, got, c+1)
			}
			m := float32(mid)
			if float64(m) != mid {
				continue
			}
			below, above := math.Nextafter32(m, 0), math.Nextafter32(m, math.MaxFloat32)
			got := [3]uint16{k.f32(below), k.f32(-m), k.f32(above)}
			want := [3]uint16{uint16(c), even | 0x8000, uint16(c + 1)}
			if m == math.MaxFloat32 {
				want[2] = want[1] &^ 0x8000
			}
			if got != want {
				t.Fatalf("%s: around %g: got %#x, want %#x", k.name, m, got, want)
			}
		}
	}
}

func TestFrom32AgreesWithFrom64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2_000_000 {
		f := math.Float32frombits(r.Uint32())
		if f != f {
			continue
		}
		require.Equal(t, F16From64(float64(f)), F16From32(f), "%g", f)
		require.Equal(t, BF16From64(float64(f)), BF16From32(f), "%g", f)
	}
}

// TestFrom64RoundsOnce: through float32 these would round twice, the wrong way.
func TestFrom64RoundsOnce(t *testing.T) {
	x := 1 + math.Ldexp(1, -11) + math.Ldexp(1, -40)
	require.Equal(t, uint16(0x3c01), F16From64(x))
	require.Equal(t, uint16(0x3c00), F16From32(float32(x)))
	y := 1 + math.Ldexp(1, -8) + math.Ldexp(1, -40)
	require.Equal(t, uint16(0x3f81), BF16From64(y))
	z := 1 + math.Ldexp(1, -4) + math.Ldexp(1, -40)
	require.Equal(t, uint8(0x39), E4M3FN.From64(z, true))
	require.Equal(t, uint16(0), F16From64(5e-324))
	require.Equal(t, uint16(0x8000), BF16From64(-5e-324))
	require.Equal(t, uint16(0x7c00), F16From64(math.MaxFloat64))
}

func TestFloat8KnownValues(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		f    Format
		code uint8
		want float64
	}{
		{E4M3FN, 0x7e, 448}, {E4M3FN, 0xfe, -448}, {E4M3FN, 0x01, 0x1p-9}, {E4M3FN, 0x7f, nan}, {E4M3FN, 0xff, nan}, {E4M3FN, 0x78, 256},
		{E4M3FNUZ, 0x7f, 240}, {E4M3FNUZ, 0x01, 0x1p-10}, {E4M3FNUZ, 0x80, nan}, {E4M3FNUZ, 0xff, -240},
		{E5M2, 0x7b, 57344}, {E5M2, 0x01, 0x1p-16}, {E5M2, 0x7c, inf}, {E5M2, 0xfc, -inf}, {E5M2, 0x7d, nan}, {E5M2, 0xff, nan},
		{E5M2FNUZ, 0x7f, 57344}, {E5M2FNUZ, 0x01, 0x1p-17}, {E5M2FNUZ, 0x80, nan}, {E5M2FNUZ, 0x81, -0x1p-17},
		{E2M1, 0, 0}, {E2M1, 1, .5}, {E2M1, 2, 1}, {E2M1, 3, 1.5}, {E2M1, 4, 2}, {E2M1, 5, 3}, {E2M1, 6, 4}, {E2M1, 7, 6}, {E2M1, 0xf, -6},
	} {
		got := float64(c.f.To32(c.code))
		if c.want != c.want {
			require.True(t, got != got, "%v %#x", c.f, c.code)
			continue
		}
		require.Equal(t, c.want, got, "%v %#x", c.f, c.code)
		require.Equal(t, float32(c.want), c.f.Table()[c.code]) // same function, whole table
	}
}

// TestFloat8NearestByEnumeration finds the nearest code by looking at all of
// them, and compares at every boundary and at random.
func TestFloat8NearestByEnumeration(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, f := range []Format{E4M3FN, E4M3FNUZ, E5M2, E5M2FNUZ, E2M1} {
		var vals []float64 // index = code
		for c := 0; c <= int(f.max); c++ {
			vals = append(vals, float64(f.To32(uint8(c))))
		}
		require.True(t, sort.Float64sAreSorted(vals))
		// The code after the largest bounds what still rounds down to it.
		next := value(int(f.max)+1, f.man, f.bias)
		nearest := func(x float64) (uint8, bool) {
			all := append(append([]float64(nil), vals...), next)
			best := 0
			for c, v := range all {
				d, b := math.Abs(v-x), math.Abs(all[best]-x)
				if d < b || d == b && c&1 == 0 {
					best = c
				}
			}
			return uint8(best), best > int(f.max) || x > next
		}
		check := func(x float64) {
			code, over := nearest(x)
			sat, non := code, code
			if over {
				sat, non = f.max, f.nan
				if f.inf != 0 {
					non = f.inf
				}
				if f.sign == 8 {
					non = f.max
				}
			}
			require.Equal(t, sat, f.From64(x, true), "%v %g", f, x)
			require.Equal(t, non, f.From64(x, false), "%v %g", f, x)
			if x != 0 && sat != 0 {
				require.Equal(t, sat|f.sign, f.From64(-x, true), "%v %g", f, -x)
			}
		}
		for c, v := range vals {
			hi := next
			if c+1 < len(vals) {
				hi = vals[c+1]
			}
			mid := (v + hi) / 2
			for _, x := range []float64{v, mid, math.Nextafter(mid, 0), math.Nextafter(mid, 1e9)} {
				check(x)
			}
		}
		for range 2000 {
			check(math.Exp2(r.Float64()*40 - 22))
		}
		check(1e30)
	}
}

func TestFloat8Specials(t *testing.T) {
	inf, nan, negZero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	for _, c := range []struct {
		f        Format
		x        float64
		sat, non uint8
	}{
		{E4M3FN, inf, 0x7e, 0x7f}, {E4M3FN, -inf, 0xfe, 0xff}, {E4M3FN, nan, 0x7f, 0x7f}, {E4M3FN, negZero, 0x80, 0x80}, {E4M3FN, 464, 0x7e, 0x7e}, {E4M3FN, 465, 0x7e, 0x7f},
		{E4M3FNUZ, inf, 0x7f, 0x80}, {E4M3FNUZ, -inf, 0xff, 0x80}, {E4M3FNUZ, nan, 0x80, 0x80}, {E4M3FNUZ, negZero, 0, 0}, {E4M3FNUZ, -1e-9, 0, 0}, {E4M3FNUZ, 248, 0x7f, 0x80},
		{E5M2, inf, 0x7b, 0x7c}, {E5M2, -inf, 0xfb, 0xfc}, {E5M2, nan, 0x7e, 0x7e}, {E5M2, negZero, 0x80, 0x80}, {E5M2, 61440, 0x7b, 0x7c},
		{E5M2FNUZ, inf, 0x7f, 0x80}, {E5M2FNUZ, -inf, 0xff, 0x80}, {E5M2FNUZ, nan, 0x80, 0x80}, {E5M2FNUZ, negZero, 0, 0},
		{E2M1, inf, 7, 7}, {E2M1, -inf, 0xf, 0xf}, {E2M1, nan, 8, 8}, {E2M1, negZero, 8, 8}, {E2M1, .25, 0, 0}, {E2M1, 5, 6, 6}, {E2M1, -3.5, 0xe, 0xe},
	} {
		require.Equal(t, c.sat, c.f.From64(c.x, true), "%v %g saturating", c.f, c.x)
		require.Equal(t, c.non, c.f.From64(c.x, false), "%v %g", c.f, c.x)
		if float64(float32(c.x)) == c.x {
			require.Equal(t, c.sat, c.f.From32(float32(c.x), true))
		}
	}
	require.Equal(t, float32(448), E4M3FN.Max())
}

func TestE8M0(t *testing.T) {
	for c := range 255 {
		want := math.Ldexp(1, c-127)
		require.Equal(t, want, float64(E8M0To32(uint8(c))))
		for _, m := range []Mode{Up, Down, Nearest} {
			require.Equal(t, uint8(c), E8M0From64(want, false, m))
		}
		above := uint8(min(c+1, 254))
		require.Equal(t, above, E8M0From64(want*1.25, true, Up))
		require.Equal(t, uint8(c), E8M0From64(want*1.25, true, Nearest))
		require.Equal(t, above, E8M0From64(want*1.5, true, Nearest))
		require.Equal(t, uint8(c), E8M0From64(want*1.99, true, Down))
	}
	inf, nan := math.Inf(1), math.NaN()
	require.True(t, E8M0To32(255) != E8M0To32(255))
	for _, c := range []struct {
		x        float64
		mode     Mode
		sat, non uint8
	}{
		{0, Up, 0, 255}, {0, Nearest, 0, 255}, {nan, Up, 255, 255}, {inf, Up, 254, 255}, {-1, Up, 255, 255},
		{0x1p128, Down, 254, 255}, {0x1.8p127, Nearest, 254, 255}, {0x1.7p127, Nearest, 254, 254},
		{0x1p-128, Nearest, 0, 255}, {0x1p-128, Down, 0, 255}, {5e-324, Up, 0, 255},
	} {
		require.Equal(t, c.sat, E8M0From64(c.x, true, c.mode), "%g", c.x)
		require.Equal(t, c.non, E8M0From64(c.x, false, c.mode), "%g", c.x)
	}
}

func TestSlices(t *testing.T) {
	src := []float32{0, 1, -2.5, 70000, float32(math.Inf(-1)), 1e-7}
	h, b := make([]uint16, 7), make([]uint16, 7)
	F16From32Slice(h, src)
	BF16From32Slice(b, src)
	back, bback := make([]float32, 6), make([]float32, 6)
	F16To32Slice(back, h[:6])
	BF16To32Slice(bback, b[:6])
	for i, x := range src {
		require.Equal(t, F16From32(x), h[i])
		require.Equal(t, BF16From32(x), b[i])
		require.Equal(t, F16To32(h[i]), back[i])
		require.Equal(t, BF16To32(b[i]), bback[i])
	}
	require.Zero(t, h[6])
	require.Panics(t, func() { F16To32Slice(back, h) })
}
