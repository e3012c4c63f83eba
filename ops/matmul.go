package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// matmulOps is the family of matrix products.
var matmulOps = []Info{
	{MatMul{}, "matrix product with numpy's broadcasting"},
	{Gemm{Alpha: 1, Beta: 1}, "Alpha*A*B + Beta*C on matrices"},
	{Einsum{Equation: "ij,jk->ik"}, "Einstein summation"},
	{Det{}, "the determinant of each matrix"},
	{Cofactor{}, "the matrix of cofactors of each matrix: the gradient of Det"},
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
		return nil, errs.Errorf("rank 0 has no product: %s", typeList(in))
	}
	ad, bd := a.Dims, b.Dims
	if len(ad) == 1 {
		ad = []graph.Dim{graph.D(1), ad[0]}
	}
	if len(bd) == 1 {
		bd = []graph.Dim{bd[0], graph.D(1)}
	}
	if !graph.Compatible(ad[len(ad)-1], bd[len(bd)-2]) {
		return nil, errs.Errorf("inner dims differ: %s", typeList(in))
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

// VJP is dy*b^T and a^T*dy, summed over what was broadcast.
func (MatMul) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x, y, d := n.In[0], n.In[1], dy[0]
	if x.Type.Rank() < 0 || y.Type.Rank() < 0 {
		b.Fail(errs.Errorf("MatMul: no gradient where a rank is unknown: %v × %v", x.Type, y.Type))
		return []*graph.Value{nil, nil}
	}
	xv, yv := x.Type.Rank() == 1, y.Type.Rank() == 1
	xm, ym := x, y // with vectors as matrices
	if yv {
		ym = b.Add(Unsqueeze{}, y, b.Ints(1))
		d = b.Add(Unsqueeze{}, d, b.Ints(-1))
	}
	if xv {
		xm = b.Add(Unsqueeze{}, x, b.Ints(0))
		d = b.Add(Unsqueeze{}, d, b.Ints(-2))
	}
	dx := []*graph.Value{nil, nil}
	if need[0] {
		g := sumTo(b, timesTransposed(b, d, ym), xm)
		if xv {
			g = b.Add(Squeeze{}, g, b.Ints(0))
		}
		dx[0] = g
	}
	if need[1] {
		g := transposedTimes(b, xm, d, ym)
		if yv {
			g = b.Add(Squeeze{}, g, b.Ints(1))
		}
		dx[1] = g
	}
	return dx
}

// timesTransposed is d * y^T on the last two dimensions.
func timesTransposed(b *graph.Builder, d, y *graph.Value) *graph.Value {
	if d.Type.Rank() == 2 && y.Type.Rank() == 2 {
		return b.Add(Gemm{Alpha: 1, Beta: 1, TransB: true}, d, y)
	}
	return b.Add(MatMul{}, d, swapLast(b, y))
}

// transposedTimes is x^T * d on the last two dimensions, summed to y's shape. Where y is a matrix the
// leading dimensions of x and d are rows of one product.
func transposedTimes(b *graph.Builder, x, d, y *graph.Value) *graph.Value {
	if y.Type.Rank() == 2 && x.Type.Rank() == d.Type.Rank() {
		gemm := Gemm{Alpha: 1, Beta: 1, TransA: true}
		if x.Type.Rank() == 2 {
			return b.Add(gemm, x, d)
		}
		rows := func(v *graph.Value) *graph.Value {
			last := b.Add(Shape{Start: -1}, v)
			return b.Add(Reshape{Allowzero: true}, v, b.Add(Concat{}, b.Ints(-1), last))
		}
		if rowsKnown(x) && rowsKnown(d) {
			return b.Add(gemm, rows(x), rows(d))
		}
	}
	return sumTo(b, b.Add(MatMul{}, swapLast(b, x), d), y)
}

// rowsKnown reports whether v's last dimension is a number above 0, which a reshape to rows can infer the
// others from.
func rowsKnown(v *graph.Value) bool {
	c, ok := v.Type.Dims[v.Type.Rank()-1].Const()
	return ok && c > 0
}

