package layers

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Entry is one key of a config, in the order Keras writes them.
type Entry struct {
	Key   string
	Value any
}

// Config is a Keras config in order. Values are what encoding/json decodes into (with json.Number), plus
// int, []int and Config itself.
type Config []Entry

// field is one exported field of a layer and the config key it stands for.
type field struct {
	index int
	key   string
	not   bool   // the field is the opposite of the config's switch
	omit  bool   // left out of the config where it is zero
	def   string // the default, as JSON, where the zero value stands for it
	init  string // the class of the initializer that nil stands for
	null  string // the string that the config's null is
}

// foreign reports whether a field of a config that several classes share isn't one of the class's.
func foreign(class string, f reflect.StructField) bool {
	only, ok := f.Tag.Lookup("only")
	return ok && !slices.Contains(strings.Fields(only), class)
}

// ownFields records an error where a field is set that the layer's class doesn't have.
func (c *Call) ownFields() {
	v := reflect.Indirect(reflect.ValueOf(c.Layer))
	for i := 0; v.Kind() == reflect.Struct && i < v.NumField(); i++ {
		if f := v.Type().Field(i); foreign(v.Type().Name(), f) && !v.Field(i).IsZero() {
			c.Failf("has no %s", f.Name)
		}
	}
}

// fieldsOf lists the config fields of a layer's struct type.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Anonymous || foreign(t.Name(), f) {
			continue
		}
		tag := f.Tag.Get("keras")
		if tag == "-" {
			continue
		}
		key, not := strings.CutSuffix(tag, ",not")
		key, omit := strings.CutSuffix(key, ",omitzero")
		if key == "" {
			key = SnakeCase(f.Name)
		}
		out = append(out, field{index: i, key: key, not: not, omit: omit, def: f.Tag.Get("def"), init: f.Tag.Get("init"), null: f.Tag.Get("null")})
	}
	return out
}

// A LayerDecoder makes the layers inside a config (wrapped layers, cells, activations that are layers).
type LayerDecoder func(v any) (Layer, error)

// Decode sets a layer's fields from a config in Keras 3's spelling. Keys that no field has are kept in
// Base.Extra. inner makes inner layers.
func Decode(l Layer, config map[string]any, inner LayerDecoder) error {
	base := l.Common()
	rv := reflect.ValueOf(l).Elem()
	fields := fieldsOf(rv.Type())
	for key, v := range config {
		var err error
		switch key {
		case "name":
			base.Name, err = asString(v)
		case "trainable":
			if t, ok := v.(bool); ok {
				base.Frozen = !t
			}
		case "dtype":
			if k := slices.IndexFunc(fields, func(f field) bool { return f.key == "dtype" }); k >= 0 {
				err = setField(rv.Field(fields[k].index), v, fields[k], inner)
			} else {
				base.DType, err = PolicyName(v)
			}
		case "batch_input_shape":
			base.BatchInputShape, err = asShape(v)
		default:
			k := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
			if k < 0 {
				if base.Extra == nil {
					base.Extra = map[string]any{}
				}
				base.Extra[key] = v
				continue
			}
			err = setField(rv.Field(fields[k].index), v, fields[k], inner)
		}
		if err != nil {
			return errs.Errorf("layers: %s %q: %s: %w", ClassName(l), base.Name, key, err)
		}
	}
	return nil
}

// PolicyName is the name of a serialized dtype or dtype policy.
func PolicyName(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case map[string]any:
		if cfg, ok := v["config"].(map[string]any); ok {
			if s, ok := cfg["name"].(string); ok {
				return s, nil
			}
		}
	}
	return "", errs.Errorf("no dtype policy: %v", v)
}

func asString(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", errs.Errorf("%v is no string", v)
}

// asNumber reads a number, also where Keras wraps it ({"class_name": "__numpy__", ...}, numpy dtypes).
func asNumber(v any) (float64, error) {
	switch v := v.(type) {
	case json.Number:
		return v.Float64()
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case string:
		switch v {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	case map[string]any:
		cfg, _ := v["config"].(map[string]any)
		if x, ok := cfg["value"]; ok {
			return asNumber(x)
		}
		if x, ok := v["value"]; ok {
			return asNumber(x)
		}
	case []any:
		if len(v) == 1 {
			return asNumber(v[0])
		}
	}
	return 0, errs.Errorf("%v is no number", v)
}

func asInt(v any) (int, error) {
	if n, ok := v.(json.Number); ok {
		if i, err := strconv.Atoi(string(n)); err == nil {
			return i, nil
		}
	}
	f, err := asNumber(v)
	if err != nil {
		return 0, err
	}
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, errs.Errorf("%v is no integer", v)
	}
	return int(f), nil
}

