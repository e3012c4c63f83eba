package ref

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

type graphOp = graph.Op

// apply runs one operator on tensors at hand, for kernels that are made of others. The candidates are
// looked up in the whole list each time: reference kernels need not be fast.
func apply(ctx context.Context, op graph.Op, in ...*tensor.Tensor) (*tensor.Tensor, error) {
	r := devices.Request{Node: &graph.Node{Op: op}, In: make([]graph.Type, len(in)), Const: make([]*tensor.Tensor, len(in))}
	a := &devices.Args{Ctx: ctx, In: make([]tensor.Value, len(in))}
	for i, t := range in {
		if t != nil {
			r.In[i], a.In[i] = graph.ConstOf(t), t
		}
	}
	var err error
	if r.Out, err = op.Infer(r.In); err != nil {
		return nil, err
	}
	a.Out = make([]tensor.Value, len(r.Out))
	for i, t := range r.Out {
		if shape, ok := t.Shape(); ok {
			if a.Out[i], err = tensor.Make(t.DType, shape); err != nil {
				return nil, err
			}
		}
	}
	kernels := Kernels()
	i := slices.IndexFunc(kernels, func(k devices.Kernel) bool { return k.Op == reflect.TypeOf(op) })
	if i < 0 {
		return nil, errs.Errorf("no reference kernel for %s", op.Name())
	}
	step, err := kernels[i].Prepare(r)
	if err != nil {
		return nil, err
	}
	if err := step.Run(a); err != nil {
		return nil, err
	}
	t, ok := a.Out[0].(*tensor.Tensor)
	if !ok {
		return nil, errors.New("the output is no tensor")
	}
	return t, nil
}
