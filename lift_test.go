package nnrt

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compute runs g on numbers made up for its inputs.
func compute(t *testing.T, g *graph.Graph) ([]*tensor.Tensor, error) {
	t.Helper()
	p, err := runtime.Compile(g.Clone(), ref.New(), runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := p.NewSession()
	require.NoError(t, err)
	in := map[string]*tensor.Tensor{}
	for _, v := range g.Inputs {
		shape := []int{}
		for i, d := range v.Type.Dims {
			n, ok := d.Const()
			if i == 0 {
				n = 2
			} else if !ok {
				n = 5
			}
			shape = append(shape, n)
		}
		x := tensor.New(v.Type.DType, shape...)
		fs := make([]float64, x.Len())
		for i := range fs {
			fs[i] = math.Round(100*math.Sin(float64(i*i%61+1))) / 50
			if !v.Type.DType.IsFloat() {
				fs[i] = float64(i % 2)
			}
		}
		require.NoError(t, x.SetFloat64s(fs))
		in[v.Name] = x
	}
	out, err := s.Run(context.Background(), in)
	if err != nil {
		return nil, err
	}
	var ys []*tensor.Tensor
	for _, v := range g.Outputs {
		ys = append(ys, out[v.Name])
	}
	return ys, nil
}

// TestLift takes recorded models through ONNX back to layers, and wants the same numbers, also from the files
// written of them.
func TestLift(t *testing.T) {
	data := os.Getenv("NNRT_DATA")
	if data == "" {
		data = filepath.Join("..", "shared")
	}
	dir := filepath.Join(data, "keras-golden", "inference")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("no %s", dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "model.keras"))
	require.NoError(t, err)
	lifted, refused := 0, 0
	for i, path := range files {
		if i%3 != 0 {
			continue
		}
		name := filepath.Base(filepath.Dir(path))
		f, err := keras.ReadFile(path, keras.Options{})
		require.NoError(t, err)
		g, err := f.Model.Graph(layers.Options{})
		require.NoError(t, err)
		want, err := compute(t, g)
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if err := onnx.Write(&b, g, onnx.WriteOptions{}); err != nil {
			continue // not in ONNX
		}
		og, err := onnx.Read(bytes.NewReader(b.Bytes()), int64(b.Len()), onnx.Options{})
		require.NoError(t, err)
		lf, err := (&Source{Graph: og}).ToKeras()
		if err != nil {
			require.ErrorIs(t, err, errors.ErrUnsupported, name)
			t.Logf("%s: %v", name, err)
			refused++
			continue
		}
		lifted++
		var w bytes.Buffer
		require.NoError(t, keras.Write(&w, lf, keras.Archive, keras.WriteOptions{}), name)
		back, err := keras.ReadBytes(w.Bytes(), keras.Options{})
		require.NoError(t, err, name)
		bg, err := back.Model.Graph(layers.Options{})
		require.NoError(t, err, name)
		got, err := compute(t, bg)
		require.NoError(t, err, name)
		requireClose(t, name, want, got)
	}
	t.Logf("%d lifted, %d refused", lifted, refused)
	require.Greater(t, lifted, 50*refused)
}

// requireClose wants tensors of the same shapes with about the same numbers.
func requireClose(t *testing.T, name string, want, got []*tensor.Tensor) {
	t.Helper()
	require.Len(t, got, len(want))
	for k := range want {
		require.Equal(t, want[k].Shape(), got[k].Shape(), name)
		require.Equal(t, want[k].DType(), got[k].DType(), name)
		a, _ := want[k].Float64s()
		c, _ := got[k].Float64s()
		for j := range a {
			if math.Abs(a[j]-c[j]) > 1e-4+1e-4*math.Abs(a[j]) {
				t.Errorf("%s: output %d, element %d: %v, lifted %v", name, k, j, a[j], c[j])
				break
			}
		}
	}
}

