package main

import "github.com/spf13/cobra"

// commands is every subcommand.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.infoCmd(),
		a.runCmd(),
		a.benchCmd(),
		newConformanceCmd(a.device),
		a.opsCmd(),
		a.versionCmd(),
	}
}
