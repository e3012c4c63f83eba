package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/loss"
)

// trainResult is what one process of either side measured.
type trainResult struct {
	Median float64 `json:"median_ms"`
	Min    float64 `json:"min_ms"`
	Peak   float64 `json:"peak_rss_mb"`
	GFlop  float64 `json:"gflop"`
	Losses []float64
}

func trainBench(args []string) error {
	fs := flag.NewFlagSet("train", flag.ExitOnError)
	script := fs.String("script", os.Getenv("NNRT_TORCH_TRAIN"), "torch_train.py; default $NNRT_TORCH_TRAIN")
	python := fs.String("python", "/usr/bin/python3", "an interpreter that has torch")
	only := fs.String("only", "", "comma-separated cases")
	threads := fs.String("threads", "1,2", "comma-separated thread counts")
	procs := fs.Int("procs", 5, "processes of each side")
	quick := fs.Bool("quick", false, "one process of each side, a third of the steps")
	jsonFile := fs.String("json", "", "also write figures to this file")
	fs.Parse(args)
	t := trainer{script: *script, python: *python, procs: *procs, part: 1}
	if *quick {
		t.procs, t.part = 1, 3
	}
	if t.script == "" {
		return fmt.Errorf("train: no path of torch_train.py: -script or NNRT_TORCH_TRAIN")
	}
	var all []trainRow
	failed := false
	for _, th := range strings.Split(*threads, ",") {
		n, err := strconv.Atoi(th)
		if err != nil {
			return err
		}
		fmt.Printf("\n%-18s %3s %9s %9s %6s %5s  %-18s %6s %9s %5s\n", "case", "thr", "nnrt ms", "torch ms", "ratio", "bar", "peak MB nnrt/torch", "torch", "loss diff", "steps")
		for _, c := range trainCases {
			if *only != "" && !slices.Contains(strings.Split(*only, ","), c.name) {
				continue
			}
			r, err := t.compare(c, n)
			if err != nil {
				fmt.Printf("%-18s %3d %v\n", c.name, n, err)
				failed = true
				continue
			}
			layout := "nchw"
			if r.ChannelsLast {
				layout = "nhwc"
			}
			fmt.Printf("%-18s %3d %9.3f %9.3f %6.3f %5.2f  %8.1f/%8.1f  %6s %9.2g %5d\n", c.name, n, r.NNRT, r.Torch, r.Ratio, c.bar, r.PeakNNRT, r.PeakTorch, layout, r.LossDiff, r.Steps)
			all = append(all, r)
		}
	}
	if *jsonFile != "" {
		b, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			return err
		}
		return os.WriteFile(*jsonFile, b, 0o644)
	}
	if failed {
		return fmt.Errorf("train: not every case could be compared")
	}
	return nil
}

// trainRow is one line of the table: medians over processes.
type trainRow struct {
	Case                string
	Threads             int
	NNRT, Torch, Ratio  float64
	ChannelsLast        bool // the layout in which PyTorch was faster
	PeakNNRT, PeakTorch float64
	LossDiff            float64 // largest difference of the first losses, relative
	Steps               int     // losses compared
}

type trainer struct {
	script, python string
	procs, part    int
}

// firstLosses is how many losses are compared: later ones amplify differences of rounding.
const firstLosses = 4

// compare runs both sides in turn: PyTorch in either layout, then nnrt, in processes of their own.
func (t *trainer) compare(c trainCase, threads int) (trainRow, error) {
	r := trainRow{Case: c.name, Threads: threads}
	var nnrt []trainResult
	torch := make([][]trainResult, 1)
	if c.layouts {
		torch = make([][]trainResult, 2)
	}
	iters := max(1, c.iters/t.part)
	for range t.procs {
		for i := range torch {
			res, err := t.torch(c, threads, iters, i == 1)
			if err != nil {
				return r, fmt.Errorf("torch: %w", err)
			}
			torch[i] = append(torch[i], res)
		}
		res, err := t.nnrt(c, threads, iters)
		if err != nil {
			return r, fmt.Errorf("nnrt: %w", err)
		}
		nnrt = append(nnrt, res)
	}
	best := 0
	of := func(rs []trainResult, f func(trainResult) float64) float64 {
		var v []float64
		for _, x := range rs {
			v = append(v, f(x))
		}
		return median(v)
	}
	ms := func(x trainResult) float64 { return x.Median }
	peak := func(x trainResult) float64 { return x.Peak }
	for i := range torch {
		if of(torch[i], ms) < of(torch[best], ms) {
			best = i
		}
	}
	r.ChannelsLast = best == 1
	var ratios []float64
	for i := range nnrt {
		ratios = append(ratios, torch[best][i].Median/nnrt[i].Median)
	}
	r.NNRT, r.Torch, r.Ratio = of(nnrt, ms), of(torch[best], ms), median(ratios)
	r.PeakNNRT, r.PeakTorch = of(nnrt, peak), of(torch[best], peak)
	a, b := nnrt[0].Losses, torch[best][0].Losses
	r.Steps = min(firstLosses, len(a), len(b))
	for i := range r.Steps {
		r.LossDiff = max(r.LossDiff, math.Abs(a[i]-b[i])/max(1, math.Abs(b[i])))
	}
	if !(r.LossDiff <= 1e-4) {
		return r, fmt.Errorf("first losses differ by %g: %v, torch %v", r.LossDiff, a[:r.Steps], b[:r.Steps])
	}
	return r, nil
}

