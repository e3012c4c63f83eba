package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
)

// KerasSuite is the layout of recorded Keras models: a folder with meta.json, inputs.npz, outputs.npz and
// model.keras, model.h5 or model_tf.h5. A .h5 of Keras 3 is judged where Keras itself reads it back with
// the same answer.
type KerasSuite struct{}

// Name implements Suite.
func (KerasSuite) Name() string { return "keras-inference" }

type kerasMeta struct {
	RTol      float64           `json:"rtol"`
	ATol      float64           `json:"atol"`
	Calls     int               `json:"calls"`
	Reloaded  map[string]string `json:"reloaded_by_keras"`
	OutputsTF string            `json:"outputs_tf"`
}

func hasEntry(entries []fs.DirEntry, name string) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
}

// Cases implements Suite.
func (s KerasSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	if !hasEntry(entries, "meta.json") || !hasEntry(entries, "inputs.npz") || !hasEntry(entries, "outputs.npz") || hasEntry(entries, "architecture.json") {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return nil, err
	}
	var meta kerasMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, errs.Errorf("meta.json: %w", err)
	}
	var cases []Case
	for _, file := range []string{"model.keras", "model.h5", "model_tf.h5"} {
		if !hasEntry(entries, file) {
			continue
		}
		if r, ok := meta.Reloaded[file]; ok && r != "same" {
			continue
		}
		cases = append(cases, Case{Suite: s.Name(), Name: filepath.Base(dir) + "/" + file, Run: func(ctx context.Context, c *Check) error {
			return runKeras(ctx, dir, file, meta, c)
		}})
	}
	return cases, nil
}

func runKeras(ctx context.Context, dir, file string, meta kerasMeta, c *Check) error {
	f, err := keras.ReadFile(filepath.Join(dir, file), keras.Options{})
	if err != nil {
		return err
	}
	if len(f.Report.Missing) > 0 {
		return errs.Errorf("weights without a value: %v", f.Report.Missing)
	}
	return compareKeras(ctx, f.Model, dir, meta, c)
}

