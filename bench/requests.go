package bench

import (
	"context"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Requests steers Serve.
type Requests struct {
	// Goroutines call at once; 0 means 8.
	Goroutines int
	// Count is how many runs they make in all; 0 means 10,000.
	Count int
}

// Served is what callers at once saw of a model; times in milliseconds.
type Served struct {
	Goroutines int     `json:"goroutines"`
	Requests   int     `json:"requests"`
	MedianMS   float64 `json:"median_ms"`
	P99MS      float64 `json:"p99_ms"`
	MaxMS      float64 `json:"max_ms"`
	// P99OverMedian is the tail: 1 where every request takes as long as the others.
	P99OverMedian float64 `json:"p99_over_median"`
	PerSecond     float64 `json:"per_second"`
	// AllocsPerRun is heap allocations by anybody in the process, a run.
	AllocsPerRun float64 `json:"allocs_per_run"`
}

// Serve runs a model many times from several goroutines, each with a session of its own, and says how the times of single runs
// lie. Sessions are warm before the first is counted.
func Serve(ctx context.Context, m *nnrt.Model, opts Options, req Requests) (Served, error) {
	if req.Goroutines <= 0 {
		req.Goroutines = 8
	}
	if req.Count <= 0 {
		req.Count = 10000
	}
	in, _, err := Inputs(m, opts)
	if err != nil {
		return Served{}, err
	}
	steps := make([]func() error, req.Goroutines)
	for i := range steps {
		if steps[i], err = stepOf(ctx, m, in); err != nil {
			return Served{}, err
		}
	}
	return ServeSteps(steps, req.Count)
}

// ServeSteps is Serve for anything that runs: one goroutine calls each of steps, count times in all.
func ServeSteps(steps []func() error, count int) (Served, error) {
	times := make([]float64, count)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	fail := func(err error) { failed.CompareAndSwap(nil, &err) }
	serve := func(step func() error, times []float64) {
		for {
			i := next.Add(1) - 1
			if i >= int64(len(times)) || failed.Load() != nil {
				return
			}
			t := time.Now()
			if err := step(); err != nil {
				fail(err)
				return
			}
			times[i] = float64(time.Since(t).Nanoseconds()) / 1e6
		}
	}
	together := func(times []float64) {
		next.Store(0)
		var wg sync.WaitGroup
		for _, s := range steps {
			wg.Go(func() { serve(s, times) })
		}
		wg.Wait()
	}
	together(make([]float64, 4*len(steps)))
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	start := time.Now()
	together(times)
	took := time.Since(start).Seconds()
	goruntime.ReadMemStats(&after)
	if err := failed.Load(); err != nil {
		return Served{}, errs.Errorf("of several at once: %w", *err)
	}
	slices.Sort(times)
	r := Served{Goroutines: len(steps), Requests: count, MedianMS: Quantile(times, 0.5), P99MS: Quantile(times, 0.99), MaxMS: times[len(times)-1],
		PerSecond: float64(count) / took}
	r.P99OverMedian = r.P99MS / r.MedianMS
	// Starting the goroutines takes a few allocations by itself.
	r.AllocsPerRun = max(0, float64(after.Mallocs-before.Mallocs)-float64(8*len(steps))) / float64(count)
	return r, nil
}

// stepOf makes a session, and what runs it once: into the same outputs where their shapes allow.
func stepOf(ctx context.Context, m *nnrt.Model, in []tensor.Value) (func() error, error) {
	s, err := m.Session()
	if err != nil {
		return nil, err
	}
	out, err := s.RunValues(ctx, in)
	if err != nil {
		return nil, err
	}
	step := func() error { return s.RunInto(ctx, in, out) }
	if err := step(); err != nil { // outputs of open shapes, sequences: allocated anew each time
		step = func() error { _, err := s.RunValues(ctx, in); return err }
	}
	return step, step()
}
