package hdf5_test

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"github.com/nnrt/nnrt/formats/hdf5"
)

// file writes a small file into memory.
func file() []byte {
	w := hdf5.NewWriter()
	g, err := w.Root().Group("dense")
	if err != nil {
		log.Fatal(err)
	}
	if err := g.SetAttr("weight_names", hdf5.FixedStrings([]string{"kernel:0"})); err != nil {
		log.Fatal(err)
	}
	kernel, err := hdf5.DataOf([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := g.Dataset("kernel:0", kernel, hdf5.Storage{}); err != nil {
		log.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		log.Fatal(err)
	}
	return b.Bytes()
}

func Example() {
	b := file()
	f, err := hdf5.Open(bytes.NewReader(b), int64(len(b)), hdf5.Options{})
	if err != nil {
		log.Fatal(err)
	}
	d, err := f.Root().OpenDataset("dense/kernel:0")
	if err != nil {
		log.Fatal(err)
	}
	w, err := d.ReadFloat32s()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Dims(), d.Type(), w)
	// Output: [2 3] H5T_IEEE_F32LE [1 2 3 4 5 6]
}

func ExampleGroup_Walk() {
	f, err := hdf5.OpenBytes(file(), hdf5.Options{})
	if err != nil {
		log.Fatal(err)
	}
	err = f.Root().Walk(func(v hdf5.Visit) error {
		attrs, err := v.Object.Attrs()
		for _, a := range attrs {
			names, err := a.ReadStrings()
			if err != nil {
				return err
			}
			fmt.Println(v.Path, a.Name, names)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: /dense weight_names [kernel:0]
}

func ExampleDataset_Raw() {
	f, err := hdf5.OpenBytes(file(), hdf5.Options{})
	if err != nil {
		log.Fatal(err)
	}
	d, err := f.Root().OpenDataset("dense/kernel:0")
	if err != nil {
		log.Fatal(err)
	}
	b, ok := d.Raw() // no copy: these are the file's bytes
	fmt.Println(len(b), ok)
	// Output: 24 true
}

func ExampleWriter() {
	w := hdf5.NewWriter()
	ones := make([]float32, 100*100)
	for i := range ones {
		ones[i] = 1
	}
	d, err := hdf5.DataOf(ones, 100, 100)
	if err != nil {
		log.Fatal(err)
	}
	storage := hdf5.Storage{Chunks: []uint64{50, 50}, Shuffle: true, Deflate: 4}
	if _, err := w.Root().Dataset("group/ones", d, storage); err != nil {
		log.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := w.WriteTo(&b); err != nil {
		log.Fatal(err)
	}
	f, err := hdf5.OpenBytes(b.Bytes(), hdf5.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := hdf5.List(os.Stdout, f, hdf5.ListOptions{}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// /                        Group
	// /group                   Group
	// /group/ones              Dataset {100, 100}
}

func ExampleDump() {
	f, err := hdf5.OpenBytes(file(), hdf5.Options{})
	if err != nil {
		log.Fatal(err)
	}
	err = hdf5.Dump(os.Stdout, f, hdf5.DumpOptions{Name: "dense.h5", Path: "dense/kernel:0"})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// HDF5 "dense.h5" {
	// DATASET "dense/kernel:0" {
	//    DATATYPE  H5T_IEEE_F32LE
	//    DATASPACE  SIMPLE { ( 2, 3 ) / ( 2, 3 ) }
	//    DATA {
	//    (0,0): 1, 2, 3,
	//    (1,0): 4, 5, 6
	//    }
	// }
	// }
}
