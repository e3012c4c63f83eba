package layers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/nnrt/nnrt/internal/classes"
)

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
		return append(b, classes.Float(v)...), nil
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
		case r < 0x20 || r > 0x7e && r < 0x10000:
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
