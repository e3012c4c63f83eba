package onnx

import "github.com/nnrt/nnrt/graph"

type exporter func(x *writer, n *graph.Node) error

type writer struct{}

var axesAsAttribute, exportSplit1, exportSplit13 exporter