// TestLiftOperators lifts single operators in the forms that exporters write them in, and wants the numbers
// that the operator gives.
func TestLiftOperators(t *testing.T) {
	batch := graph.Sym("batch")
	image := []graph.Dim{batch, graph.D(3), graph.D(7), graph.D(8)}
	filled := func(shape ...int) *tensor.Tensor {
		x := tensor.New(tensor.Float32, shape...)
		for i, v := 0, tensor.As[float32](x); i < len(v); i++ {
			v[i] = float32(math.Sin(float64(i) * 1.7))
		}
		return x
	}
	window := []int{3, 3}
	type vals = []*graph.Value
	one := func(v *graph.Value) vals { return vals{v} }
	resized := func(op ops.Resize, sizes ...int64) func(b *graph.Builder, x *graph.Value) vals {
		return func(b *graph.Builder, x *graph.Value) vals { return one(b.Add(op, x, nil, nil, b.Ints(sizes...))) }
	}
	sizes := func(b *graph.Builder, x *graph.Value) *graph.Value { return b.Add(ops.Shape{}, x) }
	first := func(b *graph.Builder, x *graph.Value, at int64) *graph.Value {
		return b.Add(ops.Gather{}, b.Add(ops.Shape{}, x), b.Ints(at))
	}
	seq := []graph.Dim{graph.D(5), batch, graph.D(4)}
	for _, c := range []struct {
		name string
		dims []graph.Dim
		f    func(b *graph.Builder, x *graph.Value) vals
	}{
		{"max pool, ceil_mode", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.AddN(ops.MaxPool{KernelShape: window, Strides: []int{2, 2}, CeilMode: true}, x)[0])
		}},
		{"average pool without its padding", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.AveragePool{KernelShape: window, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}, x))
		}},
		{"average pool, ceil_mode", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.AveragePool{KernelShape: window, Strides: []int{2, 2}, Pads: []int{1, 0, 0, 1}, CeilMode: true, CountIncludePad: true}, x))
		}},
		{"average pool, SAME_UPPER", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.AveragePool{KernelShape: window, Strides: []int{1, 1}, AutoPad: ops.SameUpper}, x))
		}},
		{"average pool, SAME_LOWER", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.AveragePool{KernelShape: []int{2, 2}, Strides: []int{1, 2}, AutoPad: ops.SameLower}, x))
		}},
		{"convolution, SAME_LOWER", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.Conv{KernelShape: []int{2, 2}, Strides: []int{1, 1}, Dilations: []int{1, 1}, Group: 1, AutoPad: ops.SameLower}, x, b.Param("w", filled(2, 3, 2, 2))))
		}},
		{"resize, nearest by halves", image, resized(ops.Resize{Mode: "nearest", CoordinateTransformationMode: "asymmetric", NearestMode: "floor", Axes: []int{2, 3}}, 14, 24)},
		{"resize, nearest, open factors", image, resized(ops.Resize{Mode: "nearest", NearestMode: "ceil", Axes: []int{2, 3}}, 5, 11)},
		{"resize, linear", image, resized(ops.Resize{Mode: "linear", Axes: []int{2, 3}}, 10, 13)},
		{"resize, corners aligned", image, resized(ops.Resize{Mode: "linear", CoordinateTransformationMode: "align_corners", Axes: []int{2, 3}}, 13, 15)},
		{"resize, one axis", []graph.Dim{batch, graph.D(4), graph.D(6)}, resized(ops.Resize{Mode: "nearest", CoordinateTransformationMode: "asymmetric", NearestMode: "floor", Axes: []int{2}}, 12)},
		{"expand to another's shape", image, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.Add{}, x, b.Add(ops.Expand{}, b.Const("row", filled(3, 1, 8)), sizes(b, x))))
		}},
		{"constant of a shape", []graph.Dim{batch, graph.D(3)}, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.ConstantOfShape{Value: tensor.Of([]int64{7})}, sizes(b, x)))
		}},
		{"range", []graph.Dim{batch, graph.D(3)}, func(b *graph.Builder, x *graph.Value) vals {
			n := b.Add(ops.Squeeze{}, first(b, x, 0), b.Ints(0))
			return one(b.Add(ops.Range{}, b.Const("a", tensor.Scalar(int64(0))), b.Add(ops.Add{}, n, b.Const("f", tensor.Scalar(int64(0)))), b.Const("d", tensor.Scalar(int64(1)))))
		}},
		{"a large constant", []graph.Dim{batch, graph.D(130), graph.D(140)}, func(b *graph.Builder, x *graph.Value) vals {
			return one(b.Add(ops.Add{}, x, b.Const("c", filled(130, 140))))
		}},
		{"one-hot", []graph.Dim{batch, graph.D(3)}, func(b *graph.Builder, x *graph.Value) vals {
			i := b.Add(ops.Cast{To: tensor.Int64}, x)
			return one(b.Add(ops.OneHot{Axis: 1}, i, b.Ints(4), b.Const("v", tensor.Of([]float32{-1, 2}))))
		}},
		{"the largest, and sums from behind", []graph.Dim{batch, graph.D(6)}, func(b *graph.Builder, x *graph.Value) vals {
			ys := b.AddN(ops.TopK{Axis: -1, Largest: true, Sorted: true}, x, b.Ints(2))
			return append(ys, b.Add(ops.CumSum{Reverse: true, Exclusive: true}, x, b.Const("axis", tensor.Scalar(int64(1)))))
		}},
		{"depth to space and back", []graph.Dim{batch, graph.D(8), graph.D(2), graph.D(3)}, func(b *graph.Builder, x *graph.Value) vals {
			return vals{b.Add(ops.DepthToSpace{BlockSize: 2}, x), b.Add(ops.DepthToSpace{BlockSize: 2, Mode: "CRD"}, x), b.Add(ops.SpaceToDepth{BlockSize: 2}, b.Add(ops.DepthToSpace{BlockSize: 2}, x))}
		}},
		{"what operators are made of", []graph.Dim{batch, graph.D(4), graph.D(6)}, func(b *graph.Builder, x *graph.Value) vals {
			s := b.Param("s", filled(6))
			return vals{b.Add(ops.RMSNormalization{Axis: -1, Epsilon: 1e-5, StashType: 1}, x, s), b.Add(ops.ReduceL2{Keepdims: true}, x, b.Ints(-1)),
				b.Add(ops.Swish{Alpha: 1.5}, x), b.Add(ops.Shrink{Lambd: 0.4, Bias: 0.4}, x), b.Add(ops.ThresholdedRelu{Alpha: 0.7}, x)}
		}},
		{"RNN, both ways, from given states", seq, func(b *graph.Builder, x *graph.Value) vals {
			op := ops.RNN{HiddenSize: 3, Direction: "bidirectional", Activations: []string{"Relu", "Relu"}}
			h := b.Add(ops.Expand{}, b.Const("h", filled(2, 1, 3)), b.Add(ops.Concat{}, b.Ints(2), first(b, x, 1), b.Ints(3)))
			return b.AddN(op, x, b.Param("w", filled(2, 3, 4)), b.Param("r", filled(2, 3, 3)), b.Param("b", filled(2, 6)), nil, h)[:2]
		}},
		{"GRU backwards, each sample of its own length", seq, func(b *graph.Builder, x *graph.Value) vals {
			n := b.Add(ops.Cast{To: tensor.Int32}, b.Add(ops.Expand{}, b.Const("n", tensor.Of([]int64{3})), first(b, x, 1)))
			return b.AddN(ops.GRU{HiddenSize: 3, Direction: "reverse", LinearBeforeReset: true}, x, b.Param("w", filled(1, 9, 4)), b.Param("r", filled(1, 9, 3)), b.Param("b", filled(1, 18)), n)[:2]
		}},
		{"LSTM, batch first", []graph.Dim{batch, graph.D(5), graph.D(4)}, func(b *graph.Builder, x *graph.Value) vals {
			op := ops.LSTM{HiddenSize: 3, Layout: 1, Activations: []string{"HardSigmoid", "Softsign", "Softsign"}}
			return b.AddN(op, x, b.Param("w", filled(1, 12, 4)), b.Param("r", filled(1, 12, 3)))[:3]
		}},
	} {
		g := &graph.Graph{Name: "g"}
		b := graph.NewBuilder(g)
		x := b.Input("x", graph.TensorOf(tensor.Float32, c.dims...))
		if c.dims[0] != batch { // time first, as the recurrent operators have it; a model has the batch first
			x.Type.Dims = []graph.Dim{batch, c.dims[0], c.dims[2]}
			x = b.Add(ops.Transpose{Perm: []int{1, 0, 2}}, x)
		}
		b.Output(c.f(b, x)...)
		require.NoError(t, b.Err(), c.name)
		want, err := compute(t, g)
		require.NoError(t, err, c.name)
		f, err := (&Source{Graph: g}).ToKeras()
		if !assert.NoError(t, err, c.name) {
			continue
		}
		var w bytes.Buffer
		require.NoError(t, keras.Write(&w, f, keras.Archive, keras.WriteOptions{}), c.name)
		back, err := keras.ReadBytes(w.Bytes(), keras.Options{})
		require.NoError(t, err, c.name)
		bg, err := back.Model.Graph(layers.Options{})
		require.NoError(t, err, c.name)
		got, err := compute(t, bg)
		require.NoError(t, err, c.name)
		requireClose(t, c.name, want, got)
	}
}
