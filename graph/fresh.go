package graph

import "strconv"

const unknownName = "_unknown_"

// Unknown is what an Infer returns for a dimension that only running can tell. The builder replaces each
// one by a symbol of its own, named after the value and axis, so that two unknowns are never equal.
//
//go:noinline
func Unknown() Dim { return Dim{expr: unknownName} }

// IsUnknown reports whether d is or holds an Unknown.
//
//go:noinline
func (d Dim) IsUnknown() bool {
	if d.expr == "" {
		return false
	}
	set := map[string]bool{}
	d.Symbols(set)
	return set[unknownName]
}

// Compatible reports whether a and b can be the same size: equal, or one of them no number.
//
//go:noinline
func Compatible(a, b Dim) bool {
	return a == b || a.expr != "" || b.expr != ""
}

// Freshen names the unknown dimensions of a value's type.
func Freshen(t Type, value string) Type {
	for i, d := range t.Dims {
		if d.IsUnknown() {
			t.Dims = append([]Dim{}, t.Dims...)
			t.Dims[i] = Sym("u_" + value + "_" + strconv.Itoa(i))
		}
	}
	for i, d := range t.Ints {
		if d.IsUnknown() {
			t.Ints = append([]Dim{}, t.Ints...)
			t.Ints[i] = Sym("u_" + value + "_v" + strconv.Itoa(i))
		}
	}
	if t.Elem != nil {
		e := Freshen(*t.Elem, value+"_e")
		t.Elem = &e
	}
	return t
}

// IsOpen reports whether a dimension of t is an Unknown that no builder has named yet.
func (t Type) IsOpen() bool {
	for _, d := range t.Dims {
		if d.IsUnknown() {
			return true
		}
	}
	return false
}
