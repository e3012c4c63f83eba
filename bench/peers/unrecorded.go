package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// unrecorded is the suite of Keras models whose outputs nobody recorded: models without goldens, and architectures (.json)
// with weights drawn from their initializers. ONNX Runtime's numbers are compared with nnrt's.
type unrecorded struct{ a *acceptance }

// Name implements conformance.Suite.
func (unrecorded) Name() string { return "unrecorded" }

// Cases implements conformance.Suite.
func (s unrecorded) Cases(dir string, entries []fs.DirEntry) ([]conformance.Case, error) {
	var files []string
	golden, configs := false, filepath.Base(dir) == "keras-model-configs"
	for _, e := range entries {
		name := e.Name()
		golden = golden || name == "golden" || name == "inputs.npz"
		if strings.HasPrefix(name, "model.") && !strings.HasSuffix(name, ".onnx") || configs && strings.HasSuffix(name, ".json") && name != "meta.json" {
			files = append(files, name)
		}
	}
	if golden {
		return nil, nil
	}
	var cases []conformance.Case
	for _, f := range files {
		cases = append(cases, conformance.Case{Suite: s.Name(), Name: filepath.Base(dir) + "/" + f, Run: func(ctx context.Context, c *conformance.Check) error {
			return s.a.compareUnrecorded(ctx, filepath.Join(dir, f), c)
		}})
	}
	return cases, nil
}

func (a *acceptance) compareUnrecorded(ctx context.Context, path string, c *conformance.Check) error {
	g, err := unrecordedGraph(path)
	if err != nil {
		return err
	}
	in, want, err := randomRun(ctx, g)
	if err != nil {
		return err
	}
	run, err := a.export(g)
	if err != nil {
		return err
	}
	got, err := run(ctx, in)
	if err != nil {
		return err
	}
	for i, w := range want {
		if err := c.Compare(g.Outputs[i].Name, got[i], w, nearby(w)); err != nil {
			return err
		}
	}
	return nil
}

func unrecordedGraph(path string) (*graph.Graph, error) {
	if filepath.Ext(path) != ".json" {
		f, err := keras.ReadFile(path, keras.Options{})
		if err != nil {
			if strings.Contains(err.Error(), "weights only") {
				return nil, conformance.Skip("weights without an architecture")
			}
			return nil, err
		}
		return f.Model.Graph(layers.Options{})
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := keras.ReadConfig(b, keras.Options{})
	if err != nil {
		return nil, err
	}
	if err := m.Initialize(1); err != nil {
		return nil, err
	}
	return m.Graph(layers.Options{})
}

// randomRun runs a graph on random values, whose free dimensions it makes larger until they fit.
func randomRun(ctx context.Context, g *graph.Graph) (in, out []tensor.Value, err error) {
	d, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	p, err := runtime.Compile(g, d, runtime.Options{})
	if err != nil {
		return nil, nil, err
	}
	s, err := p.NewSession()
	if err != nil {
		return nil, nil, err
	}
	for _, n := range []int{3, 10, 16, 64} {
		in = nil
		for i, v := range g.Inputs {
			t := v.Type
			t.Dims = nil
			for k, d := range v.Type.Dims {
				switch _, ok := d.Const(); {
				case ok:
					t.Dims = append(t.Dims, d)
				case k == 0:
					t.Dims = append(t.Dims, graph.D(3))
				default:
					t.Dims = append(t.Dims, graph.D(n))
				}
			}
			x, err := feed.Random(t, nil, uint64(i)+1, 2)
			if err != nil {
				return nil, nil, fmt.Errorf("input %q: %w", v.Name, err)
			}
			in = append(in, x)
		}
		if out, err = s.RunValues(ctx, in); err == nil || errors.Is(err, errors.ErrUnsupported) {
			break
		}
	}
	return in, out, err
}

// nearby is the tolerance that the models' recorded outputs are held to: 1e-3 relative, and 1e-5 of the largest value.
func nearby(want tensor.Value) conformance.Tolerance {
	t, ok := want.(*tensor.Tensor)
	if !ok {
		return conformance.Tolerance{Abs: 1e-6, Rel: 1e-3}
	}
	if !t.DType().IsFloat() {
		return conformance.Tolerance{}
	}
	f, err := tensor.Cast(t, tensor.Float64, tensor.CastOptions{})
	if err != nil {
		return conformance.Tolerance{}
	}
	top := 1e-7
	for _, v := range tensor.As[float64](f) {
		top = max(top, 1e-5*v, -1e-5*v)
	}
	return conformance.Tolerance{Abs: top, Rel: 1e-3}
}
