package initializer

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/tensor"
)

func TestDecodeDefaultsAndAliases(t *testing.T) {
	for _, r := range table.Rows {
		for _, name := range r.Names {
			in, err := New(name)
			require.NoError(t, err)
			require.Equal(t, r.Default, in)
		}
		class, cfg, err := Encode(r.Default.(Initializer))
		require.NoError(t, err)
		back, err := Decode(class, cfg)
		require.NoError(t, err, class)
		require.Equal(t, r.Default, back)
	}
	_, err := New("nonsense")
	require.ErrorContains(t, err, "nonsense")
}

func TestSeedForms(t *testing.T) {
	in, err := Decode("GlorotUniform", json.RawMessage(`{"seed":{"class_name":"SeedGenerator","config":{"seed":7}}}`))
	require.NoError(t, err)
	require.Equal(t, Seed(7), *in.(GlorotUniform).Seed)
	a, err := Make(in, tensor.Float32, []int{3, 4}, philox.New(1))
	require.NoError(t, err)
	b, err := Make(in, tensor.Float32, []int{3, 4}, philox.New(2))
	require.NoError(t, err)
	require.Equal(t, a.Bytes(), b.Bytes())
}

func TestBadShapes(t *testing.T) {
	for name, shape := range map[string][]int{"identity": {3}, "orthogonal": {3}, "stft": {3, 3}} {
		in, err := New(name)
		require.NoError(t, err)
		_, err = Make(in, tensor.Float32, shape, nil)
		require.Error(t, err, name)
	}
}

// The statistics are Keras'; each shape's moments must agree within what sampling allows.
func TestKerasStatistics(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(testdata.Dir(t, "keras-golden", "training"), "initializer_*"))
	require.NoError(t, err)
	require.NotEmpty(t, dirs)
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			p, err := os.ReadFile(filepath.Join(dir, "case.json"))
			require.NoError(t, err)
			var c struct {
				Config struct {
					ClassName string          `json:"class_name"`
					Config    json.RawMessage `json:"config"`
				} `json:"config"`
				Statistics map[string]map[string]float64 `json:"statistics"`
			}
			require.NoError(t, json.Unmarshal(p, &c))
			in, err := Decode(c.Config.ClassName, c.Config.Config)
			require.NoError(t, err)
			for shape, want := range c.Statistics {
				if in, ok := in.(Identity); ok { // the config does not keep its gain
					in.Gain = want["max"]
					checkStatistics(t, in, shape, want)
					continue
				}
				checkStatistics(t, in, shape, want)
			}
		})
	}
}

func checkStatistics(t *testing.T, in Initializer, name string, want map[string]float64) {
	t.Helper()
	var shape []int
	for _, s := range strings.Split(name, "x") {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		shape = append(shape, n)
	}
	x, err := Make(in, tensor.Float32, shape, philox.New(1))
	require.NoError(t, err)
	var sum, sq float64
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range tensor.As[float32](x) {
		sum += float64(v)
		sq += float64(v) * float64(v)
		lo, hi = min(lo, float64(v)), max(hi, float64(v))
	}
	n := float64(x.Len())
	mean := sum / n
	std := math.Sqrt(max(0, sq/n-mean*mean))
	require.InDelta(t, want["mean"], mean, 6*want["std"]/math.Sqrt(n)+1e-9, "mean of %s", name)
	require.InDelta(t, want["std"], std, 0.02*want["std"]+1e-9, "std of %s", name)
	spread := 1.5*(want["max"]-want["min"]) + 1e-9
	require.Less(t, hi-lo, spread)
	if gram, ok := want["gram_max_err_from_gain2_identity"]; ok {
		require.Less(t, gramError(x, in.(Orthogonal).Gain), 10*gram)
	}
}

func gramError(x *tensor.Tensor, gain float64) float64 {
	cols := x.Dim(-1)
	rows := x.Len() / cols
	d := tensor.As[float32](x)
	at := func(v, i int) float64 { return float64(d[i*cols+v]) }
	n, k := rows, cols
	if rows < cols {
		at, n, k = func(v, i int) float64 { return float64(d[v*cols+i]) }, cols, rows
	}
	worst := 0.0
	for a := range k {
		for b := range k {
			var s float64
			for i := range n {
				s += at(a, i) * at(b, i)
			}
			if a == b {
				s -= gain * gain
			}
			worst = max(worst, math.Abs(s))
		}
	}
	return worst
}
