package onnx

import (
	"fmt"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// DecodeValue reads a serialised TensorProto, SequenceProto, OptionalProto or MapProto: the .pb files of
// ONNX's test data. The message does not tell which one it is: kind does. Tensors may alias b. The first
// result is the value's name, often empty.
func DecodeValue(b []byte, kind graph.Kind) (string, tensor.Value, error) {
	src := &pb.Source{}
	var name string
	var v tensor.Value
	var err error
	switch kind {
	case graph.TensorKind:
		var p pb.TensorProto
		if err = pb.Unmarshal(b, &p, pb.Limits{}); err == nil {
			name = p.Name
			v, err = src.Tensor(&p)
		}
	case graph.SequenceKind:
		var p pb.SequenceProto
		if err = pb.Unmarshal(b, &p, pb.Limits{}); err == nil {
			name = p.Name
			v, err = src.Sequence(&p)
		}
	case graph.OptionalKind:
		var p pb.OptionalProto
		if err = pb.Unmarshal(b, &p, pb.Limits{}); err == nil {
			name = p.Name
			v, err = src.Optional(&p)
		}
	case graph.MapKind:
		var p pb.MapProto
		if err = pb.Unmarshal(b, &p, pb.Limits{}); err == nil {
			name = p.Name
			v, err = src.Map(&p)
		}
	default:
		err = fmt.Errorf("no value of kind %d", kind)
	}
	if err != nil {
		return "", nil, fmt.Errorf("onnx: %v value: %w", kind, err)
	}
	return name, v, nil
}

// EncodeValue is v as DecodeValue reads it, under a name.
func EncodeValue(name string, v tensor.Value) ([]byte, error) {
	m, err := pb.FromValue(name, v)
	if err != nil {
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return pb.Marshal(m), nil
}
