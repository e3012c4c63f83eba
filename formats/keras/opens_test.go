package keras

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

func input(name string, shape ...int) *layers.InputLayer {
	return &layers.InputLayer{Base: layers.Named(name), BatchShape: append([]int{-1}, shape...)}
}

// TestKeras3Constructors wants configs that the constructors of Keras 3 take: those of some layers know no
// trainable, EinsumDense's sizes from the input are null, a class in .h5 goes by its Python name.
func TestKeras3Constructors(t *testing.T) {
	m := layers.NewSequential("m", input("x", 4, 6),
		&layers.SpatialDropout1D{Base: layers.Named("spatial"), Rate: 0.5},
		&layers.EinsumDense{Base: layers.Named("einsum"), Equation: "abc,cd->abd", OutputShape: []int{-1, 3}},
		&layers.Dense{Base: layers.Named("dense"), Units: 2, LoraRank: new(2)})
	x := layers.NewModel("n")
	q := x.Apply(input("q", 4, 6))
	x.SetOutputs(x.Apply(&layers.GroupQueryAttention{Base: layers.Named("gqa"), HeadDim: 2, NumQueryHeads: 2, NumKeyValueHeads: 1}, q, q))
	for _, layout := range []Layout{Archive, LegacyH5} {
		config := writtenConfig(t, m, layout)
		require.NotRegexp(t, `"name": "spatial", "trainable"`, config)
		require.Regexp(t, `"name": "dense", "trainable": true`, config)
		require.Contains(t, config, `"output_shape": [null, 3]`)
		require.NotContains(t, config, "lora") // of which the kernel alone is kept
	}
	require.Contains(t, writtenConfig(t, x, Archive), `"class_name": "GroupQueryAttention"`)
	require.Contains(t, writtenConfig(t, x, LegacyH5), `"class_name": "GroupedQueryAttention"`)
}

// TestKeras3Calls wants calls with several tensors written as Keras 3 takes them: merging layers take one list,
// recurrent layers their states by name.
func TestKeras3Calls(t *testing.T) {
	m := layers.NewModel("m")
	a, b, h := m.Apply(input("a", 4, 3)), m.Apply(input("b", 4, 3)), m.Apply(input("h", 2))
	sum := m.Apply(&layers.Add{Base: layers.Named("sum")}, a, b)
	m.SetOutputs(m.Apply(&layers.GRU{Base: layers.Named("gru"), Units: 2}, sum, h))
	config := writtenConfig(t, m, Archive)
	require.Regexp(t, `"args": \[\[\{"class_name"[^\[]*\[null, 4, 3\][^\[]*\["a", 0, 0\]\}\}, \{[^\[]*\[null, 4, 3\][^\[]*\["b", 0, 0\]\}\}\]\], "kwargs": \{\}`, config)
	require.Regexp(t, `"kwargs": \{"initial_state": \[`, config)
	back := reread(t, m, Archive)
	want, _ := text(t, m)
	got, _ := text(t, back.Model)
	require.Equal(t, want, got)
}

// TestKeras2Optimizer wants the optimizer of a Keras 2 file under Keras 3's names, its decay as a schedule.
func TestKeras2Optimizer(t *testing.T) {
	m := layers.NewSequential("m", input("x", 3), &layers.Dense{Base: layers.Named("dense"), Units: 2})
	f := &File{Model: m, Training: []byte(`{"loss": "mse", "sample_weight_mode": null, "optimizer_config": {"class_name": "Custom>Adam",
		"config": {"lr": 0.01, "decay": 0.5, "beta_1": 0.8, "epsilon": null, "is_legacy_optimizer": false, "jit_compile": true}}}`)}
	c, err := f.compileConfig()
	require.NoError(t, err)
	b, err := layers.AppendJSON(nil, c)
	require.NoError(t, err)
	for _, old := range []string{`"lr"`, `"decay"`, "epsilon", "is_legacy", "jit_compile", "Custom", "sample_weight_mode"} {
		require.NotContains(t, string(b), old)
	}
	require.Contains(t, string(b), `"class_name": "Adam"`)
	require.Contains(t, string(b), `"class_name": "InverseTimeDecay", "config": {"initial_learning_rate": 0.01, "decay_steps": 1, "decay_rate": 0.5`)
}

