package layers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/stretchr/testify/require"
)

// opCase is a call of a keras.ops function with its results by NumPy (testdata/operations.py).
type opCase struct {
	Op     string
	Config map[string]any
	Args   []any // "$0" is input 0; nil: all inputs in order
	Kwargs map[string]any
	Inputs []struct {
		DType string
		Shape []int
		Data  []float64
	}
	Want []struct {
		Shape []int
		Data  []float64
	}
}

func readCases(t *testing.T) []opCase {
	b, err := os.ReadFile("testdata/operations.json")
	require.NoError(t, err)
	// NaN stands among numbers: it is written as a number that none of the cases has
	b = []byte(strings.NewReplacer("NaN", "-987654321").Replace(string(b)))
	var cases []opCase
	d := json.NewDecoder(strings.NewReader(string(b)))
	require.NoError(t, d.Decode(&cases))
	for _, c := range cases {
		for i := range c.Inputs {
			nan(c.Inputs[i].Data)
		}
		for i := range c.Want {
			nan(c.Want[i].Data)
		}
	}
	return cases
}

func nan(v []float64) {
	for i := range v {
		if v[i] == -987654321 {
			v[i] = math.NaN()
		}
	}
}

// numbers is JSON's numbers as configs have them.
func numbers(v any) any {
	switch v := v.(type) {
	case float64:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64))
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func fill(v any, ts []*layers.Tensor) any {
	switch v := v.(type) {
	case string:
		if i, err := strconv.Atoi(strings.TrimPrefix(v, "$")); err == nil && v[0] == '$' {
			return ts[i]
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fill(v[i], ts)
		}
		return out
	}
	return numbers(v)
}

// TestOperations compares operations with NumPy.
func TestOperations(t *testing.T) {
	for i, c := range readCases(t) {
		t.Run(c.Op+"_"+strconv.Itoa(i), func(t *testing.T) {
			m := layers.NewModel("m")
			var ts []*layers.Tensor
			in := map[string]*tensor.Tensor{}
			for i, x := range c.Inputs {
				name := "x" + strconv.Itoa(i)
				dt, err := tensor.ParseDType(x.DType)
				require.NoError(t, err)
				ts = append(ts, m.Apply(&layers.InputLayer{Base: layers.Named(name), BatchShape: append([]int{-1}, x.Shape[1:]...), InputDType: x.DType}))
				in[name] = tensor.New(dt, x.Shape...)
				require.NoError(t, in[name].SetFloat64s(x.Data))
			}
			var args []any
			for _, x := range ts {
				args = append(args, x)
			}
			if c.Args != nil {
				args, _ = fill(c.Args, ts).([]any)
			}
			config, _ := numbers(c.Config).(map[string]any)
			kwargs, _ := numbers(c.Kwargs).(map[string]any)
			y := m.ApplyArgs(&layers.Operation{Base: layers.Named("y"), Op: c.Op, Config: config}, args, kwargs)
			var outs []*layers.Tensor
			for i := range c.Want {
				outs = append(outs, y.Out(i))
			}
			m.SetOutputs(outs...)
			g, err := m.Graph(layers.Options{})
			require.NoError(t, err)
			p, err := runtime.Compile(g, ref.New(), runtime.Options{})
			require.NoError(t, err)
			s, err := p.NewSession()
			require.NoError(t, err)
			got, err := s.Run(context.Background(), in)
			require.NoError(t, err)
			for i, w := range c.Want {
				v := got[g.Outputs[i].Name]
				require.Equal(t, append([]int{}, w.Shape...), append([]int{}, v.Shape()...))
				fs, err := v.Float64s()
				require.NoError(t, err)
				for k := range fs {
					if math.IsNaN(fs[k]) && math.IsNaN(w.Data[k]) {
						continue
					}
					require.InDelta(t, w.Data[k], fs[k], 2e-5+2e-5*math.Abs(w.Data[k]), "output %d, element %d", i, k)
				}
			}
		})
	}
}

// TestUnusedArguments wants what an operation would ignore refused.
func TestUnusedArguments(t *testing.T) {
	m := layers.NewModel("m")
	x := m.AddInput("x", 4)
	m.SetOutputs(m.ApplyArgs(&layers.Operation{Base: layers.Named("y"), Op: "Exp", Config: map[string]any{"base": json.Number("2")}}, []any{x}, nil))
	_, err := m.Graph(layers.Options{})
	require.ErrorContains(t, err, "argument base of Exp")
}

// TestAllOperations wants every operation that Keras' source defines (testdata/keras_ops.txt) known, or
// listed with a reason.
func TestAllOperations(t *testing.T) {
	f, err := os.Open("testdata/keras_ops.txt")
	require.NoError(t, err)
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
		module, name, _ := strings.Cut(s.Text(), " ")
		why, listed := notComputed[name]
		require.NotEqual(t, listed, layers.KnownOperation(name, ""), "%s.%s: %s", module, name, why)
	}
	require.Greater(t, n, 300)
}

// notComputed is the operations of Keras that are refused, and why.
var notComputed = map[string]string{
	"Map": "takes a Python function", "Scan": "takes a Python function", "AssociativeScan": "takes a Python function", "Switch": "takes Python functions",
	"WhileLoop": "takes Python functions", "ForiLoop": "takes a Python function", "Cond": "takes Python functions", "VectorizedMap": "takes a Python function",
	"JVP": "takes a Python function", "Function": "is a graph itself and not saved as a node",
	"ViewAsComplex": "complex numbers, which no layer takes", "ViewAsReal": "complex numbers, which no layer takes",
	"Eig": "no operator for eigenvalues", "Eigh": "no operator for eigenvalues", "LuFactor": "the layout of LAPACK's factors", "Qr": "signs depend on the library",
	"SVD": "signs depend on the library", "Lstsq": "needs singular values", "MatrixRank": "needs singular values", "Pinv": "needs singular values",
	"Gammainc": "no operator for the incomplete gamma function", "ISTFT": "not written yet", "Nextafter": "the bits of numbers",
	"SegmentReduction":   "abstract: SegmentSum and SegmentMax are its classes",
	"CTCLoss":            "a loss: see train/loss",
	"CTCDecode":          "a search, not an expression of tensors",
	"ReconstructPatches": "not written yet", "ElasticTransform": "random", "ScaleAndTranslate": "not written yet", "SobelEdges": "not written yet", "SSIM": "not written yet",
	"Rearrange": "not written yet",
}
