package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/bench"
)

func (a *app) benchCmd() *cobra.Command {
	var opts bench.Options
	var requests bench.Requests
	var dims []string
	var asJSON, assert bool
	cmd := &cobra.Command{
		Use:   "bench MODEL",
		Short: "Measure load time, latency, throughput and memory on random input",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.Dims, err = parseDims(dims); err != nil {
				return err
			}
			if assert {
				return a.assert(cmd.Context(), args[0], opts, asJSON)
			}
			start := time.Now()
			m, dev, err := a.open(args[0])
			if err != nil {
				return err
			}
			defer dev.Close()
			load := time.Since(start)
			if err := knownDims(m, opts.Dims); err != nil {
				return err
			}
			if requests.Goroutines > 0 || requests.Count > 0 {
				return a.serve(cmd.Context(), m, args[0], dev.Name(), opts, requests, asJSON)
			}
			r, err := bench.Run(cmd.Context(), m, opts)
			if err != nil {
				return errFile{args[0], err}
			}
			r.Model, r.Device, r.LoadMS = filepath.Base(args[0]), dev.Name(), float64(load.Microseconds())/1e3
			if a.threads > 0 {
				r.Threads = a.threads
			}
			if asJSON {
				return a.printJSON(r)
			}
			_, err = fmt.Fprintf(a.stdout, "%s on %s, %d threads, batch %d, %d runs\n  load      %9.2f ms\n  median    %9.3f ms\n"+
				"  p95       %9.3f ms\n  min       %9.3f ms\n  rate      %9.1f rows/s\n  speed     %9.1f GFLOP/s\n  peak RSS  %9.1f MB\n",
				r.Model, r.Device, r.Threads, r.Batch, r.Iters, r.LoadMS, r.MedianMS, r.P95MS, r.MinMS, float64(r.Batch)/r.MedianMS*1e3, r.GFLOPS, r.PeakRSSMB)
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&opts.Batch, "batch", 0, "rows of every input whose first dimension is free")
	f.StringArrayVar(&dims, "dim", nil, "`NAME=N`: a free dimension's size")
	f.Float64Var(&opts.Seconds, "seconds", 3, "how long to measure")
	f.BoolVar(&assert, "assert", false, "measure every kernel that could do the convolutions and products: exit 1 where the chosen one is over 10 % slower than the fastest")
	f.IntVar(&requests.Goroutines, "goroutines", 0, "call from so many goroutines at once, and say how the runs' times lie (8 with --requests)")
	f.IntVar(&requests.Count, "requests", 0, "runs of --goroutines in all (10000)")
	f.BoolVar(&asJSON, "json", false, "one line of JSON")
	return cmd
}

// serve measures many runs from several goroutines.
func (a *app) serve(ctx context.Context, m *nnrt.Model, path, device string, opts bench.Options, req bench.Requests, asJSON bool) error {
	r, err := bench.Serve(ctx, m, opts, req)
	if err != nil {
		return errFile{path, err}
	}
	if asJSON {
		return a.printJSON(struct {
			Model  string `json:"model"`
			Device string `json:"device"`
			bench.Served
		}{filepath.Base(path), device, r})
	}
	_, err = fmt.Fprintf(a.stdout, "%s on %s, %d runs from %d goroutines\n  median    %9.3f ms\n  p99       %9.3f ms (%.2f times the median)\n"+
		"  max       %9.3f ms\n  rate      %9.1f runs/s\n  allocs    %9.2f a run\n",
		filepath.Base(path), device, r.Requests, r.Goroutines, r.MedianMS, r.P99MS, r.P99OverMedian, r.MaxMS, r.PerSecond, r.AllocsPerRun)
	return err
}

// assert holds the choice of kernels against the fastest ones.
func (a *app) assert(ctx context.Context, path string, opts bench.Options, asJSON bool) error {
	list, err := bench.Choices(ctx, path, a.threads, opts)
	if err != nil {
		return errFile{path, err}
	}
	wrong := 0
	for _, c := range list {
		if c.Ratio > bench.WithinFastest {
			wrong++
		}
		if asJSON {
			err = a.printJSON(c)
		} else {
			_, err = fmt.Fprintf(a.stdout, "%5.2f  %-10s %9.3f ms  %-10s %9.3f ms  %s  %s\n", c.Ratio, c.Chosen, c.ChosenMS, c.Fastest, c.FastestMS, c.Shape, c.Node)
		}
		if err != nil {
			return err
		}
	}
	if wrong > 0 {
		return errNo{fmt.Sprintf("%d of %d choices of kernels are more than 10 %% slower than the fastest", wrong, len(list))}
	}
	return nil
}
