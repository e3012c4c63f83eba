package main

import (
	"bufio"
	"bytes"
	"encoding/gob"
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
)

// job is what a child is asked for.
type job struct {
	Side    string
	Model   string
	Threads int
	Inputs  []spec
	OutFile string
	CPUTime bool // measure processor time: on a machine that others keep busy
}

// result is what a child says.
type result struct {
	Err     string
	LoadMS  float64 // until the model could be run
	FirstMS float64 // until the first run was done, loading included
	MS      []float64
	PeakMB  float64
}

// measure is how long and how often to measure.
type measure struct {
	procs   int
	span    time.Duration // of one process, of a large model
	cpuTime bool
}

// quickly is what -quick takes.
var quickly = measure{procs: 3, span: 200 * time.Millisecond}

func infer(args []string) error {
	fs := flag.NewFlagSet("infer", flag.ExitOnError)
	pick := pickFlags(fs)
	threads := fs.String("threads", "1,2", "comma-separated thread counts")
	m := measure{}
	fs.IntVar(&m.procs, "procs", 7, "processes of each side")
	fs.DurationVar(&m.span, "span", 1500*time.Millisecond, "time that one process measures for")
	quick := fs.Bool("quick", false, "3 processes of 200 ms")
	budget := fs.Duration("budget", 45*time.Minute, "time after which no other model is begun")
	fs.BoolVar(&m.cpuTime, "cputime", false, "measure processor time instead of the time of day: for one thread on a busy machine")
	jsonFile := fs.String("json", "", "also write figures to this file")
	fs.Parse(args)
	if *quick {
		m.procs, m.span = quickly.procs, quickly.span
	}
	cases, err := pick()
	if err != nil {
		return err
	}
	t := &table{m: m, until: time.Now().Add(*budget), single: map[string]row{}}
	for _, th := range strings.Split(*threads, ",") {
		n, err := strconv.Atoi(th)
		if err != nil {
			return err
		}
		t.print(cases, n)
	}
	if *jsonFile != "" {
		b, err := json.MarshalIndent(t.all, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*jsonFile, b, 0o644); err != nil {
			return err
		}
	}
	if t.failed > 0 {
		return fmt.Errorf("%d comparisons failed", t.failed)
	}
	return nil
}

// row is one line of the table: medians over processes.
type row struct {
	Model               string
	Batch, Threads      int
	NNRT, ORT, Ratio    float64 // ms, and ORT/nnrt
	LoadNNRT, LoadORT   float64
	FirstNNRT, FirstORT float64
	PeakNNRT, PeakORT   float64
	Diff                float64
}

// table prints rows as they are measured.
type table struct {
	m      measure
	until  time.Time
	single map[string]row // of one thread, by model and batch
	all    []row
	failed int
}

// print measures all cases at one thread count. Ratios of load, first run and memory are nnrt/ORT; scaling is the time at one
// thread by that at this many.
func (t *table) print(cases []benchCase, threads int) {
	fmt.Printf("\n%-18s%2s %9s %9s %6s %7s%6s %8s%6s %7s%6s", "threads: "+strconv.Itoa(threads), "b", "nnrt ms", "ort ms", "ort/n", "load ms", "n/ort", "first ms", "n/ort", "peak MB", "n/ort")
	if threads > 1 {
		fmt.Printf("  scaling")
	}
	fmt.Println()
	var ratios, loads, firsts, peaks, scales []float64
	worst := 0.0
	for _, c := range cases {
		for _, b := range c.batches {
			if time.Now().After(t.until) {
				fmt.Printf("%-18s%2d not measured: the time is over\n", short(c.name), b)
				t.failed++
				continue
			}
			r, err := compare(c, b, threads, t.m)
			if err != nil {
				fmt.Printf("%-18s%2d %v\n", short(c.name), b, err)
				t.failed++
				continue
			}
			fmt.Printf("%-17s%3d %9.3f %9.3f %6.3f %7.1f%6.2f %8.1f%6.2f %7.1f%6.2f", short(c.name), b, r.NNRT, r.ORT, r.Ratio,
				r.LoadNNRT, r.LoadNNRT/r.LoadORT, r.FirstNNRT, r.FirstNNRT/r.FirstORT, r.PeakNNRT, r.PeakNNRT/r.PeakORT)
			key := c.name + strconv.Itoa(b)
			if s, ok := t.single[key]; ok && threads > 1 {
				fmt.Printf(" %4.2f/%4.2f", s.NNRT/r.NNRT, s.ORT/r.ORT)
				scales = append(scales, s.NNRT/r.NNRT)
			} else if threads == 1 {
				t.single[key] = r
			}
			fmt.Println()
			t.all = append(t.all, r)
			worst = max(worst, r.Diff)
			ratios, loads = append(ratios, r.Ratio), append(loads, r.LoadNNRT/r.LoadORT)
			firsts, peaks = append(firsts, r.FirstNNRT/r.FirstORT), append(peaks, r.PeakNNRT/r.PeakORT)
		}
	}
	if len(ratios) == 0 {
		return
	}
	fmt.Printf("geometric means: ort/nnrt %.3f (least %.3f), load %.3f, first %.3f, peak %.3f", geomean(ratios), slices.Min(ratios), geomean(loads), geomean(firsts), geomean(peaks))
	if len(scales) > 0 {
		fmt.Printf(", scaling %.2f", geomean(scales))
	}
	fmt.Printf("; largest difference %.1e\n", worst)
}

