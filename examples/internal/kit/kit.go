// Package kit is what the examples share: their flags, where the data lies, and saving what training gave.
package kit

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/internal/testdata"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

// Env is what every example is run with.
type Env struct {
	Data    string // the folder of the data sets
	Seed    uint64
	Epochs  int
	Batch   int
	Threads int
	Verbose int
	History string // where the last History goes; empty: nowhere
	Profile string // where a CPU profile goes; empty: nowhere
	Out     io.Writer
	Device  *cpu.Device
}

// Flags declares the common flags with an example's defaults.
func Flags(epochs, batch int) *Env {
	e := &Env{Out: os.Stdout}
	flag.StringVar(&e.Data, "data", testdata.Root(), "folder of the shared data")
	flag.Uint64Var(&e.Seed, "seed", 1, "seed of weights, dropout and the order of samples")
	flag.IntVar(&e.Epochs, "epochs", epochs, "epochs")
	flag.IntVar(&e.Batch, "batch", batch, "samples in a batch")
	flag.IntVar(&e.Threads, "threads", 0, "threads; 0: all")
	flag.IntVar(&e.Verbose, "verbose", 2, "0: silent, 1: progress bar, 2: a line an epoch")
	flag.StringVar(&e.History, "history", "", "write the history as JSON, for nnrt plot")
	flag.StringVar(&e.Profile, "cpuprofile", "", "write a profile for go tool pprof")
	return e
}

// ForTest is an Env for a short silent run in a test, which is skipped where the data isn't there.
func ForTest(t testing.TB, epochs, batch int, data ...string) *Env {
	t.Helper()
	if len(data) > 0 {
		testdata.Dir(t, data...)
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	return &Env{Data: testdata.Root(), Seed: 1, Epochs: epochs, Batch: batch, Out: io.Discard, Device: dev}
}

// Main parses the flags, runs an example until it ends or is interrupted, and prints the time it took.
func (e *Env) Main(run func(ctx context.Context, e *Env) error) {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	begin := time.Now()
	err := e.profiled(ctx, run)
	fmt.Fprintf(e.Out, "%.1f s\n", time.Since(begin).Seconds())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

func (e *Env) profiled(ctx context.Context, run func(ctx context.Context, e *Env) error) (err error) {
	if e.Device, err = cpu.New(cpu.Options{Threads: e.Threads}); err != nil {
		return err
	}
	defer e.Device.Close()
	if e.Profile != "" {
		f, err := os.Create(e.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return run(ctx, e)
}

// Path is a file or folder of the data.
func (e *Env) Path(elem ...string) string {
	return filepath.Join(append([]string{e.Data}, elem...)...)
}

// Printf prints to the example's output.
func (e *Env) Printf(format string, args ...any) { fmt.Fprintf(e.Out, format, args...) }

// Fit is the options of a fit with the common flags.
func (e *Env) Fit() train.FitOptions {
	return train.FitOptions{Epochs: e.Epochs, BatchSize: e.Batch, Shuffle: true, Verbose: e.Verbose, Output: e.Out}
}

// Keep writes a history where -history says.
func (e *Env) Keep(h *train.History) error {
	if e.History == "" {
		return nil
	}
	p, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return os.WriteFile(e.History, append(p, '\n'), 0o666)
}

// Optimizer is Keras' optimizer of that name with a learning rate; 0 is its default.
func Optimizer(name string, rate float64) (optim.Optimizer, error) {
	o, err := optim.New(name)
	if err == nil && rate > 0 {
		o.Options().LearningRate.Value = rate
	}
	return o, err
}

// Logs is logs as one line.
func Logs(logs train.Logs) string {
	s := ""
	for _, l := range logs {
		if len(l.Values) == 1 {
			s += fmt.Sprintf("  %s %.4f", l.Name, l.Values[0])
		}
	}
	return s
}

// Matrix makes a tensor of rows of numbers.
func Matrix(rows [][]float64) *tensor.Tensor {
	if len(rows) == 0 {
		return tensor.New(tensor.Float32, 0, 0)
	}
	t := tensor.New(tensor.Float32, len(rows), len(rows[0]))
	y := tensor.As[float32](t)
	for i, r := range rows {
		for j, v := range r {
			y[i*len(rows[0])+j] = float32(v)
		}
	}
	return t
}

// Input is an input layer; -1 is a size left open. The batch isn't part of the shape.
func Input(name string, shape ...int) *layers.InputLayer {
	return &layers.InputLayer{Base: layers.Named(name), BatchShape: append([]int{-1}, shape...)}
}

// Train compiles and fits layers, and puts the weights back into them.
func (e *Env) Train(ctx context.Context, net *layers.Model, d data.Dataset, c train.CompileOptions, o train.FitOptions) (*train.Model, *train.History, error) {
	m, err := train.FromLayers(net, e.Device, e.Seed)
	if err != nil {
		return nil, nil, err
	}
	c.Seed = e.Seed
	if err := m.Compile(c); err != nil {
		return nil, nil, err
	}
	h, err := m.Fit(ctx, d, o)
	if err != nil {
		return m, h, err
	}
	return m, h, m.ToLayers(net)
}
