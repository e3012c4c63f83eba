package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"

	"github.com/nnrt/nnrt/bench/peers/ort"
	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

// acceptance runs recorded cases on ONNX Runtime: each model is read by nnrt, exported to ONNX at one operator set, and what
// ONNX Runtime makes of that file is compared with the recorded outputs, which nnrt itself is held to by the same suites.
type acceptance struct {
	lib     *ort.Runtime
	opset   int  // 0 lets the writer choose
	beside  bool // also hold every output against nnrt's own
	cpu     devices.Device
	mu      sync.Mutex
	origins map[*graph.Graph]string // the ONNX file that a graph was read from
	differs []string                // what nnrt and ONNX Runtime don't agree on
}

func newAcceptance(opset int, beside bool) (*acceptance, error) {
	lib, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	d, err := cpu.New(cpu.Options{Threads: 1})
	return &acceptance{lib: lib, opset: opset, beside: beside, cpu: d}, err
}

// run judges the cases below paths that match; known failures are given by "suite/case". Cases of ONNX files that ONNX
// Runtime doesn't pass as they are say nothing about the export: they are skipped, with what it says.
func (a *acceptance) run(ctx context.Context, paths []string, match *regexp.Regexp, known map[string]string) (*conformance.Report, error) {
	a.origins = map[*graph.Graph]string{}
	opts := conformance.Options{Device: ref.New(), Match: match, Expected: map[string]string{}, ReadONNX: a.read, Runner: a.original,
		Suites: []conformance.Suite{conformance.BackendSuite{}, conformance.LightSuite{}, conformance.ModelSuite{}}}
	before, err := conformance.Run(ctx, paths, opts)
	if err != nil {
		return nil, err
	}
	known = maps.Clone(known)
	for _, r := range before.Results {
		if r.Status != conformance.Passed && known[r.Suite+"/"+r.Case] == "" {
			known[r.Suite+"/"+r.Case] = "?ONNX Runtime doesn't pass the model as it was: " + r.Reason
		}
	}
	opts.Expected, opts.Runner = known, a.export
	opts.Suites = append(opts.Suites, conformance.KerasSuite{}, conformance.KerasModelSuite{}, conformance.ApplicationSuite{}, unrecorded{a})
	return conformance.Run(ctx, paths, opts)
}

func (a *acceptance) read(path string) (*graph.Graph, error) {
	g, err := onnx.ReadFile(path, onnx.Options{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.origins[g] = path
	return g, err
}

// original is the conformance.Runner of the file that a graph was read from.
func (a *acceptance) original(g *graph.Graph) (conformance.RunFunc, error) {
	a.mu.Lock()
	path := a.origins[g]
	a.mu.Unlock()
	return a.runner(0)(a.lib.OpenSession(path, ort.SessionOptions{}))
}

// export is the conformance.Runner that goes through an exported model.
func (a *acceptance) export(g *graph.Graph) (conformance.RunFunc, error) {
	m, err := onnx.Encode(g, onnx.WriteOptions{Opset: a.opset})
	if err != nil {
		return nil, err
	}
	run, err := a.runner(len(g.Updates))(a.lib.NewSession(m.Bytes(), ort.SessionOptions{}))
	if err != nil {
		return nil, fmt.Errorf("opset %d: %w", m.Opset, err)
	}
	if !a.beside {
		return run, nil
	}
	p, err := runtime.Compile(g, a.cpu, runtime.Options{})
	if err != nil {
		return nil, err
	}
	s, err := p.NewSession()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, in []tensor.Value) ([]tensor.Value, error) {
		got, err := run(ctx, in)
		if err != nil {
			return nil, err
		}
		want, err := s.RunValues(ctx, in)
		if err != nil {
			return nil, err
		}
		for i, w := range want {
			if err := new(conformance.Check).Compare(g.Outputs[i].Name, got[i], w, nearby(w)); err != nil {
				a.mu.Lock()
				a.differs = append(a.differs, fmt.Sprintf("%s: %v", g.Name, err))
				a.mu.Unlock()
			}
		}
		return got, nil
	}, nil
}

// runner makes the conformance.RunFunc of a session, whose last outputs, as many as states, are what to feed behind
// the inputs the next time.
func (a *acceptance) runner(states int) func(*ort.Session, error) (conformance.RunFunc, error) {
	return func(s *ort.Session, err error) (conformance.RunFunc, error) {
		if err != nil {
			return nil, err
		}
		goruntime.AddCleanup(s, (*ort.Session).Close, s.Alias())
		var kept []tensor.Value
		return func(_ context.Context, in []tensor.Value) ([]tensor.Value, error) {
			out, err := runORT(a.lib, s, slices.Concat(in, kept))
			if errors.Is(err, ort.ErrValue) {
				return nil, conformance.Skip("%v: ", err)
			}
			if err != nil {
				return nil, err
			}
			kept = out[len(out)-states:]
			return out[:len(out)-states], nil
		}, nil
	}
}

func runORT(lib *ort.Runtime, s *ort.Session, in []tensor.Value) ([]tensor.Value, error) {
	var args []*ort.Value
	for _, v := range in {
		x, err := lib.NewValue(v)
		if err != nil {
			return nil, err
		}
		defer x.Close()
		args = append(args, x)
	}
	got, err := s.Run(args)
	if err != nil {
		return nil, err
	}
	var out []tensor.Value
	for _, v := range got {
		x, err := v.Go()
		v.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// accept prints what ONNX Runtime doesn't take of what nnrt exports.
func accept(args []string) error {
	fs := flag.NewFlagSet("accept", flag.ExitOnError)
	opset := fs.Int("opset", 0, "operator set to export at; 0 lets the writer choose")
	match := fs.String("run", "", "regular expression of the cases")
	beside := fs.Bool("beside", false, "also hold every output against nnrt's own")
	verbose := fs.Bool("v", false, "also print what was skipped")
	fs.Parse(args)
	a, err := newAcceptance(*opset, *beside)
	if err != nil {
		return err
	}
	r, err := a.run(context.Background(), fs.Args(), regexp.MustCompile(*match), map[string]string{})
	if err != nil {
		return err
	}
	bad := 0
	for _, c := range r.Results {
		switch {
		case c.Status == conformance.Passed, c.Status == conformance.Skipped && !*verbose:
			continue
		case c.Status != conformance.Skipped:
			bad++
		}
		fmt.Printf("%s %s/%s: %s\n", c.Status, c.Suite, c.Case, strings.TrimSpace(c.Reason))
	}
	for _, d := range a.differs {
		bad++
		fmt.Println("differs:", d)
	}
	fmt.Fprintf(os.Stderr, "%d cases, %d not taken\n", len(r.Results), bad)
	if bad > 0 {
		return fmt.Errorf("%d of %d cases are not taken", bad, len(r.Results))
	}
	return nil
}
