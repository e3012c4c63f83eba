package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/internal/half"
	"github.com/stretchr/testify/require"
)

func mustCast(t *testing.T, x *Tensor, to DType, o CastOptions) *Tensor {
	t.Helper()
	y, err := Cast(x, to, o)
	require.NoError(t, err)
	require.Equal(t, x.Shape(), y.Shape())
	require.Equal(t, to, y.DType())
	return y
}

func ofDType(dt DType, data ...byte) *Tensor {
	t, err := FromBytes(dt, []int{len(data) / dt.Size()}, data, nil)
	if err != nil {
		panic(err)
	}
	return t
}

var realTypes = []DType{
	Float32, Float64, Float16, BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0, Float4E2M1,
	Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Int4, Uint4, Int2, Uint2, Bool,
}

// TestCastOneIsOneEverywhere visits every ordered pair of real types and String.
func TestCastOneIsOneEverywhere(t *testing.T) {
	for _, from := range append(realTypes, String) {
		src := New(from, 700) // more than a block
		if from == String {
			for i := range src.strs {
				src.strs[i] = "1"
			}
		} else {
			require.NoError(t, src.SetFloat64s(slicesRepeat(1, 700)))
		}
		for _, to := range realTypes {
			got, err := mustCast(t, src, to, CastOptions{}).Float64s()
			require.NoError(t, err)
			require.Equal(t, slicesRepeat(1, 700), got, "%v to %v", from, to)
		}
	}
}

