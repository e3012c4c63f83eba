package job

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers/initializer"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// ReplaceGraphHead is ReplaceHead for graphs: the last MatMul, Gemm or 1x1 Conv by parameters before the only output,
// or pooling, a Gemm and a Softmax behind features. The batch size of a graph that has a fixed one of 1 becomes free,
// where its operators allow it. It returns the graph and the names of the head's parameters.
func ReplaceGraphHead(g *graph.Graph, classes int, fresh bool, seed uint64) (out *graph.Graph, head []string, renewed bool, err error) {
	if len(g.Outputs) < 1 || len(g.Inputs) < 1 {
		return nil, nil, false, errs.Errorf("job: the graph has %d inputs and %d outputs", len(g.Inputs), len(g.Outputs))
	}
	e := graphEdit{g: g, data: map[*graph.Value]*tensor.Tensor{}, rng: philox.New(seed)}
	found := e.find(classes, fresh)
	if found == nil {
		out, head, err = e.append(classes)
		return out, head, true, err
	}
	for _, v := range found {
		head = append(head, v.Name)
	}
	out, err = e.rebuild()
	return out, head, len(e.data) > 0, err
}

// graphEdit is a graph with some of its parameters and constants replaced.
type graphEdit struct {
	g    *graph.Graph
	data map[*graph.Value]*tensor.Tensor
	rng  *philox.Stream
}

// find walks from the output back to the head; nil where there is none. Its parameters get new values where their
// size changes.
func (e *graphEdit) find(classes int, fresh bool) []*graph.Value {
	var between []*graph.Node
	var bias *graph.Value
	for v := e.g.Outputs[0]; v != nil && v.Def != nil; {
		n := v.Def
		switch op := n.Op.(type) {
		case ops.Softmax, ops.LogSoftmax, ops.Sigmoid, ops.Identity, ops.Flatten, ops.Reshape, ops.Squeeze, ops.Cast, ops.GlobalAveragePool,
			ops.ReduceMean, ops.Dropout, ops.Relu, ops.AveragePool:
			between = append(between, n)
			v = n.In[0]
			continue
		case ops.Add:
			a, b := n.In[0], n.In[1]
			if isParam(e.g, a) {
				a, b = b, a
			}
			if !isParam(e.g, b) || bias != nil {
				return nil
			}
			bias, v = b, a
			continue
		case ops.MatMul:
			return e.resize(n.In[1], 1, bias, classes, fresh, between)
		case ops.Gemm:
			if len(n.In) > 2 && n.In[2] != nil {
				bias = n.In[2]
			}
			axis := 1
			if op.TransB {
				axis = 0
			}
			return e.resize(n.In[1], axis, bias, classes, fresh, between)
		case ops.Conv:
			w := n.In[1]
			if !isParam(e.g, w) || len(n.In) > 2 && n.In[2] != nil && bias != nil || slices.Max(w.Data.Shape()[2:]) != 1 || e.g.Outputs[0].Type.Rank() != 2 {
				return nil
			}
			if len(n.In) > 2 && n.In[2] != nil {
				bias = n.In[2]
			}
			return e.resize(w, 0, bias, classes, fresh, between)
		}
		return nil
	}
	return nil
}

func isParam(g *graph.Graph, v *graph.Value) bool {
	return v != nil && v.Data != nil && slices.Contains(g.Params, v)
}

// resize gives weight w, whose axis counts the classes, and its bias another size.
func (e *graphEdit) resize(w *graph.Value, axis int, bias *graph.Value, classes int, fresh bool, between []*graph.Node) []*graph.Value {
	if !isParam(e.g, w) || bias != nil && !isParam(e.g, bias) {
		return nil
	}
	shape := slices.Clone(w.Data.Shape())
	old := shape[axis]
	list := []*graph.Value{w}
	if bias != nil {
		list = append(list, bias)
	}
	if old == classes && !fresh || old == 1 && classes == 2 {
		return list
	}
	shape[axis] = classes
	t, err := initializer.Make(initializer.GlorotUniform{}, w.Data.DType(), shape, e.rng)
	if err != nil {
		return nil
	}
	e.data[w] = t
	if bias != nil {
		b := slices.Clone(bias.Data.Shape())
		if len(b) > 0 && b[len(b)-1] == old {
			b[len(b)-1] = classes
			e.data[bias] = tensor.New(bias.Data.DType(), b...)
		}
	}
	for _, n := range between { // Reshape spells the number of classes out
		if _, ok := n.Op.(ops.Reshape); !ok || len(n.In) < 2 || n.In[1].Type.Const == nil || n.In[1].Type.Const.DType() != tensor.Int64 {
			continue
		}
		c := n.In[1].Type.Const.Clone()
		for i, d := range tensor.As[int64](c) {
			if d == int64(old) {
				tensor.As[int64](c)[i] = int64(classes)
			}
		}
		e.data[n.In[1]] = c
	}
	return list
}

