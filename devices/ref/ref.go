// Package ref is the reference device: for every operator one naive, obviously correct kernel in plain Go.
// It is the oracle that other devices' kernels are tested against, and it folds constants.
package ref

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Device runs the reference kernels.
type Device struct{ table *devices.Table }

// New makes the reference device.
func New() *Device { return &Device{table: devices.NewTable(Kernels())} }

// Name implements devices.Device.
func (*Device) Name() string { return "ref" }

// Kernels implements devices.Device.
func (d *Device) Kernels() *devices.Table { return d.table }

// Submit implements devices.Device.
func (*Device) Submit(ctx context.Context, steps []devices.Bound) error {
	return devices.RunSteps(ctx, steps)
}

// Close implements devices.Device.
func (*Device) Close() error { return nil }

// Kernels is every reference kernel.
func Kernels() []devices.Kernel {
	var out []devices.Kernel
	for _, k := range slices.Concat(
		activationKernels(),
		binaryKernels(),
		unaryKernels(),
		compareKernels(),
		castKernels(),
		reduceKernels(),
		softmaxKernels(),
		matmulKernels(),
		normKernels(),
		convKernels(),
		poolKernels(),
		resizeKernels(),
		spatialKernels(),
		shapeKernels(),
		gatherKernels(),
		sliceKernels(),
		sortKernels(),
		recurrentKernels(),
		attentionKernels(),
		controlKernels(),
		sequenceKernels(),
		stringKernels(),
		randomKernels(),
		quantKernels(),
		signalKernels(),
		imageKernels(),
		mlKernels(),
		treeKernels(),
		microsoftKernels(),
		trainingKernels(),
		lossKernels(),
		fusedKernels(),
	) {
		out = append(out, *k)
	}
	return out
}

// Call is one application of a kernel: the operands, and what selection knew of them.
type Call struct {
	*devices.Args
	Req devices.Request
}

// In is input i, nil where omitted. It panics where the input is no tensor, which Infer has to exclude.
//
//go:noinline
func (c *Call) In(i int) *tensor.Tensor {
	if i >= len(c.Args.In) || c.Args.In[i] == nil {
		return nil
	}
	return c.Args.In[i].(*tensor.Tensor)
}

// NIn is the number of inputs, omitted ones included.
func (c *Call) NIn() int { return len(c.Args.In) }

// NOut is the number of outputs.
func (c *Call) NOut() int { return len(c.Args.Out) }

// Out is output i, ready to be written: for operators whose output types are known before running.
func (c *Call) Out(i int) *tensor.Tensor {
	t := c.OutTensor(i)
	if t == nil {
		panic(fmt.Sprintf("ref: output %d of %s has no known shape", i, c.Req.Node.Op.Name()))
	}
	return t
}

// OutOf is output i with the shape that the kernel found: the tensor given, where there is one of that
// shape, else a new one.
func (c *Call) OutOf(i int, dt tensor.DType, shape ...int) (*tensor.Tensor, error) {
	if t := c.OutTensor(i); t != nil {
		if t.DType() == dt && slices.Equal(t.Shape(), shape) {
			return t, nil
		}
		return nil, errs.Errorf("output %d is %v%v where %v%v was inferred", i, dt, shape, t.DType(), t.Shape())
	}
	t, err := tensor.Make(dt, shape)
	if err == nil && i < len(c.Args.Out) {
		c.Args.Out[i] = t
	}
	return t, err
}

// Set makes v output i: for sequences, optionals, maps, and tensors whose shape only running tells.
func (c *Call) Set(i int, v tensor.Value) error {
	if t := c.OutTensor(i); t != nil {
		src, ok := v.(*tensor.Tensor)
		if !ok || !slices.Equal(t.Shape(), src.Shape()) {
			return errs.Errorf("output %d does not have the inferred shape %v", i, t.Shape())
		}
		return t.CopyFrom(src)
	}
	if i < len(c.Args.Out) {
		c.Args.Out[i] = v
	}
	return nil
}

// fn makes a kernel of a plain function. Only a thin adapter is generic, for it is compiled once an operator.
func fn[O graph.Op](f func(op O, c *Call) error) *devices.Kernel {
	return plain(reflect.TypeFor[O](), func(op graph.Op, c *Call) error { return f(op.(O), c) })
}

// It stays out of line: written into each of its generic callers, it costs forty kilobytes.
//
//go:noinline
func plain(t reflect.Type, f func(op graph.Op, c *Call) error) *devices.Kernel {
	return &devices.Kernel{Name: "ref/" + t.Name(), Op: t,
		Match:   func(devices.Request) int { return 1 },
		Prepare: func(r devices.Request) (devices.Step, error) { return &step{f: f, req: r}, nil }}
}

type step struct {
	f   func(op graph.Op, c *Call) error
	req devices.Request
}

func (*step) Scratch() int { return 0 }

func (s *step) Run(a *devices.Args) error {
	return s.f(s.req.Node.Op, &Call{Args: a, Req: s.req})
}