// asShape reads a list of sizes; null is -1.
func asShape(v any) ([]int, error) {
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return nil, nil
		}
		n, err := asInt(v)
		return []int{n}, err
	}
	out := make([]int, len(list))
	for i, e := range list {
		if e == nil {
			out[i] = -1
			continue
		}
		n, err := asInt(e)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}

func asFloats(v any) ([]float64, error) {
	if m, ok := v.(map[string]any); ok {
		cfg, _ := m["config"].(map[string]any)
		if x, ok := cfg["value"]; ok {
			v = x
		} else if x, ok := m["value"]; ok {
			v = x
		}
	}
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return nil, nil
		}
		f, err := asNumber(v)
		return []float64{f}, err
	}
	out := []float64{}
	for _, e := range list {
		if sub, ok := e.([]any); ok {
			fs, err := asFloats(sub)
			if err != nil {
				return nil, err
			}
			out = append(out, fs...)
			continue
		}
		f, err := asNumber(e)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// AsObject reads a serialized initializer, regularizer or constraint: null, a name, or class and config.
func AsObject(v any) (*Object, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return &Object{Class: v}, nil
	case map[string]any:
		class, ok := v["class_name"].(string)
		if !ok {
			if name, ok := v["name"].(string); ok { // Keras 1 regularizers: {"name": "WeightRegularizer", ...}
				cfg := map[string]any{}
				for k, e := range v {
					if k != "name" {
						cfg[k] = e
					}
				}
				return &Object{Class: name, Config: cfg}, nil
			}
			return nil, errs.Errorf("no class_name in %v", v)
		}
		cfg, _ := v["config"].(map[string]any)
		mod, _ := v["module"].(string)
		return &Object{Class: class, Config: cfg, Module: mod}, nil
	}
	return nil, errs.Errorf("%v is no serialized object", v)
}

// asLayers appends serialized layers.
func asLayers(out []Layer, v any, inner LayerDecoder) ([]Layer, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errs.Errorf("%v is no list", v)
	}
	for _, e := range list {
		l, err := inner(e)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// asSwitch is a boolean, which some files write as a number.
func asSwitch(v any) (bool, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	n, err := asNumber(v)
	return n != 0, err
}

// setField converts v to the field's type.
func setField(f reflect.Value, v any, info field, inner LayerDecoder) error {
	if v == nil {
		f.SetZero()
		if info.null != "" {
			f.Set(reflect.ValueOf(info.null))
		}
		if info.not { // null for a switch is off
			f.SetBool(true)
		}
		return nil
	}
	var err error
	switch p := f.Addr().Interface().(type) {
	case *bool:
		var b bool
		b, err = asSwitch(v)
		*p = b != info.not
	case *int:
		*p, err = asInt(v)
	case **int:
		var n int
		n, err = asInt(v)
		*p = &n
	case *float64:
		*p, err = asNumber(v)
	case **float64:
		var n float64
		n, err = asNumber(v)
		*p = &n
	case *string:
		*p, err = asString(v)
	case *Activation:
		*p, err = decodeActivation(v)
	case *[]int:
		*p, err = asShape(v)
	case *[][2]int:
		*p, err = asPairs(v)
	case *[]float64:
		*p, err = asFloats(v)
	case *[]string:
		*p, err = asStrings(v)
	case **Object:
		*p, err = AsObject(v)
	case *Layer:
		*p, err = inner(v)
	case *[]Layer:
		*p, err = asLayers(*p, v, inner)
	case *[]any:
		list, ok := v.([]any)
		if !ok {
			return errs.Errorf("%v is no list", v)
		}
		*p = list
	case *any:
		*p = v
	default:
		err = errs.Errorf("no conversion to %v", f.Type())
	}
	return err
}

func asStrings(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		s, err := asString(v)
		return []string{s}, err
	}
	out := make([]string, len(list))
	for i, e := range list {
		var err error
		if out[i], err = asString(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// asPairs reads paddings and croppings: 1, [1, 2], [[1, 2], [3, 4]].
func asPairs(v any) ([][2]int, error) {
	list, ok := v.([]any)
	if !ok {
		n, err := asInt(v)
		return [][2]int{{n, n}}, err
	}
	out := make([][2]int, len(list))
	nested := false
	for i, e := range list {
		if sub, ok := e.([]any); ok {
			nested = true
			p, err := asShape(sub)
			if err != nil {
				return nil, err
			}
			if len(p) != 2 {
				return nil, errs.Errorf("%v is no pair", e)
			}
			out[i] = [2]int{p[0], p[1]}
			continue
		}
		n, err := asInt(e)
		if err != nil {
			return nil, err
		}
		out[i] = [2]int{n, n}
	}
	if !nested && len(out) == 2 { // [1, 2] of a 1-D layer is a pair; of a 2-D layer symmetric: pairsOf decides
		return [][2]int{{out[0][0], out[1][0]}, {-1, -1}}, nil
	}
	return out, nil
}
