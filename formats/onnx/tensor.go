package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/tensor"
)

// externalData is where tensors in other files are looked for: below one folder.
type externalData struct {
	root *os.Root
	fs   fs.FS
}

func pathDir(name string) string { return path.Dir(name) }

func mapFile(path string) ([]byte, any, error) {
	b, err := os.ReadFile(path)
	return b, nil, err
}

var dtypes = map[pb.DataType]tensor.DType{
	pb.Float: tensor.Float32, pb.Uint8: tensor.Uint8, pb.Int8: tensor.Int8, pb.Uint16: tensor.Uint16, pb.Int16: tensor.Int16,
	pb.Int32: tensor.Int32, pb.Int64: tensor.Int64, pb.String: tensor.String, pb.Bool: tensor.Bool, pb.Float16: tensor.Float16,
	pb.Double: tensor.Float64, pb.Uint32: tensor.Uint32, pb.Uint64: tensor.Uint64, pb.Complex64: tensor.Complex64,
	pb.Complex128: tensor.Complex128, pb.BFloat16: tensor.BFloat16, pb.Float8E4M3FN: tensor.Float8E4M3FN,
	pb.Float8E4M3FNUZ: tensor.Float8E4M3FNUZ, pb.Float8E5M2: tensor.Float8E5M2, pb.Float8E5M2FNUZ: tensor.Float8E5M2FNUZ,
	pb.Uint4: tensor.Uint4, pb.Int4: tensor.Int4, pb.Float4E2M1: tensor.Float4E2M1, pb.Float8E8M0: tensor.Float8E8M0,
	pb.Uint2: tensor.Uint2, pb.Int2: tensor.Int2,
}

func dtypeOf(t pb.DataType) (tensor.DType, error) {
	if dt, ok := dtypes[t]; ok {
		return dt, nil
	}
	return tensor.Invalid, fmt.Errorf("no element type %v", t)
}

func (im *importer) tensor(p *pb.TensorProto) (*tensor.Tensor, error) {
	dt, err := dtypeOf(p.DataType)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(p.Dims))
	for i, d := range p.Dims {
		shape[i] = int(d)
	}
	n, err := tensor.NumElements(shape)
	if err != nil {
		return nil, err
	}
	if p.DataLocation == pb.LocationExternal {
		return nil, errors.New("external data is not read yet")
	}
	if dt == tensor.String {
		s := make([]string, len(p.StringData))
		for i, b := range p.StringData {
			s[i] = string(b)
		}
		return tensor.FromStrings(s, shape...)
	}
	if dt.Bits() < 8 {
		return unpack(dt, shape, n, p)
	}
	if p.RawData != nil {
		return tensor.FromBytes(dt, shape, p.RawData, im.keep)
	}
	t, err := tensor.Make(dt, shape)
	if err != nil {
		return nil, err
	}
	count := max(len(p.FloatData), len(p.Int32Data), len(p.Int64Data), len(p.DoubleData), len(p.Uint64Data))
	if dt.IsComplex() {
		return nil, errors.New("complex data")
	}
	if count != n {
		return nil, fmt.Errorf("%d elements for shape %v", count, shape)
	}
	switch dt {
	case tensor.Float32:
		copy(tensor.As[float32](t), p.FloatData)
	case tensor.Float64:
		copy(tensor.As[float64](t), p.DoubleData)
	case tensor.Int64:
		copy(tensor.As[int64](t), p.Int64Data)
	case tensor.Uint64:
		copy(tensor.As[uint64](t), p.Uint64Data)
	case tensor.Uint32:
		for i, v := range p.Uint64Data {
			tensor.As[uint32](t)[i] = uint32(v)
		}
	case tensor.Int32:
		copy(tensor.As[int32](t), p.Int32Data)
	default:
		for i, v := range p.Int32Data {
			switch dt.Size() {
			case 2:
				b := t.Bytes()
				b[2*i], b[2*i+1] = byte(v), byte(v>>8)
			default:
				t.Bytes()[i] = byte(v)
			}
		}
	}
	return t, nil
}

func unpack(dt tensor.DType, shape []int, n int, p *pb.TensorProto) (*tensor.Tensor, error) {
	t, err := tensor.Make(dt, shape)
	if err != nil {
		return nil, err
	}
	raw := p.RawData
	if raw == nil {
		for _, v := range p.Int32Data {
			raw = append(raw, byte(v))
		}
	}
	per := 8 / dt.Bits()
	if len(raw) != (n+per-1)/per {
		return nil, fmt.Errorf("%d bytes for %v%v", len(raw), dt, shape)
	}
	for i := range n {
		v := raw[i/per] >> (uint(i%per) * uint(dt.Bits())) & (1<<dt.Bits() - 1)
		if dt == tensor.Int4 || dt == tensor.Int2 {
			v = byte(int8(v<<(8-dt.Bits())) >> (8 - dt.Bits()))
		}
		t.Bytes()[i] = v
	}
	return t, nil
}

// sparse makes a dense tensor of a sparse one.
func (im *importer) sparse(p *pb.SparseTensorProto) (*tensor.Tensor, error) {
	if p.Values == nil || p.Indices == nil {
		return nil, errors.New("values or indices are missing")
	}
	vals, err := im.tensor(p.Values)
	if err != nil {
		return nil, err
	}
	idx, err := im.tensor(p.Indices)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(p.Dims))
	for i, d := range p.Dims {
		shape[i] = int(d)
	}
	n, err := tensor.NumElements(shape)
	if err != nil {
		return nil, err
	}
	if int64(n)*int64(max(1, vals.DType().Size())) > im.lim.MaxAlloc {
		return nil, fmt.Errorf("%v%v takes more than the %d bytes allowed", vals.DType(), shape, im.lim.MaxAlloc)
	}
	at, err := idx.Int64s()
	if err != nil {
		return nil, err
	}
	nnz, rank := vals.Len(), len(shape)
	if len(at) != nnz && len(at) != nnz*rank {
		return nil, fmt.Errorf("%d indices for %d values of rank %d", len(at), nnz, rank)
	}
	out, err := tensor.Make(vals.DType(), shape)
	if err != nil {
		return nil, err
	}
	strides := tensor.Strides(shape)
	for i := range nnz {
		off := int64(0)
		if len(at) == nnz && (rank != 1 || idx.Rank() == 1) {
			off = at[i]
		} else {
			for a := range rank {
				v := at[i*rank+a]
				if v < 0 || v >= int64(shape[a]) {
					return nil, fmt.Errorf("index %d is outside %v", v, shape)
				}
				off += v * int64(strides[a])
			}
		}
		if off < 0 || off >= int64(n) {
			return nil, fmt.Errorf("index %d is outside %v", off, shape)
		}
		if vals.DType() == tensor.String {
			out.Strings()[off] = vals.Strings()[i]
			continue
		}
		s := int64(vals.DType().Size())
		copy(out.Bytes()[off*s:(off+1)*s], vals.Bytes()[int64(i)*s:int64(i+1)*s])
	}
	return out, nil
}

func setNumber(t *tensor.Tensor, v float64) error {
	src := tensor.New(tensor.Float64, t.Shape()...)
	for i := range tensor.As[float64](src) {
		tensor.As[float64](src)[i] = v
	}
	c, err := tensor.Cast(src, t.DType(), tensor.CastOptions{})
	if err != nil {
		return err
	}
	return t.CopyFrom(c)
}
