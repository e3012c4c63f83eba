package data

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// cifarPixels is the bytes of one picture: 32×32 in three planes.
const cifarPixels = 3 * 32 * 32

// ReadCIFAR reads CIFAR-10's (or with fine CIFAR-100's) binary files, gzipped where the name ends in .gz:
// pictures as uint8 (n, 32, 32, 3), labels as int64.
func ReadCIFAR(fine bool, paths ...string) (Arrays, error) {
	var pixels []byte
	var labels []int64
	head := 1
	if fine {
		head = 2
	}
	for _, p := range paths {
		if err := readCIFAR(p, head, &pixels, &labels); err != nil {
			return Arrays{}, errs.Errorf("data: %s: %w", p, err)
		}
	}
	if len(labels) == 0 {
		return Arrays{}, errs.Errorf("data: CIFAR: %w", ErrEmpty)
	}
	x, err := tensor.Make(tensor.Uint8, []int{len(labels), 32, 32, 3})
	if err != nil {
		return Arrays{}, err
	}
	out := tensor.As[uint8](x)
	for i := range labels {
		for c := range 3 {
			for k := range 32 * 32 {
				out[i*cifarPixels+k*3+c] = pixels[i*cifarPixels+c*32*32+k]
			}
		}
	}
	return New(x, tensor.Of(labels)), nil
}

func readCIFAR(path string, head int, pixels *[]byte, labels *[]int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<16)
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	}
	rec := make([]byte, head+cifarPixels)
	for {
		_, err := io.ReadFull(r, rec)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errs.Errorf("record %d: %w", len(*labels), err)
		}
		*labels = append(*labels, int64(rec[head-1]))
		*pixels = append(*pixels, rec[head:]...)
	}
}
