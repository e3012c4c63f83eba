package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/cmd/nnrt/internal/curves"
	"github.com/nnrt/nnrt/internal/atomicfile"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/layers/plotmodel"
)

func (a *app) plotCmd() *cobra.Command {
	var out, title string
	cmd := &cobra.Command{
		Use:   "plot HISTORY.json|MODEL",
		Short: "Draw the learning curves of a training history, or the layers of a Keras model",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if strings.ToLower(filepath.Ext(args[0])) != ".json" {
				return plotModel(args[0], out)
			}
			p, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			if bytes.Contains(p[:min(len(p), 4096)], []byte(`"class_name"`)) {
				return plotModel(args[0], out)
			}
			h, err := curves.Parse(p)
			if err != nil {
				return errFile{args[0], err}
			}
			if out == "" {
				out = strings.TrimSuffix(args[0], filepath.Ext(args[0])) + ".svg"
			}
			picture, err := curves.Draw(h, title, out)
			if err != nil {
				return errUsage{err}
			}
			return atomicfile.Write(out, func(w io.Writer) error {
				_, err := w.Write(picture)
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "picture to write: .svg or .png, of a model also .dot (default: the source's name with .svg)")
	cmd.Flags().StringVar(&title, "title", "", "a title")
	return cmd
}

// plotModel draws the boxes and arrows of a Keras model.
func plotModel(path, out string) error {
	s, err := nnrt.ImportSource(path, nnrt.ImportOptions{})
	if err != nil {
		return errFile{path, err}
	}
	m := s.Layers()
	if m == nil {
		return errUsage{errs.Errorf("%s has no Keras layers to draw; 'nnrt info --graph' prints its graph", path)}
	}
	if out == "" {
		out = strings.TrimSuffix(path, filepath.Ext(path)) + ".svg"
	}
	draw := map[string]func(io.Writer, *layers.Model, plotmodel.Options) error{".svg": plotmodel.SVG, ".png": plotmodel.PNG,
		".dot": plotmodel.DOT}[strings.ToLower(filepath.Ext(out))]
	if draw == nil {
		return errUsage{errs.Errorf("%s: a picture of a model is .svg, .png or .dot", out)}
	}
	return atomicfile.Write(out, func(w io.Writer) error { return draw(w, m, plotmodel.Options{}) })
}
