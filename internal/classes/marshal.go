package classes

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
)

// Float is Python's repr of a float: 1.0, 1e-07.
func Float(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Marshal is json.Marshal that keeps floats floats. Some of Keras' classes take no other: SGD refuses a momentum of 0, which
// encoding/json makes of 0.0.
func Marshal(v any) (json.RawMessage, error) { return appendValue(nil, reflect.ValueOf(v)) }

func appendValue(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	if _, ok := v.Interface().(json.Marshaler); ok {
		p, err := json.Marshal(v.Interface())
		return append(b, p...), err
	}
	var err error
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, errs.Errorf("%v has no JSON form", f)
		}
		return append(b, Float(f)...), nil
	case reflect.Pointer, reflect.Interface:
		return appendValue(b, v.Elem())
	case reflect.Struct:
		if b, err = appendFields(append(b, '{'), v); err != nil {
			return nil, err
		}
		return append(b, '}'), nil
	case reflect.Slice:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendValue(b, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	if m, ok := v.Interface().(map[string]any); ok {
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(m)) {
			if b, err = appendField(b, k, i == 0, reflect.ValueOf(m[k])); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	p, err := json.Marshal(v.Interface())
	return append(b, p...), err
}

// appendFields appends a struct's fields, those of embedded structs among them.
func appendFields(b []byte, v reflect.Value) (_ []byte, err error) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("json")
		switch {
		case f.Anonymous && name == "":
			b, err = appendFields(b, reflect.Indirect(v.Field(i)))
		case f.IsExported() && name != "-":
			if name == "" {
				name = f.Name
			}
			b, err = appendField(b, name, b[len(b)-1] == '{', v.Field(i))
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendField(b []byte, name string, first bool, v reflect.Value) ([]byte, error) {
	if !first {
		b = append(b, ',')
	}
	return appendValue(append(strconv.AppendQuote(b, name), ':'), v)
}
