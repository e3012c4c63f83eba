package initializer

import (
	"encoding/json"

	"github.com/nnrt/nnrt/internal/classes"
	"github.com/nnrt/nnrt/internal/errs"
)

// Seed is a seed as Keras writes it: a number, or a SeedGenerator object that holds one.
type Seed int64

// UnmarshalJSON reads a number or a serialized SeedGenerator.
func (s *Seed) UnmarshalJSON(p []byte) error {
	var n int64
	if json.Unmarshal(p, &n) == nil {
		*s = Seed(n)
		return nil
	}
	var obj struct {
		Config struct {
			Seed *int64 `json:"seed"`
		} `json:"config"`
	}
	if err := json.Unmarshal(p, &obj); err != nil {
		return errs.Errorf("initializer: seed %s: %w", p, err)
	}
	if obj.Config.Seed != nil {
		*s = Seed(*obj.Config.Seed)
	}
	return nil
}

// Axes is a list of axes; Keras writes a single one as a number.
type Axes []int

// UnmarshalJSON reads a number, a list or null.
func (a *Axes) UnmarshalJSON(p []byte) error {
	var n int
	if json.Unmarshal(p, &n) == nil && string(p) != "null" {
		*a = Axes{n}
		return nil
	}
	*a = nil
	return json.Unmarshal(p, (*[]int)(a))
}

// Values is one number or an array of numbers of any depth, flattened.
type Values []float64

// MarshalJSON writes a single value as a number.
func (v Values) MarshalJSON() ([]byte, error) {
	if len(v) == 1 {
		return classes.Marshal(v[0])
	}
	return classes.Marshal([]float64(v))
}

// UnmarshalJSON reads a number, nested arrays, or Keras' serialized numpy array.
func (v *Values) UnmarshalJSON(p []byte) error {
	var x any
	if err := json.Unmarshal(p, &x); err != nil {
		return err
	}
	if obj, ok := x.(map[string]any); ok {
		cfg, _ := obj["config"].(map[string]any)
		x = cfg["value"]
	}
	*v = nil
	return v.flatten(x)
}

func (v *Values) flatten(x any) error {
	switch x := x.(type) {
	case float64:
		*v = append(*v, x)
	case bool:
		*v = append(*v, map[bool]float64{true: 1}[x])
	case []any:
		for _, e := range x {
			if err := v.flatten(e); err != nil {
				return err
			}
		}
	default:
		return errs.Errorf("initializer: constant value %v is no number", x)
	}
	return nil
}

// table is every initializer; the first name is what Keras 3 writes.
var table = classes.Table{Package: "initializer", Kind: "initializer", Rows: []classes.Row{
	{Default: Zeros{}, Names: []string{"Zeros", "zeros", "zero"}},
	{Default: Ones{}, Names: []string{"Ones", "ones", "one"}},
	{Default: Constant{Value: Values{0}}, Names: []string{"Constant", "constant"}},
	{Default: Identity{Gain: 1}, Names: []string{"Identity", "identity", "IdentityInitializer"}},
	{Default: RandomNormal{Stddev: 0.05}, Names: []string{"RandomNormal", "random_normal", "normal"}},
	{Default: TruncatedNormal{Stddev: 0.05}, Names: []string{"TruncatedNormal", "truncated_normal"}},
	{Default: RandomUniform{Minval: -0.05, Maxval: 0.05}, Names: []string{"RandomUniform", "random_uniform", "uniform"}},
	{Default: VarianceScaling{Scale: 1, Mode: "fan_in", Distribution: "truncated_normal"},
		Names: []string{"VarianceScaling", "variance_scaling"}},
	{Default: GlorotUniform{}, Names: []string{"GlorotUniform", "glorot_uniform"}},
	{Default: GlorotNormal{}, Names: []string{"GlorotNormal", "glorot_normal"}},
	{Default: HeUniform{}, Names: []string{"HeUniform", "he_uniform"}},
	{Default: HeNormal{}, Names: []string{"HeNormal", "he_normal"}},
	{Default: LecunUniform{}, Names: []string{"LecunUniform", "lecun_uniform"}},
	{Default: LecunNormal{}, Names: []string{"LecunNormal", "lecun_normal"}},
	{Default: Orthogonal{Gain: 1}, Names: []string{"Orthogonal", "orthogonal", "OrthogonalInitializer"}},
	{Default: STFT{Side: "real", Window: "hann", Scaling: "density"}, Names: []string{"STFT", "stft", "STFTInitializer"}},
}}

// New is the initializer of a Keras name ("glorot_uniform", "GlorotUniform") with its default config.
func New(name string) (Initializer, error) { return Decode(name, nil) }

// Decode makes the initializer of a Keras class name from its config; absent keys take Keras' defaults.
func Decode(name string, config json.RawMessage) (Initializer, error) {
	v, err := table.Decode(name, config)
	if err != nil {
		return nil, err
	}
	return v.(Initializer), nil
}

// ClassName is what Keras calls in's class; empty for one that is not Keras'.
func ClassName(in Initializer) string { return table.ClassName(in) }

// Encode is in's class name and config as Keras writes them.
func Encode(in Initializer) (class string, config json.RawMessage, err error) {
	return table.Encode(in)
}

// Names is every accepted name, for messages.
func Names() string { return table.Names() }
