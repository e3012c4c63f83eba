package main

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train/data"
)

// readIDX reads a gzipped file of the IDX format of unsigned bytes: a magic number, the sizes, the elements.
func readIDX(path string, rank int) (sizes []int, elems []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	head := make([]uint32, 1+rank)
	if err := binary.Read(z, binary.BigEndian, head); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if want := uint32(0x800 + rank); head[0] != want {
		return nil, nil, fmt.Errorf("%s: the magic number is %#x, not %#x", path, head[0], want)
	}
	n := 1
	for _, s := range head[1:] {
		sizes = append(sizes, int(s))
		n *= int(s)
	}
	if n > 1<<28 {
		return nil, nil, fmt.Errorf("%s: %v elements", path, sizes)
	}
	elems = make([]byte, n)
	if _, err := io.ReadFull(z, elems); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return sizes, elems, nil
}

// load reads pictures [n,28,28,1] between 0 and 1 and their labels; limit bounds n, 0 does not.
func load(images, labels string, limit int) (data.Arrays, error) {
	xs, pixels, err := readIDX(images, 3)
	if err != nil {
		return data.Arrays{}, err
	}
	ys, classes, err := readIDX(labels, 1)
	if err != nil {
		return data.Arrays{}, err
	}
	n := xs[0]
	if ys[0] != n {
		return data.Arrays{}, fmt.Errorf("%s has %d pictures, %s %d labels", images, n, labels, ys[0])
	}
	if limit > 0 {
		n = min(n, limit)
	}
	x, y := tensor.New(tensor.Float32, n, xs[1], xs[2], 1), tensor.New(tensor.Int32, n)
	xv, yv := tensor.As[float32](x), tensor.As[int32](y)
	for i := range xv {
		xv[i] = float32(pixels[i]) / 255
	}
	for i := range yv {
		yv[i] = int32(classes[i])
	}
	return data.New(x, y), nil
}
