package keras

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/formats/hdf5"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

// TestKeras2RoundTrip writes every recorded model in Keras 2's layout and wants the same graph back, or a
// refusal that names what Keras 2 doesn't have.
func TestKeras2RoundTrip(t *testing.T) {
	dir := goldenDir(t, "keras-golden", "inference")
	files, err := filepath.Glob(filepath.Join(dir, "*", "model.*"))
	require.NoError(t, err)
	written, refused := 0, 0
	for i, path := range files {
		if testing.Short() && i%7 != 0 {
			continue
		}
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		f, err := ReadFile(path, Options{})
		if err != nil {
			continue
		}
		want, wg := text(t, f.Model)
		var b bytes.Buffer
		if err := Write(&b, f, Keras2H5, WriteOptions{}); err != nil {
			require.ErrorIs(t, err, errors.ErrUnsupported, name)
			t.Logf("%s: %v", name, err)
			refused++
			continue
		}
		written++
		back, err := ReadBytes(b.Bytes(), Options{})
		if err != nil {
			t.Errorf("%s: reading back: %v", name, err)
			continue
		}
		got, gg := text(t, back.Model)
		// masks are no nodes in Keras 2: TestKeras2Masks of package nnrt compares what such models give
		if masks := len(f.Model.Layers()) > len(back.Model.Layers()); got != want && !masks {
			t.Errorf("%s: the graph differs:\n%s", name, firstDifference(want, got))
			continue
		}
		for k, p := range wg.Params {
			if !bytes.Equal(p.Data.Bytes(), gg.Params[k].Data.Bytes()) {
				t.Errorf("%s: weight %s differs", name, p.Name)
			}
		}
	}
	t.Logf("%d written, %d refused", written, refused)
	require.Greater(t, written, 3*refused)
}

// layoutOf is what a file is made of: attributes with their types, datasets with theirs.
func layoutOf(t *testing.T, b []byte) map[string]string {
	t.Helper()
	h, err := hdf5.OpenBytes(b, hdf5.Options{})
	require.NoError(t, err)
	out := map[string]string{}
	attrs := func(path string, as []*hdf5.Attr) {
		for _, a := range as {
			typ := a.Type()
			text := fmt.Sprint(typ.Class, typ.VarString, a.Space().Dims)
			if typ.IsString() {
				text += fmt.Sprint(typ.StrPad, typ.Cset)
			}
			if typ.Class == hdf5.ClassString { // as long as the longest name
				text += fmt.Sprint(typ.Size)
			}
			out[path+"@"+a.Name] = text
		}
	}
	as, err := h.Root().Attrs()
	require.NoError(t, err)
	attrs("/", as)
	require.NoError(t, h.Root().Walk(func(v hdf5.Visit) error {
		switch o := v.Object.(type) {
		case *hdf5.Group:
			as, err := o.Attrs()
			attrs(v.Path, as)
			return err
		case *hdf5.Dataset:
			out[v.Path] = fmt.Sprint(o.Type().Class, o.Type().Size, o.Dims())
		}
		return nil
	}))
	return out
}

// TestKeras2Layout writes models that tf.keras saved, and wants the same attributes, datasets and config keys.
func TestKeras2Layout(t *testing.T) {
	dir := goldenDir(t, "models")
	for _, name := range []string{"hand-keypoint-mlp/model.hdf5", "mlperf-vww-mobilenet96/model.h5", "dl4j-doublecount/model.h5", "magika-standard-v1/model.h5", "mlperf-anomaly-autoencoder/model.h5"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		f, err := ReadBytes(b, Options{})
		require.NoError(t, err)
		var w bytes.Buffer
		require.NoError(t, Write(&w, f, Keras2H5, WriteOptions{}))
		want, got := layoutOf(t, b), layoutOf(t, w.Bytes())
		kind := func(s string) string { return strings.Split(s, " ")[0] } // by versions the names differ, not what they are
		const state = "/optimizer_weights@weight_names"
		require.Equal(t, kind(want[state]), kind(got[state]), name)
		for _, m := range []map[string]string{want, got} { // their names differ by version, and the learning rate by order
			for k := range m {
				if strings.HasPrefix(k, "/optimizer_weights") || strings.Contains(k, "top_level_model_weights") {
					delete(m, k)
				}
			}
		}
		require.Equal(t, want, got, name)
		back, err := ReadBytes(w.Bytes(), Options{})
		require.NoError(t, err)
		wantKeys, gotKeys := configKeys(t, f.Config), configKeys(t, back.Config)
		for class, keys := range wantKeys {
			for _, k := range keys {
				require.True(t, slices.Contains(gotKeys[class], k), "%s: %s has no %s", name, class, k)
			}
		}
	}
}

