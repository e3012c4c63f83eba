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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
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

// modelFiles is the ONNX models of the shared folder of trained ones.
func modelFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata.Dir(t, "models"), "*", "model.onnx"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// TestFixedPointModels: a trained model that nnrt wrote, read and written again, is the same bytes, and at no
// operator set does the graph that comes back differ from the one that went out in what its inputs and outputs are.
func TestFixedPointModels(t *testing.T) {
	for _, path := range modelFiles(t) {
		name := filepath.Base(filepath.Dir(path))
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		g, err := onnx.ReadBytes(b, onnx.Options{})
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		for _, opset := range []int{onnx.MinWriteOpset, 0, onnx.Opset} {
			first, second, err := twice(t, name, b, onnx.WriteOptions{Opset: opset})
			if !assert.NoErrorf(t, err, "%s at %d", name, opset) {
				continue
			}
			if string(first) != string(second) {
				t.Errorf("%s at %d: the second export differs from the first", name, opset)
			}
			back, err := onnx.ReadBytes(first, onnx.Options{})
			require.NoError(t, err)
			assert.Equal(t, signature(g), signature(back), "%s at %d", name, opset)
			assert.Less(t, len(first), len(b)*3/2+8<<10, "%s at %d: larger than it was", name, opset)
		}
	}
}

// TestLargeConstantOnce: a large constant that both branches of an If read, one of them from an If in it, is in
// the file once.
func TestLargeConstantOnce(t *testing.T) {
	x := graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(1<<15))
	w := tensor.New(tensor.Float32, 1<<15)
	branch := func(op graph.Op, inner *graph.Graph) *graph.Graph {
		g := &graph.Graph{Name: "branch"}
		b := graph.NewBuilder(g)
		v := b.Input("x", x)
		v = b.Add(op, v, b.Const("w", w))
		if inner != nil {
			v = b.Add(ops.If{Then: inner, Else: inner.Clone()}, b.Const("yes", tensor.Of([]bool{true})), v)
		}
		b.Output(v)
		return g
	}
	g := &graph.Graph{Name: "g"}
	b := graph.NewBuilder(g)
	in := b.Input("x", x)
	b.Output(b.Add(ops.If{Then: branch(ops.Add{}, nil), Else: branch(ops.Mul{}, branch(ops.Sub{}, nil))},
		b.Input("cond", graph.TensorOf(tensor.Bool)), in))
	require.NoError(t, b.Err())
	e, err := onnx.Encode(g, onnx.WriteOptions{})
	require.NoError(t, err)
	require.Less(t, len(e.Bytes()), 2*4<<15)
	back, err := onnx.ReadBytes(e.Bytes(), onnx.Options{})
	require.NoError(t, err)
	again, err := onnx.Encode(back, onnx.WriteOptions{})
	require.NoError(t, err)
	require.Equal(t, e.Bytes(), again.Bytes())
}

// signature is what a caller sees of a graph.
func signature(g *graph.Graph) []string {
	var out []string
	for _, list := range [][]*graph.Value{g.Inputs, g.Params, g.Outputs} {
		for _, v := range list {
			out = append(out, v.Name+" "+v.Type.WithoutValue().String())
		}
	}
	return out
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

// TestSizes: trained models whose inputs have free dimensions run at any size that their operators allow, none
// and one among them, and give outputs of the shapes that were announced.
func TestSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	least := map[string]int{"qtdnn-int8-bias32": 3} // a kernel has to fit
	for _, path := range modelFiles(t) {
		name := filepath.Base(filepath.Dir(path))
		g, err := onnx.ReadFile(path, onnx.Options{})
		if err != nil || !isFree(g) || name == "style-candy-experimental-ops" || name == "silero-vad" { // large; takes one size of window
			continue
		}
		p, err := runtime.Compile(g, ref.New(), runtime.Options{})
		require.NoError(t, err)
		s, err := p.NewSession()
		require.NoError(t, err)
		for _, size := range []int{0, 1, 3} {
			size += least[name]
			var in []tensor.Value
			for _, v := range g.Inputs {
				shape := make([]int, len(v.Type.Dims))
				for i, d := range v.Type.Dims {
					if n, ok := d.Const(); ok {
						shape[i] = n
					} else {
						shape[i] = size
					}
				}
				in = append(in, tensor.New(v.Type.DType, shape...))
			}
			out, err := s.RunValues(t.Context(), in)
			if !assert.NoErrorf(t, err, "%s at %d", name, size) {
				continue
			}
			for i, v := range out {
				x, ok := v.(*tensor.Tensor)
				if !ok || g.Outputs[i].Type.Rank() < 0 {
					continue
				}
				require.Equal(t, g.Outputs[i].Type.Rank(), x.Rank(), "%s at %d", name, size)
				for k, d := range g.Outputs[i].Type.Dims {
					if n, ok := d.Const(); ok {
						require.Equal(t, n, x.Dim(k), "%s at %d", name, size)
					}
				}
			}
		}
	}
}

// isFree reports whether an input has a dimension that is no number.
func isFree(g *graph.Graph) bool {
	for _, v := range g.Inputs {
		if !v.Type.Static() {
			return true
		}
	}
	return false
}
