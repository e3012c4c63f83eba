// Package rewrite changes graphs by rules. A rule looks at one node, by type assertion, and if it matches
// builds something better with Add and hands over with Replace; the driver owns the worklist, the order of
// nodes, dead code and the bound on iterations. Passes never walk and edit a node list by hand.
package rewrite

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Rule is one rewrite, tried on each node whose op has the type Root (on every node where Root is nil).
type Rule struct {
	Name string
	Root reflect.Type
	// Func returns whether it matched. It may then have called Add and Replace; else it must have changed
	// nothing.
	Func func(r *Rewriter, n *graph.Node) bool
}

// On makes a rule for nodes whose op is an O.
func On[O graph.Op](name string, f func(r *Rewriter, n *graph.Node, op O) bool) Rule {
	return Rule{Name: name, Root: reflect.TypeFor[O](), Func: func(r *Rewriter, n *graph.Node) bool {
		return f(r, n, n.Op.(O))
	}}
}

// Options steers Apply.
type Options struct {
	// Trace, if set, gets one record for each match.
	Trace *slog.Logger
	// Verify checks the whole graph after each match: slow, for tests.
	Verify bool
}

// Rewriter is what a rule works with.
type Rewriter struct {
	g     *graph.Graph
	uses  map[*graph.Value][]*graph.Node
	ext   map[*graph.Value]int // uses as output or update
	names int
	at    *graph.Node
	added []*graph.Node
	queue []*graph.Node
	dead  map[*graph.Node]bool
	err   error
}

// maxMatches bounds the matches for each node of the graph, against rules that undo each other.
const maxMatches = 64

// Apply runs rules over g until none matches, and drops what is dead then.
func Apply(g *graph.Graph, rules []Rule, opts Options) error {
	r := &Rewriter{g: g, uses: map[*graph.Value][]*graph.Node{}, ext: map[*graph.Value]int{}, dead: map[*graph.Node]bool{}}
	for _, n := range g.Nodes {
		r.link(n)
	}
	for _, v := range g.Outputs {
		r.ext[v]++
	}
	for _, u := range g.Updates {
		r.ext[u.Value]++
		r.ext[u.Param]++
	}
	r.queue = slices.Clone(g.Nodes)
	budget := maxMatches * (len(g.Nodes) + 16)
	for len(r.queue) > 0 {
		n := r.queue[0]
		r.queue = r.queue[1:]
		if r.dead[n] {
			continue
		}
		for _, rule := range rules {
			if rule.Root != nil && rule.Root != reflect.TypeOf(n.Op) {
				continue
			}
			r.at, r.added = n, r.added[:0]
			if !rule.Func(r, n) {
				continue
			}
			if r.err != nil {
				return errs.Errorf("rewrite %s at %s %q: %w", rule.Name, n.Op.Name(), n.Origin, r.err)
			}
			if opts.Trace != nil {
				opts.Trace.Info("rewrite", "rule", rule.Name, "op", n.Op.Name(), "origin", n.Origin, "added", len(r.added))
			}
			if budget--; budget < 0 {
				return errs.Errorf("rewrite %s: matches without end", rule.Name)
			}
			r.queue = append(r.queue, r.added...)
			if r.dead[n] {
				break
			}
		}
		if opts.Verify {
			r.sweep()
			if err := g.Verify(); err != nil {
				return err
			}
		}
	}
	r.sweep()
	return nil
}

func (r *Rewriter) link(n *graph.Node) {
	for _, v := range n.In {
		if v != nil {
			r.uses[v] = append(r.uses[v], n)
		}
	}
}

// Graph is the graph being rewritten; rules only read it.
func (r *Rewriter) Graph() *graph.Graph { return r.g }

// Uses is the nodes that read v, one entry for each operand.
func (r *Rewriter) Uses(v *graph.Value) []*graph.Node { return r.uses[v] }

// SoleUse reports whether v has exactly one reader and is neither an output nor an update.
//
//go:noinline
func (r *Rewriter) SoleUse(v *graph.Value) bool { return len(r.uses[v]) == 1 && r.ext[v] == 0 }

// Escapes reports whether v is a graph output or part of an update.
func (r *Rewriter) Escapes(v *graph.Value) bool { return r.ext[v] > 0 }