// configKeys is the keys of each class's config.
func configKeys(t *testing.T, config []byte) map[string][]string {
	t.Helper()
	v, err := layers.ParseJSON(config)
	require.NoError(t, err)
	out := map[string][]string{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			class, _ := v["class_name"].(string)
			if cfg, ok := v["config"].(map[string]any); ok && class != "" && v["module"] == nil {
				for k, x := range cfg {
					if !slices.Contains(ignored2, k) {
						out[class] = append(out[class], k)
					}
					walk(x)
				}
			}
		}
	}
	walk(v)
	return out
}

// ignored2 is keys that tf.keras wrote and did not read, or that are of its way of computing.
var ignored2 = []string{"batch_input_shape", "noise_shape", "groups", "implementation", "time_major", "input_length", "trainable"}

// TestKeras2NameLists wants lists of names to keep the kind of strings that they had, and lists over the limit
// of attributes to be cut into fixed-size strings of the longest name's length, as NumPy's arrays are.
func TestKeras2NameLists(t *testing.T) {
	long := make([]string, 3001)
	for i := range long {
		long[i] = strings.Repeat("n", 1+i%43)
	}
	for _, fixed := range []bool{false, true} {
		h := hdf5.NewWriter()
		require.NoError(t, setList(h.Root(), "short", []string{"a", "bcd"}, fixed))
		require.NoError(t, setList(h.Root(), "none", nil, fixed))
		require.NoError(t, setList(h.Root(), "long", long, fixed))
		var b bytes.Buffer
		_, err := h.WriteTo(&b)
		require.NoError(t, err)
		f, err := hdf5.OpenBytes(b.Bytes(), hdf5.Options{})
		require.NoError(t, err)
		a, err := f.Root().Attr("short")
		require.NoError(t, err)
		require.Equal(t, fixed, a.Type().Class == hdf5.ClassString)
		if fixed {
			require.Equal(t, 3, int(a.Type().Size))
			require.Equal(t, hdf5.NullPad, a.Type().StrPad)
		}
		a, err = f.Root().Attr("none")
		require.NoError(t, err)
		require.Equal(t, hdf5.ClassFloat, a.Type().Class)
		for i, want := range []int{1001, 1000, 1000} { // 3001 names of 43 bytes: three parts of at most 64512
			a, err = f.Root().Attr(fmt.Sprint("long", i))
			require.NoError(t, err)
			require.Equal(t, hdf5.ClassString, a.Type().Class)
			require.Equal(t, 43, int(a.Type().Size))
			require.Equal(t, []uint64{uint64(want)}, a.Dims())
		}
		got, err := attrList(f.Root(), "long")
		require.NoError(t, err)
		require.Equal(t, long, got)
	}
}

// TestKeras2ZeroOutputForMask wants what masked steps give to be kept.
func TestKeras2ZeroOutputForMask(t *testing.T) {
	for _, zero := range []bool{false, true} {
		m := layers.NewSequential("m", &layers.InputLayer{Base: layers.Named("x"), BatchShape: []int{-1, 5, 3}}, &layers.Masking{Base: layers.Named("masking")},
			&layers.LSTM{Base: layers.Named("lstm"), ReturnSequences: true, ZeroOutputForMask: zero, Units: 2})
		require.NoError(t, m.Build())
		var b bytes.Buffer
		require.NoError(t, Write(&b, &File{Model: m}, Keras2H5, WriteOptions{}))
		back, err := ReadBytes(b.Bytes(), Options{})
		require.NoError(t, err)
		want, _ := text(t, m)
		got, _ := text(t, back.Model)
		require.Equal(t, want, got)
		require.Equal(t, zero, strings.Contains(string(back.Config), `"zero_output_for_mask": true`))
	}
}

