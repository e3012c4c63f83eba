package nnrt_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/autodiff"
)

// softclip is an operator of a service's own: Limit * tanh(x / Limit). The field is the attribute limit.
type softclip struct{ Limit float64 }

func (softclip) Name() string { return "Softclip" }

// Infer is the schema: one float32 tensor in, one of its shape out.
func (softclip) Infer(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 1 || in[0].DType != tensor.Float32 {
		return nil, fmt.Errorf("takes one float32 tensor")
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP is the gradient: dy * (1 - (y/Limit)^2).
func (o softclip) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, _ []bool) []*graph.Value {
	t := b.Add(ops.Div{}, n.Out[0], b.Float(float32(o.Limit)))
	return []*graph.Value{b.Add(ops.Mul{}, dy[0], b.Add(ops.Sub{}, b.Float(1), b.Add(ops.Mul{}, t, t)))}
}

// softclipStep is the kernel.
type softclipStep struct{ limit float64 }

func (softclipStep) Scratch() int { return 0 }

func (s softclipStep) Run(a *devices.Args) error {
	y := tensor.As[float32](a.OutTensor(0))
	for i, v := range tensor.As[float32](a.Tensor(0)) {
		y[i] = float32(s.limit * math.Tanh(float64(v)/s.limit))
	}
	return nil
}

// softclipModel is an ONNX file of one node of com.example's Softclip, with limit 2.
const softclipModel = "\b\n:]\n4\n\x01x\x12\x01y\x1a\x04clip\"\bSoftclip*\x0f\n\x05limit\x15\x00\x00\x00@\xa0\x01\x01:\vcom.example\x12\x01gZ\x10\n" +
	"\x01x\x12\v\n\t\b\x01\x12\x05\n\x03\x12\x01Nb\x10\n\x01y\x12\v\n\t\b\x01\x12\x05\n\x03\x12\x01NB\x04\n\x00\x10\x15B\x0f\n\vcom.example\x10\x01"

func softclipOptions() nnrt.Options {
	return nnrt.Options{
		Import: nnrt.ImportOptions{ONNX: onnx.Options{Ops: []onnx.CustomOp{{Domain: "com.example", Name: "Softclip", Op: softclip{Limit: 1}}}}},
		Kernels: []devices.Kernel{devices.For("softclip", nil, func(o softclip, _ devices.Request) (devices.Step, error) {
			return softclipStep{o.Limit}, nil
		})},
	}
}

// A service registers its own operator on the options of one model: a schema, a kernel and, for training, a gradient.
func ExampleOptions_customOperator() {
	m, err := nnrt.Load([]byte(softclipModel), softclipOptions())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	out, err := m.Run(context.Background(), map[string]*tensor.Tensor{"x": tensor.Of([]float32{-100, 0, 100})})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tensor.As[float32](out["y"]))
	// Output: [-2 0 2]
}

// TestCustomOperator: without the registration the node is refused; with it, it is written again, and has its
// gradient.
func TestCustomOperator(t *testing.T) {
	_, err := nnrt.Load([]byte(softclipModel), nnrt.Options{})
	require.ErrorContains(t, err, `com.example.Softclip "clip"`)
	opts := softclipOptions()
	g, err := nnrt.ImportBytes([]byte(softclipModel), opts.Import)
	require.NoError(t, err)
	require.Equal(t, softclip{Limit: 2}, g.Nodes[0].Op)

	var file bytes.Buffer
	require.NoError(t, onnx.Write(&file, g, onnx.WriteOptions{Ops: opts.Import.ONNX.Ops}))
	again, err := nnrt.ImportBytes(file.Bytes(), opts.Import)
	require.NoError(t, err)
	require.Equal(t, g.Nodes[0].Op, again.Nodes[0].Op)
	require.ErrorContains(t, onnx.Write(&file, g, onnx.WriteOptions{}), "ONNX has no such operator")

	b := graph.NewBuilder(g)
	grads, err := autodiff.Grad(b, g.Outputs, nil, g.Inputs)
	require.NoError(t, err)
	g.Outputs = grads
	m, err := nnrt.New(g, opts)
	require.NoError(t, err)
	defer m.Close()
	out, err := m.RunValues(context.Background(), []tensor.Value{tensor.Of([]float32{0, 100})})
	require.NoError(t, err)
	require.Equal(t, []float32{1, 0}, tensor.As[float32](out[0].(*tensor.Tensor)))
}
