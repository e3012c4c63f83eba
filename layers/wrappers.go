package layers

import (
	"reflect"
	"strings"

	"github.com/nnrt/nnrt/graph"
)

// Bidirectional runs one recurrent layer forwards and one backwards, and merges what they give.
type Bidirectional struct {
	Base
	MergeMode     string `def:"\"concat\"" null:"none"` // concat (also ""), sum, ave, mul; "none" gives both
	Layer         Layer  // a recurrent layer
	BackwardLayer Layer  // nil: a copy of Layer in the other direction

	forward, backward recurrent
}

func (l *Bidirectional) inner() Layer { return l.Layer }

// prepare names the halves, and makes the backward one.
func (l *Bidirectional) prepare(c *Call) bool {
	if l.forward != nil && l.forward == l.Layer {
		return true
	}
	fw, ok := l.Layer.(recurrent)
	if !ok {
		c.Failf("wraps %T, which is no recurrent layer", l.Layer)
		return false
	}
	if fw.Common().Name == "" {
		fw.Common().Name = SnakeCase(ClassName(fw))
	}
	stem := strings.TrimPrefix(fw.Common().Name, "forward_")
	fw.Common().Name = "forward_" + stem
	if l.BackwardLayer == nil {
		copied := reflect.New(reflect.TypeOf(fw).Elem())
		src, dst := reflect.ValueOf(fw).Elem(), copied.Elem()
		for i := range src.NumField() { // the config only: a copy of its own for what a call made
			if src.Type().Field(i).IsExported() {
				dst.Field(i).Set(src.Field(i))
			}
		}
		bw, ok := copied.Interface().(recurrent)
		if !ok {
			return false
		}
		if r, ok := bw.(*RNN); ok {
			r.Cell = copyCell(r.Cell)
		}
		back := bw.flags().backwards
		*back = !*back
		bw.Common().Name = "backward_" + stem
		l.BackwardLayer = bw
	}
	bw, ok := l.BackwardLayer.(recurrent)
	if !ok {
		c.Failf("has a backward layer %T, which is no recurrent layer", l.BackwardLayer)
		return false
	}
	l.forward, l.backward = fw, bw
	return true
}

// copyCell copies a cell's config.
func copyCell(cell Layer) Layer {
	v := reflect.New(reflect.TypeOf(cell).Elem())
	v.Elem().Set(reflect.ValueOf(cell).Elem())
	out, _ := v.Interface().(Layer)
	if s, ok := out.(*StackedRNNCells); ok {
		cells := make([]Layer, len(s.Cells))
		for i, inner := range s.Cells {
			cells[i] = copyCell(inner)
		}
		s.Cells = cells
	}
	return out
}

// Call implements Layer.
func (l *Bidirectional) Call(c *Call) []*graph.Value {
	if !l.prepare(c) {
		return one(c.X())
	}
	states := c.initialStates()
	half := len(states) / 2
	if len(states)%2 != 0 {
		c.Failf("got %d initial states, an odd number", len(states))
		return one(c.X())
	}
	kwargs := func(s []*graph.Value) map[string]any {
		kw := map[string]any{}
		if m := c.sequenceMask(); m != nil {
			kw["mask"] = m
		}
		if len(s) > 0 {
			list := make([]any, len(s))
			for i, v := range s {
				list[i] = v
			}
			kw["initial_state"] = list
		}
		return kw
	}
	fw := c.SubCall("forward_layer", false, l.forward, []any{c.X()}, kwargs(states[:half]))
	bw := c.SubCall("backward_layer", false, l.backward, []any{c.X()}, kwargs(states[half:]))
	if c.Err() != nil {
		return one(c.X())
	}
	f := l.forward.flags()
	y, z := fw[0], bw[0]
	if *f.sequences {
		z = c.reverse(z, 1)
	}
	outs := c.mergeHalves(y, z, l.MergeMode)
	if *f.sequences {
		if m := c.InMask(); m != nil {
			for _, v := range outs {
				c.SetMask(v, m)
			}
		}
	}
	if *f.state {
		outs = append(append(outs, fw[1:]...), bw[1:]...)
	}
	return outs
}

func (c *Call) mergeHalves(y, z *graph.Value, mode string) []*graph.Value {
	switch mode {
	case "", "concat":
		return one(c.concat(c.rank(y)-1, y, z))
	case "sum":
		return one(c.add(y, z))
	case "ave":
		return one(c.mulN(c.add(y, z), 0.5))
	case "mul":
		return one(c.mul(y, z))
	case NoMerge:
		return []*graph.Value{y, z}
	}
	c.Failf("unknown merge_mode %q", mode)
	return one(y)
}

// NoMerge is Bidirectional's merge_mode None: both halves are outputs.
const NoMerge = "none"

// TimeDistributed applies a layer to each time step by itself.
type TimeDistributed struct {
	Base
	Layer Layer
}

func (l *TimeDistributed) inner() Layer { return l.Layer }

// Call implements Layer. Time steps are samples to the inner layer.
func (l *TimeDistributed) Call(c *Call) []*graph.Value {
	x := c.X()
	if l.Layer == nil || c.rank(x) < 2 {
		c.Failf("takes a layer and sequences, got %v", x.Type)
		return one(x)
	}
	dims := x.Type.Dims
	flat := append([]graph.Dim{dims[0].Mul(dims[1])}, dims[2:]...)
	in := c.reshape(x, flat)
	kw := map[string]any{}
	if m := c.InMask(); m != nil && m.Type.Rank() > 2 {
		if _, ok := l.Layer.(recurrent); ok {
			kw["mask"] = c.reshape(m, append([]graph.Dim{dims[0].Mul(dims[1])}, m.Type.Dims[2:]...))
		}
	}
	outs := c.SubCall("layer", false, l.Layer, []any{in}, kw)
	if c.Err() != nil {
		return one(x)
	}
	for i, y := range outs {
		if y.Type.Rank() < 1 {
			c.Failf("layer %q drops the batch", l.Layer.Common().Name)
			return one(x)
		}
		outs[i] = c.reshape(y, append([]graph.Dim{dims[0], dims[1]}, y.Type.Dims[1:]...), x, y)
	}
	return outs
}
