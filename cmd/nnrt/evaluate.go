package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/job"
)

func (a *app) evaluateCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "evaluate MODEL",
		Short: "Compute loss and metrics on data",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := a.prepare(&fl)
			if err != nil {
				return err
			}
			defer func() { _ = done() }()
			fl.Model, fl.Seed = args[0], 1
			logs, err := job.Evaluate(cmd.Context(), fl.Options)
			if err != nil {
				return jobError(err)
			}
			if fl.asJSON {
				return a.printJSON(jsonLogs(logs))
			}
			for _, l := range logs {
				fmt.Fprintf(a.stdout, "%s:", l.Name)
				for _, v := range l.Values {
					fmt.Fprintf(a.stdout, " %.6g", v)
				}
				fmt.Fprintln(a.stdout)
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
			done, err := a.prepare(&fl)
			if err != nil {
				return err
			}
			defer func() { _ = done() }()
			fl.Model, fl.Seed = args[0], 1
			names, outs, err := job.Predict(cmd.Context(), fl.Options)
			if err != nil {
				return jobError(err)
			}
			var named []feed.Named
			for i, t := range outs {
				named = append(named, feed.Named{Name: names[i], Value: t})
			}
			if fl.Output != "" {
				return feed.Write(fl.Output, named)
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
	cmd.Flags().StringVarP(&fl.Output, "output", "o", "", "`DIR or FILE.npz`")
	return cmd
}
