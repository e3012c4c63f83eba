// Package nnrt runs neural networks that were trained elsewhere: it opens ONNX and Keras models and runs
// them on the CPU, in pure Go, without a runtime of anybody else's.
//
//	m, err := nnrt.Open("model.onnx", nnrt.Options{})
//	if err != nil { ... }
//	defer m.Close()
//	out, err := m.Run(ctx, map[string]*tensor.Tensor{"x": x})
//
// A Model is safe for concurrent use. Training is in package train, the operators' own form of a model in
// package graph, other devices in the packages below devices.
package nnrt

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// Options steers Open, OpenFS, Load and New. The zero value runs on the CPU.
type Options struct {
	// Device runs the model. Nil makes a CPU device of the model's own. The caller closes a device that is
	// given here.
	Device devices.Device
	// Threads bounds the goroutines that one run may use on the model's own device; 0 means GOMAXPROCS.
	Threads int
	// Kernels are the caller's own, for the model's own device: with Import.ONNX.Ops they make an operator that
	// nnrt doesn't know.
	Kernels []devices.Kernel
	// Runtime steers compilation.
	Runtime runtime.Options
	// Import steers reading.
	Import ImportOptions
}

// Model is a compiled model. It is safe for concurrent use: each run takes a session from a pool.
type Model struct {
	g       *graph.Graph
	src     *Source // nil where the model was made of a graph
	program *runtime.Program
	device  devices.Device
	own     bool // the device is the model's own
	pool    sync.Pool
}

// Value describes an input or output.
type Value struct {
	Name string
	// Type holds element type and dimensions; a dimension that is no number is free.
	Type graph.Type
}

// Open reads and compiles the model in a file, recognising its format by content. The error says what is
// malformed, or lists everything that is not supported.
func Open(path string, opts Options) (*Model, error) {
	src, err := ImportSource(path, opts.Import)
	if err != nil {
		return nil, err
	}
	return fromSource(src, opts)
}

// fromSource compiles an imported model, and keeps what it was imported from for Save and Source.
func fromSource(src *Source, opts Options) (*Model, error) {
	m, err := New(src.Graph, opts)
	if err != nil {
		return nil, err
	}
	m.src = src
	return m, nil
}

// Source is what the model was imported from; nil where it was made of a graph.
func (m *Model) Source() *Source { return m.src }

// OpenFS is Open for a file system, such as an embed.FS.
func OpenFS(fsys fs.FS, name string, opts Options) (*Model, error) {
	src, err := ImportFSSource(fsys, name, opts.Import)
	if err != nil {
		return nil, err
	}
	return fromSource(src, opts)
}

// LoadReader is Open for the size bytes of a file that is open, or of anything else that can be read at an offset.
func LoadReader(r io.ReaderAt, size int64, opts Options) (*Model, error) {
	src, err := ImportReader(r, size, opts.Import)
	if err != nil {
		return nil, err
	}
	return fromSource(src, opts)
}

// Load is Open for a model in memory, which must not change as long as the Model is in use.
func Load(data []byte, opts Options) (*Model, error) {
	src, err := ImportBytesSource(data, opts.Import)
	if err != nil {
		return nil, err
	}
	return fromSource(src, opts)
}

// New compiles a graph.
func New(g *graph.Graph, opts Options) (*Model, error) {
	m := &Model{g: g, device: opts.Device}
	if m.device == nil {
		dev, err := cpu.New(cpu.Options{Threads: opts.Threads, Exact: opts.Runtime.Exact, Kernels: opts.Kernels})
		if err != nil {
			return nil, err
		}
		m.device, m.own = dev, true
	}
	p, err := runtime.Compile(g, m.device, opts.Runtime)
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.program = p
	return m, nil
}

// Graph is the model in canonical form; not to be changed.
func (m *Model) Graph() *graph.Graph { return m.g }

// Program is the compiled model, for those who want sessions of their own.
func (m *Model) Program() *runtime.Program { return m.program }

// Inputs describes what Run takes.
func (m *Model) Inputs() []Value { return describe(m.g.Inputs) }

// Outputs describes what Run gives.
func (m *Model) Outputs() []Value { return describe(m.g.Outputs) }

func describe(vs []*graph.Value) []Value {
	out := make([]Value, len(vs))
	for i, v := range vs {
		out[i] = Value{Name: v.Name, Type: v.Type.WithoutValue()}
	}
	return out
}

// Run feeds the named inputs and returns the named outputs, newly allocated. Inputs that are missing,
// unknown or do not fit are refused before anything runs. When ctx ends, so does the run, within
// milliseconds.
func (m *Model) Run(ctx context.Context, in map[string]*tensor.Tensor) (map[string]*tensor.Tensor, error) {
	s, err := m.session()
	if err != nil {
		return nil, err
	}
	defer m.pool.Put(s)
	return s.Run(ctx, in)
}

// RunValues is Run by position, for values of any kind: tensors, sequences, optionals, maps.
func (m *Model) RunValues(ctx context.Context, in []tensor.Value) ([]tensor.Value, error) {
	s, err := m.session()
	if err != nil {
		return nil, err
	}
	defer m.pool.Put(s)
	return s.RunValues(ctx, in)
}

// Session makes a session of its own, whose memory is kept from run to run: for a loop that runs one
// thing after the other. It is not safe for concurrent use.
func (m *Model) Session() (*runtime.Session, error) { return m.program.NewSession() }

func (m *Model) session() (*runtime.Session, error) {
	if m.program == nil {
		return nil, errs.Errorf("nnrt: the model is closed")
	}
	if s, ok := m.pool.Get().(*runtime.Session); ok {
		return s, nil
	}
	return m.program.NewSession()
}

// Close frees the model's own device. A second Close does nothing; runs in progress must have ended.
func (m *Model) Close() error {
	m.program = nil
	if !m.own || m.device == nil {
		return nil
	}
	dev := m.device
	m.device = nil
	return dev.Close()
}
