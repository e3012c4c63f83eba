// Command peers measures nnrt beside ONNX Runtime and PyTorch: both sides run the same model on the same input in
// processes of their own, in turn, and their outputs or losses are compared. It is a module of its own, so that nobody
// who uses nnrt pulls in what only it needs.
//
//	NNRT_ORT=/path/to/libonnxruntime.so.1 peers infer -models DIR
//	peers train -script /path/to/torch_train.py
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
	case "accept":
		err = accept(os.Args[2:])
	case "busy":
		err = busy(os.Args[2:])
	case "spin":
		err = spin(os.Args[2:])
	case "tail":
		err = tail(os.Args[2:])
	case "servechild":
		err = serveChild(os.Args[2:])
	case "load":
		err = load(os.Args[2:])
	case "loadchild":
		err = loadChild(os.Args[2:])
	case "profile":
		err = profile(os.Args[2:])
	case "train":
		err = trainBench(os.Args[2:])
	case "train-child":
		err = trainChild(os.Args[2:])
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
	fmt.Fprintln(flag.CommandLine.Output(), "usage: peers accept [-opset N] [-run REGEXP] PATH...\n       peers infer [-models DIR] [-real DIR] [-only a,b] [-threads 1,2] [-procs 7] [-quick] [-json FILE]\n       peers load [-mb 500]\n       peers busy [-only a,b] [-threads 2] [-quick]\n       peers tail [-only a,b] [-threads 2] [-requests 10000]\n       peers profile -only a,b [-threads 1]\n       peers train -script torch_train.py [-only a,b] [-threads 1,2] [-procs 5] [-quick] [-json FILE]")
	os.Exit(2)
}
