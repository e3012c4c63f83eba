package ref

import (
	"context"
	"fmt"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// fusedKernels run what fused operators stand for, operator by operator: that is what their kernels elsewhere are
// held against.
func fusedKernels() []*devices.Kernel {
	return []*devices.Kernel{
		spelled[ops.Pointwise](),
		spelled[ops.FusedConv](),
		spelled[ops.FusedMatMul](),
		spelled[ops.ChannelAffine](),
		spelled[ops.ConcatAffine](),
		spelled[ops.ConvPair](),
		spelled[ops.FusedAttention](),
	}
}

func spelled[O interface {
	graph.Op
	graph.Decomposer
}]() *devices.Kernel {
	return fn(func(op O, c *Call) error { return runSpelled(op, c) })
}

// runSpelled runs the decomposition of an operator on this device.
func runSpelled(d graph.Decomposer, c *Call) error {
	b := graph.NewBuilder(&graph.Graph{})
	vals := map[*graph.Value]tensor.Value{}
	in := make([]*graph.Value, c.NIn())
	for i := range in {
		if t := c.In(i); t != nil {
			in[i] = b.Input(fmt.Sprint("x", i), graph.ConstOf(t).WithoutValue())
			vals[in[i]] = t
		}
	}
	outs := d.Decompose(b, in)
	if err := b.Err(); err != nil {
		return err
	}
	if outs == nil {
		return errs.Errorf("these inputs have no decomposition")
	}
	table := devices.NewTable(Kernels())
	for _, n := range b.Graph().Nodes {
		if err := runNode(c.Ctx, table, n, vals, c.Req); err != nil {
			return err
		}
	}
	for i, v := range outs {
		t, ok := vals[v].(*tensor.Tensor)
		if !ok {
			return errs.Errorf("output %d is no tensor", i)
		}
		if err := c.Set(i, t); err != nil {
			return err
		}
	}
	return nil
}

// runNode runs one node on values, and adds its outputs to them.
func runNode(ctx context.Context, table *devices.Table, n *graph.Node, vals map[*graph.Value]tensor.Value, outer devices.Request) error {
	r := devices.Request{Node: n, Dev: outer.Dev, Sub: outer.Sub, Const: make([]*tensor.Tensor, len(n.In))}
	args := &devices.Args{Ctx: ctx, In: make([]tensor.Value, len(n.In)), Out: make([]tensor.Value, len(n.Out))}
	for i, v := range n.In {
		switch {
		case v == nil:
			r.In = append(r.In, graph.Type{})
			continue
		case v.IsConst():
			args.In[i] = v.Type.Const
			r.Const[i] = v.Type.Const
		default:
			args.In[i] = vals[v]
		}
		r.In = append(r.In, v.Type)
	}
	for i, v := range n.Out {
		r.Out = append(r.Out, v.Type)
		shape, ok := v.Type.Shape()
		if !ok {
			continue
		}
		t, err := tensor.Make(v.Type.DType, shape)
		if err != nil {
			return err
		}
		args.Out[i] = t
	}
	k, err := table.Select(r)
	if err != nil {
		return err
	}
	step, err := k.Prepare(r)
	if err != nil {
		return err
	}
	if err := step.Run(args); err != nil {
		return &devices.StepError{Node: n, Err: err}
	}
	for i, v := range n.Out {
		vals[v] = args.Out[i]
	}
	return nil
}
