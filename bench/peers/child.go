package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nnrt/nnrt/bench/peers/ort"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// runner is one side, loaded.
type runner interface {
	first() error // the first run, which may allocate
	settle()      // finds out whether later ones have to
	run() error
	outputs() ([]tensor.Value, error)
	another() (runner, error) // for a caller beside, of the same loaded model
}

// child reads a job from standard input, then durations to run for; zero ends it.
func child([]string) error {
	in, out := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(os.Stdout)
	var j job
	if err := in.Decode(&j); err != nil {
		return err
	}
	start := clock(j.CPUTime)
	r, err := newRunner(j)
	load := clock(j.CPUTime) - start
	if err == nil {
		err = r.first()
	}
	if err != nil {
		return out.Encode(result{Err: err.Error()})
	}
	if err := out.Encode(result{LoadMS: ms(load), FirstMS: ms(clock(j.CPUTime) - start)}); err != nil {
		return err
	}
	r.settle()
	stop, err := profileChild(j)
	if err != nil {
		return err
	}
	defer stop()
	for {
		var d time.Duration
		if err := in.Decode(&d); err != nil {
			return nil
		}
		if d == 0 {
			peak := peakMB()
			if err := writeOutputs(j.OutFile, r); err != nil {
				return out.Encode(result{Err: err.Error()})
			}
			return out.Encode(result{PeakMB: peak})
		}
		var res result
		for end := time.Now().Add(d); ; {
			t := clock(j.CPUTime)
			if err := r.run(); err != nil {
				res.Err = err.Error()
				break
			}
			res.MS = append(res.MS, ms(clock(j.CPUTime)-t))
			if time.Now().After(end) {
				break
			}
		}
		if err := out.Encode(res); err != nil {
			return err
		}
	}
}

// profileChild writes nnrt's processor profile to the file that NNRT_PEERS_PROFILE names.
func profileChild(j job) (func(), error) {
	f := os.Getenv("NNRT_PEERS_PROFILE")
	if f == "" || j.Side != "nnrt" {
		return func() {}, nil
	}
	w, err := os.Create(f)
	if err != nil {
		return nil, err
	}
	return pprof.StopCPUProfile, pprof.StartCPUProfile(w)
}