// swapLast transposes the last two dimensions.
func swapLast(b *graph.Builder, v *graph.Value) *graph.Value {
	perm := make([]int, v.Type.Rank())
	for i := range perm {
		perm[i] = i
	}
	r := len(perm)
	perm[r-2], perm[r-1] = r-1, r-2
	return b.Add(Transpose{Perm: perm}, v)
}

// Gemm is Alpha*A*B + Beta*C on matrices, A and B transposed first where TransA and TransB say so; C may
// be omitted, and broadcasts to the result.
type Gemm struct {
	Alpha, Beta float64
	TransA      bool `onnx:"transA"`
	TransB      bool `onnx:"transB"`
}

// Name implements graph.Op.
func (Gemm) Name() string { return "Gemm" }

// Infer implements graph.Op.
func (o Gemm) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 3); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
		return nil, err
	}
	dt, err := sameDType(in)
	if err != nil {
		return nil, err
	}
	m, k, err := matrixDims(in[0], o.TransA)
	if err != nil {
		return nil, err
	}
	k2, n, err := matrixDims(in[1], o.TransB)
	if err != nil {
		return nil, err
	}
	if !graph.Compatible(k, k2) {
		return nil, errs.Errorf("inner dims differ: %v and %v of %s", k, k2, typeList(in[:2]))
	}
	out := graph.TensorOf(dt, m, n)
	if present(in, 2) {
		if err := broadcastsTo(in[2], out, "C"); err != nil {
			return nil, err
		}
	}
	return []graph.Type{out}, nil
}

// matrixDims is the rows and columns of t, or of its transpose.
func matrixDims(t graph.Type, trans bool) (rows, cols graph.Dim, err error) {
	switch {
	case t.Rank() < 0:
		return graph.Unknown(), graph.Unknown(), nil
	case t.Rank() != 2:
		return rows, cols, errs.Errorf("%v is no matrix", t.WithoutValue())
	case trans:
		return t.Dims[1], t.Dims[0], nil
	}
	return t.Dims[0], t.Dims[1], nil
}

// Decompose spells it by Transpose, MatMul, Mul and Add.
func (o Gemm) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x, y := in[0], in[1]
	if x.Type.Rank() != 2 || y.Type.Rank() != 2 || !x.Type.DType.IsFloat() {
		return nil
	}
	if o.TransA {
		x = swapLast(b, x)
	}
	if o.TransB {
		y = swapLast(b, y)
	}
	out := mulC(b, b.Add(MatMul{}, x, y), o.Alpha)
	if len(in) > 2 && in[2] != nil {
		out = b.Add(Add{}, out, mulC(b, in[2], o.Beta))
	}
	return one(out)
}

// VJP is Gemm again, with the transpositions moved.
func (o Gemm) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x, y, d := n.In[0], n.In[1], dy[0]
	dx := make([]*graph.Value, len(n.In))
	if need[0] {
		if o.TransA {
			dx[0] = b.Add(Gemm{Alpha: o.Alpha, Beta: 1, TransA: o.TransB, TransB: true}, y, d)
		} else {
			dx[0] = b.Add(Gemm{Alpha: o.Alpha, Beta: 1, TransB: !o.TransB}, d, y)
		}
	}
	if need[1] {
		if o.TransB {
			dx[1] = b.Add(Gemm{Alpha: o.Alpha, Beta: 1, TransA: true, TransB: o.TransA}, d, x)
		} else {
			dx[1] = b.Add(Gemm{Alpha: o.Alpha, Beta: 1, TransA: !o.TransA}, x, d)
		}
	}
	if len(dx) > 2 && need[2] {
		dx[2] = sumTo(b, mulC(b, d, o.Beta), n.In[2])
	}
	return dx
}

// inferSquare is the number of leading dimensions of a stack of square matrices.
func inferSquare(in []graph.Type) (lead []graph.Dim, unranked bool, err error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, false, err
	}
	r := in[0].Rank()
	if r < 0 {
		return nil, true, nil
	}
	if r < 2 || !graph.Compatible(in[0].Dims[r-1], in[0].Dims[r-2]) {
		return nil, false, errs.Errorf("%v holds no square matrices", in[0].WithoutValue())
	}
	return in[0].Dims[:r-2], false, nil
}

