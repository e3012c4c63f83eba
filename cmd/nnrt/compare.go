package main

import (
	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/inspect"
)

func (a *app) compareCmd() *cobra.Command {
	var dims []string
	var opts inspect.CompareOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare MODEL MODEL",
		Short: "Run two models on the same random input and compare their outputs",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.Dims, err = parseDims(dims); err != nil {
				return err
			}
			m, dev, err := a.open(args[0])
			if err != nil {
				return err
			}
			defer dev.Close()
			n, dev2, err := a.open(args[1])
			if err != nil {
				return err
			}
			defer dev2.Close()
			c, err := inspect.Compare(cmd.Context(), m, n, opts)
			if err != nil {
				return err
			}
			if asJSON {
				if err := a.printJSON(c); err != nil || c.Equal {
					return err
				}
				return errNo{}
			}
			return a.printComparison(c)
		},
	}
	f := cmd.Flags()
	f.Float64Var(&opts.RelTol, "rtol", 1e-4, "relative tolerance")
	f.Float64Var(&opts.AbsTol, "atol", 1e-5, "absolute tolerance")
	f.IntVar(&opts.Batch, "batch", 1, "rows, where the first dimension is free")
	f.StringArrayVar(&dims, "dim", nil, "`NAME=N`: a free dimension's size")
	f.BoolVar(&asJSON, "json", false, "one line of JSON")
	return cmd
}
