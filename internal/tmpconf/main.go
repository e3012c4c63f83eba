package main

import (
	"context"
	"fmt"
	"os"
	"regexp"

	"github.com/nnrt/nnrt/conformance"
	"github.com/nnrt/nnrt/devices/ref"
)

func main() {
	var m *regexp.Regexp
	if len(os.Args) > 2 {
		m = regexp.MustCompile(os.Args[2])
	}
	r, err := conformance.Run(context.Background(), []string{os.Args[1]}, conformance.Options{Device: ref.New(), Match: m})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	r.WriteText(os.Stdout, len(os.Args) > 3)
}
