package layers

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/nnrt/nnrt/internal/errs"
)

// LayerEncoder is what Encode puts for an inner layer.
type LayerEncoder func(l Layer) (any, error)

// Encode is a layer's config in Keras 3's spelling and order, without name, trainable and dtype. Fields at
// their zero value are written with Keras' default.
func Encode(l Layer, inner LayerEncoder) (Config, error) {
	rv := reflect.ValueOf(l)
	if rv.Kind() != reflect.Pointer || rv.Elem().Kind() != reflect.Struct {
		return nil, errs.Errorf("layers: %T is no pointer to a struct", l)
	}
	rv = rv.Elem()
	var out Config
	for _, f := range fieldsOf(rv.Type()) {
		if f.omit && rv.Field(f.index).IsZero() {
			continue
		}
		v, err := fieldValue(rv.Field(f.index), f, inner)
		if err != nil {
			return nil, errs.Errorf("layers: %s %q: %s: %w", ClassName(l), l.Common().Name, f.key, err)
		}
		out = append(out, Entry{f.key, v})
	}
	extra := l.Common().Extra
	keys := make([]string, 0, len(extra))
	for k := range extra {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		out = append(out, Entry{k, extra[k]})
	}
	return out, nil
}

func fieldValue(f reflect.Value, info field, inner LayerEncoder) (any, error) {
	if f.IsZero() && info.def != "" {
		return ParseJSON([]byte(info.def))
	}
	if f.IsZero() && info.init != "" {
		return EncodeObject(Init(info.init)), nil
	}
	switch v := f.Interface().(type) {
	case bool:
		return v != info.not, nil
	case *int:
		if v == nil {
			return nil, nil
		}
		return *v, nil
	case *float64:
		if v == nil {
			return nil, nil
		}
		return *v, nil
	case Activation:
		return encodeActivation(v)
	case []int:
		if v == nil {
			return nil, nil
		}
		return shapeValue(v), nil
	case [][2]int:
		return pairsValue(v), nil
	case []float64, []string, []any:
		if f.IsNil() {
			return nil, nil
		}
		return v, nil
	case string:
		if v == "" || v == info.null {
			return nil, nil
		}
		return v, nil
	case *Object:
		return EncodeObject(v), nil
	case Layer:
		return inner(v)
	case []Layer:
		out := make([]any, len(v))
		for i, l := range v {
			var err error
			if out[i], err = inner(l); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if f.Kind() == reflect.Interface && f.IsNil() {
		return nil, nil
	}
	return f.Interface(), nil
}

func shapeValue(v []int) []any {
	out := make([]any, len(v))
	for i, n := range v {
		if n >= 0 {
			out[i] = n
		}
		if n < 0 {
			out[i] = json.Number(strconv.Itoa(n))
		}
	}
	return out
}

// ShapeConfig is a shape as configs have it: -1 is null.
func ShapeConfig(v []int) any {
	if v == nil {
		return nil
	}
	out := make([]any, len(v))
	for i, n := range v {
		if n >= 0 {
			out[i] = n
		}
	}
	return out
}

func pairsValue(v [][2]int) any {
	if len(v) == 1 {
		return []int{v[0][0], v[0][1]}
	}
	out := make([]any, len(v))
	for i, p := range v {
		out[i] = []int{p[0], p[1]}
	}
	return out
}

// EncodeObject is a serialized object as Keras 3 writes it.
func EncodeObject(o *Object) any {
	if o == nil {
		return nil
	}
	module, class, cfg := objectHome(o)
	return Config{
		{"module", module}, {"class_name", class}, {"config", cfg}, {"registered_name", nil},
	}
}
