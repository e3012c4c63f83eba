// Package bench measures a model: load time, latency, throughput and memory.
package bench

import (
	"context"
	"math"
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// Options steers Run.
type Options struct {
	// Batch replaces the first dimension of every input, where that is free; 0 leaves it at 1.
	Batch int
	// Dims gives free dimensions by name.
	Dims map[string]int
	// Seconds is how long to measure; 0 means 3.
	Seconds float64
	// Inputs are the values to feed; inputs that are missing here get random numbers.
	Inputs map[string]*tensor.Tensor
}

// Result is one measurement; times in milliseconds, memory in MB (1e6 bytes).
type Result struct {
	Model     string  `json:"model"`
	Device    string  `json:"device"`
	Threads   int     `json:"threads"`
	Batch     int     `json:"batch"`
	Iters     int     `json:"iters"`
	LoadMS    float64 `json:"load_ms"`
	MedianMS  float64 `json:"median_ms"`
	P95MS     float64 `json:"p95_ms"`
	MinMS     float64 `json:"min_ms"`
	GFLOPS    float64 `json:"gflops"`
	PeakRSSMB float64 `json:"peak_rss_mb"`
}

// Run measures a loaded model. LoadMS and the names are the caller's to fill in.
func Run(ctx context.Context, m *nnrt.Model, opts Options) (Result, error) {
	in, batch, err := Inputs(m, opts)
	if err != nil {
		return Result{}, err
	}
	step, err := stepOf(ctx, m, in)
	if err != nil {
		return Result{}, err
	}
	limit := opts.Seconds
	if limit <= 0 {
		limit = 3
	}
	var times []float64
	for start := time.Now(); time.Since(start).Seconds() < limit || len(times) < 5; {
		t := time.Now()
		if err := step(); err != nil {
			return Result{}, err
		}
		times = append(times, float64(time.Since(t).Nanoseconds())/1e6)
	}
	slices.Sort(times)
	r := Result{Threads: goruntime.GOMAXPROCS(0), Batch: batch, Iters: len(times), MedianMS: Quantile(times, 0.5), P95MS: Quantile(times, 0.95),
		MinMS: times[0], PeakRSSMB: PeakRSS() / 1e6}
	if macs, err := MulAdds(m.Graph(), in); err == nil && r.MedianMS > 0 {
		r.GFLOPS = 2 * float64(macs) / r.MedianMS / 1e6
	}
	return r, nil
}

// Inputs makes the values to feed: those given, and random ones for the rest.
func Inputs(m *nnrt.Model, opts Options) ([]tensor.Value, int, error) {
	var in []tensor.Value
	batch := 1
	for i, v := range m.Inputs() {
		if t := opts.Inputs[v.Name]; t != nil {
			in = append(in, t)
			continue
		}
		t := v.Type
		if opts.Batch > 0 && t.Rank() > 0 && t.Dims[0].IsSym() {
			t.Dims = append([]graph.Dim{graph.D(opts.Batch)}, t.Dims[1:]...)
		}
		x, err := feed.Random(t, opts.Dims, uint64(i)+1, 2)
		if err != nil {
			return nil, 0, errs.Errorf("input %q: %w", v.Name, err)
		}
		if i == 0 && x.Rank() > 0 {
			batch = x.Dim(0)
		}
		in = append(in, x)
	}
	return in, batch, nil
}

// Quantile is the q-quantile of sorted numbers.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// MulAdds counts the multiply-adds of one run on inputs like in, by inferring every type from theirs.
func MulAdds(g *graph.Graph, in []tensor.Value) (int64, error) {
	types := make([]graph.Type, len(in))
	for i, v := range in {
		if t, ok := v.(*tensor.Tensor); ok {
			types[i] = graph.TensorOf(t.DType(), graph.Dims(t.Shape()...)...)
		}
	}
	return MulAddsOf(g, types)
}

// MulAddsOf is MulAdds for inputs of those types.
func MulAddsOf(g *graph.Graph, in []graph.Type) (int64, error) {
	all, err := g.InferAll(in)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, n := range g.Nodes {
		if c, ok := n.Op.(ops.Coster); ok {
			total += c.MulAdds(typesOf(all, n.In), typesOf(all, n.Out))
		}
	}
	return total, nil
}

func typesOf(all map[*graph.Value]graph.Type, vs []*graph.Value) []graph.Type {
	out := make([]graph.Type, len(vs))
	for i, v := range vs {
		if v == nil {
			continue
		}
		t, ok := all[v]
		if !ok {
			t = v.Type
		}
		out[i] = t
	}
	return out
}

// PeakRSS is the process's greatest resident size so far, in bytes; 0 where the system does not say.
func PeakRSS() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64); err == nil {
				return kb * 1024
			}
		}
	}
	return 0
}

// Profile runs a model n times and gives each node's time, most first.
func Profile(ctx context.Context, s *runtime.Session, in []tensor.Value, n int) (*runtime.Profile, error) {
	if _, err := s.RunValues(ctx, in); err != nil {
		return nil, err
	}
	p := &runtime.Profile{}
	s.SetProfile(p)
	defer s.SetProfile(nil)
	for range n {
		if _, err := s.RunValues(ctx, in); err != nil {
			return nil, err
		}
	}
	order.Stable(p.Steps, func(a, b runtime.StepTime) int { return int(b.Time - a.Time) })
	return p, nil
}
