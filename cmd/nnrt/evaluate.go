package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/job"
)

// dataCmd is a command that runs a model over data.
func (a *app) dataCmd(fl *trainFlags, name, short string, do func(ctx context.Context) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " MODEL",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			done, err := a.prepare(fl)
			if err != nil {
				return err
			}
			defer func() { _ = done() }()
			fl.Model, fl.Seed = args[0], 1
			return jobError(do(cmd.Context()))
		},
	}
	fl.dataFlags(cmd)
	return cmd
}

func (a *app) evaluateCmd() *cobra.Command {
	var fl trainFlags
	report := false
	cmd := a.dataCmd(&fl, "evaluate", "Compute loss and metrics on data", func(ctx context.Context) error {
		if report {
			r, err := job.Report(ctx, fl.Options)
			if err != nil {
				return err
			}
			if fl.asJSON {
				return a.printJSON(r)
			}
			return r.Write(a.stdout)
		}
		logs, err := job.Evaluate(ctx, fl.Options)
		if err != nil {
			return err
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
	})
	cmd.Flags().BoolVar(&report, "report", false, "instead: precision, recall and F1 of each class, and the confusion matrix")
	return cmd
}

func (a *app) predictCmd() *cobra.Command {
	var fl trainFlags
	cmd := a.dataCmd(&fl, "predict", "Run a model over data, batch by batch", func(ctx context.Context) error {
		p, err := job.Predict(ctx, fl.Options)
		if err != nil {
			return err
		}
		if fl.asJSON {
			return a.rows(p)
		}
		named := make([]feed.Named, len(p.Outputs))
		for i, t := range p.Outputs {
			named[i] = feed.Named{Name: p.Names[i], Value: t}
		}
		return a.results(fl.Output, named, 0)
	})
	cmd.Flags().StringVarP(&fl.Output, "output", "o", "", "`DIR or FILE.npz`")
	return cmd
}

// rows prints the outputs of each sample as a line of JSON.
func (a *app) rows(p *job.Predictions) error {
	vs := make([][]float64, len(p.Outputs))
	n := 0
	for i, t := range p.Outputs {
		v, err := t.Float64s()
		if err != nil {
			return err
		}
		vs[i], n = v, t.Dim(0)
	}
	for r := range n {
		line := struct {
			Row     int              `json:"row"`
			File    string           `json:"file,omitempty"`
			Outputs map[string][]any `json:"outputs"`
		}{Row: r, Outputs: map[string][]any{}}
		if r < len(p.Files) {
			line.File = p.Files[r]
		}
		for i, v := range vs {
			width := len(v) / n
			line.Outputs[p.Names[i]] = jsonNumbers(v[r*width:][:width])
		}
		if err := a.printJSON(line); err != nil {
			return err
		}
	}
	return nil
}
