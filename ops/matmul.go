package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
)

// matmulOps is the family of matrix products.
var matmulOps = []Info{
	{MatMul{}, "matrix product with numpy's broadcasting", []Sample{
		Case(MatMul{}, F(3, 4), F(4, 5)), Case(MatMul{}, F(2, 3, 4), F(4, 5)), Case(MatMul{}, F(2, 1, 3, 4), F(3, 4, 5))}},
}

// MatMul is numpy.matmul: vectors are promoted, leading dimensions broadcast.
type MatMul struct{}

// Name implements graph.Op.
func (MatMul) Name() string { return "MatMul" }

// Infer implements graph.Op.
func (MatMul) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	dt, err := sameDType(in)
	if err != nil {
		return nil, err
	}
	a, b := in[0], in[1]
	if a.Rank() < 0 || b.Rank() < 0 {
		return []graph.Type{graph.UnrankedOf(dt)}, nil
	}
	if a.Rank() == 0 || b.Rank() == 0 {
		return nil, fmt.Errorf("rank 0 has no product: %s", typeList(in))
	}
	ad, bd := a.Dims, b.Dims
	if len(ad) == 1 {
		ad = []graph.Dim{graph.D(1), ad[0]}
	}
	if len(bd) == 1 {
		bd = []graph.Dim{bd[0], graph.D(1)}
	}
	if !graph.Compatible(ad[len(ad)-1], bd[len(bd)-2]) {
		return nil, fmt.Errorf("inner dims differ: %s", typeList(in))
	}
	lead, _, err := broadcast(graph.TensorOf(dt, ad[:len(ad)-2]...), graph.TensorOf(dt, bd[:len(bd)-2]...))
	if err != nil {
		return nil, err
	}
	out := append([]graph.Dim{}, lead...)
	if a.Rank() > 1 {
		out = append(out, ad[len(ad)-2])
	}
	if b.Rank() > 1 {
		out = append(out, bd[len(bd)-1])
	}
	return []graph.Type{graph.TensorOf(dt, out...)}, nil
}
