//go:build unix

package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/cpuid"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// BenchmarkConv measures convolutions of common shapes; GFLOP/s count the plain convolution's operations
// and the time that the process had a processor, so that a busy machine doesn't spoil them.
func BenchmarkConv(b *testing.B) {
	shapes := []struct{ hw, c, m, k, s, group int }{
		{56, 64, 64, 1, 1, 1}, {56, 64, 256, 1, 1, 1}, {56, 256, 64, 1, 1, 1}, {28, 512, 128, 1, 1, 1}, {14, 256, 1024, 1, 1, 1}, {14, 1024, 256, 1, 1, 1},
		{7, 512, 2048, 1, 1, 1}, {7, 2048, 512, 1, 1, 1}, {56, 64, 64, 3, 1, 1}, {28, 128, 128, 3, 1, 1}, {14, 256, 256, 3, 1, 1}, {7, 512, 512, 3, 1, 1},
		{224, 3, 64, 7, 2, 1}, {224, 3, 32, 3, 2, 1}, {56, 128, 128, 3, 2, 1}, {14, 512, 512, 3, 2, 1}, {17, 160, 160, 7, 1, 1}, {112, 96, 96, 3, 2, 96}, {56, 144, 144, 3, 1, 144}, {7, 960, 960, 3, 1, 960},
		{112, 16, 96, 1, 1, 1}, {56, 144, 24, 1, 1, 1},
	}
	for l := cpuid.AVX2; l <= cpuid.AVX512; l++ {
		if !cpuid.Has(l) {
			continue
		}
		for _, c := range shapes {
			b.Run(fmt.Sprintf("%v/%dx%d_%d_%d_k%d_s%d_g%d", l, c.hw, c.hw, c.c, c.m, c.k, c.s, c.group), func(b *testing.B) {
				d, err := New(Options{Threads: 1, Level: l.String()})
				if err != nil {
					b.Fatal(err)
				}
				defer d.Close()
				r := rand.New(rand.NewPCG(1, 1))
				x, w := randTensor(r, 1, c.hw, c.hw, c.c), randTensor(r, c.m, c.c/c.group, c.k, c.k)
				op := ops.FusedConv{Strides: []int{c.s, c.s}, Pads: []int{c.k / 2, c.k / 2, c.k / 2, c.k / 2}, Group: c.group, Format: ops.NHWC}
				in := []graph.Type{graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...), graph.ConstOf(w)}
				out, err := op.Infer(in)
				if err != nil {
					b.Fatal(err)
				}
				shape, _ := out[0].Shape()
				y := tensor.New(tensor.Float32, shape...)
				s, err := d.prepareFusedConv(op, devices.Request{Node: &graph.Node{Op: op}, In: in, Out: out, Const: []*tensor.Tensor{nil, w}, Dev: d})
				if err != nil {
					b.Fatal(err)
				}
				a := &devices.Args{In: []tensor.Value{x, w}, Out: []tensor.Value{y}, Scratch: tensor.AlignedBytes(s.Scratch())}
				start := processorTime()
				for b.Loop() {
					if err := s.Run(a); err != nil {
						b.Fatal(err)
					}
				}
				per := (processorTime() - start) / time.Duration(b.N)
				flops := 2 * float64(prod(shape)) * float64(c.c/c.group*c.k*c.k)
				b.ReportMetric(flops/per.Seconds()/1e9, "GFLOP/s")
				b.ReportMetric(float64(per.Microseconds()), "µs")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
