package main

import (
	"bufio"
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/nnrt/nnrt/bench/peers/ort"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// runner is one side, ready to run.
type runner interface {
	run() error
	output() ([]byte, error) // the first output's bytes
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
	if err == nil {
		err = r.run()
	}
	if err != nil {
		return out.Encode(result{Err: err.Error()})
	}
	load := clock(j.CPUTime) - start
	if err := out.Encode(result{LoadMS: ms(load)}); err != nil {
		return err
	}
	if f := os.Getenv("NNRT_PEERS_PROFILE"); f != "" && j.Side == "nnrt" {
		w, err := os.Create(f)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(w); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for {
		var d time.Duration
		if err := in.Decode(&d); err != nil {
			return nil
		}
		if d == 0 {
			b, err := r.output()
			if err == nil {
				err = os.WriteFile(j.OutFile, b, 0o644)
			}
			if err != nil {
				return err
			}
			return out.Encode(result{PeakMB: peakMB()})
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

// tensor makes an input: both sides get the same.
func (s spec) tensor() *tensor.Tensor {
	shape := make([]int, len(s.Shape))
	for i, n := range s.Shape {
		shape[i] = int(n)
	}
	if s.Int64 {
		return tensor.Of(s.ints(), shape...)
	}
	return tensor.Of(s.floats(), shape...)
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

type nnrtRunner struct {
	s       *runtime.Session
	in, out []tensor.Value
}

func newNNRT(j job) (runner, error) {
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
	r := &nnrtRunner{}
	if r.s, err = p.NewSession(); err != nil {
		return nil, err
	}
	for _, s := range j.Inputs {
		r.in = append(r.in, s.tensor())
	}
	r.out, err = r.s.RunValues(context.Background(), r.in)
	return r, err
}

func (r *nnrtRunner) run() error { return r.s.RunInto(context.Background(), r.in, r.out) }

func (r *nnrtRunner) output() ([]byte, error) { return r.out[0].(*tensor.Tensor).Bytes(), nil }

type ortRunner struct {
	s       *ort.Session
	in, out []*ort.Value
}

func newORT(j job) (runner, error) {
	lib, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	r := &ortRunner{}
	for _, s := range j.Inputs {
		v, err := lib.NewValue(s.tensor())
		if err != nil {
			return nil, err
		}
		r.in = append(r.in, v)
	}
	if r.s, err = lib.OpenSession(j.Model, ort.SessionOptions{Threads: j.Threads}); err != nil {
		return nil, err
	}
	r.out, err = r.s.Run(r.in)
	return r, err
}

func (r *ortRunner) run() error { return r.s.RunInto(r.in, r.out) }

func (r *ortRunner) output() ([]byte, error) { return r.out[0].Bytes() }

func toFloats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
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
