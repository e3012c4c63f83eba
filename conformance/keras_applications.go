package conformance

import (
	"context"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// ApplicationSuite is the layout of keras.applications with made-up weights: architecture.json,
// weights.json, inputs.npz and outputs.npz. The weights follow a recipe.
type ApplicationSuite struct{}

// Name implements Suite.
func (ApplicationSuite) Name() string { return "keras-applications" }

// Cases implements Suite.
func (s ApplicationSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	if !hasEntry(entries, "architecture.json") || !hasEntry(entries, "weights.json") {
		return nil, nil
	}
	return []Case{{Suite: s.Name(), Name: filepath.Base(dir), Run: func(ctx context.Context, c *Check) error {
		return runApplication(ctx, dir, c)
	}}}, nil
}

type recipeWeight struct {
	Path  string    `json:"path"`
	Name  string    `json:"name"`
	Shape []int     `json:"shape"`
	Sum   float64   `json:"sum"`
	First []float64 `json:"first"`
}

func runApplication(ctx context.Context, dir string, c *Check) error {
	config, err := os.ReadFile(filepath.Join(dir, "architecture.json"))
	if err != nil {
		return err
	}
	m, err := keras.ReadConfig(config, keras.Options{})
	if err != nil {
		return err
	}
	if err := m.Build(); err != nil {
		return err
	}
	meta := struct {
		RTol float64 `json:"rtol"`
		ATol float64 `json:"atol"`
		Gain float64 `json:"gain"`
	}{RTol: 1e-3, ATol: 1e-4}
	if err := readJSONFile(filepath.Join(dir, "meta.json"), &meta); err != nil {
		return err
	}
	if err := FillApplication(m, dir, meta.Gain); err != nil {
		return err
	}
	return compareKeras(ctx, m, dir, kerasMeta{RTol: meta.RTol, ATol: meta.ATol, Calls: 1}, c)
}

func readJSONFile(path string, v any) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return errs.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// FillApplication gives the weights of an application the values of the recipe, and checks them against the
// sums in weights.json.
func FillApplication(m *layers.Model, dir string, gain float64) error {
	var list []recipeWeight
	if err := readJSONFile(filepath.Join(dir, "weights.json"), &list); err != nil {
		return err
	}
	ws := m.Weights()
	if len(ws) != len(list) {
		return errs.Errorf("the model has %d weights, weights.json %d", len(ws), len(list))
	}
	for k, w := range ws {
		r := list[k]
		// a variable without a name is numbered over the whole program there
		if !strings.HasPrefix(r.Name, w.Name) || !slices.Equal(w.Shape, r.Shape) {
			return errs.Errorf("weight %d is %s %v, weights.json has %s %v", k, w.Path, w.Shape, r.Path, r.Shape)
		}
		t := recipe(uint64(k), r, gain)
		if w.DType.IsInt() {
			for i, v := range tensor.As[float32](t) {
				tensor.As[float32](t)[i] = float32(math.Trunc(float64(v)))
			}
		}
		sum := 0.0
		for i, v := range tensor.As[float32](t) {
			sum += float64(v)
			if i < len(r.First) && math.Abs(float64(v)-r.First[i]) > 1e-6 {
				return errs.Errorf("weight %d (%s): element %d is %v, the recipe gives %v", k, r.Path, i, v, r.First[i])
			}
		}
		if math.Abs(sum-r.Sum) > 1e-3*(1+math.Abs(r.Sum)) {
			return errs.Errorf("weight %d (%s): its sum is %v, the recipe's %v", k, r.Path, sum, r.Sum)
		}
		if err := w.SetData(t); err != nil {
			return err
		}
	}
	return nil
}

// recipe is weight k's values: splitmix64 from state k, scaled by the weight's name and shape.
func recipe(k uint64, r recipeWeight, gain float64) *tensor.Tensor {
	t := tensor.New(tensor.Float32, r.Shape...)
	scale := 1.0
	if n := len(r.Shape); n > 0 {
		fan := 1
		if r.Name == "depthwise_kernel" && n > 1 || n == 4 && r.Shape[3] == 1 {
			fan = r.Shape[0] * r.Shape[1]
		} else {
			for _, d := range r.Shape[:n-1] {
				fan *= d
			}
		}
		scale = math.Sqrt(gain / float64(fan))
	}
	for i := range tensor.As[float32](t) {
		z := k + uint64(i+1)*0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		u := float64(z>>11) * 0x1p-53
		var v float64
		switch {
		case r.Name == "moving_variance" || r.Name == "variance":
			v = 0.5 + u
		case r.Name == "gamma" && strings.Contains(r.Path, "layer_scale"):
			v = 0.1 + 0.1*u
		case r.Name == "gamma" || r.Name == "scale":
			v = 0.75 + 0.5*u
		case r.Name == "beta" || r.Name == "bias" || r.Name == "moving_mean" || r.Name == "mean" || len(r.Shape) < 2:
			v = 0.2*u - 0.1
		default:
			v = (2*u - 1) * scale
		}
		tensor.As[float32](t)[i] = float32(v)
	}
	return t
}
