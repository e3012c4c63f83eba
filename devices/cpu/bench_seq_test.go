//go:build unix

package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/cpuid"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// benchStep measures one operator; flops and bytes are what one run computes and has to read and write.
func benchStep(b *testing.B, d *Device, op graph.Op, consts []bool, flops, bytes float64, in ...*tensor.Tensor) {
	n := &graph.Node{Op: op, Origin: "bench"}
	r := devices.Request{Node: n, Dev: d}
	a := &devices.Args{}
	for i, x := range in {
		ty, c := graph.Type{}, (*tensor.Tensor)(nil)
		if x == nil {
			a.In = append(a.In, nil)
		} else {
			ty = graph.TensorOf(x.DType(), graph.Dims(x.Shape()...)...)
			if consts[i] {
				ty.Const, c = x, x
			}
			a.In = append(a.In, x)
		}
		r.In, r.Const = append(r.In, ty), append(r.Const, c)
	}
	outs, err := op.Infer(r.In)
	if err != nil {
		b.Fatal(err)
	}
	for _, o := range outs {
		shape, _ := o.Shape()
		a.Out = append(a.Out, tensor.New(o.DType, shape...))
	}
	r.Out = outs
	k, err := d.Kernels().Select(r)
	if err != nil {
		b.Fatal(err)
	}
	s, err := k.Prepare(r)
	if err != nil {
		b.Fatal(err)
	}
	a.Scratch = tensor.AlignedBytes(s.Scratch())
	cpu, wall := processorTime(), time.Now()
	for b.Loop() {
		if err := s.Run(a); err != nil {
			b.Fatal(err)
		}
	}
	used, passed := (processorTime()-cpu)/time.Duration(b.N), time.Since(wall)/time.Duration(b.N)
	if d.Threads() == 1 {
		// One thread is measured by the processor's time: a busy machine doesn't spoil that.
		passed = used
	}
	b.ReportMetric(flops/passed.Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(bytes/passed.Seconds()/1e9, "GB/s")
	b.ReportMetric(float64(passed.Nanoseconds())/1e3, "µs")
	b.ReportMetric(0, "ns/op")
}

// eachLevel runs f at each level but the twins in Go, on one and on two threads.
func eachLevel(b *testing.B, f func(b *testing.B, d *Device)) {
	for l := cpuid.AVX2; l <= cpuid.NEON; l++ {
		if !cpuid.Has(l) {
			continue
		}
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("%v/t%d", l, threads), func(b *testing.B) {
				d, err := New(Options{Threads: threads, Level: l.String()})
				if err != nil {
					b.Fatal(err)
				}
				defer d.Close()
				f(b, d)
			})
		}
	}
}

// BenchmarkRecurrent measures layers of 256 units over 100 steps.
func BenchmarkRecurrent(b *testing.B) {
	eachLevel(b, func(b *testing.B, d *Device) {
		r := rand.New(rand.NewPCG(1, 1))
		for _, n := range []int{1, 8} {
			const steps, in, h = 100, 128, 256
			for _, c := range []struct {
				name  string
				gates int
				op    graph.Op
			}{{"lstm", 4, ops.LSTM{HiddenSize: h}}, {"gru", 3, ops.GRU{HiddenSize: h, LinearBeforeReset: true}}, {"rnn", 1, ops.RNN{HiddenSize: h}}} {
				b.Run(fmt.Sprintf("%s/n%d", c.name, n), func(b *testing.B) {
					g := c.gates
					w, rec := randTensor(r, 1, g*h, in), randTensor(r, 1, g*h, h)
					for _, t := range []*tensor.Tensor{w, rec} {
						d.k.Vec.MulS(tensor.As[float32](t), tensor.As[float32](t), 0.05, 0)
					}
					flops := 2 * float64(steps*n*g*h*(in+h))
					benchStep(b, d, c.op, []bool{false, true, true, true}, flops, float64(4*steps*g*h*h),
						randTensor(r, steps, n, in), w, rec, randTensor(r, 1, 2*g*h))
				})
			}
		}
	})
}

// BenchmarkAttention measures a layer of BERT-base at 128 positions, and longer ones.
func BenchmarkAttention(b *testing.B) {
	eachLevel(b, func(b *testing.B, d *Device) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{128, 1024} {
			b.Run(fmt.Sprintf("s%d", n), func(b *testing.B) {
				const h, size = 12, 64
				x := func() *tensor.Tensor { return randTensor(r, 1, n, h, size) }
				op := ops.FusedAttention{Scale: 0.125, QPacked: true, KPacked: true, VPacked: true, YPacked: true}
				benchStep(b, d, op, make([]bool, 3), 4*float64(n*n*h*size), float64(16*n*h*size), x(), x(), x())
			})
		}
	})
}

// BenchmarkIntegers measures quantized products; an operation is a multiplication or an addition.
func BenchmarkIntegers(b *testing.B) {
	eachLevel(b, func(b *testing.B, d *Device) {
		r := rand.New(rand.NewPCG(1, 3))
		const m, k, n = 128, 768, 768
		for name, c := range map[string]struct {
			op    graph.Op
			flops float64
			in    []*tensor.Tensor
		}{
			"matmul": {ops.QLinearMatMul{}, 2 * m * k * n, []*tensor.Tensor{randInts(r, m, k), nil, nil, randInts(r, k, n)}},
			"conv":   {ops.QLinearConv{Pads: []int{1, 1, 1, 1}}, 2 * 28 * 28 * 128 * 128 * 9, []*tensor.Tensor{randInts(r, 1, 128, 28, 28), nil, nil, randInts(r, 128, 128, 3, 3)}},
		} {
			b.Run(name, func(b *testing.B) {
				in := append(c.in, scaleOf(r, 0.01), zeroLike(r, c.in[3]), scaleOf(r, 1), zeroLike(r, c.in[0]))
				in[1], in[2] = scaleOf(r, 0.01), zeroLike(r, in[0])
				benchStep(b, d, c.op, []bool{false, false, false, true, false, true, false, false}, c.flops, float64(in[0].Len()+in[3].Len()), in...)
			})
		}
	})
}
