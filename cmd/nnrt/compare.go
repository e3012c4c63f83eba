package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/inspect"
)

func (a *app) compareCmd() *cobra.Command {
	var dims []string
	var opts inspect.CompareOptions
	var asJSON, nodes bool
	var second string
	cmd := &cobra.Command{
		Use:   "compare MODEL MODEL",
		Short: "Run two models on the same random input and compare their outputs, or every node",
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
			if err := knownDims(m, opts.Dims); err != nil {
				return err
			}
			if second != "" {
				a.deviceName = second
			}
			n, dev2, err := a.open(args[1])
			if err != nil {
				return err
			}
			defer dev2.Close()
			if nodes {
				return a.compareNodes(cmd.Context(), m, n, opts, asJSON)
			}
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
	f.BoolVar(&nodes, "nodes", false, "compare every value that both models name, and find the first that differs")
	f.StringVar(&second, "device2", "", "device of the second model (default: --device), to compare devices")
	f.BoolVar(&asJSON, "json", false, "one line of JSON; with --nodes one a value")
	return cmd
}

// compareNodes prints every value of two models side by side.
func (a *app) compareNodes(ctx context.Context, m, n *nnrt.Model, opts inspect.CompareOptions, asJSON bool) error {
	list, err := inspect.CompareNodes(ctx, m, n, opts)
	if err != nil {
		return err
	}
	first := ""
	if !asJSON {
		fmt.Fprintf(a.stdout, "%-20s %-40s %10s %10s %9s\n", "op", "node", "max abs", "max rel", "max ULP")
	}
	for _, d := range list {
		name := d.Node
		if name == "" {
			name = d.Name
		}
		if !d.Agrees && first == "" {
			first = fmt.Sprintf("%s %q", d.Op, name)
		}
		if asJSON {
			err = a.printJSON(d)
		} else {
			_, err = fmt.Fprintf(a.stdout, "%-20.20s %-40.40s %10.3g %10.3g %9.3g%s\n", d.Op, name, d.MaxAbs, d.MaxRel, d.MaxULP,
				map[bool]string{true: d.Reason, false: " *" + d.Reason}[d.Agrees])
		}
		if err != nil {
			return err
		}
	}
	if first != "" {
		return errNo{"the first node that differs is " + first}
	}
	if !asJSON {
		fmt.Fprintf(a.stdout, "%d values of %d nodes agree\n", len(list), len(m.Graph().Nodes))
	}
	return nil
}
