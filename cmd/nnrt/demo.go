package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/feed"
	"github.com/nnrt/nnrt/pretrained/digits"
	"github.com/nnrt/nnrt/tensor"
)

func (a *app) demoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Read handwritten digits with the model and the pictures in this program",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dev, err := a.device()
			if err != nil {
				return err
			}
			defer dev.Close()
			h5, err := digits.H5()
			if err != nil {
				return err
			}
			m, err := nnrt.Load(h5, nnrt.Options{Device: dev})
			if err != nil {
				return err
			}
			defer m.Close()
			pictures, err := digits.Pictures()
			if err != nil {
				return err
			}
			out, err := m.RunValues(cmd.Context(), []tensor.Value{digits.Batch(pictures)})
			if err != nil {
				return err
			}
			ranked, err := feed.Top(out[0].(*tensor.Tensor), 3)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "%-8s  %5s  %5s  %11s  %s\n", "picture", "shows", "label", "probability", "then")
			for i, p := range pictures {
				top := ranked[i]
				fmt.Fprintf(a.stdout, "%-8s  %5d  %5d  %10.2f%%  %d %.2f%%, %d %.2f%%\n", p.Name, p.Label, top[0].Index, 100*top[0].Value,
					top[1].Index, 100*top[1].Value, top[2].Index, 100*top[2].Value)
			}
			return nil
		},
	}
}
