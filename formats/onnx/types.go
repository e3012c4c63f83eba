package onnx

import (
	"errors"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// typeOf is the graph's type for a declared one. Dimensions that are no number and have no usable name
// are unknown.
func typeOf(p *pb.TypeProto) (graph.Type, error) {
	if p == nil {
		return graph.Type{}, errors.New("no type is declared")
	}
	switch {
	case p.TensorType != nil:
		dt, err := dtypeOf(p.TensorType.ElemType)
		if err != nil {
			return graph.Type{}, err
		}
		if p.TensorType.Shape == nil {
			return graph.UnrankedOf(dt), nil
		}
		return tensorType(dt, p.TensorType.Shape)
	case p.SequenceType != nil:
		e, err := typeOf(p.SequenceType.ElemType)
		return graph.SequenceOf(e), err
	case p.OptionalType != nil:
		e, err := typeOf(p.OptionalType.ElemType)
		return graph.OptionalOf(e), err
	case p.MapType != nil:
		k, err := dtypeOf(p.MapType.KeyType)
		if err != nil {
			return graph.Type{}, err
		}
		v, err := typeOf(p.MapType.ValueType)
		return graph.Type{Kind: graph.MapKind, Key: k, DType: v.DType}, err
	case p.SparseTensorType != nil:
		// The values are what counts: whoever feeds it gives the dense tensor.
		return typeOf(&pb.TypeProto{TensorType: &pb.TensorType{ElemType: p.SparseTensorType.ElemType, Shape: p.SparseTensorType.Shape}})
	case p.OpaqueType != nil:
		return graph.Type{}, errs.Errorf("opaque types are %w", errors.ErrUnsupported)
	}
	return graph.Type{}, errors.New("its type is empty")
}

func tensorType(dt tensor.DType, s *pb.TensorShapeProto) (graph.Type, error) {
	if len(s.Dim) > tensor.MaxRank {
		return graph.Type{}, errs.Errorf("rank %d is over %d", len(s.Dim), tensor.MaxRank)
	}
	dims := make([]graph.Dim, len(s.Dim))
	for i, d := range s.Dim {
		switch {
		case d.Kind == pb.DimIsValue && d.Value >= 0:
			dims[i] = graph.D(int(d.Value))
		case d.Kind == pb.DimIsParam && namedDim(d.Param):
			dims[i] = graph.Sym(d.Param)
		default:
			dims[i] = graph.Unknown()
		}
	}
	return graph.TensorOf(dt, dims...), nil
}

// namedDim reports whether a dimension's name tells it from others: exporters write "None" or "?" for
// dimensions that they know nothing of.
func namedDim(name string) bool {
	return name != "" && name != "None" && name != "?" && name != "-1"
}
