// Command peers measures nnrt beside ONNX Runtime: both run the same model on the same input in processes of their
// own, in turn, and their outputs are compared. It is a module of its own, so that nobody who uses nnrt pulls in cgo.
//
//	NNRT_ORT=/path/to/libonnxruntime.so.1 peers infer -models DIR
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch os.Args[1] {
	case "infer":
		err = infer(os.Args[2:])
	case "profile":
		err = profile(os.Args[2:])
	case "child":
		err = child(os.Args[2:])
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "usage: peers infer [-models DIR] [-only a,b] [-threads 1,2] [-procs 7] [-json FILE]")
	os.Exit(2)
}
