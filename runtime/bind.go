package runtime

import (
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/tensor"
)

// bindPlan allocates the arena and points every step's operands into it.
func (s *Session) bindPlan(pl *planned) (_ *instance, err error) {
	defer guard.Catch(&err)
	b := binder{s: s, pl: pl, arena: tensor.AlignedBytes(pl.arena), vals: map[*graph.Value]tensor.Value{},
		made: map[*graph.Value]slot{}, uses: map[*graph.Value][]slot{}}
	inst := &instance{pl: pl, static: true, args: make([]devices.Args, len(pl.steps)), steps: make([]devices.Bound, len(pl.steps))}
	for i, sp := range pl.steps {
		a := &inst.args[i]
		a.In, a.Out = make([]tensor.Value, len(sp.node.In)), make([]tensor.Value, len(sp.node.Out))
		if sp.step == nil {
			inst.static = false
		} else {
			at, n := pl.works[i], sp.step.Scratch()
			a.Scratch = b.arena[at : at+n : at+n]
		}
		if err := b.operands(i, sp.node, a); err != nil {
			return nil, err
		}
		inst.steps[i] = devices.Bound{Step: sp.step, Args: a, Node: sp.node}
	}
	for _, v := range pl.g.Inputs {
		inst.inputs = append(inst.inputs, binding{in: b.uses[v]})
	}
	b.bindOutputs(inst)
	return inst, b.bindUpdates(inst)
}

type binder struct {
	s     *Session
	pl    *planned
	arena []byte
	vals  map[*graph.Value]tensor.Value // values whose place is fixed
	made  map[*graph.Value]slot         // the step that makes a value
	uses  map[*graph.Value][]slot
}

// fixed is the value's place, where that never changes: a constant, a parameter, or the arena.
func (b *binder) fixed(v *graph.Value) (tensor.Value, error) {
	if t, ok := b.vals[v]; ok {
		return t, nil
	}
	var t tensor.Value
	switch off, inArena := b.pl.slots[v]; {
	case v.IsConst():
		t = v.Type.Const
	case b.s.params[v.Name] != nil && v.Def == nil && b.isParam(v):
		t = b.s.params[v.Name]
	case b.pl.inPlace[v] != nil:
		return b.fixed(b.pl.inPlace[v])
	case inArena:
		shape, _ := v.Type.Shape()
		x, err := tensor.FromBytes(v.Type.DType, shape, b.arena[off:off+byteSize(v.Type)], b.arena)
		if err != nil {
			return nil, err
		}
		t = x
	case v.Def != nil && v.Type.DType == tensor.String && v.Type.Static() && !slices.Contains(b.pl.g.Outputs, v):
		shape, _ := v.Type.Shape() // strings can't lie in the arena: memory of their own
		x, err := tensor.Make(tensor.String, shape)
		if err != nil {
			return nil, err
		}
		t = x
	default:
		return nil, nil
	}
	b.vals[v] = t
	return t, nil
}

func (b *binder) isParam(v *graph.Value) bool {
	for _, p := range b.pl.g.Params {
		if p == v {
			return true
		}
	}
	return false
}

// operands fills in what is fixed of step i's operands, and notes the rest.
func (b *binder) operands(i int, n *graph.Node, a *devices.Args) error {
	for j, v := range n.In {
		if v == nil {
			continue
		}
		t, err := b.fixed(v)
		if err != nil {
			return err
		}
		if a.In[j] = t; t == nil {
			b.uses[v] = append(b.uses[v], slot{i, j})
		}
	}
	for j, v := range n.Out {
		t, err := b.fixed(v)
		if err != nil {
			return err
		}
		a.Out[j] = t
		b.made[v] = slot{i, j}
	}
	return nil
}

func (b *binder) bindOutputs(inst *instance) {
	seen := map[*graph.Value]bool{}
	for _, v := range b.pl.g.Outputs {
		source := -1
		for i, in := range b.pl.g.Inputs {
			if in == v {
				source = i
			}
		}
		inst.source = append(inst.source, source)
		t, _ := b.fixed(v)
		var bd binding
		if m, ok := b.made[v]; ok && t == nil {
			bd = binding{in: b.uses[v], out: []slot{m}}
			if seen[v] { // a value that is two outputs: the second is a copy
				bd.in, bd.again = nil, true
			}
			seen[v] = true
		}
		inst.fixed = append(inst.fixed, t)
		inst.outputs = append(inst.outputs, bd)
	}
}

func (b *binder) bindUpdates(inst *instance) error {
	for _, u := range b.pl.g.Updates {
		if b.pl.inPlace[u.Value] != nil {
			continue
		}
		p := b.s.params[u.Param.Name]
		if p == nil {
			return errs.Errorf("runtime: an update of %q, which is no parameter", u.Param.Name)
		}
		t, err := b.fixed(u.Value)
		if err != nil {
			return err
		}
		inst.updates = append(inst.updates, update{param: p, from: b.made[u.Value], fixed: t})
	}
	return nil
}
