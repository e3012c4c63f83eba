package layers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Entry is one key of a config, in the order Keras writes them.
type Entry struct {
	Key   string
	Value any
}

// Config is a Keras config in order. Values are what encoding/json decodes into (with json.Number), plus
// int, []int and Config itself.
type Config []Entry

// Get is the value of a key.
func (c Config) Get(key string) (any, bool) {
	for _, e := range c {
		if e.Key == key {
			return e.Value, true
		}
	}
	return nil, false
}

// MarshalJSON writes c as Python's json.dumps does: in order, with ", " and ": ".
func (c Config) MarshalJSON() ([]byte, error) { return AppendJSON(nil, c) }

// AppendJSON appends v as Python's json.dumps spells it.
func AppendJSON(b []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case Config:
		b = append(b, '{')
		for i, e := range v {
			b = appendKey(b, e.Key, i)
			if b, err = AppendJSON(b, e.Value); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case map[string]any:
		b = append(b, '{')
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			b = appendKey(b, k, i)
			if b, err = AppendJSON(b, v[k]); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case float64:
		return append(b, pyFloat(v)...), nil
	case string:
		return appendString(b, v), nil
	case json.Number:
		return append(b, v...), nil
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Slice {
		b = append(b, '[')
		for i := range rv.Len() {
			if i > 0 {
				b = append(b, ", "...)
			}
			if b, err = AppendJSON(b, rv.Index(i).Interface()); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	p, err := json.Marshal(v)
	return append(b, p...), err
}

func appendKey(b []byte, key string, i int) []byte {
	if i > 0 {
		b = append(b, ", "...)
	}
	return append(appendString(b, key), ": "...)
}

// appendString writes non-ASCII characters as \u escapes, as Python does.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20 || r == 0x7f && false || r > 0x7e && r < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, r)
		case r >= 0x10000:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			b = append(b, byte(r))
		}
	}
	return append(b, '"')
}

// pyFloat is Python's repr of a float.
func pyFloat(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	a := math.Abs(v)
	if a != 0 && (a < 1e-4 || a >= 1e16) {
		s := strconv.FormatFloat(v, 'e', -1, 64)
		return s
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// ParseJSON decodes a config, keeping numbers as they are spelled, and replacing Keras' {"class_name":
// "__tuple__"} by lists. The bare NaN and Infinity that Python writes become strings.
func ParseJSON(p []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(pythonNumbers(p)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return untuple(v), nil
}

// pythonNumbers quotes the bare words NaN, Infinity and -Infinity.
func pythonNumbers(p []byte) []byte {
	if !bytes.Contains(p, []byte("NaN")) && !bytes.Contains(p, []byte("Infinity")) {
		return p
	}
	var out []byte
	inString := false
	for i := 0; i < len(p); i++ {
		c := p[i]
		if inString {
			if c == '\\' && i+1 < len(p) {
				out = append(out, c)
				i++
				c = p[i]
			} else if c == '"' {
				inString = false
			}
			out = append(out, c)
			continue
		}
		if c == '"' {
			inString = true
		}
		word := ""
		for _, w := range []string{"NaN", "-Infinity", "Infinity"} {
			if bytes.HasPrefix(p[i:], []byte(w)) {
				word = w
				break
			}
		}
		if word != "" {
			out = append(out, '"')
			out = append(out, word...)
			out = append(out, '"')
			i += len(word) - 1
			continue
		}
		out = append(out, c)
	}
	return out
}

func untuple(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = untuple(v[i])
		}
	case map[string]any:
		if v["class_name"] == "__tuple__" {
			if items, ok := v["items"].([]any); ok {
				return untuple(items)
			}
		}
		for k := range v {
			v[k] = untuple(v[k])
		}
	}
	return v
}

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

// fieldsOf lists the config fields of a layer's struct type.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() || f.Anonymous {
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
			return fmt.Errorf("layers: %s %q: %s: %w", ClassName(l), base.Name, key, err)
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
	return "", fmt.Errorf("no dtype policy: %v", v)
}

func asString(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%v is no string", v)
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
	return 0, fmt.Errorf("%v is no number", v)
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
		return 0, fmt.Errorf("%v is no integer", v)
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
			return nil, fmt.Errorf("no class_name in %v", v)
		}
		cfg, _ := v["config"].(map[string]any)
		mod, _ := v["module"].(string)
		return &Object{Class: class, Config: cfg, Module: mod}, nil
	}
	return nil, fmt.Errorf("%v is no serialized object", v)
}

// setField converts v to the field's type.
func setField(f reflect.Value, v any, info field, inner LayerDecoder) error {
	if v == nil {
		f.SetZero()
		if info.null != "" {
			f.SetString(info.null)
		}
		if info.not { // null for a switch is off
			f.SetBool(true)
		}
		return nil
	}
	var err error
	switch p := f.Addr().Interface().(type) {
	case *bool:
		b, ok := v.(bool)
		if !ok {
			n, err := asNumber(v)
			if err != nil {
				return err
			}
			b = n != 0
		}
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
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%v is no list", v)
		}
		for _, e := range list {
			l, err := inner(e)
			if err != nil {
				return err
			}
			*p = append(*p, l)
		}
	case *any:
		*p = v
	default:
		err = fmt.Errorf("no conversion to %v", f.Type())
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
				return nil, fmt.Errorf("%v is no pair", e)
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

// LayerEncoder is what Encode puts for an inner layer.
type LayerEncoder func(l Layer) (any, error)

// Encode is a layer's config in Keras 3's spelling and order, without name, trainable and dtype. Fields at
// their zero value are written with Keras' default.
func Encode(l Layer, inner LayerEncoder) (Config, error) {
	rv := reflect.ValueOf(l)
	if rv.Kind() != reflect.Pointer || rv.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("layers: %T is no pointer to a struct", l)
	}
	rv = rv.Elem()
	var out Config
	for _, f := range fieldsOf(rv.Type()) {
		if f.omit && rv.Field(f.index).IsZero() {
			continue
		}
		v, err := fieldValue(rv.Field(f.index), f, inner)
		if err != nil {
			return nil, fmt.Errorf("layers: %s %q: %s: %w", ClassName(l), l.Common().Name, f.key, err)
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
	case []float64, []string:
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
