package runtime

import (
	"bytes"
	"context"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/tensor"
)

// execDynamic runs a plan some of whose shapes only running tells.
func (s *Session) execDynamic(ctx context.Context, inst *instance) error {
	for i := range inst.steps {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		if err := s.runStep(ctx, inst, i); err != nil {
			return err
		}
	}
	return nil
}

// runStep runs one step, preparing it first where its types were not known; what it makes goes to its
// readers.
func (s *Session) runStep(ctx context.Context, inst *instance, i int) error {
	a, n := &inst.args[i], inst.pl.steps[i].node
	if inst.steps[i].Step != nil {
		return s.p.dev.Submit(ctx, inst.steps[i:i+1])
	}
	if err := s.runUnprepared(ctx, inst, i); err != nil {
		return err
	}
	for j := range n.Out {
		for _, u := range inst.readers(i, j) {
			inst.args[u.step].In[u.arg] = a.Out[j]
		}
	}
	return nil
}

// readers is the operands that read output j of step i; found once.
func (inst *instance) readers(i, j int) []slot {
	if inst.uses == nil {
		inst.uses = map[slot][]slot{}
		made := map[*graph.Value]slot{}
		for k, sp := range inst.pl.steps {
			for m, v := range sp.node.In {
				if at, ok := made[v]; ok && v != nil {
					inst.uses[at] = append(inst.uses[at], slot{k, m})
				}
			}
			for m, v := range sp.node.Out {
				made[v] = slot{k, m}
			}
		}
	}
	return inst.uses[slot{i, j}]
}

// known is how much of its operands' contents, beside shapes, a dynamic step was prepared for.
type known int

const (
	shapesOnly  known = iota
	intContents       // and the elements of small tensors of integers, bools, strings: what shapes are computed with
	allContents       // and of numbers
)

// maxDynamic is how many preparations of a dynamic step are kept.
const maxDynamic = 4

// prepared is a dynamic step's kernel for operands of these types, which serves again for others like them.
type prepared struct {
	in    []graph.Type
	by    known
	ints  []*tensor.Tensor // copies of the contents that count, nil where none do
	outs  []graph.Type
	empty bool // outputs without elements: there is nothing to do
	args  devices.Args
	bound []devices.Bound
}

// fits reports whether the operands are like those that q was prepared for.
func (q *prepared) fits(in []tensor.Value) bool {
	for i, v := range in {
		if v == nil {
			continue
		}
		t, ok := v.(*tensor.Tensor)
		if !ok || t.DType() != q.in[i].DType || !fits(q.in[i], t.Shape()) {
			return false
		}
		if c := q.ints[i]; c != nil && !sameContents(c, t) {
			return false
		}
	}
	return true
}

func sameContents(a, b *tensor.Tensor) bool {
	if a.DType() == tensor.String {
		return slices.Equal(a.Strings(), b.Strings())
	}
	return bytes.Equal(a.Bytes(), b.Bytes())
}

// runUnprepared types a node by its operands' own shapes and, where those don't do, contents, then prepares and runs it.
func (s *Session) runUnprepared(ctx context.Context, inst *instance, i int) (err error) {
	a, n := &inst.args[i], inst.pl.steps[i].node
	defer guard.CatchAs(&err, func(e error) error { return &devices.StepError{Node: n, Err: e} })
	if inst.dynamic == nil {
		inst.dynamic = make([][]*prepared, len(inst.steps))
	}
	var q *prepared
	for _, p := range inst.dynamic[i] {
		if p.fits(a.In) {
			q = p
			break
		}
	}
	if q == nil {
		if q, err = s.p.prepareFor(n, a.In); err != nil {
			return err
		}
		if q.by != allContents {
			kept := inst.dynamic[i]
			inst.dynamic[i] = append(kept[max(0, len(kept)-maxDynamic+1):], q)
		}
	}
	local := &q.args
	local.Ctx, local.In = ctx, a.In
	for j, t := range q.outs {
		if local.Out[j], err = s.outputFor(t, a.Out[j]); err != nil {
			return &devices.StepError{Node: n, Err: err}
		}
	}
	if !q.empty {
		if err := s.p.dev.Submit(ctx, q.bound); err != nil {
			return err
		}
	}
	copy(a.Out, local.Out)
	clear(local.Out)
	local.Ctx, local.In = nil, nil
	return nil
}

