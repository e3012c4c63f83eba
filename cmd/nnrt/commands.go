package main

import "github.com/spf13/cobra"

// commands is every subcommand.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.importCmd(),
		a.demoCmd(),
		a.infoCmd(),
		a.checkCmd(),
		a.trainCmd(),
		a.finetuneCmd(),
		a.evaluateCmd(),
		a.predictCmd(),
		a.plotCmd(),
		a.lookCmd(),
		a.runCmd(),
		a.benchCmd(),
		newConformanceCmd(a.device),
		a.compareCmd(),
		a.opsCmd(),
		a.h5Cmd(),
		a.cpuCmd(),
		a.versionCmd(),
	}
}