func slicesRepeat(v float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func TestCastFloatToInt(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	x := Of([]float64{1.9, -1.9, 300, -300, 3e9, nan, inf, -inf, 1e19, -0.5})
	const lo32, lo64 = math.MinInt32, math.MinInt64
	require.Equal(t, []int32{1, -1, 300, -300, lo32, lo32, lo32, lo32, lo32, 0}, As[int32](mustCast(t, x, Int32, CastOptions{})))
	require.Equal(t, []int8{1, -1, 44, -44, 0, 0, 0, 0, 0, 0}, As[int8](mustCast(t, x, Int8, CastOptions{})))
	require.Equal(t, []uint8{1, 255, 44, 212, 0, 0, 0, 0, 0, 0}, As[uint8](mustCast(t, x, Uint8, CastOptions{})))
	require.Equal(t, []int64{1, -1, 300, -300, 3e9, lo64, lo64, lo64, lo64, 0}, As[int64](mustCast(t, x, Int64, CastOptions{})))
	require.Equal(t, []uint64{1, 1<<64 - 1, 300, 1<<64 - 300, 3e9, 1 << 63, 0, 1 << 63, 1e19, 0}, As[uint64](mustCast(t, x, Uint64, CastOptions{})))
	require.Equal(t, []uint32{1, 1<<32 - 1, 300, 1<<32 - 300, 3e9}, As[uint32](mustCast(t, x, Uint32, CastOptions{}))[:5])
	require.Equal(t, []bool{true, true, true, true, true, true, true, true, true, true}, As[bool](mustCast(t, x, Bool, CastOptions{})))
	require.Equal(t, []bool{false, false, true}, As[bool](mustCast(t, Of([]float32{0, float32(math.Copysign(0, -1)), 1e-30}), Bool, CastOptions{})))
}

func TestCastIntWraps(t *testing.T) {
	x := Of([]int16{200, -1, 0, -32768, 9, -9})
	require.Equal(t, []int8{-56, -1, 0, 0, 9, -9}, As[int8](mustCast(t, x, Int8, CastOptions{})))
	require.Equal(t, []int8{-8, -1, 0, 0, -7, 7}, As[int8](mustCast(t, x, Int4, CastOptions{})))
	require.Equal(t, []uint8{8, 15, 0, 0, 9, 7}, As[uint8](mustCast(t, x, Uint4, CastOptions{})))
	require.Equal(t, []int8{0, -1, 0, 0, 1, -1}, As[int8](mustCast(t, x, Int2, CastOptions{})))
	require.Equal(t, []uint8{0, 3, 0, 0, 1, 3}, As[uint8](mustCast(t, x, Uint2, CastOptions{})))
	require.Equal(t, []float64{200, -1}, As[float64](mustCast(t, x, Float64, CastOptions{}))[:2])
	u := Of([]uint64{1<<64 - 1, 1 << 63})
	require.Equal(t, []float32{1 << 63 * 2, 1 << 63}, As[float32](mustCast(t, u, Float32, CastOptions{})))
	require.Equal(t, []uint16{0x7c00, 0x7c00}, As[uint16](mustCast(t, u, Float16, CastOptions{})))
	require.Equal(t, []string{"18446744073709551615", "9223372036854775808"}, mustCast(t, u, String, CastOptions{}).Strings())
}

// TestCastIntToFloatRoundsOnce: through float64 these would land on the wrong side.
func TestCastIntToFloatRoundsOnce(t *testing.T) {
	x := Of([]int64{1<<62 + 1<<54 + 1, 1<<62 + 1<<54, -(1<<62 + 1<<54 + 1), math.MinInt64, math.MaxInt64, 1<<53 + 1})
	require.Equal(t, []uint16{0x5e81, 0x5e80, 0xde81, 0xdf00, 0x5f00, 0x5a00}, As[uint16](mustCast(t, x, BFloat16, CastOptions{})))
	y := Of([]int64{1<<60 + 1<<36 + 1})
	require.Equal(t, []float32{1<<60 + 1<<37}, As[float32](mustCast(t, y, Float32, CastOptions{})))
}

// TestCastMatchesOnnxVectors holds the inputs and outputs of ONNX's test_cast_* cases.
func TestCastMatchesOnnxVectors(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := Of([]float32{.47892547, .48033667, .49968487, .81910545, .47031248, .7229038, 1e6, 1e-7, nan, inf, inf, -inf, -1e-7, 1e-7, -1e6})
	for _, c := range []struct {
		to   DType
		o    CastOptions
		want []byte
	}{
		{Float8E5M2FNUZ, CastOptions{}, []byte{0x3c, 0x3c, 0x3c, 0x3f, 0x3c, 0x3e, 0x7f, 0, 0x80, 0x7f, 0x7f, 0xff, 0, 0, 0xff}},
		{Float8E5M2FNUZ, CastOptions{NoSaturate: true}, []byte{0x3c, 0x3c, 0x3c, 0x3f, 0x3c, 0x3e, 0x80, 0, 0x80, 0x80, 0x80, 0x80, 0, 0, 0x80}},
		{Float8E4M3FN, CastOptions{NoSaturate: true}, []byte{0x2f, 0x2f, 0x30, 0x35, 0x2f, 0x34, 0x7f, 0, 0x7f, 0x7f, 0x7f, 0xff, 0x80, 0, 0xff}},
		{Float8E5M2, CastOptions{NoSaturate: true}, []byte{0x38, 0x38, 0x38, 0x3b, 0x38, 0x3a, 0x7c, 0, 0x7e, 0x7c, 0x7c, 0xfc, 0x80, 0, 0xfc}},
		{Float8E5M2, CastOptions{}, []byte{0x38, 0x38, 0x38, 0x3b, 0x38, 0x3a, 0x7b, 0, 0x7e, 0x7b, 0x7b, 0xfb, 0x80, 0, 0xfb}},
	} {
		require.Equal(t, c.want, mustCast(t, x, c.to, c.o).Bytes(), "%v %+v", c.to, c.o)
	}
	e := Of([]float32{0, .124, .25, .5, 1.1, 2, 4, 8})
	require.Equal(t, []byte{0, 0x7c, 0x7d, 0x7e, 0x80, 0x80, 0x81, 0x82}, mustCast(t, e, Float8E8M0, CastOptions{}).Bytes())
	require.Equal(t, []byte{0x7f, 0x7f}, mustCast(t, Of([]float32{1.1, 1.4}), Float8E8M0, CastOptions{Round: RoundNearest}).Bytes())
	require.Equal(t, []byte{0x7f, 0xff}, mustCast(t, Of([]float32{1.9, 0}), Float8E8M0, CastOptions{Round: RoundDown, NoSaturate: true}).Bytes())
	q := Of([]float32{.48, .25, 1.05, -3.5, -8, 9, 1e6, 1e-7, nan, inf, inf, -inf, -4, .01, float32(math.Copysign(0, -1))})
	require.Equal(t, []byte{1, 0, 2, 14, 15, 7, 7, 0, 8, 7, 7, 15, 14, 0, 8}, mustCast(t, q, Float4E2M1, CastOptions{}).Bytes())
}

func TestCastStrings(t *testing.T) {
	s, _ := FromStrings([]string{"3.14", " 1000 ", "1e-5", "1E8", "+INF", "-inf", "NaN", "-3", "1e400"}, 9)
	got := As[float32](mustCast(t, s, Float32, CastOptions{}))
	require.Equal(t, []float32{3.14, 1000, 1e-5, 1e8, float32(math.Inf(1)), float32(math.Inf(-1))}, got[:6])
	require.True(t, got[6] != got[6])
	require.Equal(t, []float32{-3, float32(math.Inf(1))}, got[7:])
	i, _ := FromStrings([]string{"100.5", "-7", "+9223372036854775807", "1e3"}, 2, 2)
	require.Equal(t, []int64{100, -7, math.MaxInt64, 1000}, As[int64](mustCast(t, i, Int64, CastOptions{})))
	u, _ := FromStrings([]string{"18446744073709551615", "+5"}, 2)
	require.Equal(t, []uint64{1<<64 - 1, 5}, As[uint64](mustCast(t, u, Uint64, CastOptions{})))
	b, _ := FromStrings([]string{"True", "false", "0", "0.5"}, 4)
	require.Equal(t, []bool{true, false, false, true}, As[bool](mustCast(t, b, Bool, CastOptions{})))
	for _, c := range []struct {
		text string
		to   DType
	}{{"Hello World!", Float32}, {"", Float64}, {"0x10", Float32}, {"1_000", Int32}, {"infinity", Float32}, {"300", Int8}, {"-1", Uint64}, {"-1", Uint8}, {"8", Int4}, {"nan", Int32}, {"1", Complex64}, {"1e30", Int64}} {
		bad, _ := FromStrings([]string{"1", c.text}, 2)
		_, err := Cast(bad, c.to, CastOptions{})
		require.Error(t, err, "%+v", c)
		if c.to != Complex64 {
			require.ErrorContains(t, err, fmt.Sprintf("element 1: %q as %v", c.text, c.to))
		}
	}
}

// TestCastToString holds what numpy 1.24's str gives for the same numbers.
func TestCastToString(t *testing.T) {
	f32 := Of([]float32{1e-5, 123456789, 1e16, 1e15, .1, 3.14159274, 1e-4, 1e22, float32(math.Copysign(0, -1)), 5e-45, float32(math.Inf(-1)), float32(math.NaN()), float32(math.Inf(1))})
	require.Equal(t, "1e-05 123456790.0 1e+16 1000000000000000.0 0.1 3.1415927 1e-04 1e+22 -0.0 6e-45 -inf nan inf", strings.Join(mustCast(t, f32, String, CastOptions{}).Strings(), " "))
	f16 := mustCast(t, Of([]float32{1e-5, 6e-8, 65504, 2048, .1, .3333}), Float16, CastOptions{})
	require.Equal(t, "1e-05 6e-08 65500.0 2048.0 0.1 0.3333", strings.Join(mustCast(t, f16, String, CastOptions{}).Strings(), " "))
	require.Equal(t, []string{"True", "False"}, mustCast(t, Of([]bool{true, false}), String, CastOptions{}).Strings())
	require.Equal(t, []string{"-7", "7"}, mustCast(t, ofDType(Int4, 0xf9, 7), String, CastOptions{}).Strings())
	require.Equal(t, []string{"448.0", "0.001953125"}, mustCast(t, ofDType(Float8E4M3FN, 0x7e, 1), String, CastOptions{}).Strings())
	require.Equal(t, []string{"0.30000000000000004"}, mustCast(t, Of([]float64{0.30000000000000004}), String, CastOptions{}).Strings())
}

func TestStringRoundTripsEveryHalf(t *testing.T) {
	for _, dt := range []DType{Float16, BFloat16} {
		src := New(dt, 1<<16)
		for i := range As[uint16](src) {
			As[uint16](src)[i] = uint16(i)
		}
		back := mustCast(t, mustCast(t, src, String, CastOptions{}), dt, CastOptions{})
		for i, v := range As[uint16](back) {
			if nan := i&0x7fff > 0x7f80 && dt == BFloat16 || i&0x7fff > 0x7c00 && dt == Float16; !nan {
				require.EqualValues(t, i, v, dt)
			}
		}
	}
}

func TestCastComplexAndRefusals(t *testing.T) {
	c := Of([]complex64{complex(1, 2)})
	require.Equal(t, []complex128{complex(1, 2)}, As[complex128](mustCast(t, c, Complex128, CastOptions{})))
	require.Equal(t, []complex64{3}, As[complex64](mustCast(t, Of([]int8{3}), Complex64, CastOptions{})))
	require.Equal(t, []complex64{complex(1, 2)}, As[complex64](mustCast(t, mustCast(t, c, Complex128, CastOptions{}), Complex64, CastOptions{})))
	for _, to := range []DType{Float32, Int8, String, Bool} {
		_, err := Cast(c, to, CastOptions{})
		require.Error(t, err, to)
	}
	_, err := Cast(c, Invalid, CastOptions{})
	require.Error(t, err)
	require.Error(t, CastInto(New(Float32, 2), New(Int8, 3), CastOptions{}))
}

func TestCastHalvesAgreeWithSlowPath(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 5))
	x := New(Float32, 4000)
	for i := range As[float32](x) {
		As[float32](x)[i] = math.Float32frombits(r.Uint32()&^(1<<30) | 1<<29)
	}
	wide := mustCast(t, x, Float64, CastOptions{})
	for _, to := range []DType{Float16, BFloat16} {
		require.Equal(t, mustCast(t, x, to, CastOptions{}).Bytes(), mustCast(t, wide, to, CastOptions{}).Bytes())
	}
	h := mustCast(t, x, Float16, CastOptions{})
	for i, v := range As[float32](mustCast(t, h, Float32, CastOptions{})) {
		require.Equal(t, half.F16To32(As[uint16](h)[i]), v)
	}
}