func writeOutputs(path string, r runner) error {
	vs, err := r.outputs()
	if err != nil {
		return err
	}
	var list [][]float64
	for _, v := range vs {
		n, err := numbersOf(v)
		if err != nil {
			return err
		}
		list = append(list, n)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(list); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// numbersOf is a value's elements; of strings something that differs where they do.
func numbersOf(v tensor.Value) ([]float64, error) {
	switch v := v.(type) {
	case *tensor.Tensor:
		if v.DType() == tensor.String {
			var out []float64
			for _, s := range v.Strings() {
				h := fnv.New32()
				h.Write([]byte(s))
				out = append(out, float64(h.Sum32()))
			}
			return out, nil
		}
		f, err := tensor.Cast(v, tensor.Float64, tensor.CastOptions{})
		if err != nil {
			return nil, err
		}
		return tensor.As[float64](f), nil
	case *tensor.Sequence:
		var out []float64
		for _, e := range v.Elems {
			n, err := numbersOf(e)
			if err != nil {
				return nil, err
			}
			out = append(out, n...)
		}
		return out, nil
	case *tensor.Map:
		keys, err := numbersOf(v.Keys)
		if err != nil {
			return nil, err
		}
		values, err := numbersOf(v.Values)
		return append(keys, values...), err
	}
	return nil, fmt.Errorf("an output is a %T", v)
}

// clock is the time of day, or the processor time that this process has taken.
func clock(cpu bool) time.Duration {
	if !cpu {
		return time.Duration(time.Now().UnixNano())
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func newRunner(j job) (runner, error) {
	if j.Side == "nnrt" {
		return newNNRT(j)
	}
	return newORT(j)
}

// tensor makes or reads an input: both sides get the same.
func (s spec) tensor() (*tensor.Tensor, error) {
	if s.File != "" {
		return tensor.OpenNpy(s.File, tensor.NpyOptions{})
	}
	shape := make([]int, len(s.Shape))
	for i, n := range s.Shape {
		shape[i] = int(n)
	}
	switch {
	case s.Strings != nil:
		return tensor.FromStrings(s.Strings, shape...)
	case s.Int64:
		return tensor.Of(s.ints(), shape...), nil
	}
	return tensor.Of(s.floats(), shape...), nil
}

func (s spec) floats() []float32 {
	r := rand.New(rand.NewPCG(1, uint64(len(s.Name))))
	v := make([]float32, s.len())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func (s spec) ints() []int64 {
	r := rand.New(rand.NewPCG(1, uint64(len(s.Name))))
	v := make([]int64, s.len())
	for i := range v {
		switch {
		case strings.Contains(s.Name, "mask"):
			v[i] = 1
		case strings.Contains(s.Name, "type"):
			v[i] = 0
		default:
			v[i] = int64(r.IntN(1000))
		}
	}
	return v
}

func (s spec) len() int {
	n := int64(1)
	for _, d := range s.Shape {
		n *= d
	}
	return int(n)
}

// inputsFor makes what a job feeds.
func inputsFor(j job) ([]tensor.Value, error) {
	var in []tensor.Value
	for _, s := range j.Inputs {
		t, err := s.tensor()
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", s.Name, err)
		}
		in = append(in, t)
	}
	return in, nil
}

type nnrtRunner struct {
	p       *runtime.Program
	s       *runtime.Session
	in, out []tensor.Value
	anew    bool // outputs are allocated at each run: their shapes are open
}

func newNNRT(j job) (runner, error) {
	r := &nnrtRunner{}
	var err error
	if r.in, err = inputsFor(j); err != nil {
		return nil, err
	}
	g, err := onnx.ReadFile(j.Model, onnx.Options{})
	if err != nil {
		return nil, err
	}
	d, err := cpu.New(cpu.Options{Threads: j.Threads})
	if err != nil {
		return nil, err
	}
	p, err := runtime.Compile(g, d, runtime.Options{})
	if err != nil {
		return nil, err
	}
	r.p = p
	r.s, err = p.NewSession()
	return r, err
}

func (r *nnrtRunner) another() (runner, error) {
	s, err := r.p.NewSession()
	return &nnrtRunner{p: r.p, s: s, in: r.in}, err
}

func (r *nnrtRunner) first() (err error) {
	r.out, err = r.s.RunValues(context.Background(), r.in)
	return err
}

func (r *nnrtRunner) settle() { r.anew = r.s.RunInto(context.Background(), r.in, r.out) != nil }

func (r *nnrtRunner) run() (err error) {
	if r.anew {
		r.out, err = r.s.RunValues(context.Background(), r.in)
		return err
	}
	return r.s.RunInto(context.Background(), r.in, r.out)
}

func (r *nnrtRunner) outputs() ([]tensor.Value, error) { return r.out, nil }

type ortRunner struct {
	s       *ort.Session
	in, out []*ort.Value
	anew    bool
}

func newORT(j job) (runner, error) {
	lib, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	in, err := inputsFor(j)
	if err != nil {
		return nil, err
	}
	r := &ortRunner{}
	for _, t := range in {
		v, err := lib.NewValue(t)
		if err != nil {
			return nil, err
		}
		r.in = append(r.in, v)
	}
	r.s, err = lib.OpenSession(j.Model, ort.SessionOptions{Threads: j.Threads})
	return r, err
}

func (r *ortRunner) another() (runner, error) { return &ortRunner{s: r.s, in: r.in}, nil }

func (r *ortRunner) first() (err error) {
	r.out, err = r.s.Run(r.in)
	return err
}

func (r *ortRunner) settle() { r.anew = r.s.RunInto(r.in, r.out) != nil }

func (r *ortRunner) run() (err error) {
	if !r.anew {
		return r.s.RunInto(r.in, r.out)
	}
	for _, v := range r.out {
		v.Close()
	}
	r.out, err = r.s.Run(r.in)
	return err
}

func (r *ortRunner) outputs() ([]tensor.Value, error) {
	var out []tensor.Value
	for _, v := range r.out {
		t, err := v.Go()
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// peakMB is the process's peak resident memory.
func peakMB() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(string(b), "\n") {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}
