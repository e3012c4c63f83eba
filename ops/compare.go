package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// compareOps is the family of comparisons, logic and choice.
var compareOps = []Info{
	{Greater{}, "a > b, broadcast", []Sample{Case(Greater{}, F(3, 4), F(4))}},
	{Where{}, "cond ? a : b, broadcast", []Sample{
		Case(Where{}, TV(tensor.Of([]bool{true, false, true})), F(2, 3), F(3))}},
}

// inferCompare is the inference of broadcasting comparisons: Bool out.
func inferCompare(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if _, err := sameDType(in); err != nil {
		return nil, err
	}
	dims, unranked, err := broadcast(in...)
	if err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(tensor.Bool, dims, unranked)}, nil
}

// Greater is a > b under numpy's broadcasting.
type Greater struct{}

// Name implements graph.Op.
func (Greater) Name() string { return "Greater" }

// Infer implements graph.Op.
func (Greater) Infer(in []graph.Type) ([]graph.Type, error) { return inferCompare(in) }

// Where picks from a where cond holds and from b elsewhere, under numpy's broadcasting.
type Where struct{}

// Name implements graph.Op.
func (Where) Name() string { return "Where" }

// Infer implements graph.Op.
func (Where) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 3, 3); err != nil {
		return nil, err
	}
	if in[0].DType != tensor.Bool {
		return nil, fmt.Errorf("the condition is %v, not bool", in[0].DType)
	}
	dt, err := sameDType(in[1:])
	if err != nil {
		return nil, err
	}
	dims, unranked, err := broadcast(in...)
	if err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(dt, dims, unranked)}, nil
}

// VJP routes dy to the side that was picked.
func (Where) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	zero := constLike(b, dy[0], 0)
	dx := []*graph.Value{nil, nil, nil}
	if need[1] {
		dx[1] = sumTo(b, b.Add(Where{}, n.In[0], dy[0], zero), n.In[1])
	}
	if need[2] {
		dx[2] = sumTo(b, b.Add(Where{}, n.In[0], zero, dy[0]), n.In[2])
	}
	return dx
}
