package runtime_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// gated lets one run in at a time.
type gated struct {
	devices.Device
	gate chan struct{}
	runs int
}

func (g *gated) Admit(ctx context.Context) error {
	select {
	case g.gate <- struct{}{}:
		g.runs++
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gated) Leave() { <-g.gate }

// A run waits for its turn no longer than its context lives, and what runs inside it doesn't wait for another.
func TestAdmission(t *testing.T) {
	dev := &gated{Device: ref.New(), gate: make(chan struct{}, 1)}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	in := []*graph.Value{b.Input("cond", graph.TensorOf(tensor.Bool)), b.Input("x", graph.TensorOf(tensor.Float32, graph.D(2)))}
	b.Output(b.AddN(sampleOp(t, "If"), in...)...)
	require.NoError(t, b.Err())
	p, err := runtime.Compile(g, dev, runtime.Options{})
	require.NoError(t, err)
	s, err := p.NewSession()
	require.NoError(t, err)
	args := []tensor.Value{tensor.Scalar(true), tensor.Of([]float32{-1, 2})}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := s.RunValues(ctx, args)
	require.NoError(t, err, "a subgraph waits for its own run to end")
	require.Equal(t, []float32{0, 2}, floats(out[0]))
	require.Equal(t, 1, dev.runs)
	require.Empty(t, dev.gate)

	require.NoError(t, dev.Admit(t.Context()))
	short, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer stop()
	require.ErrorIs(t, s.RunInto(short, args, out), context.DeadlineExceeded)
	dev.Leave()
	require.NoError(t, s.RunInto(t.Context(), args, out))
}