// Det is the determinant of each square matrix in the last two dimensions.
type Det struct{}

// Name implements graph.Op.
func (Det) Name() string { return "Det" }

// Infer implements graph.Op.
func (Det) Infer(in []graph.Type) ([]graph.Type, error) {
	lead, unranked, err := inferSquare(in)
	if err != nil {
		return nil, err
	}
	return []graph.Type{tensorOr(in[0].DType, append([]graph.Dim{}, lead...), unranked)}, nil
}

// VJP is dy times the matrix of cofactors.
func (Det) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	d := b.Add(Unsqueeze{}, dy[0], b.Ints(-1, -2))
	return one(b.Add(Mul{}, d, b.Add(Cofactor{}, n.In[0])))
}

// Cofactor is the matrix of cofactors of each square matrix in the last two dimensions.
type Cofactor struct{}

// Name implements graph.Op.
func (Cofactor) Name() string { return "Cofactor" }

// Infer implements graph.Op.
func (Cofactor) Infer(in []graph.Type) ([]graph.Type, error) {
	if _, _, err := inferSquare(in); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// matmulSamples is the cases of matmulOps.
func matmulSamples() map[string][]Sample {
	return map[string][]Sample{
		"MatMul": {
			Case(MatMul{}, F(3, 4), F(4, 5)), Case(MatMul{}, F(2, 3, 4), F(4, 5)), Case(MatMul{}, F(2, 1, 3, 4), F(3, 4, 5)),
			Case(MatMul{}, F(4), F(4, 5)), Case(MatMul{}, F(2, 3, 4), F(4)), Case(MatMul{}, F(4), F(4)),
			Case(MatMul{}, F(4), F(2, 4, 5)), Case(MatMul{}, F(3, 4), F(2, 4, 5)),
			Case(MatMul{}, TV(tensor.Of([]int32{1, 2, 3, 4}, 2, 2)), TV(tensor.Of([]int32{5, 6, 7, 8}, 2, 2)))},
		"Gemm": {
			Case(Gemm{Alpha: 1, Beta: 1}, F(3, 4), F(4, 5), F(5)), Case(Gemm{Alpha: 0.5, Beta: 2, TransA: true}, F(4, 3), F(4, 5), F(3, 1)),
			Case(Gemm{Alpha: 1, Beta: 1, TransB: true}, F(3, 4), F(5, 4)),
			Case(Gemm{Alpha: -1, Beta: 0.5, TransA: true, TransB: true}, F(4, 3), F(5, 4), F())},
		"Einsum": {
			Case(Einsum{Equation: "ij,jk->ik"}, F(3, 4), F(4, 5)), Case(Einsum{Equation: "...ii ->...i"}, F(2, 3, 3)),
			Case(Einsum{Equation: "bij, bjk -> bik"}, F(2, 3, 4), F(2, 4, 5)), Case(Einsum{Equation: "i,i"}, F(4), F(4)),
			Case(Einsum{Equation: "ij->ji"}, F(3, 4)), Case(Einsum{Equation: "ij->i"}, F(3, 4)), Case(Einsum{Equation: "ii"}, F(3, 3)),
			Case(Einsum{Equation: "...ij,...jk"}, F(2, 1, 3, 4), F(3, 4, 2)), Case(Einsum{Equation: "ab,bc,cd->da"}, F(2, 3), F(3, 4), F(4, 2)),
			Case(Einsum{Equation: "ijk,k,lj->li"}, F(2, 3, 4), F(4), F(2, 3))},
		"Det": {Case(Det{}, F(3, 3)), Case(Det{}, F(2, 4, 4)), Case(Det{}, F(1, 1))},
		"Cofactor": {
			Case(Cofactor{}, F(3, 3)), Case(Cofactor{}, F(2, 1, 1))},
	}
}
