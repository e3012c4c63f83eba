package nnrt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/pretrained/digits"
	"github.com/nnrt/nnrt/tensor"
)

// A Keras file from bytes (an embedded file, a download), and one run on all pictures at once.
func ExampleLoad() {
	file, err := digits.H5()
	check(err)
	m, err := nnrt.Load(file, nnrt.Options{})
	check(err)
	defer m.Close()
	pictures, err := digits.Pictures()
	check(err)
	in, out := m.Inputs()[0].Name, m.Outputs()[0].Name
	got, err := m.Run(context.Background(), map[string]*tensor.Tensor{in: digits.Batch(pictures)})
	check(err)
	p := tensor.As[float32](got[out])
	for i, pic := range pictures[:3] {
		best := 0
		for c := range 10 {
			if p[i*10+c] > p[i*10+best] {
				best = c
			}
		}
		fmt.Printf("a %d is read as %d\n", pic.Label, best)
	}
	// Output:
	// a 0 is read as 0
	// a 1 is read as 1
	// a 2 is read as 2
}

// Keras to ONNX: the ending of the name says the format.
func ExampleModel_Save() {
	file, err := digits.H5()
	check(err)
	m, err := nnrt.Load(file, nnrt.Options{})
	check(err)
	defer m.Close()
	dir, err := os.MkdirTemp("", "nnrt")
	check(err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "digits.onnx")
	check(m.Save(path))
	back, err := nnrt.Open(path, nnrt.Options{})
	check(err)
	defer back.Close()
	for _, v := range append(back.Inputs(), back.Outputs()...) {
		fmt.Println(v.Type)
	}
	// Output:
	// float32[batch,28,28,1]
	// float32[batch,10]
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