// TestLayerOrder wants a model made in Go written in the order by which Keras 3 binds weights: the longer branch first.
func TestLayerOrder(t *testing.T) {
	m := layers.NewModel("m")
	x := m.Apply(input("x", 4))
	near := m.Apply(&layers.Dense{Base: layers.Named("near"), Units: 3}, x)
	far := m.Apply(&layers.Dense{Base: layers.Named("far"), Units: 3}, x)
	m.SetOutputs(m.Apply(&layers.Add{Base: layers.Named("sum")}, near, m.Apply(&layers.ReLU{Base: layers.Named("relu")}, far)))
	config := writtenConfig(t, m, Archive)
	require.Less(t, strings.Index(config, `"name": "far"`), strings.Index(config, `"name": "near"`))
}

// TestNoOptimizer wants a legacy file's training config to have an optimizer, without which Keras 3 doesn't open it.
func TestNoOptimizer(t *testing.T) {
	m := layers.NewSequential("m", input("x", 3), &layers.Dense{Base: layers.Named("dense"), Units: 2})
	for training, class := range map[string]string{`{"loss": "mse"}`: "RMSprop", `{"loss": "mse", "optimizer": "adam"}`: "adam"} {
		c, err := (&File{Model: m, Training: []byte(training)}).trainingConfig()
		require.NoError(t, err)
		b, err := layers.AppendJSON(nil, c)
		require.NoError(t, err)
		require.Contains(t, string(b), `"optimizer_config": {"class_name": "`+class+`", "config": {`)
	}
}

// TestMaskDialects wants a model of one Keras refused in the layout of the other where masks mean something else.
func TestMaskDialects(t *testing.T) {
	for _, old := range []bool{false, true} {
		m := layers.NewModel("m")
		a, h := m.Apply(input("a", 4, 3)), m.Apply(input("h", 2))
		masked := m.Apply(&layers.Masking{Base: layers.Named("masking")}, a)
		m.SetOutputs(m.Apply(&layers.GRU{Base: layers.Named("gru"), Units: 2, ResetBefore: true}, masked, h))
		m.OldMasks = old
		require.NoError(t, m.Build())
		require.Equal(t, []string{"gru"}, m.MaskDialect())
		good, bad := Archive, Keras2H5
		if old {
			good, bad = bad, good
		}
		require.NoError(t, Write(&bytes.Buffer{}, &File{Model: m}, good, WriteOptions{}))
		err := Write(&bytes.Buffer{}, &File{Model: m}, bad, WriteOptions{})
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, `"gru": its masks mean something else`)
		require.Equal(t, old, reread(t, m, good).Model.OldMasks)
	}
}

// TestBFloat16Weights wants bfloat16 weights kept as Keras keeps them: opaque bytes with an attribute.
func TestBFloat16Weights(t *testing.T) {
	m := layers.NewSequential("m", input("x", 3), &layers.Dense{Base: layers.Base{Name: "dense", DType: "bfloat16"}, Units: 2})
	back := reread(t, m, Archive).Model
	w, v := m.Weights()[0], back.Weights()[0]
	require.Equal(t, tensor.BFloat16, w.Data.DType())
	require.Equal(t, tensor.BFloat16, v.Data.DType())
	require.Equal(t, w.Data.Bytes(), v.Data.Bytes())
}

func reread(t *testing.T, m *layers.Model, layout Layout) *File {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, &File{Model: m}, layout, WriteOptions{}))
	f, err := ReadBytes(b.Bytes(), Options{})
	require.NoError(t, err)
	return f
}

func writtenConfig(t *testing.T, m *layers.Model, layout Layout) string {
	t.Helper()
	require.NoError(t, m.Build())
	return string(reread(t, m, layout).Config)
}
