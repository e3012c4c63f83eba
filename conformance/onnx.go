package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// backendTolerance is what ONNX's own runner allows.
var backendTolerance = Tolerance{Abs: 1e-7, Rel: 1e-3}

// BackendSuite is the layout of ONNX's backend tests: a folder with model.onnx and test_data_set_N.
type BackendSuite struct{}

// Name implements Suite.
func (BackendSuite) Name() string { return "onnx-backend" }

// Cases implements Suite.
func (s BackendSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	var sets []string
	model := false
	for _, e := range entries {
		model = model || e.Name() == "model.onnx"
		if e.IsDir() && strings.HasPrefix(e.Name(), "test_data_set_") {
			sets = append(sets, filepath.Join(dir, e.Name()))
		}
	}
	if !model || sets == nil {
		return nil, nil
	}
	name := filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir)
	return []Case{{Suite: s.Name(), Name: name, Run: func(ctx context.Context, c *Check) error {
		tol, err := toleranceOf(dir)
		if err != nil {
			return err
		}
		p, err := compileFile(filepath.Join(dir, "model.onnx"), c)
		if err != nil {
			return err
		}
		for _, set := range sets {
			if err := runSet(ctx, p, set, c, tol); err != nil {
				return errs.Errorf("%s: %w", filepath.Base(set), err)
			}
		}
		return nil
	}}}, nil
}

// toleranceOf reads the data.json that may lie beside a model.
func toleranceOf(dir string) (Tolerance, error) {
	tol := backendTolerance
	b, err := os.ReadFile(filepath.Join(dir, "data.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return tol, nil
	}
	if err != nil {
		return tol, err
	}
	var own struct{ RTol, ATol *float64 }
	if err := json.Unmarshal(b, &own); err != nil {
		return tol, errs.Errorf("data.json: %w", err)
	}
	if own.RTol != nil {
		tol.Rel = *own.RTol
	}
	if own.ATol != nil {
		tol.Abs = *own.ATol
	}
	return tol, nil
}

func compileFile(path string, c *Check) (*program, error) {
	read := c.readONNX
	if read == nil {
		read = func(path string) (*graph.Graph, error) { return onnx.ReadFile(path, onnx.Options{}) }
	}
	g, err := read(path)
	if err != nil {
		return nil, err
	}
	return c.compile(g)
}

// runSet feeds one data set and compares every output that it has.
func runSet(ctx context.Context, p *program, dir string, c *Check, tol Tolerance) error {
	g := p.g
	in, err := readSet(dir, "input", g.Inputs)
	if err != nil {
		return err
	}
	want, err := readSet(dir, "output", g.Outputs)
	if err != nil {
		return err
	}
	for i, v := range g.Inputs[min(len(in), len(g.Inputs)):] {
		if v.Type.Kind != graph.OptionalKind {
			return errs.Errorf("the data has no input %d (%q)", len(in)+i, v.Name)
		}
		in = append(in, &tensor.Optional{})
	}
	got, err := p.run(ctx, in)
	if err != nil {
		return err
	}
	if len(want) != len(got) {
		return errs.Errorf("%d outputs, the data has %d", len(got), len(want))
	}
	for i, w := range want {
		if err := c.Compare(g.Outputs[i].Name, got[i], w, tol); err != nil {
			return err
		}
	}
	return nil
}

// readSet reads kind_0.pb, kind_1.pb, ... by the types of the graph's values.
func readSet(dir, kind string, values []*graph.Value) ([]tensor.Value, error) {
	var out []tensor.Value
	for i := 0; ; i++ {
		b, err := os.ReadFile(filepath.Join(dir, kind+"_"+strconv.Itoa(i)+".pb"))
		if errors.Is(err, fs.ErrNotExist) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if i >= len(values) {
			return nil, errs.Errorf("the data has %s %d, the graph %d of them", kind, i, len(values))
		}
		v, err := onnx.ReadValue(b, values[i].Type)
		if err != nil {
			return nil, errs.Errorf("%s %d: %w", kind, i, err)
		}
		out = append(out, v)
	}
}

// LightSuite is the layout of ONNX's light models: light_NAME.onnx beside light_NAME_output_0.pb. The input
// counts up from 0 to 1.
type LightSuite struct{}

// Name implements Suite.
func (LightSuite) Name() string { return "onnx-light" }

// Cases implements Suite.
func (s LightSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	var cases []Case
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".onnx")
		if !ok || !strings.HasPrefix(name, "light_") || !slices.ContainsFunc(entries, func(f fs.DirEntry) bool {
			return f.Name() == name+"_output_0.pb"
		}) {
			continue
		}
		base := filepath.Join(dir, name)
		cases = append(cases, Case{Suite: s.Name(), Name: name, Run: func(ctx context.Context, c *Check) error {
			return runLight(ctx, base, c)
		}})
	}
	return cases, nil
}

