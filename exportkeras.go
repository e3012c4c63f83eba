package nnrt

import (
	"github.com/nnrt/nnrt/formats"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/graph"
)

func exportKeras(path string, f *keras.File) error {
	return &formats.UnsupportedError{Format: formats.HDF5, Items: []formats.Unsupported{{What: "writing Keras files"}}}
}

func exportLifted(path string, g *graph.Graph) error {
	return &formats.UnsupportedError{Format: formats.HDF5, Items: []formats.Unsupported{{What: "writing Keras files"}}}
}
