package ops

import "github.com/nnrt/nnrt/graph"

// unaryOps is the family of elementwise functions of one argument that are no activations.
var unaryOps = []Info{
	{Neg{}, "-x", []Sample{Case(Neg{}, F(3, 4))}},
}

// Neg is -x.
type Neg struct{}

// Name implements graph.Op.
func (Neg) Name() string { return "Neg" }

// Infer implements graph.Op.
func (Neg) Infer(in []graph.Type) ([]graph.Type, error) { return sameAsFirst(in) }

// MayAlias implements graph.Aliaser.
func (Neg) MayAlias(in, out int) bool { return true }

// VJP is -dy.
func (Neg) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return []*graph.Value{b.Add(Neg{}, dy[0])}
}
