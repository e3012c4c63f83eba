package main

import (
	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/inspect"
)

func (a *app) infoCmd() *cobra.Command {
	var asJSON, showGraph, weights bool
	cmd := &cobra.Command{
		Use:   "info MODEL",
		Short: "Describe a model: inputs, outputs, layers, operators, parameters, cost",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			src, err := nnrt.ImportSource(args[0], nnrt.ImportOptions{})
			if err != nil {
				return errFile{args[0], err}
			}
			switch {
			case asJSON:
				in := inspect.Graph(src.Graph)
				in.Format = src.Format.String()
				return a.printJSON(in)
			case showGraph:
				return src.Graph.Print(a.stdout, graph.PrintOptions{})
			case weights:
				return inspect.Weights(a.stdout, src.Graph)
			}
			return a.describe(src)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one line of JSON")
	cmd.Flags().BoolVar(&showGraph, "graph", false, "print the graph's text form")
	cmd.Flags().BoolVar(&weights, "weights", false, "list the parameters with their ranges")
	return cmd
}