// TestKeras2ChannelsFirst wants layers that Keras 2 has for the last axis only to be refused for the first.
func TestKeras2ChannelsFirst(t *testing.T) {
	for _, format := range []string{"channels_last", "channels_first"} {
		m := layers.NewSequential("m", &layers.InputLayer{Base: layers.Named("x"), BatchShape: []int{-1, 6, 6, 6}}, &layers.CenterCrop{Base: layers.Named("crop"), Height: 2, Width: 3, DataFormat: format})
		require.NoError(t, m.Build())
		err := Write(&bytes.Buffer{}, &File{Model: m}, Keras2H5, WriteOptions{})
		if format == "channels_last" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.ErrorContains(t, err, `CenterCrop "crop": Keras 2 has it for channels_last only`)
	}
}

// TestKeras2State puts the optimizer state of files of Keras 2 into Keras 3's order: step, learning rate, then
// the slots, those of each weight together or one kind after the other as each optimizer has it.
func TestKeras2State(t *testing.T) {
	m := layers.NewSequential("m", &layers.InputLayer{BatchShape: []int{-1, 3}}, &layers.Dense{Units: 2})
	require.NoError(t, m.Build())
	slot := func(kind float32, k int) *tensor.Tensor { // the kernel's or the bias'
		shape := [][]int{{3, 2}, {2}}[k]
		x := tensor.New(tensor.Float32, shape...)
		for i := range tensor.As[float32](x) {
			tensor.As[float32](x)[i] = kind
		}
		return x
	}
	step, none := Variable{"Adam/iter:0", tensor.Scalar(int64(7))}, tensor.New(tensor.Float32, 1)
	kinds := func(ks ...float32) (vs []Variable) {
		for _, kind := range ks {
			vs = append(vs, Variable{"a", slot(kind, 0)}, Variable{"b", slot(kind, 1)})
		}
		return vs
	}
	for _, c := range []struct {
		class, more string
		vs          []Variable
		want        []float32 // the kind of each slot
		step        int64
	}{
		{"Adam", `"amsgrad": false`, append([]Variable{step}, kinds(1, 2)...), []float32{1, 2, 1, 2}, 7},
		{"Adam", `"amsgrad": true`, append([]Variable{step}, kinds(1, 2, 3)...), []float32{1, 2, 1, 2, 3, 3}, 7},
		{"Adam", `"amsgrad": false`, append(append([]Variable{step}, kinds(1, 2)...), Variable{"c", none}, Variable{"d", none}), []float32{1, 2, 1, 2}, 7},
		{"RMSprop", `"momentum": 0.9`, append([]Variable{step}, kinds(1, 2)...), []float32{1, 1, 2, 2}, 7},
		{"RMSprop", `"rho": 0.9`, kinds(1), []float32{1, 1}, 0},
		{"SGD", `"momentum": 0.9`, append([]Variable{step}, kinds(1)...), []float32{1, 1}, 7},
		{"Nadam", `"beta_1": 0.9`, append([]Variable{step, {"cache", tensor.Scalar(float32(5))}}, kinds(1, 2)...), []float32{1, 2, 1, 2, 5}, 7},
	} {
		f := &File{Model: m, Version: "2.4.0", Backend: "tensorflow", Optimizer: c.vs,
			Training: []byte(`{"optimizer_config": {"class_name": "` + c.class + `", "config": {"learning_rate": 0.25, ` + c.more + `}}}`)}
		state := f.State()
		require.Len(t, state, 2+len(c.want), c.class)
		steps, err := state[0].Data.Int64s()
		require.NoError(t, err)
		require.Equal(t, []int64{c.step}, steps, c.class)
		require.Equal(t, []float32{0.25}, tensor.As[float32](state[1].Data))
		for i, want := range c.want {
			require.Equal(t, want, tensor.As[float32](state[2+i].Data)[0], "%s %d", c.class, i)
		}
	}
}