// Const reports whether all of vs are constants.
func (r *Rewriter) Const(vs ...*graph.Value) bool {
	for _, v := range vs {
		if !v.IsConst() {
			return false
		}
	}
	return true
}

// SoleProducer is the node and op that make v, where that op is an O and v has no other reader.
func SoleProducer[O graph.Op](r *Rewriter, v *graph.Value) (op O, n *graph.Node) {
	if v == nil || v.Def == nil || !r.SoleUse(v) {
		return op, nil
	}
	op, ok := v.Def.Op.(O)
	if !ok {
		return op, nil
	}
	return op, v.Def
}

// NewConst makes a constant.
func (r *Rewriter) NewConst(name string, t *tensor.Tensor) *graph.Value {
	return &graph.Value{Name: r.fresh(name), Type: graph.ConstOf(t), Data: t}
}

func (r *Rewriter) fresh(name string) string {
	r.names++
	return fmt.Sprintf("%s~%d", name, r.names)
}

// Add makes a node with one output, placed before the node that the rule looks at.
//
//go:noinline
func (r *Rewriter) Add(op graph.Op, in ...*graph.Value) *graph.Value { return r.AddN(op, in...)[0] }

// AddN makes a node, placed before the node that the rule looks at, with that node's origin.
func (r *Rewriter) AddN(op graph.Op, in ...*graph.Value) []*graph.Value {
	types := make([]graph.Type, len(in))
	for i, v := range in {
		if v != nil {
			types[i] = v.Type
		}
	}
	outs, err := op.Infer(types)
	if err != nil {
		if r.err == nil {
			r.err = &graph.TypeError{Op: op.Name(), Node: r.at.Out[0].Name, Origin: r.at.Origin, Msg: err.Error(), Err: err}
		}
		outs = make([]graph.Type, len(r.at.Out)+1)
	}
	n := &graph.Node{Op: op, In: in, Origin: r.at.Origin}
	for _, t := range outs {
		name := r.fresh(r.at.Out[0].Name)
		n.Out = append(n.Out, &graph.Value{Name: name, Type: graph.Freshen(t, name), Def: n})
	}
	i := slices.Index(r.g.Nodes, r.at)
	r.g.Nodes = slices.Insert(r.g.Nodes, i, n)
	r.link(n)
	r.added = append(r.added, n)
	return n.Out
}

// Replace makes every reader of old read new, which takes over old's name if it has none of its own in
// the source. Nodes that nothing reads any more die.
func (r *Rewriter) Replace(old, new *graph.Value) {
	if old == new {
		return
	}
	for _, n := range r.uses[old] {
		for i, v := range n.In {
			if v == old {
				n.In[i] = new
			}
		}
		if !r.dead[n] {
			r.queue = append(r.queue, n)
		}
	}
	r.uses[new] = append(r.uses[new], r.uses[old]...)
	delete(r.uses, old)
	if r.ext[old] > 0 {
		r.replaceExternal(old, new)
	}
	if new.Def != nil && slices.Contains(r.added, new.Def) {
		old.Name, new.Name = new.Name, old.Name
	}
	if old.Def != nil {
		r.collect(old.Def)
	}
}

func (r *Rewriter) replaceExternal(old, new *graph.Value) {
	for i, v := range r.g.Outputs {
		if v == old {
			r.g.Outputs[i] = new
		}
	}
	for i, u := range r.g.Updates {
		if u.Value == old {
			r.g.Updates[i].Value = new
		}
	}
	r.ext[new] += r.ext[old]
	delete(r.ext, old)
}

// collect marks n dead where nothing reads it, and then what only n read.
func (r *Rewriter) collect(n *graph.Node) {
	if r.dead[n] {
		return
	}
	for _, v := range n.Out {
		if len(r.uses[v]) > 0 || r.ext[v] > 0 {
			return
		}
	}
	r.dead[n] = true
	for _, v := range n.In {
		if v == nil {
			continue
		}
		if i := slices.Index(r.uses[v], n); i >= 0 {
			r.uses[v] = slices.Delete(r.uses[v], i, i+1)
		}
	}
	for _, v := range n.In {
		if v != nil && v.Def != nil {
			r.collect(v.Def)
		}
	}
}

func (r *Rewriter) sweep() {
	r.g.Nodes = slices.DeleteFunc(r.g.Nodes, func(n *graph.Node) bool { return r.dead[n] })
}
