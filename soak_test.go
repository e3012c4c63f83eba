package nnrt_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	nnrtruntime "github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first moves pools aside, the second drops them
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A service whose inputs have ever new shapes keeps a bounded number of plans: memory stays flat.
func TestMemoryStaysFlat(t *testing.T) {
	opts := nnrt.Options{Threads: 1, Runtime: nnrtruntime.Options{MaxPlans: 4}}
	models := map[string]*nnrt.Model{}
	for name, net := range nets {
		m, err := nnrt.Load([]byte(net.json), opts)
		require.NoError(t, err)
		models[name] = m
	}
	g := &graph.Graph{}
	b := graph.NewBuilder(g)
	x := b.Input("x", graph.TensorOf(tensor.Float32, graph.Sym("N"), graph.D(32)))
	n := b.Add(ops.Gather{}, b.Add(ops.Shape{}, x), b.Const("", tensor.Of([]int64{0})))
	side := b.Add(ops.Concat{}, b.Const("", tensor.Of([]int64{32})), n)
	w := b.Add(ops.Expand{}, b.Param("w", ramp(32, 1)), side) // a weight that every new shape makes anew
	b.Output(b.Add(ops.MatMul{}, x, w))
	require.NoError(t, b.Err())
	m, err := nnrt.New(g, opts)
	require.NoError(t, err)
	models["made"] = m
	shapes := map[string][]int{"made": {1, 32}}
	for name, net := range nets {
		shapes[name] = net.shape
	}
	run := func(from, to int) {
		for rows := from; rows < to; rows++ {
			for name, m := range models {
				shape := append([]int{1 + rows%97}, shapes[name][1:]...)
				_, err := m.Run(context.Background(), map[string]*tensor.Tensor{m.Inputs()[0].Name: ramp(shape...)})
				require.NoError(t, err)
			}
		}
	}
	run(0, 97)
	before := heap()
	run(97, 4*97)
	grown := heap() - before
	require.Less(t, grown, int64(1<<20), "%d bytes more after 291 more shapes", grown)
	for _, m := range models {
		require.NoError(t, m.Close())
		require.NoError(t, m.Close())
	}
}
