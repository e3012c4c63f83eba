package main

import (
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
)

// newConformanceCmd is `nnrt conformance`. open makes the device that --device names.
func newConformanceCmd(open func() (devices.Device, error)) *cobra.Command {
	var match, report string
	var asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "conformance PATH...",
		Short: "Run recorded cases and compare every number",
		Long: "Runs every case below the paths (folders or .tar.gz), recognising each layout of the conformance data.\n" +
			"One line per failing or unsupported case, then the counts per suite and in all. Exit code 1 if any failed.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts := conformance.Options{}
			if match != "" {
				re, err := regexp.Compile(match)
				if err != nil {
					return errs.Errorf("--run: %w", err)
				}
				opts.Match = re
			}
			dev, err := open()
			if err != nil {
				return err
			}
			defer dev.Close()
			opts.Device = dev
			r, err := conformance.Run(cmd.Context(), args, opts)
			if err != nil {
				return err
			}
			if report != "" {
				if err := writeReport(report, r); err != nil {
					return err
				}
			}
			if asJSON {
				err = r.WriteJSON(cmd.OutOrStdout())
			} else {
				err = r.WriteText(cmd.OutOrStdout(), verbose)
			}
			switch c := r.Counts(); {
			case err != nil:
			case c.Failed > 0:
				err = errNo{}
			case c.Passed+c.Unsupported+c.Skipped == 0:
				err = errUsage{errs.Errorf("there are no cases below %s that match", strings.Join(args, ", "))}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&match, "run", "", "only cases whose `suite/case` matches the regular expression")
	f.BoolVar(&asJSON, "json", false, "one line of JSON a case")
	f.StringVar(&report, "report", "", "also write a Markdown report to `FILE`")
	f.BoolVarP(&verbose, "verbose", "v", false, "a line for passing cases too")
	return cmd
}

func writeReport(name string, r *conformance.Report) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := r.WriteMarkdown(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
