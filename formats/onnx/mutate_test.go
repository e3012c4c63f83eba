package onnx_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/nnrt/nnrt/formats/onnx/internal/pb"
)

// mutate damages one thing in a model: what a converter with a mistake, or an attacker, would write.
func mutate(m *pb.ModelProto, r *rand.Rand) {
	g := m.Graph
	if len(g.Node) == 0 {
		return
	}
	n := g.Node[r.IntN(len(g.Node))]
	switch r.IntN(9) {
	case 0:
		if len(n.Input) > 0 {
			n.Input = n.Input[:len(n.Input)-1]
		}
	case 1:
		if len(n.Input) > 0 {
			n.Input[r.IntN(len(n.Input))] = ""
		}
	case 2:
		if len(n.Attribute) > 0 {
			i := r.IntN(len(n.Attribute))
			n.Attribute = append(n.Attribute[:i:i], n.Attribute[i+1:]...)
		}
	case 3:
		for _, a := range n.Attribute {
			a.I = []int64{-1 << 62, -7, -1, 0, 1, 99, 1 << 40, 1 << 62}[r.IntN(8)]
		}
	case 4:
		for _, a := range n.Attribute {
			if len(a.Ints) > 0 {
				a.Ints[r.IntN(len(a.Ints))] = []int64{-1 << 62, -3, 0, 1 << 33, 1 << 62}[r.IntN(5)]
				a.Ints = a.Ints[:r.IntN(len(a.Ints)+1)]
			}
			if len(a.Floats) > 0 {
				a.Floats = a.Floats[:r.IntN(len(a.Floats))]
			}
			if len(a.Strings) > 0 {
				a.Strings = a.Strings[:r.IntN(len(a.Strings))]
			}
		}
	case 5, 6:
		if len(g.Input) > 0 {
			in := g.Input[r.IntN(len(g.Input))]
			dims := []any{"N", 0, 1, 2, 3, -1, "M", 1 << 40}
			r.Shuffle(len(dims), func(i, j int) { dims[i], dims[j] = dims[j], dims[i] })
			in.Type = info(in.Name, dims[:r.IntN(6)]...).Type
			in.Type.TensorType.ElemType = pb.DataType(1 + r.IntN(int(pb.Int2)))
			if r.IntN(4) == 0 {
				in.Type.TensorType.Shape = nil
			}
		}
	case 7:
		if len(n.Input) > 0 {
			n.Input = append(n.Input, n.Input...)
		}
	case 8:
		n.OpType = g.Node[0].OpType
		if len(n.Output) > 1 {
			n.Output = n.Output[:1]
		}
	}
}

// TestMutations: damaged models are refused with an error that is no mistake of nnrt's own.
func TestMutations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	i := 0
	backendModels(t, func(name string, b []byte) {
		if i++; testing.Short() && i%8 != 0 {
			return
		}
		for range 4 {
			m := &pb.ModelProto{}
			require.NoError(t, pb.Unmarshal(b, m, pb.Limits{}))
			mutate(m, r)
			mutate(m, r)
			g, err := read(m)
			if err != nil && strings.Contains(err.Error(), "internal error") {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil {
				require.NoError(t, g.Verify(), name)
			}
		}
	})
}