// torch runs the script on one case; its trace gives the losses.
func (t *trainer) torch(c trainCase, threads, iters int, last bool) (trainResult, error) {
	args := []string{t.script, "--case", c.name, "--threads", strconv.Itoa(threads), "--iters", strconv.Itoa(iters), "--warmup", strconv.Itoa(c.warmup), "--json", "--trace"}
	if last {
		args = append(args, "--channels-last")
	}
	cmd := exec.Command(t.python, args...)
	var out, trace bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trace
	var r trainResult
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%w: %s", err, trace.String())
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%w in %q", err, out.String())
	}
	for s := bufio.NewScanner(&trace); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) == 5 && f[1] == "step" && f[3] == "loss" {
			v, err := strconv.ParseFloat(f[4], 64)
			if err != nil {
				return r, err
			}
			r.Losses = append(r.Losses, v)
		}
	}
	return r, nil
}

func (t *trainer) nnrt(c trainCase, threads, iters int) (trainResult, error) {
	self, err := os.Executable()
	if err != nil {
		return trainResult{}, err
	}
	cmd := exec.Command(self, "train-child", "-case", c.name, "-threads", strconv.Itoa(threads), "-iters", strconv.Itoa(iters), "-warmup", strconv.Itoa(c.warmup))
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var r trainResult
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	return r, err
}

// trainChild trains one case with nnrt and prints what it measured; with -profile, the least time of
// each step of the plan.
func trainChild(args []string) error {
	fs := flag.NewFlagSet("train-child", flag.ExitOnError)
	name := fs.String("case", "mlp_sgd", "case")
	threads := fs.Int("threads", 1, "threads")
	iters := fs.Int("iters", 0, "steps that are measured; 0: the case's own")
	warmup := fs.Int("warmup", -1, "steps before; -1: the case's own")
	steps := fs.Int("profile", 0, "print this many of the slowest steps of the plan")
	cpuProfile := fs.String("cpuprofile", "", "write a profile of the processor's time to this file")
	plan := fs.Bool("plan", false, "print the plan")
	fs.Parse(args)
	at := slices.IndexFunc(trainCases, func(c trainCase) bool { return c.name == *name })
	if at < 0 {
		return fmt.Errorf("train-child: no case %q", *name)
	}
	c := trainCases[at]
	if *iters == 0 {
		*iters = c.iters
	}
	if *warmup < 0 {
		*warmup = c.warmup
	}
	m, b, err := c.model(*threads)
	if err != nil {
		return err
	}
	var best []runtime.StepTime
	var res trainResult
	var ms []float64
	for i := range *warmup + *iters {
		var prof runtime.Profile
		if i >= *warmup && *steps > 0 {
			m.SetProfile(&prof)
		}
		if i == *warmup && *cpuProfile != "" {
			w, err := os.Create(*cpuProfile)
			if err != nil {
				return err
			}
			if err := pprof.StartCPUProfile(w); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		start := time.Now()
		logs, err := m.TrainOnBatch(context.Background(), b)
		if err != nil {
			return err
		}
		if best == nil {
			best = prof.Steps
		}
		for k := range prof.Steps {
			best[k].Time = min(best[k].Time, prof.Steps[k].Time)
		}
		if i >= *warmup {
			ms = append(ms, float64(time.Since(start))/float64(time.Millisecond))
		}
		v, _ := logs.Get("loss")
		res.Losses = append(res.Losses, v)
	}
	if *plan {
		if err := m.WritePlan(os.Stdout, b); err != nil {
			return err
		}
		mem, err := m.Memory(b)
		if err != nil {
			return err
		}
		return mem.Write(os.Stdout)
	}
	if *steps > 0 {
		printSteps(*name, best, *steps)
		return nil
	}
	res.Median, res.Min, res.Peak = median(ms), slices.Min(ms), peakMB()
	return json.NewEncoder(os.Stdout).Encode(res)
}

// model builds the case for that many threads, with its batch.
func (c trainCase) model(threads int) (*train.Model, data.Batch, error) {
	g := &graph.Graph{}
	n := &net{b: graph.NewBuilder(g)}
	n.e = expr.E{B: n.b}
	x, y := c.build(n)
	b := data.Batch{X: []*tensor.Tensor{x}, Y: []*tensor.Tensor{y}}
	if err := n.b.Err(); err != nil {
		return nil, b, err
	}
	d, err := cpu.New(cpu.Options{Threads: threads})
	if err != nil {
		return nil, b, err
	}
	m, err := train.NewModel(g, d, train.Info{Weights: n.weights})
	if err != nil {
		return nil, b, err
	}
	return m, b, m.Compile(train.CompileOptions{Optimizer: c.optimizer(), Losses: []loss.Loss{c.loss}})
}
