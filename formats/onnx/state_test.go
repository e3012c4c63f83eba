package onnx_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// counting adds its input to a sum that it keeps, and counts its runs.
func counting() *graph.Graph {
	g := &graph.Graph{Name: "counting"}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.D(2)))
	sum, runs := b.Param("sum", tensor.Of([]float32{10, 20})), b.Param("runs", tensor.Of([]int64{0}))
	next := b.Add(ops.Add{}, sum, x)
	g.Updates = []graph.Update{{Param: sum, Value: next}, {Param: runs, Value: b.Add(ops.Add{}, runs, b.Ints(1))}}
	b.Output(next, runs)
	return g
}

// TestState: what a run keeps for the next one is an input with a default and an output in the file, and read
// back it is kept again.
func TestState(t *testing.T) {
	e, err := onnx.Encode(counting(), onnx.WriteOptions{})
	require.NoError(t, err)
	m := &pb.ModelProto{}
	require.NoError(t, pb.Unmarshal(e.Bytes(), m, pb.Limits{}))
	require.Equal(t, []string{"x", "sum", "runs"}, names(m.Graph.Input))
	require.Len(t, m.Graph.Initializer, 2)
	require.Len(t, m.Graph.Output, 4)

	g, err := onnx.ReadBytes(e.Bytes(), onnx.Options{})
	require.NoError(t, err)
	require.NoError(t, g.Verify())
	require.Len(t, g.Inputs, 1)
	require.Len(t, g.Outputs, 2)
	p, err := runtime.Compile(g, ref.New(), runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	for run, want := range [][]float32{{11, 22}, {12, 24}, {13, 26}} {
		out, err := s.RunValues(context.Background(), []tensor.Value{tensor.Of([]float32{1, 2})})
		require.NoError(t, err)
		require.Equal(t, want, tensor.As[float32](out[0].(*tensor.Tensor)))
		require.Equal(t, []int64{int64(run)}, tensor.As[int64](out[1].(*tensor.Tensor)))
	}
	again, err := onnx.Encode(g, onnx.WriteOptions{})
	require.NoError(t, err)
	require.Equal(t, e.Bytes(), again.Bytes())

	// A file whose note can't be true is refused.
	m.Graph.Output[3] = m.Graph.Output[2]
	m.MetadataProps[1].Value = m.Graph.Output[2].Name
	_, err = read(m)
	require.ErrorContains(t, err, `is noted as the next value of "runs", which it can't be`)
}

func names(list []*pb.ValueInfoProto) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Name)
	}
	return out
}
