package onnx_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
)

// TestMicrosoftRefuses holds that nodes of com.microsoft which ask for what isn't there are refused by name.
func TestMicrosoftRefuses(t *testing.T) {
	text := func(name, v string) *pb.AttributeProto {
		return &pb.AttributeProto{Name: name, Type: pb.AttrString, S: []byte(v)}
	}
	for _, tc := range []struct {
		op    string
		in    int
		attrs []*pb.AttributeProto
		want  string
	}{
		{"FusedConv", 1, nil, "takes 2 to 4 inputs, got 1"},
		{"FusedGemm", 2, []*pb.AttributeProto{text("activation", "Sine")}, `activation is "Sine"`},
		{"CDist", 2, []*pb.AttributeProto{text("metric", "cosine")}, `metric is "cosine"`},
		{"MultiHeadAttention", 3, nil, "num_heads is 0"},
		{"MultiHeadAttention", 3, []*pb.AttributeProto{intAttr("num_heads", 1)}, "ranks 2, 2 and 2"},
		{"Attention", 2, []*pb.AttributeProto{intAttr("num_heads", 1), intAttr("do_rotary", 1)}, "do_rotary"},
		{"GroupQueryAttention", 7, []*pb.AttributeProto{text("k_quant_type", "PER_TENSOR")}, "k_quant_type is PER_TENSOR"},
		{"GroupQueryAttention", 14, nil, "14 inputs"},
		{"QLinearConcat", 6, nil, "6 inputs are not 2 and a multiple of 3"},
		{"Gelu", 1, []*pb.AttributeProto{intAttr("fast", 1)}, "unknown attribute fast"},
		{"Gelu2", 1, nil, "com.microsoft.Gelu2"},
	} {
		t.Run(tc.op, func(t *testing.T) {
			n := node(tc.op, nil, []string{"y"}, tc.attrs...)
			for range tc.in {
				n.Input = append(n.Input, "x")
			}
			n.Domain = "com.microsoft"
			_, err := read(model(n))
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, tc.op)
			require.True(t, errors.Is(err, errors.ErrUnsupported), "%v", err)
		})
	}
	n := node("MatMulNBits", []string{"x", "x", "x"}, []string{"y"}, intAttr("bits", 3))
	n.Domain = "com.microsoft"
	_, err := read(model(n))
	require.ErrorContains(t, err, "bits is 3")
}
