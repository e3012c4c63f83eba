package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/job"
)

func (a *app) finetuneCmd() *cobra.Command {
	var fl trainFlags
	cmd := &cobra.Command{
		Use:   "finetune MODEL",
		Short: "Go on training a model, with parts of it frozen",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.Model = args[0]
			return a.train(cmd.Context(), &fl, func(ctx context.Context) (*job.Result, error) { return job.Train(ctx, fl.Options) })
		},
	}
	fl.dataFlags(cmd)
	fl.fitFlags(cmd)
	return cmd
}
