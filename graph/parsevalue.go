package graph

import (
	"encoding/base64"
	"reflect"
	"strconv"

	"github.com/nnrt/nnrt/tensor"
)

// fields reads {Name: value, ...} into a struct.
func (p *parser) fields(v reflect.Value) error {
	if p.depth++; p.depth > 32 {
		return p.errorf("values are nested too deeply")
	}
	defer func() { p.depth-- }()
	if err := p.take("{"); err != nil {
		return err
	}
	for p.tok != "}" {
		name, err := p.word()
		if err != nil {
			return err
		}
		f := v.FieldByName(name)
		if !f.IsValid() || !f.CanSet() {
			return p.errorf("%v has no attribute %q", v.Type(), name)
		}
		if err := p.take(":"); err != nil {
			return err
		}
		if err := p.value(f); err != nil {
			return err
		}
		if p.tok == "," {
			p.next()
		} else if p.tok != "}" {
			return p.errorf("expected ',' or '}', found %q", p.tok)
		}
	}
	p.next()
	return nil
}

var (
	tensorType = reflect.TypeFor[*tensor.Tensor]()
	graphType  = reflect.TypeFor[*Graph]()
)

// value reads one attribute value into v.
func (p *parser) value(v reflect.Value) error {
	switch v.Type() {
	case tensorType:
		if err := p.take("tensor"); err != nil {
			return err
		}
		t, err := p.typ()
		if err == nil {
			err = p.take("=")
		}
		if err != nil {
			return err
		}
		data, err := p.data(t)
		v.Set(reflect.ValueOf(data))
		return err
	case graphType:
		g, err := p.graph()
		v.Set(reflect.ValueOf(g))
		return err
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		return p.list(v)
	case reflect.Struct:
		return p.fields(v)
	case reflect.Pointer:
		e := reflect.New(v.Type().Elem())
		v.Set(e)
		return p.value(e.Elem())
	}
	return p.scalar(v)
}

func (p *parser) list(v reflect.Value) error {
	if err := p.take("["); err != nil {
		return err
	}
	n := 0
	for p.tok != "]" {
		if v.Kind() == reflect.Slice {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		}
		if n >= v.Len() {
			return p.errorf("over %d elements", v.Len())
		}
		if err := p.value(v.Index(n)); err != nil {
			return err
		}
		n++
		if p.tok == "," {
			p.next()
		} else if p.tok != "]" {
			return p.errorf("expected ',' or ']', found %q", p.tok)
		}
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	p.next()
	return nil
}

func (p *parser) scalar(v reflect.Value) error {
	w, err := p.word()
	if err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(w)
	case reflect.Bool:
		b, perr := strconv.ParseBool(w)
		v.SetBool(b)
		err = perr
	case reflect.Float32, reflect.Float64:
		f, perr := strconv.ParseFloat(w, 64)
		v.SetFloat(f)
		err = perr
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, perr := strconv.ParseInt(w, 10, v.Type().Bits())
		v.SetInt(i)
		err = perr
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, perr := strconv.ParseUint(w, 10, v.Type().Bits())
		v.SetUint(u)
		err = perr
	default:
		return p.errorf("attributes of type %v have no text form", v.Type())
	}
	if err != nil {
		return p.errorf("%v", err)
	}
	return nil
}

// data reads a tensor's elements: a list of integers or strings, or base64.
func (p *parser) data(t Type) (*tensor.Tensor, error) {
	shape, ok := t.Shape()
	n, err := tensor.NumElements(shape)
	if !ok || err != nil || n > maxParseElements {
		return nil, p.errorf("%v is no type for data", t)
	}
	if p.tok == "[" {
		return p.listData(t, shape, n)
	}
	w, err := p.word()
	if err != nil {
		return nil, err
	}
	raw, err := base64.StdEncoding.DecodeString(w)
	if err != nil {
		return nil, p.errorf("the elements are left out, or no base64")
	}
	out, err := tensor.FromBytes(t.DType, shape, raw, nil)
	if err != nil {
		return nil, p.errorf("%v", err)
	}
	return out, nil
}

func (p *parser) listData(t Type, shape []int, n int) (*tensor.Tensor, error) {
	if t.DType == tensor.String {
		s := []string{}
		if err := p.list(reflect.ValueOf(&s).Elem()); err != nil {
			return nil, err
		}
		out, err := tensor.FromStrings(s, shape...)
		if err != nil {
			return nil, p.errorf("%v", err)
		}
		return out, nil
	}
	vs := []int64{}
	if err := p.list(reflect.ValueOf(&vs).Elem()); err != nil {
		return nil, err
	}
	if len(vs) != n || t.DType != tensor.Int64 {
		return nil, p.errorf("%d integers for %v", len(vs), t)
	}
	out := tensor.New(tensor.Int64, shape...)
	copy(tensor.As[int64](out), vs)
	return out, nil
}
