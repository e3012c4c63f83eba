package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/internal/cpuid"
)

func (a *app) cpuCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "cpu",
		Short: "Print the processor's level, and the one in use (NNRT_CPU)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			best, features := cpuid.Detect()
			used, err := cpuid.FromEnv()
			if err != nil {
				return errUsage{err}
			}
			_, err = fmt.Fprintf(a.stdout, "best     %v\nin use   %v (NNRT_CPU=%q)\nthreads  %d\nfeatures %+v\n", best, used, os.Getenv("NNRT_CPU"),
				runtime.GOMAXPROCS(0), features)
			return err
		},
	}
}
