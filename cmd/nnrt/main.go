// Command nnrt runs, converts, checks and trains models.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
)

func main() {
	device := ""
	root := &cobra.Command{Use: "nnrt", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVar(&device, "device", "ref", "ref, cpu or cuda:N")
	root.AddCommand(newConformanceCmd(func() (devices.Device, error) {
		if device != "ref" {
			return nil, fmt.Errorf("unknown device %q", device)
		}
		return ref.New(), nil
	}))
	if err := root.Execute(); err != nil {
		if !errors.Is(err, errAnswerNo) {
			fmt.Fprintln(os.Stderr, "nnrt:", err)
		}
		os.Exit(1)
	}
}
