package formats_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats"
)

func TestDetect(t *testing.T) {
	hdf5 := "\x89HDF\r\n\x1a\n"
	for want, files := range map[formats.Format][]string{
		formats.HDF5:      {hdf5 + "rest", string(make([]byte, 512)) + hdf5, string(make([]byte, 2048)) + hdf5},
		formats.KerasZip:  {"PK\x03\x04rest"},
		formats.KerasJSON: {`{"class_name": "Sequential"}`, "\xef\xbb\xbf\n {}"},
		formats.ONNX:      {"\x08\x0a\x3a\x00", "\x3a\x02\x12\x00\x42\x00", "\x08\x0a\x3a\x7f\x0a", "\x08\x07\x12\x05nn"},
		formats.Unknown:   {"", "hello", "\x08\x0a", "\x3a\x7f", string(make([]byte, 600))},
	} {
		for _, f := range files {
			got, err := formats.Detect(bytes.NewReader([]byte(f)), int64(len(f)))
			require.NoError(t, err)
			require.Equal(t, want, got, "%.20q", f)
		}
	}
}

func TestErrors(t *testing.T) {
	err := error(&formats.UnsupportedError{Format: formats.ONNX, Items: []formats.Unsupported{{What: "Foo", Node: "a", Detail: "why"}, {What: "Bar"}}})
	require.EqualError(t, err, `ONNX: 2 things are not supported: Foo "a": why; Bar`)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.EqualError(t, &formats.FormatError{Format: formats.HDF5, Offset: 8, Msg: "bad"}, "HDF5: offset 8: bad")
}

func TestForeign(t *testing.T) {
	for head, want := range map[string]string{
		"": "empty", "version https://git-lfs.github.com/spec/v1\n": "a Git LFS pointer: 'git lfs pull' puts the file itself in its place",
		"\x1c\x00\x00\x00TFL3": "a TensorFlow Lite model", "\x14\x00\x00\x00\x00\x00\x00\x00{\"a\"": "a safetensors file", "abc": "",
	} {
		require.Equal(t, want, formats.Foreign([]byte(head)))
	}
}
