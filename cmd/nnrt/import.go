package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/inspect"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

type importFlags struct {
	out, weights string
	opset        int
	check, force bool
	keras2       bool
}

func (a *app) importCmd() *cobra.Command {
	var fl importFlags
	cmd := &cobra.Command{
		Use:   "import SRC",
		Short: "Load a Keras or ONNX model, describe it, and write it in another format",
		Long: "Loads SRC (.h5 .hdf5 .keras .onnx, or a Keras architecture .json with --weights), prints what is in it, and writes DST;\n" +
			"DST's ending (.onnx .h5 .keras .weights.h5) says the format. Without -o, SRC's name with .onnx.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.importModel(cmd.Context(), args[0], fl) },
	}
	f := cmd.Flags()
	f.StringVarP(&fl.out, "output", "o", "", "`DST`")
	f.StringVar(&fl.weights, "weights", "", "`FILE` of weights for an architecture")
	f.IntVar(&fl.opset, "opset", 0, "operator set of an .onnx (0: the newest)")
	f.BoolVar(&fl.check, "check", false, "run SRC and DST on the same random input and compare")
	f.BoolVar(&fl.keras2, "keras2", false, "write an .h5 as Keras 2 (tf.keras) does")
	f.BoolVar(&fl.force, "force", false, "overwrite DST")
	return cmd
}

func (a *app) importModel(ctx context.Context, src string, fl importFlags) error {
	dst := fl.out
	if dst == "" {
		dst = strings.TrimSuffix(src, filepath.Ext(src)) + ".onnx"
	}
	if _, err := os.Stat(dst); err == nil && !fl.force {
		return errUsage{errs.Errorf("%s exists already; use --force to overwrite it", dst)}
	}
	if fl.opset != 0 && (fl.opset < onnx.MinWriteOpset || fl.opset > onnx.Opset) {
		return errUsage{errs.Errorf("--opset %d: sets %d to %d can be written", fl.opset, onnx.MinWriteOpset, onnx.Opset)}
	}
	s, err := nnrt.ImportSource(src, nnrt.ImportOptions{Weights: fl.weights})
	if err != nil {
		return errFile{src, err}
	}
	if err := a.describe(s); err != nil {
		return err
	}
	if err := export(s, dst, fl); err != nil {
		if errors.Is(err, nnrt.ErrEnding) {
			return errUsage{err}
		}
		return errFile{dst, err}
	}
	fmt.Fprintf(a.stdout, "wrote %s\n", dst)
	if !fl.check || strings.HasSuffix(dst, ".weights.h5") {
		return nil
	}
	return a.checkSame(ctx, s, dst)
}

func export(s *nnrt.Source, dst string, fl importFlags) error {
	if !fl.keras2 {
		return s.Export(dst, onnx.WriteOptions{Opset: fl.opset})
	}
	f, err := s.ToKeras()
	if err != nil {
		return err
	}
	return keras.WriteFile(dst, f, keras.WriteOptions{Keras2: true})
}

// describe prints the layers of a Keras model, the values and operators of any other.
func (a *app) describe(s *nnrt.Source) error {
	if m := s.Layers(); m != nil {
		if err := m.Summary(a.stdout, layers.SummaryOptions{}); err != nil {
			return err
		}
		for _, list := range [][]string{s.Keras.Report.Missing, s.Keras.Report.Unused, s.Keras.Report.Mismatched} {
			for _, w := range list {
				fmt.Fprintln(a.stderr, "warning: weights:", w)
			}
		}
		return nil
	}
	return inspect.Graph(s.Graph).Write(a.stdout)
}

// checkSame compares a model with the file that was written of it.
func (a *app) checkSame(ctx context.Context, s *nnrt.Source, dst string) error {
	dev, err := a.device()
	if err != nil {
		return err
	}
	defer dev.Close()
	before, err := nnrt.New(s.Graph, nnrt.Options{Device: dev, Runtime: a.runtimeOptions()})
	if err != nil {
		return err
	}
	after, err := nnrt.Open(dst, nnrt.Options{Device: dev, Runtime: a.runtimeOptions()})
	if err != nil {
		return errFile{dst, err}
	}
	c, err := inspect.Compare(ctx, before, after, inspect.CompareOptions{Batch: 2})
	if err != nil {
		return err
	}
	return a.printComparison(c)
}

func (a *app) printComparison(c inspect.Comparison) error {
	for _, o := range c.Outputs {
		fmt.Fprintf(a.stdout, "  %-32s %-18s max abs %.3g, max rel %.3g, %.3g ULP", o.Name, fmt.Sprint(o.Shape), o.MaxAbs,
			o.MaxRel, o.MaxULP)
		if o.Bad > 0 || o.Reason != "" {
			fmt.Fprintf(a.stdout, ", %d elements differ %s", o.Bad, o.Reason)
		}
		fmt.Fprintln(a.stdout)
	}
	if !c.Equal {
		return errNo{"the outputs differ"}
	}
	fmt.Fprintln(a.stdout, "the outputs agree")
	return nil
}