func runLight(ctx context.Context, base string, c *Check) error {
	p, err := compileFile(base+".onnx", c)
	if err != nil {
		return err
	}
	g := p.g
	if len(g.Inputs) != 1 || len(g.Outputs) != 1 {
		return errs.Errorf("%d inputs and %d outputs, the layout has one of each", len(g.Inputs), len(g.Outputs))
	}
	shape, ok := g.Inputs[0].Type.Shape()
	if !ok {
		return errs.Errorf("the input is %v: no fixed shape", g.Inputs[0].Type)
	}
	x := tensor.New(tensor.Float32, shape...)
	for i := range tensor.As[float32](x) {
		tensor.As[float32](x)[i] = float32(float64(i) / float64(x.Len()))
	}
	b, err := os.ReadFile(base + "_output_0.pb")
	if err != nil {
		return err
	}
	want, err := onnx.ReadTensor(b)
	if err != nil {
		return err
	}
	got, err := p.run(ctx, []tensor.Value{x})
	if err != nil {
		return err
	}
	tol := backendTolerance
	if strings.HasSuffix(base, "light_densenet121") { // the runner's own exception
		tol.Rel = 2e-3
	}
	return c.Compare(g.Outputs[0].Name, got[0], want, tol)
}

// ModelSuite is the layout of trained models with recorded outputs: a folder with meta.json, model.onnx
// and golden/. Models without goldens, because they are malformed, are to be refused.
type ModelSuite struct{}

// Name implements Suite.
func (ModelSuite) Name() string { return "models" }

type modelMeta struct {
	LoadError string       `json:"onnxruntime_load_error"`
	Goldens   []goldenCase `json:"goldens"`
}

type goldenCase struct {
	Case    string        `json:"case"`
	Inputs  []goldenValue `json:"inputs"`
	Outputs []goldenValue `json:"outputs"`
	Zipmap  []struct {
		Output    string            `json:"output"`
		Keys      []json.RawMessage `json:"keys"`
		ValuesNpy string            `json:"values_npy"`
	} `json:"zipmap"`
}

type goldenValue struct {
	Name    string          `json:"name"`
	Index   *int            `json:"index"`
	DType   string          `json:"dtype"`
	Shape   []int           `json:"shape"`
	Npy     string          `json:"npy"`
	Strings []string        `json:"strings"`
	Values  json.RawMessage `json:"values"`
	Map     json.RawMessage `json:"map"`
}

// Cases implements Suite.
func (s ModelSuite) Cases(dir string, entries []fs.DirEntry) ([]Case, error) {
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	if !has("model.onnx") || !has("meta.json") {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		return nil, err
	}
	var meta modelMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return nil, errs.Errorf("meta.json: %w", err)
	}
	name := filepath.Base(dir)
	if len(meta.Goldens) == 0 {
		return []Case{{Suite: s.Name(), Name: name + "/refused", Run: func(_ context.Context, c *Check) error {
			return runRefused(dir, c)
		}}}, nil
	}
	var cases []Case
	for _, g := range meta.Goldens {
		cases = append(cases, Case{Suite: s.Name(), Name: name + "/" + g.Case, Run: func(ctx context.Context, c *Check) error {
			return runGolden(ctx, dir, g, c)
		}})
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].Name < cases[j].Name })
	return cases, nil
}

// runRefused passes where a model that nothing can run is refused for its shapes.
func runRefused(dir string, c *Check) error {
	_, err := compileFile(filepath.Join(dir, "model.onnx"), c)
	var te *graph.TypeError
	switch {
	case err == nil:
		return errors.New("the model is malformed, yet it loads")
	case errors.As(err, &te):
		c.compared++
		return nil
	}
	return errs.Errorf("refused, but not for its shapes: %w", err)
}

func runGolden(ctx context.Context, dir string, g goldenCase, c *Check) error {
	p, err := compileFile(filepath.Join(dir, "model.onnx"), c)
	if err != nil {
		return err
	}
	in := make([]tensor.Value, len(p.g.Inputs))
	for i, v := range p.g.Inputs {
		j := slices.IndexFunc(g.Inputs, func(x goldenValue) bool { return x.Name == v.Name })
		if j < 0 {
			return errs.Errorf("the golden has no input %q", v.Name)
		}
		if in[i], err = g.Inputs[j].read(dir); err != nil {
			return err
		}
	}
	got, err := p.run(ctx, in)
	if err != nil {
		return err
	}
	for i, w := range g.Outputs {
		at := w.place(p.g.Outputs, i)
		if at < 0 || at >= len(got) {
			return errs.Errorf("the model has no output %d (%q)", at, w.Name)
		}
		want, err := w.read(dir)
		if err != nil {
			return err
		}
		if err := c.Tensor(w.Name, asTensor(got[at]), want, goldenTolerance(want)); err != nil {
			return err
		}
	}
	return compareZipmaps(p, dir, g, got, c)
}

