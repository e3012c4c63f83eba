package main

import (
	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/conformance"
)

func (a *app) opsCmd() *cobra.Command {
	var asJSON, markdown bool
	cmd := &cobra.Command{
		Use:   "ops",
		Short: "List every operator: gradient, kernels, ONNX versions, Keras layers",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dev, err := a.device()
			if err != nil {
				return err
			}
			defer dev.Close()
			rows := conformance.Coverage(dev)
			if asJSON {
				return a.printJSON(rows)
			}
			return conformance.WriteCoverage(a.stdout, rows, markdown)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one line of JSON")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "the page docs/coverage.md")
	return cmd
}
