package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/tensor"
)

// cases are the models of gen_models.py with their batches.
var cases = []struct {
	file    string
	batches []int
}{
	{"resnet50", []int{1, 8}}, {"mobilenetv2", []int{1, 8}}, {"vgg16", []int{1}}, {"squeezenet1_1", []int{1}},
	{"efficientnet_b0", []int{1}}, {"densenet121", []int{1}}, {"inception_v3", []int{1}}, {"bert_base_seq128", []int{1}},
	{"lstm2_h256_seq100", []int{1, 8}}, {"mlp_784_512_10", []int{1, 32, 128}},
}

// spec is an input that both sides make for themselves.
type spec struct {
	Name  string
	Int64 bool
	Shape []int64
}

// job is what a child is asked for.
type job struct {
	Side    string
	Model   string
	Threads int
	Inputs  []spec
	Outputs []string
	OutFile string
	CPUTime bool // measure processor time: on a machine that others keep busy
}

// result is what a child says.
type result struct {
	Err    string
	LoadMS float64 // reading, preparing, and the first run
	MS     []float64
	PeakMB float64
}

func infer(args []string) error {
	fs := flag.NewFlagSet("infer", flag.ExitOnError)
	models := fs.String("models", os.Getenv("NNRT_BENCH_MODELS"), "folder of models; default $NNRT_BENCH_MODELS")
	only := fs.String("only", "", "comma-separated models")
	threads := fs.String("threads", "1,2", "comma-separated thread counts")
	procs := fs.Int("procs", 7, "processes of each side")
	span := fs.Duration("span", 1500*time.Millisecond, "time that one process measures for")
	cpuTime := fs.Bool("cputime", false, "measure processor time instead of the time of day: for one thread on a busy machine")
	jsonFile := fs.String("json", "", "also write figures to this file")
	fs.Parse(args)
	var all []row
	for _, th := range strings.Split(*threads, ",") {
		n, err := strconv.Atoi(th)
		if err != nil {
			return err
		}
		fmt.Printf("\n%-22s %5s %3s %10s %10s %8s %18s %18s %9s\n", "model", "batch", "thr", "nnrt ms", "ort ms", "ort/nnrt", "load ms nnrt/ort", "peak MB nnrt/ort", "max diff")
		logs, count := 0.0, 0
		for _, c := range cases {
			if *only != "" && !slices.Contains(strings.Split(*only, ","), c.file) {
				continue
			}
			for _, b := range c.batches {
				r, err := compare(filepath.Join(*models, c.file+".onnx"), b, n, *procs, *span, *cpuTime)
				if err != nil {
					fmt.Printf("%-22s %5d %3d %v\n", c.file, b, n, err)
					continue
				}
				r.Model = c.file
				fmt.Printf("%-22s %5d %3d %10.3f %10.3f %8.3f %9.1f/%8.1f %9.1f/%8.1f %9.2g\n", c.file, b, n, r.NNRT, r.ORT, r.Ratio, r.LoadNNRT, r.LoadORT, r.PeakNNRT, r.PeakORT, r.Diff)
				logs, count = logs+math.Log(r.Ratio), count+1
				all = append(all, r)
			}
		}
		if count > 0 {
			fmt.Printf("geometric mean of ort/nnrt, %d threads: %.3f\n", n, math.Exp(logs/float64(count)))
		}
	}
	if *jsonFile != "" {
		b, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			return err
		}
		return os.WriteFile(*jsonFile, b, 0o644)
	}
	return nil
}

// row is one line of the table: medians over processes.
type row struct {
	Model             string
	Batch, Threads    int
	NNRT, ORT, Ratio  float64
	LoadNNRT, LoadORT float64
	PeakNNRT, PeakORT float64
	Diff              float64
}

// inputsOf finds a model's inputs by reading it, with every symbol the batch.
func inputsOf(path string, batch int) (in []spec, out []string, err error) {
	g, err := onnx.ReadFile(path, onnx.Options{})
	if err != nil {
		return nil, nil, err
	}
	for _, v := range g.Inputs {
		s := spec{Name: v.Name, Int64: v.Type.DType == tensor.Int64}
		for _, d := range v.Type.Dims {
			n, ok := d.Const()
			if !ok {
				n = batch
			}
			s.Shape = append(s.Shape, int64(n))
		}
		in = append(in, s)
	}
	for _, v := range g.Outputs {
		out = append(out, v.Name)
	}
	return in, out, nil
}