// prepareFor prepares a node for operands like in, knowing as little of their contents as will do.
func (p *Program) prepareFor(n *graph.Node, in []tensor.Value) (*prepared, error) {
	tensors := !slices.ContainsFunc(in, func(v tensor.Value) bool {
		_, ok := v.(*tensor.Tensor)
		return v != nil && !ok
	})
	_, whole := n.Op.(graph.Subgrapher) // graphs make their outputs themselves
	if tensors {
		for by := shapesOnly; by <= intContents; by++ {
			if q, err := p.typed(n, in, by); err == nil && (whole || allStatic(q.outs)) {
				return q, p.finish(n, q)
			}
		}
	}
	q, err := p.typed(n, in, allContents)
	if err != nil {
		return nil, err
	}
	if tensors && !allStatic(q.outs) {
		// Contents don't tell: the kernel makes what it finds.
		if r, err := p.typed(n, in, shapesOnly); err == nil {
			q = r
		}
	}
	return q, p.finish(n, q)
}

func allStatic(ts []graph.Type) bool {
	return !slices.ContainsFunc(ts, func(t graph.Type) bool { return !t.Static() })
}

// typed infers a node's outputs.
func (p *Program) typed(n *graph.Node, in []tensor.Value, by known) (*prepared, error) {
	q := &prepared{by: by, in: make([]graph.Type, len(in)), ints: make([]*tensor.Tensor, len(in))}
	for i, v := range in {
		if v == nil {
			continue
		}
		t, ok := v.(*tensor.Tensor)
		constant := ok && n.In[i].IsConst()
		q.in[i] = typeOf(v, by == allContents)
		if constant {
			q.in[i].Const = t
		} else if ok && by == intContents && !t.DType().IsFloat() {
			if q.in[i] = typeOf(v, true); q.in[i].Const != nil {
				q.ints[i] = t.Clone()
				q.in[i].Const = q.ints[i]
			}
		}
	}
	outs, err := n.Op.Infer(q.in)
	if err != nil {
		return nil, &graph.TypeError{Op: n.Op.Name(), Node: n.Out[0].Name, Origin: n.Origin, Msg: err.Error(), Err: err}
	}
	if len(outs) != len(n.Out) {
		return nil, &devices.StepError{Node: n, Err: errs.Errorf("has %d outputs, Infer gives %d", len(n.Out), len(outs))}
	}
	q.outs = outs
	return q, nil
}

// finish selects and prepares the kernel of a node that is typed.
func (p *Program) finish(n *graph.Node, q *prepared) error {
	q.args.Out = make([]tensor.Value, len(n.Out))
	if q.empty = makesNothing(n, q.outs); q.empty {
		return nil
	}
	r := p.request(n)
	r.In, r.Out = q.in, q.outs
	k, err := p.dev.Kernels().Select(r)
	if err != nil {
		return err
	}
	step, err := k.Prepare(r)
	if err != nil {
		return &devices.StepError{Node: n, Err: err}
	}
	q.args.Scratch = tensor.AlignedBytes(step.Scratch())
	q.bound = []devices.Bound{{Step: step, Args: &q.args, Node: n}}
	return nil
}

// outputFor is memory for an output: the place it has, if any, else new; nil where the kernel must make it.
func (s *Session) outputFor(t graph.Type, place tensor.Value) (tensor.Value, error) {
	shape, ok := t.Shape()
	if !ok {
		return nil, nil
	}
	if p, ok := place.(*tensor.Tensor); ok && p != nil && p.DType() == t.DType && fits(t, p.Shape()) && s.owns(p) {
		return p, nil
	}
	n, err := tensor.NumElements(shape)
	if err != nil {
		return nil, err
	}
	if limit := s.p.opts.MemoryLimit; limit > 0 && int64(n)*int64(t.DType.Size()) > limit {
		return nil, errs.Errorf("%w: a value of %v takes %d bytes, the limit is %d", ErrMemory, t.WithoutValue(), n*t.DType.Size(), limit)
	}
	return tensor.Make(t.DType, shape)
}

// owns reports whether a tensor is the plan's own place for a value rather than what an earlier run made,
// which its caller may have kept.
func (s *Session) owns(t *tensor.Tensor) bool {
	b, ok := t.Keep().([]byte)
	return ok && b != nil
}
