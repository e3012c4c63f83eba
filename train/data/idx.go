package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// maxIDX bounds the bytes of one IDX array.
const maxIDX = 1 << 31

// ReadIDX reads an array in the format of the MNIST files (http://yann.lecun.com/exdb/mnist/), gzipped or not.
func ReadIDX(path string) (*tensor.Tensor, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := DecodeIDX(f)
	if err != nil {
		return nil, errs.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// DecodeIDX is ReadIDX from a reader.
func DecodeIDX(r io.Reader) (*tensor.Tensor, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, errs.Errorf("idx: %w", err)
	}
	if head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(head[:]), r))
		if err != nil {
			return nil, errs.Errorf("idx: %w", err)
		}
		defer z.Close()
		r = z
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil, errs.Errorf("idx: %w", err)
		}
	}
	dt, ok := map[byte]tensor.DType{8: tensor.Uint8, 9: tensor.Int8, 0xb: tensor.Int16, 0xc: tensor.Int32, 0xd: tensor.Float32,
		0xe: tensor.Float64}[head[2]]
	if head[0] != 0 || head[1] != 0 || !ok {
		return nil, errs.Errorf("idx: no IDX file: it begins with % x", head)
	}
	shape := make([]int, head[3])
	for i := range shape {
		var n uint32
		if err := binary.Read(r, binary.BigEndian, &n); err != nil {
			return nil, errs.Errorf("idx: dimension %d: %w", i, err)
		}
		shape[i] = int(n)
	}
	n, err := tensor.NumElements(shape)
	if err != nil || n*dt.Size() > maxIDX {
		return nil, errs.Errorf("idx: an array of %v is too large", shape)
	}
	raw, err := io.ReadAll(io.LimitReader(r, int64(n*dt.Size())+1))
	if err != nil {
		return nil, errs.Errorf("idx: %w", err)
	}
	if len(raw) != n*dt.Size() {
		return nil, errs.Errorf("idx: %d bytes or more follow where %v%v takes %d", len(raw), dt, shape, n*dt.Size())
	}
	for s, i := dt.Size(), 0; s > 1 && i < len(raw); i += s { // big-endian
		for a, b := i, i+s-1; a < b; a, b = a+1, b-1 {
			raw[a], raw[b] = raw[b], raw[a]
		}
	}
	return tensor.FromBytes(dt, shape, raw, nil)
}
