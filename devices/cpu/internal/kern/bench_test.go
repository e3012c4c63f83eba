package kern

import (
	"fmt"
	"testing"
	"time"

	"github.com/nnrt/nnrt/internal/cpuid"
)

// fastest is the least time of one call of f: of batches that take about a millisecond, for as long as the benchmark runs, so that
// other work on the machine spoils some batches but not the figure.
func fastest(b *testing.B, f func()) time.Duration {
	f()
	start := time.Now()
	f()
	n := max(1, int(time.Millisecond/max(time.Since(start), time.Nanosecond)))
	best := time.Duration(1 << 62)
	for b.Loop() {
		start := time.Now()
		for range n {
			f()
		}
		best = min(best, time.Since(start))
	}
	return max(1, best/time.Duration(n))
}

// report adds operations and bytes a second to a benchmark, and the operations' fraction of the peak.
func report(b *testing.B, s *Set, best time.Duration, flops, bytes float64) {
	peak := 0.0
	for range 20 {
		start := time.Now()
		peak = max(peak, s.Peak(10000)/time.Since(start).Seconds())
	}
	if flops > 0 {
		b.ReportMetric(flops/best.Seconds()/1e9, "GFLOP/s")
		b.ReportMetric(flops/best.Seconds()/peak, "of-peak")
	}
	if bytes > 0 {
		b.ReportMetric(bytes/best.Seconds()/1e9, "GB/s")
	}
	b.ReportMetric(float64(best.Nanoseconds()), "ns/op")
}

func benchLevels(b *testing.B, f func(b *testing.B, s *Set)) {
	for l := cpuid.Generic + 1; l <= cpuid.NEON; l++ {
		if cpuid.Has(l) {
			b.Run(l.String(), func(b *testing.B) { f(b, New(l)) })
		}
	}
}

// BenchmarkGemm multiplies by weights that stay in the cache, and by others each time.
func BenchmarkGemm(b *testing.B) {
	shapes := []struct{ m, n, k int }{
		{112, 96, 16}, {196, 96, 32}, {196, 64, 64}, {49, 160, 256}, {49, 256, 256}, {98, 256, 256}, {196, 256, 256}, {16, 256, 256}, {16, 512, 256}, {112, 24, 144}, {112, 40, 144}, {36, 256, 64},
		{4, 512, 256}, {1, 512, 256}, {600, 16, 256}, {196, 256, 128}, {196, 256, 192}, {196, 256, 384}, {196, 256, 512},
	}
	benchLevels(b, func(b *testing.B, s *Set) {
		for _, c := range shapes {
			for _, far := range []bool{false, true} {
				copies, name := 1, ""
				if size := s.Gemm.PackedLen(c.k, c.n); far {
					copies, name = (16<<20)/size, "/far"
				}
				b.Run(fmt.Sprintf("%dx%dx%d%s", c.m, c.n, c.k, name), func(b *testing.B) {
					size := s.Gemm.PackedLen(c.k, c.n)
					x, w, y, bias := make([]float32, c.m*c.k), make([]float32, size*copies), make([]float32, c.m*c.n), make([]float32, c.n)
					i := 0
					best := fastest(b, func() {
						p := w[i*size:]
						i = (i + 1) % copies
						s.Gemm.Block(c.m, c.n, Whole(c.k), x, c.k, p, y, c.n, false, Epilogue{Bias: bias, Clamp: true, Hi: 6})
					})
					report(b, s, best, 2*float64(c.m*c.n*c.k), 4*float64(c.m*c.k+c.m*c.n+c.n*c.k))
				})
			}
		}
	})
}

// BenchmarkDwRow computes rows of depthwise convolutions whose operands are in the first or second level of the cache.
func BenchmarkDwRow(b *testing.B) {
	benchLevels(b, func(b *testing.B, s *Set) {
		for _, k := range s.Spatial.rows {
			for _, n := range []int{7, 14, 28} {
				b.Run(fmt.Sprintf("%dx%d/s%d/n%d", k.width, k.width, k.stride, n), func(b *testing.B) {
					const c = 96
					d := DwRow{N: n, C: c, Rows: k.width, Hi: 6, DstStride: c, Pix: c, WStride: c, Row: (n*k.stride + k.width) * c}
					d.X, d.W, d.Bias, d.Dst = make([]float32, d.Rows*d.Row), make([]float32, d.Rows*k.width*c), make([]float32, c), make([]float32, n*c)
					report(b, s, fastest(b, func() { k.f(d) }), 2*float64(n*c*k.width*k.width), 0)
				})
			}
		}
	})
}

// BenchmarkUnary applies the functions of epilogues to rows in the first level of the cache.
func BenchmarkUnary(b *testing.B) {
	benchLevels(b, func(b *testing.B, s *Set) {
		for _, f := range []struct {
			name string
			f    Unary
		}{{"Clip", s.Vec.Clip}, {"Sigmoid", s.Vec.Sigmoid}, {"Silu", s.Vec.Silu}, {"Tanh", s.Vec.Tanh}, {"Gelu", s.Vec.Gelu}, {"HardSwish", s.Vec.HardSwish}} {
			b.Run(f.name, func(b *testing.B) {
				x, y := make([]float32, 2048), make([]float32, 2048)
				for i := range x {
					x[i] = float32(i%17) - 8
				}
				report(b, s, fastest(b, func() { f.f(y, x, -1, 1) }), 0, 8*2048)
			})
		}
	})
}

// BenchmarkTransforms measures minimal filtering's transforms of data and of products, by the bytes of what they read and write.
func BenchmarkTransforms(b *testing.B) {
	benchLevels(b, func(b *testing.B, s *Set) {
		const c = 128
		tmp, bias := make([]float32, WinoTmp), make([]float32, c)
		for _, w := range []Wino{s.Wino4, s.Wino2} {
			n2 := w.N * w.N
			x, v, y := make([]float32, n2*c), make([]float32, n2*(c+80)), make([]float32, w.O*w.O*c)
			b.Run(fmt.Sprintf("in%d", w.O), func(b *testing.B) {
				report(b, s, fastest(b, func() { w.In(v, c+80, x, w.N*c, c, c, tmp) }), 0, float64(8*n2*c))
			})
			b.Run(fmt.Sprintf("out%d", w.O), func(b *testing.B) {
				report(b, s, fastest(b, func() { w.Out(y, w.O*c, c, v, c+80, c, bias, 0, 6, tmp) }), 0, float64(4*(n2+w.O*w.O)*c))
			})
		}
		for _, l := range s.Lines {
			x, v := make([]float32, l.N*c), make([]float32, l.N*(c+80))
			b.Run(fmt.Sprintf("linein%dx%d", l.O, l.K), func(b *testing.B) {
				report(b, s, fastest(b, func() { l.In(v, c+80, x, c, c) }), 0, float64(8*l.N*c))
			})
			b.Run(fmt.Sprintf("lineout%dx%d", l.O, l.K), func(b *testing.B) {
				report(b, s, fastest(b, func() { l.Out(x, c, v, c+80, c, bias, 0, 6) }), 0, float64(4*(l.N+l.O)*c))
			})
		}
	})
}
