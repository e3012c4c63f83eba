package tensor

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func arange[T int8 | int64 | float32](n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = T(i)
	}
	return out
}

// TestString holds what numpy 1.24's print gives.
func TestString(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	i8 := arange[int8](8)
	for i := range i8 {
		i8[i] -= 3
	}
	lin := make([]float32, 30)
	for i := range lin {
		lin[i] = float32(float64(i) / 29)
	}
	for _, c := range []struct {
		t    *Tensor
		want string
	}{
		{Of([]float32{1, 2, 3, 4, 5, 6}, 2, 3), "[[1. 2. 3.]\n [4. 5. 6.]]"},
		{Of([]float32{.1, 123.456, 1e-3}), "[1.00000e-01 1.23456e+02 1.00000e-03]"},
		{Scalar(3.5), "3.5"},
		{Scalar(int32(-7)), "-7"},
		{Of([]float64{1e10, 1, -2.5}), "[ 1.0e+10  1.0e+00 -2.5e+00]"},
		{Of([]float64{1e-6, 1.5}), "[1.0e-06 1.5e+00]"},
		{Of([]bool{true, false}), "[ True False]"},
		{Of([]float64{nan, 1, inf, -inf}), "[ nan   1.  inf -inf]"},
		{Of([]float64{nan, inf}), "[nan inf]"},
		{New(Float32, 2, 0), "[]"},
		{Of(i8, 2, 2, 2), "[[[-3 -2]\n  [-1  0]]\n\n [[ 1  2]\n  [ 3  4]]]"},
		{Of([]complex64{complex(1, 2), complex(.5, -3.25)}), "[1. +2.j   0.5-3.25j]"},
		{Of([]float32{1. / 3, 2. / 3}), "[0.33333334 0.6666667 ]"},
		{Of([]float64{1. / 3, 2. / 3}), "[0.33333333 0.66666667]"},
		{Of([]float32{1. / 3, 1e9}), "[3.3333334e-01 1.0000000e+09]"},
		{Of([]float64{1e5, 3e-4}), "[1.e+05 3.e-04]"},
		{Of(lin), `[0.         0.03448276 0.06896552 0.10344828 0.13793103 0.1724138
 0.20689656 0.2413793  0.27586207 0.31034482 0.3448276  0.37931034
 0.41379312 0.44827586 0.4827586  0.51724136 0.55172414 0.5862069
 0.62068963 0.6551724  0.6896552  0.7241379  0.7586207  0.79310346
 0.82758623 0.86206895 0.8965517  0.9310345  0.9655172  1.        ]`},
		{Of(arange[float32](1200)), "[0.000e+00 1.000e+00 2.000e+00 ... 1.197e+03 1.198e+03 1.199e+03]"},
		{Of(arange[int64](3000), 30, 100), `[[   0    1    2 ...   97   98   99]
 [ 100  101  102 ...  197  198  199]
 [ 200  201  202 ...  297  298  299]
 ...
 [2700 2701 2702 ... 2797 2798 2799]
 [2800 2801 2802 ... 2897 2898 2899]
 [2900 2901 2902 ... 2997 2998 2999]]`},
	} {
		require.Equal(t, c.want, trimLines(c.t.String()))
	}
	big := Of(arange[int64](12000), 20, 20, 30).String()
	require.Contains(t, big, "  [  570   571   572 ...   597   598   599]]\n\n [[  600   601")
	require.Contains(t, big, "1799]]\n\n ...\n\n [[10200 10201")
}

// trimLines drops the padding that numpy strips where it wraps a line.
func trimLines(s string) string {
	out := []byte{}
	for i := range len(s) {
		if s[i] == '\n' {
			for len(out) > 0 && out[len(out)-1] == ' ' {
				out = out[:len(out)-1]
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func TestFormatVerbs(t *testing.T) {
	x := Of([]float32{1, 2}, 1, 2)
	require.Equal(t, "[[1. 2.]]", fmt.Sprintf("%v", x))
	require.Equal(t, "float32[1 2]\n[[1. 2.]]", fmt.Sprintf("%+v", x))
	require.Equal(t, "int8[1] [5]", fmt.Sprintf("%+v", Of([]int8{5})))
	require.Equal(t, "%!d(tensor float32[1 2])", fmt.Sprintf("%d", x))
	require.Equal(t, "<nil>", fmt.Sprintf("%v", (*Tensor)(nil)))
	s, _ := FromStrings([]string{"a", "b\n"}, 2)
	require.Equal(t, `["a" "b\n"]`, s.String())
}