// short fits a name into its column.
func short(name string) string { return name[:min(17, len(name))] }

func geomean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// pair is the two sides of one comparison, running.
type pair [2]*process

func startPair(c benchCase, batch, threads int, cpuTime bool, dir string) (pair, error) {
	var p pair
	in, err := c.inputs(batch)
	if err != nil {
		return p, err
	}
	for i, side := range sides {
		if p[i], err = start(job{Side: side, Model: c.path, Threads: threads, Inputs: in, OutFile: filepath.Join(dir, side), CPUTime: cpuTime}); err != nil {
			p.stop()
			return p, fmt.Errorf("%s: %w", side, err)
		}
	}
	return p, nil
}

// sides are whom the children stand for, in the order of a pair.
var sides = [2]string{"nnrt", "ort"}

func (p pair) stop() {
	for _, x := range p {
		if x != nil {
			x.stop()
		}
	}
}

const (
	// shortestTurn is long beside what a turn begins with: another's data in the caches, parked threads.
	shortestTurn = 200 * time.Millisecond
	// rest is between turns, as ONNX Runtime's threads look for work for a while after a run.
	rest = 50 * time.Millisecond
)

// turns lets both sides run for slices of a span, in turn, and appends their times.
func (p pair) turns(span, slice time.Duration, ms *[2][]float64) error {
	for end := time.Now().Add(2 * span); time.Now().Before(end) || len(ms[0]) < 3; {
		for i, x := range p {
			m, err := x.run(slice)
			if err != nil {
				return fmt.Errorf("%s: %w", sides[i], err)
			}
			ms[i] = append(ms[i], m...)
			time.Sleep(rest)
		}
	}
	return nil
}

func compare(c benchCase, batch, threads int, m measure) (row, error) {
	r := row{Model: c.name, Batch: batch, Threads: threads}
	dir, err := os.MkdirTemp("", "peers")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	span := m.span
	if c.small {
		span /= 4
	}
	var times, loads, firsts, peaks [2][]float64
	var ratios []float64
	for range m.procs {
		p, err := startPair(c, batch, threads, m.cpuTime, dir)
		if err != nil {
			return r, err
		}
		defer p.stop()
		var ms [2][]float64
		if err := p.turns(span, max(span/15, shortestTurn), &ms); err != nil {
			return r, err
		}
		var med [2]float64
		for i, x := range p {
			med[i] = median(ms[i])
			times[i] = append(times[i], med[i])
			last, err := x.finish()
			if err != nil {
				return r, err
			}
			loads[i], firsts[i], peaks[i] = append(loads[i], x.load), append(firsts[i], x.first), append(peaks[i], last)
		}
		p.stop()
		ratios = append(ratios, med[1]/med[0])
	}
	r.NNRT, r.ORT, r.Ratio = median(times[0]), median(times[1]), median(ratios)
	r.LoadNNRT, r.LoadORT = median(loads[0]), median(loads[1])
	r.FirstNNRT, r.FirstORT = median(firsts[0]), median(firsts[1])
	r.PeakNNRT, r.PeakORT = median(peaks[0]), median(peaks[1])
	r.Diff, err = difference(filepath.Join(dir, sides[0]), filepath.Join(dir, sides[1]))
	return r, err
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}

// maxDiff is how far outputs may lie apart, by the largest of them.
const maxDiff = 1e-3

// difference is the largest difference of two files of outputs, relative to the largest element of each of the second.
func difference(a, b string) (float64, error) {
	x, err := readOutputs(a)
	if err != nil {
		return 0, err
	}
	y, err := readOutputs(b)
	if err != nil {
		return 0, err
	}
	if len(x) != len(y) {
		return 0, fmt.Errorf("%d and %d outputs", len(x), len(y))
	}
	all := 0.0
	for k := range x {
		if len(x[k]) != len(y[k]) {
			return 0, fmt.Errorf("output %d has %d and %d elements", k, len(x[k]), len(y[k]))
		}
		top, worst := 0.0, 0.0
		for i, v := range y[k] {
			if math.IsNaN(x[k][i]) != math.IsNaN(v) {
				return math.NaN(), fmt.Errorf("element %d of output %d is %v and %v", i, k, x[k][i], v)
			}
			if v != x[k][i] && !math.IsNaN(v) {
				worst = max(worst, math.Abs(x[k][i]-v))
			}
			if !math.IsInf(v, 0) && !math.IsNaN(v) {
				top = max(top, math.Abs(v))
			}
		}
		d := worst / max(top, 1e-30)
		if !(d <= maxDiff) {
			return d, fmt.Errorf("output %d differs by %g of its largest element, more than %g", k, d, maxDiff)
		}
		all = max(all, d)
	}
	return all, nil
}

func readOutputs(path string) (list [][]float64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return list, gob.NewDecoder(bytes.NewReader(b)).Decode(&list)
}

// process is a running child.
type process struct {
	cmd         *exec.Cmd
	in          *json.Encoder
	pipe        interface{ Close() error }
	out         *json.Decoder
	load, first float64
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
	p.load, p.first = r.LoadMS, r.FirstMS
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
