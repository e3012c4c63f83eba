package onnx

import (
	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
)

// nodeName is the node's own name, or one made of its operator and first output.
func nodeName(p *pb.NodeProto) string {
	if p.Name != "" {
		return p.Name
	}
	for _, o := range p.Output {
		if o != "" {
			return p.OpType + "_" + o
		}
	}
	return p.OpType
}

// opName is the operator with its domain.
func opName(p *pb.NodeProto) string {
	name := p.OpType
	if d := domain(p.Domain); d != "" {
		name = d + "." + name
	}
	if p.Overload != "" {
		name += ":" + p.Overload
	}
	return name
}

func joined(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}
