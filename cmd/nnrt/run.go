package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/bench"
	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/runtime"
	"github.com/nnrt/nnrt/tensor"
)

type runFlags struct {
	inputs, dims  []string
	out           string
	top           int
	profile, plan bool
	scale, offset float32
}

func (a *app) runCmd() *cobra.Command {
	var fl runFlags
	cmd := &cobra.Command{
		Use:   "run MODEL",
		Short: "Run a model once",
		Long: "Runs a model once. Inputs are files (.npy .npz .pb .csv .json, pictures); an input without a file gets random numbers.\n" +
			"Without -o the outputs are printed in short.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.runModel(cmd.Context(), args[0], fl) },
	}
	f := cmd.Flags()
	f.StringArrayVarP(&fl.inputs, "input", "i", nil, "`[NAME=]FILE`: in the order of the inputs where no name is given")
	f.StringVarP(&fl.out, "output", "o", "", "`DIR or FILE.npz` for the outputs")
	f.StringArrayVar(&fl.dims, "dim", nil, "`NAME=N`: a free dimension's size, for random inputs")
	f.IntVar(&fl.top, "top", 0, "print the `K` largest numbers of each row")
	f.BoolVar(&fl.profile, "profile", false, "print the time that each node takes")
	f.BoolVar(&fl.plan, "plan", false, "print the compiled program instead of running it")
	f.Float32Var(&fl.scale, "scale", 1, "factor for the bytes of pictures")
	f.Float32Var(&fl.offset, "offset", 0, "what is added to pictures after scaling")
	return cmd
}

func (a *app) runModel(ctx context.Context, path string, fl runFlags) error {
	m, dev, err := a.open(path)
	if err != nil {
		return err
	}
	defer dev.Close()
	in, err := a.readInputs(m, fl, path)
	if err != nil {
		return err
	}
	s, err := m.Session()
	if err != nil {
		return err
	}
	if fl.plan {
		if err := s.WritePlan(a.stdout, in); err != nil {
			return errFile{path, err}
		}
		return nil
	}
	outs, err := s.RunValues(ctx, in)
	if err != nil {
		return errFile{path, err}
	}
	if fl.profile {
		p, err := bench.Profile(ctx, s, in, 5)
		if err != nil {
			return err
		}
		if err := p.Write(a.stdout); err != nil {
			return err
		}
	}
	named := make([]feed.Named, len(outs))
	for i, v := range m.Outputs() {
		named[i] = feed.Named{Name: v.Name, Value: outs[i]}
	}
	return a.results(fl.out, named, fl.top)
}

// results writes outputs to a folder or an archive, or, where no name is given, prints them in short.
func (a *app) results(out string, named []feed.Named, top int) error {
	if out != "" {
		return feed.Write(out, named)
	}
	for _, o := range named {
		if err := printOutput(a.stdout, o, top); err != nil {
			return err
		}
	}
	return nil
}

// readInputs reads each input's file, or makes random numbers.
func (a *app) readInputs(m *nnrt.Model, fl runFlags, path string) ([]tensor.Value, error) {
	dims, err := parseDims(fl.dims)
	if err == nil {
		err = knownDims(m, dims)
	}
	if err != nil {
		return nil, err
	}
	inputs := m.Inputs()
	files := make([]string, len(inputs))
	next := 0
	for _, spec := range fl.inputs {
		name, file, ok := strings.Cut(spec, "=")
		at := slices.IndexFunc(inputs, func(v nnrt.Value) bool { return ok && v.Name == name })
		if at < 0 {
			if file = spec; next >= len(inputs) {
				return nil, errUsage{errs.Errorf("-i %s: the model has %d inputs", spec, len(inputs))}
			}
			at = next
		}
		next = at + 1
		files[at] = file
	}
	in := make([]tensor.Value, len(inputs))
	for i, v := range inputs {
		if files[i] == "" && len(inputs) > 1 && len(fl.inputs) == 1 && strings.HasSuffix(strings.ToLower(fl.inputs[0]), ".npz") {
			files[i] = fl.inputs[0] // one archive for all inputs
		}
		if files[i] == "" {
			if len(fl.inputs) > 0 {
				return nil, errUsage{errs.Errorf("input %q (%v) has no file", v.Name, v.Type)}
			}
			if in[i], err = a.randomInput(v, dims, uint64(i), path); err != nil {
				return nil, err
			}
			continue
		}
		opts := feed.Options{Input: v.Name, Scale: fl.scale, Offset: fl.offset}
		if in[i], err = feed.Read(files[i], v.Type, opts); err != nil {
			return nil, errFile{files[i], err}
		}
	}
	return in, nil
}

func (a *app) randomInput(v nnrt.Value, dims map[string]int, seed uint64, path string) (tensor.Value, error) {
	if v.Type.Kind != graph.TensorKind {
		return nil, errUsage{errs.Errorf("input %q is a %v: give it a .pb file", v.Name, v.Type)}
	}
	shape, err := feed.Bind(v.Type, dims)
	if err != nil {
		return nil, errUsage{errs.Errorf("input %q: %w", v.Name, err)}
	}
	n, err := tensor.NumElements(shape)
	if err == nil && a.memory > 0 && int64(n) > a.memory/32 { // feed.Random computes in float64
		err = errs.Errorf("%w: %d elements of random input, --memory is %d", runtime.ErrMemory, n, a.memory)
	}
	if err != nil {
		return nil, errFile{path, errs.Errorf("input %q: %w", v.Name, err)}
	}
	t, err := feed.Random(v.Type, dims, seed+1, 2)
	if err != nil {
		return nil, errUsage{errs.Errorf("input %q: %w", v.Name, err)}
	}
	return t, nil
}

// printOutput writes an output in short, or the largest numbers of each row.
func printOutput(w io.Writer, o feed.Named, top int) error {
	t, ok := o.Value.(*tensor.Tensor)
	if !ok {
		_, err := fmt.Fprintf(w, "%s: %s\n", o.Name, feed.Describe(o.Value))
		return err
	}
	if top > 0 && t.DType().IsFloat() && t.Rank() > 0 {
		rows, err := feed.Top(t, top)
		if err != nil {
			return err
		}
		for r, row := range rows {
			fmt.Fprintf(w, "%s[%d]:", o.Name, r)
			for _, c := range row {
				fmt.Fprintf(w, " %d: %.4g", c.Index, c.Value)
			}
			fmt.Fprintln(w)
		}
		return nil
	}
	_, err := fmt.Fprintf(w, "%s %v%v\n%v\n", o.Name, t.DType(), t.Shape(), t)
	return err
}
