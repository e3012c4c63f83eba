package onnx

import (
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// ReadValue reads a .pb file: a TensorProto, SequenceProto, OptionalProto or MapProto. The file doesn't
// say which: t does, the type of the graph's input or output that the value is for. The value may alias b.
func ReadValue(b []byte, t graph.Type) (tensor.Value, error) {
	var src pb.Source
	switch t.Kind {
	case graph.SequenceKind:
		p := &pb.SequenceProto{}
		if err := pb.Unmarshal(b, p, pb.Limits{}); err != nil {
			return nil, errs.Errorf("onnx: %w", err)
		}
		s, err := src.Sequence(p)
		if err == nil && s.DType == tensor.Invalid {
			s.DType = t.DType
		}
		return s, err
	case graph.OptionalKind:
		p := &pb.OptionalProto{}
		if err := pb.Unmarshal(b, p, pb.Limits{}); err != nil {
			return nil, errs.Errorf("onnx: %w", err)
		}
		return src.Optional(p)
	case graph.MapKind:
		p := &pb.MapProto{}
		if err := pb.Unmarshal(b, p, pb.Limits{}); err != nil {
			return nil, errs.Errorf("onnx: %w", err)
		}
		return src.Map(p)
	}
	return ReadTensor(b)
}

// ReadTensor reads a .pb file that holds a TensorProto. The tensor may alias b.
func ReadTensor(b []byte) (*tensor.Tensor, error) {
	p := &pb.TensorProto{}
	if err := pb.Unmarshal(b, p, pb.Limits{}); err != nil {
		return nil, errs.Errorf("onnx: %w", err)
	}
	return new(pb.Source).Tensor(p)
}

// MarshalValue is a value as a .pb file has it, under a name.
func MarshalValue(name string, v tensor.Value) ([]byte, error) {
	m, err := pb.FromValue(name, v)
	if err != nil {
		return nil, err
	}
	return pb.Marshal(m), nil
}
