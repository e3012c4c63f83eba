package layers

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/graph"
)

// maskArguments is the arguments that hand a layer masks, and whose input's mask each is; Keras 3 writes
// masks into a functional graph by them, Keras 2 lets the inputs carry them.
var maskArguments = map[string]int{"mask": 0, "query_mask": 0, "value_mask": 1, "key_mask": 2}

// MasksImplied reports whether the masks that a call in inner (m or a model in it) is given by name are those
// that its inputs carry without, by the layers before it. m has to be built.
func (m *Model) MasksImplied(inner *Model, n Node) bool {
	if m.root == nil {
		return false
	}
	i := 0
	for _, c := range inner.nodes {
		if c.layer != n.Layer {
			continue
		}
		if i == n.Index {
			return m.root.implied[c]
		}
		i++
	}
	return false
}

// noteMasks keeps for MasksImplied whether a call's masks are implied, in this and all earlier calls of its
// model.
func (x *expansion) noteMasks(n *node, args []any, kwargs map[string]any) {
	given, implied := false, true
	ins := leaves(nil, args)
	carried := func(i int, mask any) {
		given = given || mask != nil
		var have *graph.Value
		if i < len(ins) {
			have = x.masks[ins[i]]
		}
		want, _ := mask.(*graph.Value)
		implied = implied && sameValue(want, have, 16)
	}
	for name, i := range maskArguments {
		switch m := kwargs[name].(type) {
		case nil:
		case []any:
			for j, v := range m {
				carried(j, v)
			}
		default:
			carried(i, m)
		}
	}
	if before, seen := x.m.root.implied[n]; given && (!seen || before) {
		x.m.root.implied[n] = implied
	}
}

// sameValue reports whether two values are computed in the same way from the same values.
func sameValue(a, b *graph.Value, depth int) bool {
	switch {
	case a == b:
		return true
	case a == nil || b == nil || depth == 0:
		return false
	case a.IsConst() && b.IsConst():
		return a.Data != nil && b.Data != nil && a.Data.DType() == b.Data.DType() &&
			slices.Equal(a.Data.Shape(), b.Data.Shape()) && bytes.Equal(a.Data.Bytes(), b.Data.Bytes())
	case a.Def == nil || b.Def == nil || len(a.Def.In) != len(b.Def.In):
		return false
	case slices.Index(a.Def.Out, a) != slices.Index(b.Def.Out, b) || !reflect.DeepEqual(a.Def.Op, b.Def.Op):
		return false
	}
	for i, v := range a.Def.In {
		if !sameValue(v, b.Def.In[i], depth-1) {
			return false
		}
	}
	return true
}
