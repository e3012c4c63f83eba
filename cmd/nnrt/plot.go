package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/cmd/nnrt/internal/curves"
	"github.com/nnrt/nnrt/internal/atomicfile"
)

func (a *app) plotCmd() *cobra.Command {
	var out, title string
	cmd := &cobra.Command{
		Use:   "plot HISTORY.json",
		Short: "Draw the learning curves of a training history",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := os.ReadFile(args[0])
			if err != nil {
				return err
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
	cmd.Flags().StringVarP(&out, "output", "o", "", "picture to write: .svg or .png (default: the history's name with .svg)")
	cmd.Flags().StringVar(&title, "title", "", "a title")
	return cmd
}
