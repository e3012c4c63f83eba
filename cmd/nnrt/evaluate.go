package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/train"
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

func (a *app) predictCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "predict MODEL",
		Short: "Run a model over data, batch by batch",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.model, fl.seed = args[0], 1
			if fl.target == "" {
				fl.target = "none"
			}
			_, m, err := a.trainable(fl)
			if err != nil {
				return err
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
