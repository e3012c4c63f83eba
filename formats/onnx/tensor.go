package onnx

import (
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/tensor"
)

func dtypeOf(t pb.DataType) (tensor.DType, error) { return t.DType() }

// tensor makes a tensor of its message.
func (im *importer) tensor(p *pb.TensorProto) (*tensor.Tensor, error) { return im.source.Tensor(p) }

// sparse makes a dense tensor of a sparse one.
func (im *importer) sparse(p *pb.SparseTensorProto) (*tensor.Tensor, error) {
	return im.source.Dense(p)
}

// setNumber fills t with one number.
func setNumber(t *tensor.Tensor, v float64) error {
	src := tensor.New(tensor.Float64, t.Shape()...)
	for i := range tensor.As[float64](src) {
		tensor.As[float64](src)[i] = v
	}
	return tensor.CastInto(t, src, tensor.CastOptions{})
}
