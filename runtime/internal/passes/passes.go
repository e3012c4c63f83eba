// Package passes is the road from a canonical graph to a lowered one: an ordered list of passes, run once
// on the template (dimensions may be symbols) and once on each specialisation (all inputs' shapes known).
package passes

import (
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
)

// Context is what passes may ask.
type Context struct {
	Dev             devices.Device
	Ref             devices.Device // folds constants
	Packs           *devices.PackCache
	NoFusion, Exact bool
	Sub             func(*graph.Graph) (devices.Runner, error)
}

// own reports whether the device has a kernel for op besides the reference device's, which it may include.
func (c Context) own(op graph.Op) bool {
	shared := map[string]bool{}
	for _, k := range c.Ref.Kernels().Candidates(op) {
		shared[k.Name] = true
	}
	return slices.ContainsFunc(c.Dev.Kernels().Candidates(op), func(k devices.Kernel) bool { return !shared[k.Name] })
}

// Pass changes a graph in place.
type Pass struct {
	Name   string
	Fusion bool // left out under Context.NoFusion
	Run    func(g *graph.Graph, c Context) error
}

// templatePasses run once, at Compile.
var templatePasses = []Pass{
	{"decompose-unsupported", false, decomposeUnsupported},
	{"fold", false, fold},
	{"pick-branches", false, pickBranches},
	{"bind-captures", false, bindCaptures},
	{"attention", true, attention},
	{"fuse", true, fuse},
	{"dce", false, removeDead},
}

// specialPasses run for each set of input shapes.
var specialPasses = []Pass{
	{"infer", false, infer},
	{"fold", false, fold},
	{"pick-branches", false, pickBranches},
	{"cse", false, mergeEqual},
	{"keep-gates", true, keepGates},
	{"backward", true, backward},
	{"attention", true, attention},
	{"spell", true, spell},
	{"fuse", true, fuse},
	{"layout", true, layout},
	{"concat", true, concat},
	{"pair", true, pair},
	{"fold", false, fold},
	{"dce", false, removeDead},
	{"rematerialize", true, rematerialize},
	{"fuse-pointwise", true, pointwise},
	{"hasten", false, hasten},
}

// Template runs the passes that need no shapes.
func Template(g *graph.Graph, c Context) error { return run(g, c, templatePasses) }

// Specialise runs the passes on a graph whose inputs have their run-time types.
func Specialise(g *graph.Graph, c Context) error { return run(g, c, specialPasses) }

func run(g *graph.Graph, c Context, list []Pass) error {
	for _, p := range list {
		if p.Fusion && c.NoFusion {
			continue
		}
		if err := p.Run(g, c); err != nil {
			return errs.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// infer types every value anew from the inputs' types.
func infer(g *graph.Graph, _ Context) error {
	for _, n := range g.Nodes {
		if err := reinfer(n); err != nil {
			return err
		}
	}
	return nil
}

// reinfer types one node's outputs from its inputs' types.
func reinfer(n *graph.Node) error {
	types := make([]graph.Type, len(n.In))
	for i, v := range n.In {
		if v != nil {
			types[i] = v.Type
		}
	}
	outs, err := n.Op.Infer(types)
	if err == nil && len(outs) != len(n.Out) {
		err = errs.Errorf("has %d outputs, Infer gives %d", len(n.Out), len(outs))
	}
	if err != nil {
		return &graph.TypeError{Op: n.Op.Name(), Node: n.Out[0].Name, Origin: n.Origin, Msg: err.Error(), Err: err}
	}
	for i, v := range n.Out {
		v.Type = graph.Freshen(outs[i], v.Name)
	}
	return nil
}
