package inspect

import (
	"context"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/runtime"
)

// NodeDiff is how far two models agree on one value inside them.
type NodeDiff struct {
	Op   string `json:"op"`   // of the node that makes it in the first model
	Node string `json:"node"` // that node's name in its file
	OutputDiff
	Agrees bool `json:"agrees"` // within the tolerance
}

// CompareNodes is Compare for every value that has a name in both models: so that the first node whose result differs
// shows. Values are in the order in which the first model makes them. Nothing is fused, as every value is looked at.
func CompareNodes(ctx context.Context, a, b *nnrt.Model, opts CompareOptions) ([]NodeDiff, error) {
	opts = opts.withDefaults()
	x, y := a.Graph().Clone(), b.Graph().Clone()
	there := map[string]*graph.Value{}
	for _, n := range y.Nodes {
		for _, v := range n.Out {
			there[v.Name] = v
		}
	}
	x.Outputs, y.Outputs = nil, nil
	for _, n := range x.Nodes {
		for _, v := range n.Out {
			if w := there[v.Name]; w != nil && v.Name != "" {
				x.Outputs, y.Outputs = append(x.Outputs, v), append(y.Outputs, w)
			}
		}
	}
	if len(x.Outputs) == 0 {
		return nil, errs.Errorf("inspect: no value has the same name in both models")
	}
	x.Updates, y.Updates = nil, nil
	open := func(g *graph.Graph, m *nnrt.Model) (*nnrt.Model, error) {
		return nnrt.New(g, nnrt.Options{Device: m.Program().Device(), Runtime: runtime.Options{NoFusion: true}})
	}
	p, err := open(x, a)
	if err != nil {
		return nil, err
	}
	q, err := open(y, b)
	if err != nil {
		return nil, err
	}
	in, xs, err := runAny(ctx, p, opts)
	if err != nil {
		return nil, err
	}
	ys, err := q.RunValues(ctx, in)
	if err != nil {
		return nil, err
	}
	list := make([]NodeDiff, len(xs))
	for i, v := range x.Outputs {
		d := diff(xs[i], ys[i], opts)
		d.Name = v.Name
		list[i] = NodeDiff{Op: v.Def.Op.Name(), Node: v.Def.Origin, OutputDiff: d, Agrees: d.Bad == 0 && d.Reason == ""}
	}
	return list, nil
}
