package initializer

import (
	"encoding/json"
	"reflect"
	"strings"

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
		return json.Marshal(v[0])
	}
	return json.Marshal([]float64(v))
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

// row is a class with its defaults.
type row struct {
	def   Initializer
	names []string // the class name first, then Keras' other spellings
}

// rows is every initializer; the first name is what Keras 3 writes.
var rows = []row{
	{Zeros{}, []string{"Zeros", "zeros", "zero"}},
	{Ones{}, []string{"Ones", "ones", "one"}},
	{Constant{Value: Values{0}}, []string{"Constant", "constant"}},
	{Identity{Gain: 1}, []string{"Identity", "identity", "IdentityInitializer"}},
	{RandomNormal{Stddev: 0.05}, []string{"RandomNormal", "random_normal", "normal"}},
	{TruncatedNormal{Stddev: 0.05}, []string{"TruncatedNormal", "truncated_normal"}},
	{RandomUniform{Minval: -0.05, Maxval: 0.05}, []string{"RandomUniform", "random_uniform", "uniform"}},
	{VarianceScaling{Scale: 1, Mode: "fan_in", Distribution: "truncated_normal"},
		[]string{"VarianceScaling", "variance_scaling"}},
	{GlorotUniform{}, []string{"GlorotUniform", "glorot_uniform"}},
	{GlorotNormal{}, []string{"GlorotNormal", "glorot_normal"}},
	{HeUniform{}, []string{"HeUniform", "he_uniform"}},
	{HeNormal{}, []string{"HeNormal", "he_normal"}},
	{LecunUniform{}, []string{"LecunUniform", "lecun_uniform"}},
	{LecunNormal{}, []string{"LecunNormal", "lecun_normal"}},
	{Orthogonal{Gain: 1}, []string{"Orthogonal", "orthogonal", "OrthogonalInitializer"}},
	{STFT{Side: "real", Window: "hann", Scaling: "density"}, []string{"STFT", "stft", "STFTInitializer"}},
}

// New is the initializer of a Keras name ("glorot_uniform", "GlorotUniform") with its default config.
func New(name string) (Initializer, error) { return Decode(name, nil) }

// Decode makes the initializer of a Keras class name from its config; absent keys take Keras' defaults.
func Decode(name string, config json.RawMessage) (Initializer, error) {
	for _, r := range rows {
		for _, n := range r.names {
			if n != name {
				continue
			}
			p := reflect.New(reflect.TypeOf(r.def))
			p.Elem().Set(reflect.ValueOf(r.def))
			if len(config) > 0 {
				if err := json.Unmarshal(config, p.Interface()); err != nil {
					return nil, errs.Errorf("initializer: %s config: %w", name, err)
				}
			}
			return p.Elem().Interface().(Initializer), nil
		}
	}
	return nil, errs.Errorf("initializer: unknown initializer %q", name)
}

// ClassName is what Keras calls in's class; empty for one that is not Keras'.
func ClassName(in Initializer) string {
	for _, r := range rows {
		if reflect.TypeOf(r.def) == reflect.TypeOf(in) {
			return r.names[0]
		}
	}
	return ""
}

// Encode is in's class name and config as Keras writes them.
func Encode(in Initializer) (class string, config json.RawMessage, err error) {
	if class = ClassName(in); class == "" {
		return "", nil, errs.Errorf("initializer: %T is none of Keras'", in)
	}
	config, err = json.Marshal(in)
	return class, config, err
}

// Names is every accepted name, for messages.
func Names() string {
	var s []string
	for _, r := range rows {
		s = append(s, r.names[0])
	}
	return strings.Join(s, ", ")
}