// rebuild infers the whole graph anew with the replaced values.
func (e *graphEdit) rebuild() (*graph.Graph, error) {
	out, err := e.copy(true)
	if err == nil {
		return out, nil
	}
	return e.copy(false) // something holds on to the batch size
}

// copy builds the graph anew. free gives a batch size of 1 a symbol.
func (e *graphEdit) copy(free bool) (*graph.Graph, error) {
	b := graph.NewBuilder(&graph.Graph{Name: e.g.Name, Doc: e.g.Doc, Meta: e.g.Meta})
	at := map[*graph.Value]*graph.Value{}
	fixed := false
	for _, v := range e.g.Inputs {
		t := v.Type.WithoutValue()
		if n, ok := first(t); free && ok && n == 1 {
			t.Dims = slices.Clone(t.Dims)
			t.Dims[0] = graph.Sym("batch")
			fixed = true
		}
		at[v] = b.Input(v.Name, t)
	}
	for _, v := range e.g.Params {
		t := v.Data
		if d := e.data[v]; d != nil {
			t = d
		}
		at[v] = b.Param(v.Name, t)
	}
	in := func(v *graph.Value) *graph.Value {
		if v == nil || at[v] != nil {
			return at[v]
		}
		c := v.Type.Const
		if d := e.data[v]; d != nil {
			c = d
		}
		if c == nil {
			b.Fail(errs.Errorf("job: value %q has no definition", v.Name))
			return v
		}
		at[v] = b.Const(v.Name, c)
		return at[v]
	}
	for _, n := range e.g.Nodes {
		args := make([]*graph.Value, len(n.In))
		for i, v := range n.In {
			args[i] = in(v)
		}
		b.SetOrigin(n.Origin)
		for i, v := range b.AddN(n.Op, args...) {
			if i < len(n.Out) {
				at[n.Out[i]] = v
				b.Rename(v, n.Out[i].Name)
			}
		}
		if b.Err() != nil {
			return nil, b.Err()
		}
	}
	for _, v := range e.g.Outputs {
		o := in(v)
		if _, ok := first(o.Type); fixed && ok {
			return nil, errs.Errorf("job: output %q keeps its batch size", v.Name)
		}
		b.Output(o)
	}
	return b.Graph(), b.Err()
}

// first is a type's first dimension, where it is known.
func first(t graph.Type) (int, bool) {
	if t.Rank() < 1 {
		return 0, false
	}
	return t.Dims[0].Const()
}

// append puts pooling, a Gemm and a Softmax behind the features.
func (e *graphEdit) append(classes int) (*graph.Graph, []string, error) {
	g, err := e.rebuild()
	if err != nil {
		return nil, nil, err
	}
	b := graph.NewBuilder(g)
	for _, v := range g.Params {
		b.Reserve(v.Name)
	}
	x := g.Outputs[0]
	b.SetOrigin("head")
	switch x.Type.Rank() {
	case 4, 3:
		x = b.Add(ops.Flatten{Axis: 1}, b.Add(ops.GlobalAveragePool{}, x))
	case 2:
	default:
		return nil, nil, errs.Errorf("job: output %q is %v; a head goes on one of rank 2, 3 or 4", x.Name, x.Type.WithoutValue())
	}
	if err := b.Err(); err != nil {
		return nil, nil, err
	}
	n, ok := x.Type.Dims[1].Const()
	if !ok {
		return nil, nil, errs.Errorf("job: the number of features of output %q is open", g.Outputs[0].Name)
	}
	w, err := initializer.Make(initializer.GlorotUniform{}, tensor.Float32, []int{n, classes}, e.rng)
	if err != nil {
		return nil, nil, err
	}
	kernel, bias := b.Param(b.Unique("head.weight"), w), b.Param(b.Unique("head.bias"), tensor.New(tensor.Float32, classes))
	y := b.Add(ops.Softmax{Axis: -1}, b.Add(ops.Gemm{Alpha: 1, Beta: 1}, x, kernel, bias))
	b.Rename(y, b.Unique("probabilities"))
	g.Outputs[0] = y
	return g, []string{kernel.Name, bias.Name}, b.Err()
}
