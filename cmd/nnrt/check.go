package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

func (a *app) checkCmd() *cobra.Command {
	var dims []string
	cmd := &cobra.Command{
		Use:   "check MODEL",
		Short: "Say whether a model runs on the device, and list everything in it that doesn't",
		Long: "Reads and compiles a model, without running it: every node that is not supported is listed at once.\n" +
			"Exit code 0: it runs; 3: it doesn't.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return a.check(args[0], dims) },
	}
	cmd.Flags().StringArrayVar(&dims, "dim", nil, "`NAME=N`: a free dimension's size (default 1)")
	return cmd
}

func (a *app) check(path string, dimFlags []string) error {
	dims, err := parseDims(dimFlags)
	if err != nil {
		return err
	}
	m, dev, err := a.open(path)
	var un *formats.UnsupportedError
	if errors.As(err, &un) {
		for _, item := range un.Items {
			fmt.Fprintln(a.stdout, "unsupported:", item)
		}
		return errFile{path, errs.Errorf("does not run: %d things are not supported: %w", len(un.Items), errors.ErrUnsupported)}
	}
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := knownDims(m, dims); err != nil {
		return err
	}
	if err := plan(m, dims); err != nil {
		return errFile{path, err}
	}
	_, err = fmt.Fprintf(a.stdout, "%s runs on %s: %d nodes, %d inputs, %d outputs\n", path, dev.Name(), len(m.Graph().Nodes),
		len(m.Inputs()), len(m.Outputs()))
	return err
}

// plan chooses a kernel for every node, as the first run does. A model whose inputs can't be made up (a
// sequence, an unknown rank) is left at what compiling said.
func plan(m *nnrt.Model, dims map[string]int) error {
	var in []tensor.Value
	for _, v := range m.Inputs() {
		shape, err := feed.Bind(v.Type, dims)
		if err != nil {
			return nil
		}
		t, err := tensor.Make(v.Type.DType, shape)
		if err != nil {
			return err
		}
		in = append(in, t)
	}
	s, err := m.Session()
	if err != nil {
		return err
	}
	return s.WritePlan(io.Discard, in)
}