func asTensor(v tensor.Value) *tensor.Tensor {
	if t, ok := v.(*tensor.Tensor); ok && t != nil {
		return t
	}
	return tensor.New(tensor.Bool, 0)
}

// goldenTolerance is 1e-3 relative, and 1e-5 of the largest value: float32 sums in another order.
func goldenTolerance(want *tensor.Tensor) Tolerance {
	tol := backendTolerance
	if !want.DType().IsFloat() {
		return Tolerance{}
	}
	vs, err := numbers(want)
	if err != nil {
		return tol
	}
	for _, v := range vs {
		if a := math.Abs(v); !math.IsInf(a, 0) && 1e-5*a > tol.Abs {
			tol.Abs = 1e-5 * a
		}
	}
	return tol
}

// compareZipmaps compares sequences of maps with the matrix that they were made of.
func compareZipmaps(p *program, dir string, g goldenCase, got []tensor.Value, c *Check) error {
	for _, z := range g.Zipmap {
		i := slices.IndexFunc(p.g.Outputs, func(v *graph.Value) bool { return v.Name == z.Output })
		if i < 0 {
			return errs.Errorf("the model has no output %q", z.Output)
		}
		want, err := tensor.OpenNpy(filepath.Join(dir, filepath.FromSlash(z.ValuesNpy)), tensor.NpyOptions{})
		if err != nil {
			return err
		}
		seq, ok := got[i].(*tensor.Sequence)
		if !ok || want.Rank() != 2 || len(seq.Elems) != want.Dim(0) || len(z.Keys) != want.Dim(1) {
			return errs.Errorf("%s: got %s, want maps of %v", z.Output, kindOf(got[i]), want.Shape())
		}
		for r, e := range seq.Elems {
			if err := compareRow(fmt.Sprintf("%s[%d]", z.Output, r), e, z.Keys, want, r, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func compareRow(name string, got tensor.Value, keys []json.RawMessage, want *tensor.Tensor, row int, c *Check) error {
	m, ok := got.(*tensor.Map)
	if !ok || m.Keys.Len() != len(keys) {
		return errs.Errorf("%s: got %s, want a map of %d", name, kindOf(got), len(keys))
	}
	w := want.Dim(1)
	values, err := want.View(row*w, w)
	if err != nil {
		return err
	}
	var ints []int64
	if m.Keys.DType() != tensor.String {
		if ints, err = m.Keys.Int64s(); err != nil {
			return err
		}
	}
	for i, k := range keys {
		key := ""
		if ints != nil {
			key = strconv.FormatInt(ints[i], 10)
		} else {
			b, err := json.Marshal(m.Keys.Strings()[i])
			if err != nil {
				return err
			}
			key = string(b)
		}
		if key != string(k) {
			return errs.Errorf("%s: key %d is %s, want %s", name, i, key, k)
		}
	}
	return c.Tensor(name, m.Values, values, goldenTolerance(values))
}

// place is which of the graph's outputs the i-th recorded one is: by its index, else its name, else i.
func (v goldenValue) place(outputs []*graph.Value, i int) int {
	if v.Index != nil {
		return *v.Index
	}
	if j := slices.IndexFunc(outputs, func(o *graph.Value) bool { return o.Name == v.Name }); j >= 0 {
		return j
	}
	return i
}

// read is the recorded value: an .npy file, or what stands in the record itself.
func (v goldenValue) read(dir string) (*tensor.Tensor, error) {
	switch {
	case v.Npy != "":
		return tensor.OpenNpy(filepath.Join(dir, filepath.FromSlash(v.Npy)), tensor.NpyOptions{})
	case v.Strings != nil:
		return tensor.FromStrings(v.Strings, v.Shape...)
	case v.Values != nil:
		dt, err := tensor.ParseDType(v.DType)
		if err != nil {
			return nil, err
		}
		var nums []float64
		if err := json.Unmarshal(v.Values, &nums); err != nil {
			return nil, errs.Errorf("%s: %w", v.Name, err)
		}
		t, err := tensor.Make(tensor.Float64, v.Shape)
		if err != nil {
			return nil, err
		}
		if err := t.SetFloat64s(nums); err != nil {
			return nil, err
		}
		return tensor.Cast(t, dt, tensor.CastOptions{})
	}
	return nil, Skip("the record of %q has no form that is known", v.Name)
}
