package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/job"
)

func (a *app) finetuneCmd() *cobra.Command {
	var fl trainFlags
	var fine job.FinetuneOptions
	cmd := &cobra.Command{
		Use:   "finetune MODEL",
		Short: "Teach a trained model other classes",
		Long: "Gives a trained model (a Keras or ONNX file, or a network by name with --weights) a head for the classes of the data and\n" +
			"trains it with the rest frozen, on features that are computed once; with --unfreeze then parts of the rest, at a low rate.\n" +
			"A head that has the right number of classes is kept. Pictures are preprocessed as the network wants it, where that is known.\n" + specHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fl.Model = args[0]
			return a.train(cmd.Context(), &fl, func(ctx context.Context) (*job.Result, error) {
				fine.Options = fl.Options
				return job.Finetune(ctx, fine)
			})
		},
	}
	fl.dataFlags(cmd)
	fl.fitFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&fine.Unfreeze, "unfreeze", nil, "`PATTERN` of layers or weights that a second phase trains too")
	f.Float64Var(&fine.FineRate, "fine-lr", 0, "learning rate of the second phase (default: a hundredth of the first's)")
	f.IntVar(&fine.FineEpochs, "fine-epochs", 0, "epochs of the second phase (default: as many as the first's)")
	f.BoolVar(&fine.NewHead, "new-head", false, "begin with a new head even where the old one has the right size")
	f.BoolVar(&fine.NoCache, "no-cache", false, "compute the features of the frozen part in each epoch")
	f.IntVar(&fine.Network.Size, "size", 0, "height and width of the pictures, for a network by name (default: its own)")
	f.Float64Var(&fine.Network.Alpha, "alpha", 0, "width of a MobileNet by name (default: that of the weights' file)")
	return cmd
}
