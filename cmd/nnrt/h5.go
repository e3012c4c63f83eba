package main

import (
	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/formats/hdf5"
)

func (a *app) h5Cmd() *cobra.Command {
	cmd := &cobra.Command{Use: "h5", Short: "Look into HDF5 files"}
	with := func(use, short string, f func(f *hdf5.File, name string) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
			file, err := hdf5.OpenFile(args[0], hdf5.Options{})
			if err != nil {
				return errFile{args[0], err}
			}
			defer file.Close()
			if err := f(file, args[0]); err != nil {
				return errFile{args[0], err}
			}
			return nil
		}}
	}
	cmd.AddCommand(
		with("ls FILE", "List groups and datasets, as h5ls -r", func(f *hdf5.File, _ string) error {
			return hdf5.List(a.stdout, f, hdf5.ListOptions{})
		}),
		with("dump FILE", "Print everything, as h5dump", func(f *hdf5.File, name string) error {
			return hdf5.Dump(a.stdout, f, hdf5.DumpOptions{Name: name})
		}))
	return cmd
}