func compare(path string, batch, threads, procs int, span time.Duration, cpuTime bool) (row, error) {
	in, out, err := inputsOf(path, batch)
	if err != nil {
		return row{}, err
	}
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return row{}, err
	}
	defer os.RemoveAll(dir)
	r := row{Batch: batch, Threads: threads}
	var times, loads, peaks [2][]float64
	var ratios []float64
	for range procs {
		var sides [2]*process
		for i, side := range []string{"nnrt", "ort"} {
			p, err := start(job{Side: side, Model: path, Threads: threads, Inputs: in, Outputs: out, OutFile: filepath.Join(dir, side), CPUTime: cpuTime})
			if err != nil {
				return r, fmt.Errorf("%s: %w", side, err)
			}
			defer p.stop()
			sides[i] = p
		}
		var ms [2][]float64
		for end := time.Now().Add(2 * span); time.Now().Before(end) || len(ms[0]) < 3; {
			for i, p := range sides {
				m, err := p.run(span / 15)
				if err != nil {
					return r, err
				}
				ms[i] = append(ms[i], m...)
				time.Sleep(3 * time.Millisecond) // the other side's threads may spin for a moment
			}
		}
		var med [2]float64
		for i, p := range sides {
			med[i] = median(ms[i])
			times[i] = append(times[i], med[i])
			last, err := p.finish()
			if err != nil {
				return r, err
			}
			loads[i] = append(loads[i], p.load)
			peaks[i] = append(peaks[i], last)
		}
		ratios = append(ratios, med[1]/med[0])
	}
	r.NNRT, r.ORT, r.Ratio = median(times[0]), median(times[1]), median(ratios)
	r.LoadNNRT, r.LoadORT = median(loads[0]), median(loads[1])
	r.PeakNNRT, r.PeakORT = median(peaks[0]), median(peaks[1])
	r.Diff, err = difference(filepath.Join(dir, "nnrt"), filepath.Join(dir, "ort"))
	return r, err
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// difference is the largest difference of two files of float32, relative to the largest element of the second.
func difference(a, b string) (float64, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return 0, err
	}
	y, err := os.ReadFile(b)
	if err != nil {
		return 0, err
	}
	if len(x) != len(y) {
		return 0, fmt.Errorf("outputs of %d and %d bytes", len(x), len(y))
	}
	xs, ys := toFloats(x), toFloats(y)
	top, worst := 0.0, 0.0
	for i := range xs {
		top = max(top, math.Abs(float64(ys[i])))
		worst = max(worst, math.Abs(float64(xs[i]-ys[i])))
		if xs[i] != xs[i] {
			return math.NaN(), fmt.Errorf("output %d is NaN", i)
		}
	}
	d := worst / max(top, 1e-30)
	if d > 1e-3 {
		return d, fmt.Errorf("outputs differ by %g of the largest, more than 1e-3", d)
	}
	return d, nil
}

// process is a running child.
type process struct {
	cmd  *exec.Cmd
	in   *json.Encoder
	pipe interface{ Close() error }
	out  *json.Decoder
	load float64
}

func start(j job) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "child")
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(max(1, j.Threads)))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, in: json.NewEncoder(stdin), pipe: stdin, out: json.NewDecoder(bufio.NewReader(stdout))}
	if err := p.in.Encode(j); err != nil {
		return nil, err
	}
	r, err := p.read()
	p.load = r.LoadMS
	return p, err
}

func (p *process) read() (result, error) {
	var r result
	if err := p.out.Decode(&r); err != nil {
		return r, fmt.Errorf("child: %w", err)
	}
	if r.Err != "" {
		return r, fmt.Errorf("%s", r.Err)
	}
	return r, nil
}

func (p *process) run(d time.Duration) ([]float64, error) {
	if err := p.in.Encode(d); err != nil {
		return nil, err
	}
	r, err := p.read()
	return r.MS, err
}

func (p *process) finish() (peak float64, err error) {
	if err := p.in.Encode(time.Duration(0)); err != nil {
		return 0, err
	}
	r, err := p.read()
	return r.PeakMB, err
}

func (p *process) stop() {
	p.pipe.Close()
	p.cmd.Wait()
}
