package pb

import (
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Sequence makes the sequence that p describes. An empty one has element type
// Invalid: its message does not tell.
func (s *Source) Sequence(p *SequenceProto) (*tensor.Sequence, error) {
	out := &tensor.Sequence{}
	fail := func(i int, err error) error { return errs.Errorf("sequence %q: element %d: %w", p.Name, i, err) }
	add := func(i int, v tensor.Value, err error) error {
		if err != nil {
			return fail(i, err)
		}
		if t, ok := v.(*tensor.Tensor); ok {
			if i > 0 && t.DType() != out.DType {
				return fail(i, errs.Errorf("%v in a sequence of %v", t.DType(), out.DType))
			}
			out.DType = t.DType()
		}
		out.Elems = append(out.Elems, v)
		return nil
	}
	count, want := 0, 0
	for kind, n := range map[ElemKind]int{
		ElemTensor: len(p.TensorValues), ElemSparseTensor: len(p.SparseTensorValues), ElemSequence: len(p.SequenceValues),
		ElemMap: len(p.MapValues), ElemOptional: len(p.OptionalValues),
	} {
		count += n
		if kind == p.ElemType {
			want = n
		}
	}
	if count != want {
		return nil, errs.Errorf("sequence %q of %v holds %d elements of other kinds", p.Name, p.ElemType, count-want)
	}
	for i, e := range p.TensorValues {
		t, err := s.Tensor(e)
		if err := add(i, t, err); err != nil {
			return nil, err
		}
	}
	for i, e := range p.SparseTensorValues {
		t, err := s.Dense(e)
		if err := add(i, t, err); err != nil {
			return nil, err
		}
	}
	for i, e := range p.SequenceValues {
		v, err := s.Sequence(e)
		if err := add(i, v, err); err != nil {
			return nil, err
		}
	}
	for i, e := range p.MapValues {
		v, err := s.Map(e)
		if err := add(i, v, err); err != nil {
			return nil, err
		}
	}
	for i, e := range p.OptionalValues {
		v, err := s.Optional(e)
		if err := add(i, v, err); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Optional makes the optional that p describes; it is empty where the member
// that elem_type names is missing.
func (s *Source) Optional(p *OptionalProto) (*tensor.Optional, error) {
	var v tensor.Value
	var err error
	switch {
	case p.ElemType == ElemTensor && p.TensorValue != nil:
		v, err = s.Tensor(p.TensorValue)
	case p.ElemType == ElemSparseTensor && p.SparseTensorValue != nil:
		v, err = s.Dense(p.SparseTensorValue)
	case p.ElemType == ElemSequence && p.SequenceValue != nil:
		v, err = s.Sequence(p.SequenceValue)
	case p.ElemType == ElemMap && p.MapValue != nil:
		v, err = s.Map(p.MapValue)
	case p.ElemType == ElemOptional && p.OptionalValue != nil:
		v, err = s.Optional(p.OptionalValue)
	default:
		return &tensor.Optional{}, nil
	}
	if err != nil {
		return nil, errs.Errorf("optional %q: %w", p.Name, err)
	}
	return &tensor.Optional{Elem: v}, nil
}

// Map makes the map that p describes; its values must be tensors of one
// element each.
func (s *Source) Map(p *MapProto) (*tensor.Map, error) {
	fail := func(format string, args ...any) (*tensor.Map, error) {
		return nil, errs.Errorf("map %q: %w", p.Name, errs.Errorf(format, args...))
	}
	dt, err := p.KeyType.DType()
	if err != nil {
		return fail("%w", err)
	}
	var keys *tensor.Tensor
	switch {
	case dt == tensor.String:
		names := make([]string, len(p.StringKeys))
		for i, k := range p.StringKeys {
			names[i] = string(k)
		}
		keys, err = tensor.FromStrings(names, len(names))
	case dt.IsInt() && dt.Bits() >= 8:
		keys, err = tensor.Cast(tensor.Of(p.Keys), dt, tensor.CastOptions{})
	default:
		return fail("keys of type %v", dt)
	}
	if err != nil {
		return fail("%w", err)
	}
	if n := len(p.Keys) + len(p.StringKeys); n != keys.Len() {
		return fail("%v keys, and %d of another type", dt, n-keys.Len())
	}
	vals := &tensor.Sequence{}
	if p.Values != nil {
		if vals, err = s.Sequence(p.Values); err != nil {
			return fail("%w", err)
		}
	}
	if len(vals.Elems) != keys.Len() {
		return fail("%d keys, %d values", keys.Len(), len(vals.Elems))
	}
	if keys.Len() == 0 {
		return &tensor.Map{Keys: keys, Values: tensor.New(tensor.Float32, 0)}, nil
	}
	for i, v := range vals.Elems {
		if t, ok := v.(*tensor.Tensor); !ok || t.Len() != 1 {
			return fail("value %d is no single number or string", i)
		}
	}
	out := tensor.New(vals.DType, keys.Len())
	for i, v := range vals.Elems {
		cell, err := out.View(i, v.(*tensor.Tensor).Shape()...)
		if err == nil {
			err = cell.CopyFrom(v.(*tensor.Tensor))
		}
		if err != nil {
			return fail("value %d: %w", i, err)
		}
	}
	return &tensor.Map{Keys: keys, Values: out}, nil
}

// FromValue describes v under a name: a TensorProto, SequenceProto,
// OptionalProto or MapProto.
func FromValue(name string, v tensor.Value) (Message, error) {
	switch v := v.(type) {
	case *tensor.Tensor:
		return FromTensor(name, v)
	case *tensor.Sequence:
		return fromSequence(name, v)
	case *tensor.Optional:
		return fromOptional(name, v)
	case *tensor.Map:
		return fromMap(name, v)
	}
	return nil, errs.Errorf("value %q: no message for %T", name, v)
}

func fromSequence(name string, v *tensor.Sequence) (*SequenceProto, error) {
	p := &SequenceProto{Name: name}
	for i, e := range v.Elems {
		m, err := FromValue("", e)
		if err != nil {
			return nil, errs.Errorf("sequence %q: element %d: %w", name, i, err)
		}
		kind := ElemUndefined
		switch m := m.(type) {
		case *TensorProto:
			kind, p.TensorValues = ElemTensor, append(p.TensorValues, m)
		case *SequenceProto:
			kind, p.SequenceValues = ElemSequence, append(p.SequenceValues, m)
		case *OptionalProto:
			kind, p.OptionalValues = ElemOptional, append(p.OptionalValues, m)
		case *MapProto:
			kind, p.MapValues = ElemMap, append(p.MapValues, m)
		}
		if i > 0 && kind != p.ElemType {
			return nil, errs.Errorf("sequence %q: element %d is a %v, those before it are %v", name, i, kind, p.ElemType)
		}
		p.ElemType = kind
	}
	if len(v.Elems) == 0 && v.DType != tensor.Invalid {
		p.ElemType = ElemTensor
	}
	return p, nil
}

func fromOptional(name string, v *tensor.Optional) (*OptionalProto, error) {
	p := &OptionalProto{Name: name}
	if v.Elem == nil {
		return p, nil
	}
	m, err := FromValue("", v.Elem)
	if err != nil {
		return nil, errs.Errorf("optional %q: %w", name, err)
	}
	switch m := m.(type) {
	case *TensorProto:
		p.ElemType, p.TensorValue = ElemTensor, m
	case *SequenceProto:
		p.ElemType, p.SequenceValue = ElemSequence, m
	case *OptionalProto:
		p.ElemType, p.OptionalValue = ElemOptional, m
	case *MapProto:
		p.ElemType, p.MapValue = ElemMap, m
	}
	return p, nil
}

func fromMap(name string, v *tensor.Map) (*MapProto, error) {
	p := &MapProto{Name: name, KeyType: DataTypeOf(v.Keys.DType())}
	if v.Keys.DType() == tensor.String {
		for _, k := range v.Keys.Strings() {
			p.StringKeys = append(p.StringKeys, []byte(k))
		}
	} else {
		keys, err := v.Keys.Int64s()
		if err != nil {
			return nil, errs.Errorf("map %q: keys: %w", name, err)
		}
		p.Keys = keys
	}
	if v.Values.Len() != v.Keys.Len() {
		return nil, errs.Errorf("map %q: %d keys, %d values", name, v.Keys.Len(), v.Values.Len())
	}
	seq := &tensor.Sequence{DType: v.Values.DType()}
	for i := range v.Values.Len() {
		cell, err := v.Values.View(i)
		if err != nil {
			return nil, err
		}
		seq.Elems = append(seq.Elems, cell)
	}
	vals, err := fromSequence("", seq)
	p.Values = vals
	return p, err
}
