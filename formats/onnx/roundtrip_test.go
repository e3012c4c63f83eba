package onnx_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/internal/testdata"
)

// backendModels calls f with every model of the backend archive.
func backendModels(t *testing.T, f func(name string, b []byte)) {
	t.Helper()
	file, err := os.Open(testdata.Dir(t, "onnx-backend", "cases.tar.gz"))
	require.NoError(t, err)
	defer file.Close()
	z, err := gzip.NewReader(file)
	require.NoError(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if strings.HasSuffix(h.Name, "/model.onnx") {
			b, err := io.ReadAll(r)
			require.NoError(t, err)
			f(filepath.Base(filepath.Dir(h.Name)), b)
		}
	}
}

// twice writes a model, reads that and writes it again.
func twice(t *testing.T, name string, b []byte, opts onnx.WriteOptions) (first, second []byte, err error) {
	t.Helper()
	g, err := onnx.ReadBytes(b, onnx.Options{})
	if err != nil {
		return nil, nil, err
	}
	e, err := onnx.Encode(g, opts)
	if err != nil {
		return nil, nil, err
	}
	first = e.Bytes()
	g, err = onnx.ReadBytes(first, onnx.Options{})
	require.NoErrorf(t, err, "%s: reading what was written", name)
	e, err = onnx.Encode(g, opts)
	require.NoErrorf(t, err, "%s: writing again", name)
	return first, e.Bytes(), nil
}

// TestFixedPoint: what nnrt wrote, read and written again, is the same bytes.
func TestFixedPoint(t *testing.T) {
	written, refused := 0, map[string]int{}
	backendModels(t, func(name string, b []byte) {
		first, second, err := twice(t, name, b, onnx.WriteOptions{})
		var un *formats.UnsupportedError
		switch {
		case errors.As(err, &un):
			refused[un.Items[0].What]++
			return
		case err != nil:
			t.Errorf("%s: %v", name, err)
			return
		}
		written++
		if string(first) != string(second) {
			t.Errorf("%s: the second export differs from the first", name)
		}
	})
	t.Logf("%d written, refused by operator: %v", written, refused)
}
