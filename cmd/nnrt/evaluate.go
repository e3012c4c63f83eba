package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

func (a *app) evaluateCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "evaluate MODEL",
		Short: "Compute loss and metrics on data",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.model, fl.seed = args[0], 1
			s, m, err := a.trainable(fl)
			if err != nil {
				return err
			}
			d, err := openData(fl.data, fl, m)
			if err != nil {
				return errFile{fl.data, err}
			}
			c, err := compileOptions(s, m, d, fl)
			if err != nil {
				return err
			}
			if err := m.Compile(c); err != nil {
				return err
			}
			logs, err := m.Evaluate(cmd.Context(), d, train.EvaluateOptions{BatchSize: fl.batch})
			if err != nil {
				return err
			}
			out := map[string][]float64{}
			for _, l := range logs {
				out[l.Name] = l.Values
				if !fl.asJSON {
					fmt.Fprintf(a.stdout, "%s: %.6g\n", l.Name, l.Values[0])
				}
			}
			if fl.asJSON {
				return a.printJSON(out)
			}
			return nil
		},
	}
	fl.dataFlags(cmd)
	return cmd
}

// unusedTarget is the target's column for predicting: the last, to be dropped, where a .csv has one column
// more than the model's input, as the data has that it was trained on; else none.
func unusedTarget(path string, m *train.Model) (string, error) {
	if !strings.EqualFold(filepath.Ext(path), ".csv") {
		return "none", nil
	}
	t, err := data.ReadCSV(path, data.CSVOptions{Target: "none"})
	if err != nil {
		return "", err
	}
	dims := m.Graph().Inputs[0].Type.Dims
	if len(dims) == 2 {
		if n, ok := dims[1].Const(); ok && t.X.Dim(1) == n+1 {
			return "", nil // ReadCSV's default: the last
		}
	}
	return "none", nil
}

func (a *app) predictCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "predict MODEL",
		Short: "Run a model over data, batch by batch",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.model, fl.seed = args[0], 1
			_, m, err := a.trainable(fl)
			if err != nil {
				return err
			}
			if fl.target == "" {
				if fl.target, err = unusedTarget(fl.data, m); err != nil {
					return errFile{fl.data, err}
				}
			}
			d, err := openData(fl.data, fl, m)
			if err != nil {
				return errFile{fl.data, err}
			}
			outs, err := m.Predict(cmd.Context(), d, train.EvaluateOptions{BatchSize: fl.batch})
			if err != nil {
				return err
			}
			var named []feed.Named
			for i, t := range outs {
				named = append(named, feed.Named{Name: m.Graph().Outputs[i].Name, Value: t})
			}
			if fl.out != "" {
				return feed.Write(fl.out, named)
			}
			for _, o := range named {
				if err := printOutput(a.stdout, o, 0); err != nil {
					return err
				}
			}
			return nil
		},
	}
	fl.dataFlags(cmd)
	cmd.Flags().StringVarP(&fl.out, "output", "o", "", "`DIR or FILE.npz`")
	return cmd
}
