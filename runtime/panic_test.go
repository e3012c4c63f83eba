package runtime_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/guard"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// faulty is an operator whose kernel panics on input of seven rows, as a mistake would.
type faulty struct{ ops.Identity }

func (faulty) Name() string { return "Faulty" }

// faultyDevice is the reference device with a kernel for it.
type faultyDevice struct {
	*ref.Device
	table *devices.Table
}

func (d faultyDevice) Kernels() *devices.Table { return d.table }

type faultyStep struct{}

func (faultyStep) Scratch() int { return 0 }

func (faultyStep) Run(a *devices.Args) error {
	in, out := tensor.As[float32](a.In[0].(*tensor.Tensor)), tensor.As[float32](a.Out[0].(*tensor.Tensor))
	if len(in) == 7 {
		_ = in[7:][len(out)]
	}
	copy(out, in)
	return nil
}

// A panic in a kernel is an error that names the node, and the session goes on.
func TestPanicInKernel(t *testing.T) {
	if !guard.On {
		t.Skip("built with nnrtdebug: panics go through")
	}
	dev := faultyDevice{ref.New(), devices.NewTable(append(ref.Kernels(), devices.For("faulty", nil,
		func(faulty, devices.Request) (devices.Step, error) { return faultyStep{}, nil })))}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N")))
	b.SetOrigin("the/node")
	b.Output(b.Add(faulty{}, b.Add(ops.Tanh{}, x)))
	require.NoError(t, b.Err())
	p, err := runtime.Compile(g, dev, runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	run := func(n int) error {
		_, err := s.RunValues(context.Background(), []tensor.Value{tensor.New(tensor.Float32, n)})
		return err
	}
	require.NoError(t, run(3))
	err = run(7)
	var step *devices.StepError
	require.ErrorAs(t, err, &step)
	require.ErrorIs(t, err, guard.ErrInternal)
	require.ErrorContains(t, err, `Faulty "the/node"`)
	require.NoError(t, run(3))
}

func TestMemoryLimit(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 1})
	require.NoError(t, err)
	defer dev.Close()
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Int64, graph.Sym("N"))) // a shape that only running tells
	b.Output(b.Add(ops.Expand{}, b.Float(1), x))
	require.NoError(t, b.Err())
	p, err := runtime.Compile(g, dev, runtime.Options{MemoryLimit: 1 << 20})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	run := func(dims ...int64) error {
		_, err := s.RunValues(context.Background(), []tensor.Value{tensor.Of(dims, len(dims))})
		return err
	}
	require.NoError(t, run(100, 100))
	require.ErrorIs(t, run(1000, 1000), runtime.ErrMemory)
	require.Error(t, run(1<<40, 1<<40), "the product overflows")
	require.Error(t, run(-5))
	require.NoError(t, run(2, 3))
}
