package npz

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/tensor"
)

func TestRoundTrip(t *testing.T) {
	want := map[string]*tensor.Tensor{
		"a": tensor.Of([]float32{1, 2, 3, 4, 5, 6}, 2, 3),
		"s": tensor.Scalar(int64(7)),
		"v": tensor.Of([]bool{true, false}),
		"e": tensor.New(tensor.Float64, 0, 3),
	}
	var buf bytes.Buffer
	require.NoError(t, Write(&buf, want))
	got, err := Decode(buf.Bytes())
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for k, w := range want {
		require.Equal(t, w.Shape(), got[k].Shape(), k)
		require.Equal(t, w.DType(), got[k].DType(), k)
		require.Equal(t, w.Bytes(), got[k].Bytes(), k)
	}
}

func npy(header string, data ...byte) []byte {
	return append(append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0), append([]byte(header), data...)...)
}

func TestFortranAndBigEndian(t *testing.T) {
	p := npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }", 0, 1, 0, 2, 0, 3, 0, 4)
	a, err := ReadArray(bytes.NewReader(p), int64(len(p)))
	require.NoError(t, err)
	require.Equal(t, []int16{1, 3, 2, 4}, tensor.As[int16](a))
}

func TestRefuses(t *testing.T) {
	for _, p := range [][]byte{
		nil,
		[]byte("nonsense"),
		npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }"),
		npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"),
		npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
		npy("{'shape': (1,), }"),
	} {
		_, err := ReadArray(bytes.NewReader(p), int64(len(p)))
		require.Error(t, err)
	}
}
