package pb

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

// bigModel has tensors in every place, of sizes on both sides of the limits.
func bigModel() (*ModelProto, []*TensorProto) {
	var all []*TensorProto
	weight := func(name string, n int) *TensorProto {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*7 + n + len(all))
		}
		t := &TensorProto{Name: name, DataType: Uint8, Dims: []int64{int64(n)}, RawData: b}
		all = append(all, t)
		return t
	}
	sub := &GraphProto{Initializer: []*TensorProto{weight("sub", 5000)}}
	shared := weight("shared", 3000)
	m := &ModelProto{IRVersion: 10, Graph: &GraphProto{
		Initializer:       []*TensorProto{weight("a", 1500), weight("b", 1<<20), weight("small", 1000), shared, shared},
		SparseInitializer: []*SparseTensorProto{{Values: weight("v", 2000), Indices: &TensorProto{Name: "i", DataType: Int64, Dims: []int64{1}, Int64Data: []int64{3}}}},
		Node: []*NodeProto{{OpType: "If", Attribute: []*AttributeProto{
			{Name: "then_branch", Type: AttrGraph, G: sub}, {Name: "value", Type: AttrTensor, T: weight("c", 1024)}}}},
	}, Functions: []*FunctionProto{{Node: []*NodeProto{{Attribute: []*AttributeProto{{Type: AttrTensors, Tensors: []*TensorProto{weight("f", 4000)}}}}}}}}
	return m, all
}

func load(t *testing.T, name string) (*ModelProto, *Source) {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	m := &ModelProto{}
	require.NoError(t, Unmarshal(b, m, Limits{}))
	root, err := os.OpenRoot(filepath.Dir(name))
	require.NoError(t, err)
	return m, &Source{External: NewExternal(root)}
}

func TestSaveExternal(t *testing.T) {
	for _, o := range []SaveOptions{{External: true}, {maxSize: 500_000}, {External: true, DataName: "w.bin", MinExternal: 1}, {}} {
		dir := t.TempDir()
		name := filepath.Join(dir, "m.onnx")
		m, all := bigModel()
		before := Marshal(m)
		require.NoError(t, Save(name, m, o))
		require.Equal(t, before, Marshal(m)) // as it was
		back, src := load(t, name)
		data := filepath.Join(dir, "m.onnx.data")
		if o.DataName != "" {
			data = filepath.Join(dir, o.DataName)
		}
		external := 0
		got := map[string]*tensor.Tensor{}
		back.walkTensors(func(p *TensorProto) {
			if p.DataLocation == LocationExternal {
				external++
			}
			x, err := src.Tensor(p)
			require.NoError(t, err)
			got[p.Name] = x
		})
		for _, p := range all {
			require.Equal(t, p.RawData, got[p.Name].Bytes(), p.Name)
		}
		st, err := os.Stat(data)
		switch {
		case !o.External && o.maxSize == 0:
			require.ErrorIs(t, err, os.ErrNotExist)
			require.Zero(t, external)
		case o.MinExternal == 1:
			require.NoError(t, err)
			require.Equal(t, len(all)+1, external) // one is in the list twice
		default:
			require.NoError(t, err)
			require.Equal(t, len(all), external) // all but "small", and one twice
			require.Greater(t, st.Size(), int64(1<<20))
		}
		list, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.LessOrEqual(t, len(list), 2)
	}
}

func TestSaveRefusals(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "m.onnx")
	m, _ := bigModel()
	for _, bad := range []string{"../w", "sub/w", "m.onnx", "/w", `a\b`} {
		require.ErrorContains(t, Save(name, m, SaveOptions{External: true, DataName: bad}), "can't be in")
	}
	require.ErrorContains(t, Save(name, m, SaveOptions{maxSize: 1500}), "remain without external data")
	m.Graph.Initializer[0].DataLocation = LocationExternal
	before := Marshal(m)
	require.ErrorContains(t, Save(name, m, SaveOptions{External: true}), `"a": its data is in another file already`)
	require.Equal(t, before, Marshal(m))
	require.Error(t, Save(filepath.Join(dir, "none", "m.onnx"), m, SaveOptions{}))
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, list)
}
