package main

import (
	"flag"
	"fmt"
	"sort"
	"time"

	"github.com/nnrt/nnrt/runtime"
)

// profile prints the fastest time of each step of the models that -only names.
func profile(args []string) error {
	fs := flag.NewFlagSet("profile", flag.ExitOnError)
	pick := pickFlags(fs)
	batch := fs.Int("batch", 1, "batch")
	threads := fs.Int("threads", 1, "threads")
	runs := fs.Int("runs", 15, "runs")
	top := fs.Int("top", 25, "steps to print")
	fs.Parse(args)
	cases, err := pick()
	if err != nil {
		return err
	}
	for _, c := range cases {
		if err := profileCase(c, *batch, *threads, *runs, *top); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// profileCase prints one model's.
func profileCase(c benchCase, batch, threads, runs, top int) error {
	in, err := c.inputs(batch)
	if err != nil {
		return err
	}
	r, err := newNNRT(job{Side: "nnrt", Model: c.path, Threads: threads, Inputs: in})
	if err != nil {
		return err
	}
	if err := r.first(); err != nil {
		return err
	}
	r.settle()
	n := r.(*nnrtRunner)
	var best []runtime.StepTime
	for range runs {
		var p runtime.Profile
		n.s.SetProfile(&p)
		if err := n.run(); err != nil {
			return err
		}
		if best == nil {
			best = p.Steps
		}
		for i := range best {
			best[i].Time = min(best[i].Time, p.Steps[i].Time)
		}
	}
	printSteps(fmt.Sprintf("%s batch %d", c.name, batch), best, top)
	return nil
}

// printSteps prints how long kernels and the slowest steps took.
func printSteps(title string, best []runtime.StepTime, top int) {
	var total time.Duration
	byKernel := map[string]time.Duration{}
	for _, s := range best {
		total += s.Time
		byKernel[s.Kernel] += s.Time
	}
	var kernels []string
	for k := range byKernel {
		kernels = append(kernels, k)
	}
	sort.Slice(kernels, func(i, j int) bool { return byKernel[kernels[i]] > byKernel[kernels[j]] })
	fmt.Printf("%s: %d steps, %v\n", title, len(best), total)
	for _, k := range kernels {
		fmt.Printf("%10v %5.1f %% %s\n", byKernel[k].Round(time.Microsecond), 100*float64(byKernel[k])/float64(total), k)
	}
	order := make([]int, len(best))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return best[order[i]].Time > best[order[j]].Time })
	for _, i := range order[:min(top, len(order))] {
		fmt.Printf("%10v %4d %-16s %-30s %s\n", best[i].Time.Round(time.Microsecond), i, best[i].Op, best[i].Origin, best[i].Kernel)
	}
}
