package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// runner is one side, ready to run.
type runner interface {
	run() error
	output() []float32
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
			if err := os.WriteFile(j.OutFile, fromFloats(r.output()), 0o644); err != nil {
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

// fill makes an input's elements: both sides get the same.
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
		shape := make([]int, len(s.Shape))
		for i, n := range s.Shape {
			shape[i] = int(n)
		}
		if s.Int64 {
			r.in = append(r.in, tensor.Of(s.ints(), shape...))
		} else {
			r.in = append(r.in, tensor.Of(s.floats(), shape...))
		}
	}
	r.out, err = r.s.RunValues(context.Background(), r.in)
	return r, err
}

func (r *nnrtRunner) run() error { return r.s.RunInto(context.Background(), r.in, r.out) }

func (r *nnrtRunner) output() []float32 { return tensor.As[float32](r.out[0].(*tensor.Tensor)) }

type ortRunner struct {
	s       *ort.DynamicAdvancedSession
	in, out []ort.Value
}

func newORT(j job) (runner, error) {
	lib := os.Getenv("NNRT_ORT")
	if lib == "" {
		return nil, fmt.Errorf("NNRT_ORT has no path of libonnxruntime")
	}
	ort.SetSharedLibraryPath(lib)
	if err := ort.InitializeEnvironment(); err != nil {
		return nil, err
	}
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer o.Destroy()
	if err := o.SetIntraOpNumThreads(j.Threads); err != nil {
		return nil, err
	}
	if err := o.SetInterOpNumThreads(1); err != nil {
		return nil, err
	}
	if err := o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll); err != nil {
		return nil, err
	}
	r := &ortRunner{}
	var names []string
	for _, s := range j.Inputs {
		names = append(names, s.Name)
		var v ort.Value
		if s.Int64 {
			v, err = ort.NewTensor(ort.NewShape(s.Shape...), s.ints())
		} else {
			v, err = ort.NewTensor(ort.NewShape(s.Shape...), s.floats())
		}
		if err != nil {
			return nil, err
		}
		r.in = append(r.in, v)
	}
	if r.s, err = ort.NewDynamicAdvancedSession(j.Model, names, j.Outputs, o); err != nil {
		return nil, err
	}
	r.out = make([]ort.Value, len(j.Outputs))
	return r, r.s.Run(r.in, r.out)
}

func (r *ortRunner) run() error { return r.s.Run(r.in, r.out) }

func (r *ortRunner) output() []float32 { return r.out[0].(*ort.Tensor[float32]).GetData() }

func fromFloats(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*4)
}

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
			return kb / 1024
		}
	}
	return 0
}
