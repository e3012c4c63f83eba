package onnx

import (
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/train/autodiff"
)

// attentionRows is attention and what goes with it.
func attentionRows() []row {
	return autos(attentionPlain, row{domain: previewDomain, name: "FlexAttention", since: 1, op: ops.FlexAttention{}, imp: importFlexAttention,
		exp: exportFlexAttention})
}

// attentionPlain is those of attentionRows that are read as their fields say.
var attentionPlain = []plain{
	{"Attention", 23, ops.Attention{LeftWindowSize: -1, RightWindowSize: -1}},
	{"CausalConvWithState", 27, ops.CausalConvWithState{Activation: "none"}},
	{"LinearAttention", 27, ops.LinearAttention{ChunkSize: 64, UpdateRule: "gated_delta"}},
	{"RotaryEmbedding", 23, ops.RotaryEmbedding{}},
}

// importFlexAttention reads attention whose scores and probabilities pass through subgraphs.
func importFlexAttention(n *Node) []*graph.Value {
	op, ok := fill(n, ops.FlexAttention{}).(ops.FlexAttention)
	if !ok || len(n.In) != 3 {
		n.Refuse("it takes 3 inputs, got %d", len(n.In))
		return nil
	}
	in := append([]*graph.Value{}, n.In...)
	for i, name := range []string{"score_mod", "prob_mod"} {
		if !n.Has(name) {
			continue
		}
		p := n.graph(name)
		if p == nil {
			return nil
		}
		if len(p.Input) != 1 || len(p.Output) != 1 {
			n.Refuse("%s takes one value and gives one", name)
			return nil
		}
		t, err := typeOf(p.Input[0].Type)
		if err != nil {
			n.Refuse("%s: %v", name, err)
			return nil
		}
		g, c := n.subgraph(p, []graph.Type{t})
		if g == nil {
			return nil
		}
		in = append(in, c.outer...)
		if i == 0 {
			op.ScoreMod, op.NumScore = g, len(c.outer)
		} else {
			op.ProbMod = g
		}
	}
	return n.AddN(op, in...)
}

func exportFlexAttention(x *graphWriter, r row, n *graph.Node) error {
	op, ok := n.Op.(ops.FlexAttention)
	if !ok {
		return cannot("%T is no FlexAttention", n.Op)
	}
	var attrs []*pb.AttributeProto
	if op.Scale != 0 {
		attrs = append(attrs, &pb.AttributeProto{Name: "scale", Type: pb.AttrFloat, F: float32(op.Scale)})
	}
	if op.SoftmaxPrecision.Valid() {
		attrs = append(attrs, &pb.AttributeProto{Name: "softmax_precision", Type: pb.AttrInt, I: int64(pb.DataTypeOf(op.SoftmaxPrecision))})
	}
	for _, m := range []struct {
		name string
		g    *graph.Graph
		in   []*graph.Value
	}{{"score_mod", op.ScoreMod, n.In[3 : 3+op.NumScore]}, {"prob_mod", op.ProbMod, n.In[3+op.NumScore:]}} {
		if m.g == nil {
			continue
		}
		a, err := x.subgraph(m.g, 1, m.in)
		if err != nil {
			return err
		}
		a.Name = m.name
		attrs = append(attrs, a)
	}
	return x.emit(r, n, n.In[:3], attrs)
}

// importGradient reads Gradient: the derivative of the value that y names by those that xs name. Where the
// node's inputs are other values than those, the graph between is repeated on the node's own.
func importGradient(n *Node) []*graph.Value {
	names := append(n.Strings("xs"), n.Strings("zs")...)
	count := len(n.Strings("xs"))
	if count == 0 || len(n.In) != len(names) {
		n.Refuse("%d inputs for xs and zs %v", len(n.In), names)
		return nil
	}
	at := map[*graph.Value]*graph.Value{}
	for i, name := range names {
		v, err := n.sc.lookup(name)
		if err != nil || v == nil || v == poison || n.In[i] == nil {
			n.Refuse("%q is no value of the graph", name)
			return nil
		}
		at[v] = n.In[i]
	}
	name := n.String("y", "")
	y, err := n.sc.lookup(name)
	if err != nil || y == nil || y == poison {
		n.Refuse("y %q is no value of the graph", name)
		return nil
	}
	y = n.repeat(y, at)
	grads, err := autodiff.Grad(n.Builder, []*graph.Value{y}, nil, n.In[:count])
	if err != nil {
		n.Refuse("%v", err)
		return nil
	}
	for i, g := range grads {
		if g == nil {
			x := n.In[i]
			grads[i] = n.Add(ops.Expand{}, n.scalar(0, x), n.Add(ops.Shape{}, x))
		}
	}
	return grads
}

// repeat copies the nodes on the way to y whose operands at replaces, and gives the copy of y.
func (n *Node) repeat(y *graph.Value, at map[*graph.Value]*graph.Value) *graph.Value {
	for _, m := range append([]*graph.Node{}, n.Graph().Nodes...) {
		changed := false
		in := make([]*graph.Value, len(m.In))
		for i, v := range m.In {
			in[i] = v
			if w := at[v]; w != nil {
				in[i] = w
				changed = changed || w != v
			}
		}
		if !changed {
			continue
		}
		for i, v := range n.AddN(m.Op, in...) {
			if i < len(m.Out) && at[m.Out[i]] == nil {
				at[m.Out[i]] = v
			}
		}
	}
	if w := at[y]; w != nil {
		return w
	}
	return y
}
