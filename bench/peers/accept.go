package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	goruntime "runtime"
	"strings"
	"sync"

	"github.com/nnrt/nnrt/bench/peers/ort"
	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// acceptance runs recorded cases on ONNX Runtime: each model is read by nnrt, exported to ONNX at one operator set, and what
// ONNX Runtime makes of that file is compared with the recorded outputs, which nnrt itself is held to by the same suites.
type acceptance struct {
	lib     *ort.Runtime
	opset   int // 0 lets the writer choose
	mu      sync.Mutex
	origins map[*graph.Graph]string // the ONNX file that a graph was read from
}

// run judges the cases below paths that match; known failures are given by "suite/case".
func (a *acceptance) run(ctx context.Context, paths []string, match *regexp.Regexp, known map[string]string, progress func(conformance.Result)) (*conformance.Report, error) {
	a.origins = map[*graph.Graph]string{}
	return conformance.Run(ctx, paths, conformance.Options{
		Device: ref.New(), Match: match, Expected: known, ReadONNX: a.read, Runner: a.export, Progress: progress,
		Suites: []conformance.Suite{conformance.BackendSuite{}, conformance.LightSuite{}, conformance.ModelSuite{}, conformance.KerasSuite{},
			conformance.KerasModelSuite{}, conformance.ApplicationSuite{}},
	})
}

func (a *acceptance) read(path string) (*graph.Graph, error) {
	g, err := onnx.ReadFile(path, onnx.Options{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.origins[g] = path
	return g, err
}

// export is the conformance.Runner that goes through a file and ONNX Runtime.
func (a *acceptance) export(g *graph.Graph) (conformance.RunFunc, error) {
	m, err := onnx.Encode(g, onnx.WriteOptions{Opset: a.opset})
	if err != nil {
		return nil, err
	}
	s, err := a.lib.NewSession(m.Bytes(), ort.SessionOptions{})
	if err != nil {
		return nil, a.judge(g, fmt.Errorf("opset %d: %w", m.Opset, err))
	}
	goruntime.AddCleanup(s, (*ort.Session).Close, s.Alias())
	return func(_ context.Context, in []tensor.Value) ([]tensor.Value, error) {
		out, err := runORT(a.lib, s, in)
		return out, a.judge(g, err)
	}, nil
}

// judge makes an error of ONNX Runtime's a skip where it refuses the file that the graph came from in the same way.
func (a *acceptance) judge(g *graph.Graph, err error) error {
	var e *ort.Error
	switch {
	case errors.Is(err, ort.ErrValue):
		return conformance.Skip("%v: ", err)
	case !errors.As(err, &e):
		return err
	}
	a.mu.Lock()
	path := a.origins[g]
	a.mu.Unlock()
	if path == "" {
		return err
	}
	s, own := a.lib.OpenSession(path, ort.SessionOptions{})
	if own != nil {
		return conformance.Skip("ONNX Runtime refuses the model as it was, too: %v: ", own)
	}
	s.Close()
	return err
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
	verbose := fs.Bool("v", false, "also print what was skipped")
	fs.Parse(args)
	lib, err := ort.Open("")
	if err != nil {
		return err
	}
	a := &acceptance{lib: lib, opset: *opset}
	r, err := a.run(context.Background(), fs.Args(), regexp.MustCompile(*match), map[string]string{}, nil)
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
	fmt.Fprintf(os.Stderr, "%d cases, %d not taken\n", len(r.Results), bad)
	if bad > 0 {
		return fmt.Errorf("%d of %d cases are not taken", bad, len(r.Results))
	}
	return nil
}
