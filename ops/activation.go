package ops

import "github.com/nnrt/nnrt/graph"

// activationOps is the family of activation functions.
var activationOps = []Info{
	{Relu{}, "max(x, 0)", []Sample{Case(Relu{}, F(3, 4))}},
	{Sigmoid{}, "1 / (1 + exp(-x))", []Sample{Case(Sigmoid{}, F(3, 4))}},
	{Tanh{}, "the hyperbolic tangent", []Sample{Case(Tanh{}, F(3, 4))}},
}

// Relu is max(x, 0).
type Relu struct{}

// Name implements graph.Op.
func (Relu) Name() string { return "Relu" }

// Infer implements graph.Op.
func (Relu) Infer(in []graph.Type) ([]graph.Type, error) { return sameAsFirst(in) }

// MayAlias implements graph.Aliaser.
func (Relu) MayAlias(in, out int) bool { return true }

// VJP passes the gradient where the output is positive.
func (Relu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	zero := constLike(b, n.Out[0], 0)
	return []*graph.Value{b.Add(Where{}, b.Add(Greater{}, n.Out[0], zero), dy[0], zero)}
}

// Sigmoid is 1 / (1 + exp(-x)).
type Sigmoid struct{}

// Name implements graph.Op.
func (Sigmoid) Name() string { return "Sigmoid" }

// Infer implements graph.Op.
func (Sigmoid) Infer(in []graph.Type) ([]graph.Type, error) { return sameAsFirst(in) }

// MayAlias implements graph.Aliaser.
func (Sigmoid) MayAlias(in, out int) bool { return true }

// VJP is dy * y * (1 - y).
func (Sigmoid) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y := n.Out[0]
	return []*graph.Value{b.Add(Mul{}, dy[0], b.Add(Mul{}, y, b.Add(Sub{}, constLike(b, y, 1), y)))}
}

// Tanh is the hyperbolic tangent.
type Tanh struct{}

// Name implements graph.Op.
func (Tanh) Name() string { return "Tanh" }

// Infer implements graph.Op.
func (Tanh) Infer(in []graph.Type) ([]graph.Type, error) { return sameAsFirst(in) }

// MayAlias implements graph.Aliaser.
func (Tanh) MayAlias(in, out int) bool { return true }

// VJP is dy * (1 - y*y).
func (Tanh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y := n.Out[0]
	return []*graph.Value{b.Add(Mul{}, dy[0], b.Add(Sub{}, constLike(b, y, 1), b.Add(Mul{}, y, y)))}
}
