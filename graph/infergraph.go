package graph

import "github.com/nnrt/nnrt/internal/errs"

// InferTypes gives the types that g's outputs have where its inputs have the types in, without changing g.
// It is what operators that hold graphs infer with.
func (g *Graph) InferTypes(in []Type) ([]Type, error) {
	types, err := g.InferAll(in)
	if err != nil {
		return nil, err
	}
	out := make([]Type, len(g.Outputs))
	for i, v := range g.Outputs {
		t, ok := types[v]
		if !ok {
			t = v.Type
		}
		out[i] = t
	}
	return out, nil
}

// InferAll is InferTypes for every value that is an input or made by a node.
func (g *Graph) InferAll(in []Type) (map[*Value]Type, error) {
	if len(in) != len(g.Inputs) {
		return nil, errs.Errorf("the subgraph %q has %d inputs, %d are given", g.Name, len(g.Inputs), len(in))
	}
	types := map[*Value]Type{}
	for i, v := range g.Inputs {
		types[v] = narrow(v.Type, in[i])
	}
	for _, n := range g.Nodes {
		ts := make([]Type, len(n.In))
		for i, v := range n.In {
			if v == nil {
				continue
			}
			t, ok := types[v]
			if !ok {
				t = v.Type
			}
			ts[i] = t
		}
		outs, err := n.Op.Infer(ts)
		if err == nil && len(outs) != len(n.Out) {
			err = errs.Errorf("has %d outputs, Infer gives %d", len(n.Out), len(outs))
		}
		if err != nil {
			return nil, &TypeError{Op: n.Op.Name(), Node: n.Out[0].Name, Origin: n.Origin, Msg: err.Error(), Err: err}
		}
		for i, v := range n.Out {
			types[v] = Freshen(outs[i], v.Name)
		}
	}
	return types, nil
}

// narrow is the given type, unless nothing is given: then the declared one.
func narrow(declared, given Type) Type {
	if given.Kind == TensorKind && !given.DType.Valid() {
		return declared
	}
	return given
}

// Join is the type of a value that is of type a or of type b: what they have in common. ok is false where
// they can't be one value's types at all.
func Join(a, b Type) (t Type, ok bool) {
	if a.Kind != b.Kind {
		return a, false
	}
	switch a.Kind {
	case SequenceKind, OptionalKind:
		if a.Elem == nil || b.Elem == nil {
			return a, true
		}
		e, ok := Join(*a.Elem, *b.Elem)
		if a.Kind == SequenceKind {
			return SequenceOf(e), ok
		}
		return OptionalOf(e), ok
	case MapKind:
		return a, a.Key == b.Key && a.DType == b.DType
	}
	if a.DType != b.DType {
		return a, false
	}
	if a.Unranked || b.Unranked || len(a.Dims) != len(b.Dims) {
		return UnrankedOf(a.DType), true
	}
	t = Type{DType: a.DType, Dims: make([]Dim, len(a.Dims))}
	for i, d := range a.Dims {
		if t.Dims[i] = d; d != b.Dims[i] {
			t.Dims[i] = Unknown()
		}
	}
	return t, true
}