// compareKeras runs a model on inputs.npz and compares its outputs; a stateful one twice.
func compareKeras(ctx context.Context, m *layers.Model, dir string, meta kerasMeta, c *Check) error {
	g, err := m.Graph(layers.Options{})
	if err != nil {
		return err
	}
	p, err := c.compile(g)
	if err != nil {
		return err
	}
	in, err := readNpz(filepath.Join(dir, "inputs.npz"))
	if err != nil {
		return err
	}
	want, err := readNpz(filepath.Join(dir, "outputs.npz"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(meta.OutputsTF, "differs") {
		tf, err := readNpz(filepath.Join(dir, "outputs_tf.npz"))
		if err != nil {
			return err
		}
		for k, v := range tf {
			if v.DType() != want[k].DType() {
				if v, err = tensor.Cast(v, want[k].DType(), tensor.CastOptions{}); err != nil {
					return err
				}
			}
			want[k] = v
		}
	}
	args, err := kerasInputs(g, in)
	if err != nil {
		return err
	}
	tol := Tolerance{Abs: meta.ATol, Rel: meta.RTol}
	for call := range max(1, meta.Calls) {
		got, err := p.run(ctx, args)
		if err != nil {
			return err
		}
		for i, v := range got {
			name := fmt.Sprintf("output_%d", i)
			if call > 0 {
				name += fmt.Sprintf("_call%d", call+1)
			}
			w, ok := want[name]
			if !ok {
				return errs.Errorf("the data has no %s", name)
			}
			if err := c.Tensor(name, asTensor(v), w, tol); err != nil {
				return err
			}
		}
		if _, more := want[fmt.Sprintf("output_%d", len(got))]; more {
			return errs.Errorf("%d outputs, the data has more", len(got))
		}
	}
	return nil
}

// kerasInputs is input_0, input_1, ... as the types that the graph takes.
func kerasInputs(g *graph.Graph, in map[string]*tensor.Tensor) ([]tensor.Value, error) {
	args := make([]tensor.Value, len(g.Inputs))
	for i, v := range g.Inputs {
		t, ok := in[fmt.Sprintf("input_%d", i)]
		if !ok {
			return nil, errs.Errorf("the data has no input_%d (%q)", i, v.Name)
		}
		if t.DType() != v.Type.DType {
			var err error
			if t, err = tensor.Cast(t, v.Type.DType, tensor.CastOptions{}); err != nil {
				return nil, err
			}
		}
		args[i] = t
	}
	return args, nil
}

func readNpz(path string) (map[string]*tensor.Tensor, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	list, err := tensor.DecodeNpz(b, b, tensor.NpyOptions{})
	if err != nil {
		return nil, errs.Errorf("%s: %w", filepath.Base(path), err)
	}
	out := make(map[string]*tensor.Tensor, len(list))
	for _, n := range list {
		out[n.Name] = n.Tensor
	}
	return out, nil
}

// KerasModelSuite is the layout of Keras models of public repositories: meta.json with goldens beside
// model.h5, model.hdf5 or model.keras, and config.json where the model file has weights only.
type KerasModelSuite struct{}

// Name implements Suite.
func (KerasModelSuite) Name() string { return "models-keras" }

// Cases implements Suite.
func (s KerasModelSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	file := ""
	for _, f := range []string{"model.h5", "model.hdf5", "model.keras"} {
		if hasEntry(entries, f) {
			file = f
		}
	}
	if file == "" || !hasEntry(entries, "meta.json") || hasEntry(entries, "inputs.npz") {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return nil, err
	}
	var meta struct {
		NoGolden string `json:"no_golden"`
		Goldens  []struct {
			goldenCase
			Lambdas map[string]string `json:"lambdas"`
		} `json:"goldens"`
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, errs.Errorf("meta.json: %w", err)
	}
	name := filepath.Base(dir)
	if len(meta.Goldens) == 0 {
		return []Case{{Suite: s.Name(), Name: name + "/loads", Run: func(_ context.Context, c *Check) error {
			return loadOnly(dir, file, hasEntry(entries, "config.json"), c)
		}}}, nil
	}
	var cases []Case
	for _, g := range meta.Goldens {
		cases = append(cases, Case{Suite: s.Name(), Name: name + "/" + g.Case, Run: func(ctx context.Context, c *Check) error {
			return runKerasGolden(ctx, dir, file, g.goldenCase, g.Lambdas, c)
		}})
	}
	return cases, nil
}

// loadOnly passes where a file without goldens loads, or is refused as holding a custom class or weights only.
func loadOnly(dir, file string, config bool, c *Check) error {
	_, err := keras.ReadFile(filepath.Join(dir, file), keras.Options{})
	switch {
	case err == nil, errors.Is(err, errors.ErrUnsupported):
	case !config && strings.Contains(err.Error(), "weights only"):
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		if _, err := keras.ReadWeights(b, keras.Options{}); err != nil {
			return err
		}
	default:
		return err
	}
	c.compared++
	return nil
}

func runKerasGolden(ctx context.Context, dir, file string, g goldenCase, lambdas map[string]string, c *Check) error {
	f, err := openKeras(dir, file, lambdas)
	if err != nil {
		return err
	}
	if len(f.Report.Missing) > 0 {
		return errs.Errorf("weights without a value: %v", f.Report.Missing)
	}
	gr, err := f.Model.Graph(layers.Options{})
	if err != nil {
		return err
	}
	p, err := c.compile(gr)
	if err != nil {
		return err
	}
	in := make([]tensor.Value, len(gr.Inputs))
	for i, v := range gr.Inputs {
		j := slices.IndexFunc(g.Inputs, func(x goldenValue) bool { return x.Name == v.Name })
		if j < 0 {
			if i >= len(g.Inputs) {
				return errs.Errorf("the golden has %d inputs, the model %d", len(g.Inputs), len(gr.Inputs))
			}
			j = i
		}
		t, err := g.Inputs[j].read(dir)
		if err != nil {
			return err
		}
		if t.DType() != v.Type.DType {
			if t, err = tensor.Cast(t, v.Type.DType, tensor.CastOptions{}); err != nil {
				return err
			}
		}
		in[i] = t
	}
	got, err := p.run(ctx, in)
	if err != nil {
		return err
	}
	for i, w := range g.Outputs {
		want, err := w.read(dir)
		if err != nil {
			return err
		}
		at := w.place(p.g.Outputs, i)
		if at < 0 || at >= len(got) {
			return errs.Errorf("the model has no output %d", at)
		}
		y := asTensor(got[at])
		if y.DType() != want.DType() {
			if want, err = tensor.Cast(want, y.DType(), tensor.CastOptions{}); err != nil {
				return err
			}
		}
		if err := c.Tensor(w.Name, y, want, goldenTolerance(want)); err != nil {
			return err
		}
	}
	return nil
}

func openKeras(dir, file string, lambdas map[string]string) (*keras.File, error) {
	opts := keras.Options{Custom: map[string]keras.Factory{}}
	for name, body := range lambdas {
		f, err := lambdaOf(body)
		if err != nil {
			return nil, err
		}
		opts.Custom[name] = f
	}
	path := filepath.Join(dir, file)
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return keras.ReadFile(path, opts)
	}
	if err != nil {
		return nil, err
	}
	m, err := keras.ReadConfig(config, opts)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return keras.LoadWeights(m, b, opts)
}
