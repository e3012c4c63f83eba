package main

import (
	"fmt"
	"image"
	"io"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/job"
	"github.com/nnrt/nnrt/vision"
)

func (a *app) lookCmd() *cobra.Command {
	var v job.View
	var out string
	var limit, count, class, steps int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "look",
		Short: "Show what a convnet sees: activations, filters, heat maps",
		Long:  "Draws what a Keras convnet sees, as a .png: a file, or a network by name with --weights.",
	}
	add := func(use, short string, do func(cmd *cobra.Command) (image.Image, error)) *cobra.Command {
		c := &cobra.Command{Use: use + " MODEL", Short: short, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			dev, err := a.device()
			if err != nil {
				return err
			}
			defer dev.Close()
			v.Model, v.Device = args[0], dev
			if !a.quiet {
				v.Log = func(format string, args ...any) { fmt.Fprintf(a.stderr, format+"\n", args...) }
			}
			img, err := do(cmd)
			if err != nil {
				return jobError(err)
			}
			p, err := vision.PNG(img)
			if err != nil {
				return err
			}
			return atomicfile.Write(out, func(w io.Writer) error { _, err := w.Write(p); return err })
		}}
		f := c.Flags()
		f.StringVarP(&out, "output", "o", use+".png", "picture to write: .png")
		f.StringVar(&v.Weights, "weights", "", "`FILE` of weights, for a network by name or an architecture")
		f.StringVar(&v.Layer, "layer", "", "layer to look at (default: the last with feature maps)")
		f.StringVar(&v.Preprocess, "preprocess", "", "how pictures become input: tf, caffe, torch or none (default: as the network wants it, where that is known)")
		f.IntVar(&v.Network.Size, "size", 0, "height and width of the pictures, for a network by name (default: its own)")
		f.Float64Var(&v.Network.Alpha, "alpha", 0, "width of a MobileNet by name (default: that of the weights' file)")
		cmd.AddCommand(c)
		return c
	}
	act := add("activations", "What a layer answers to a picture, channel by channel", func(cmd *cobra.Command) (image.Image, error) {
		return v.Activations(cmd.Context(), limit)
	})
	act.Flags().StringVarP(&v.Picture, "input", "i", "", "`FILE` of a picture")
	act.Flags().IntVar(&limit, "limit", 64, "most channels to draw (0: all)")
	_ = act.MarkFlagRequired("input")
	heat := add("heatmap", "Where in a picture the evidence for a class lies (Grad-CAM)", func(cmd *cobra.Command) (image.Image, error) {
		img, c, err := v.Heatmap(cmd.Context(), class)
		if err == nil {
			fmt.Fprintf(a.stdout, "class %d\n", c)
		}
		return img, err
	})
	heat.Flags().StringVarP(&v.Picture, "input", "i", "", "`FILE` of a picture")
	heat.Flags().IntVar(&class, "class", -1, "class to find the evidence for (-1: the best)")
	_ = heat.MarkFlagRequired("input")
	fil := add("filters", "The patterns that the channels of a layer like best, by gradient ascent", func(cmd *cobra.Command) (image.Image, error) {
		return v.Filters(cmd.Context(), count, v.Network.Size, steps, seed)
	})
	fil.Flags().IntVar(&count, "count", 8, "channels to draw")
	fil.Flags().IntVar(&steps, "steps", 40, "steps of gradient ascent")
	fil.Flags().Uint64Var(&seed, "seed", 1, "of the noise to begin from")
	return cmd
}
