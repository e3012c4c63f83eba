package ops

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// Decompose contracts the operands from left to right, each pair by one MatMul. It needs their ranks, and
// the sizes of labels that one operand repeats.
func (o Einsum) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	ranks := make([]int, len(in))
	for i, v := range in {
		if ranks[i] = v.Type.Rank(); ranks[i] < 0 || !v.Type.DType.IsFloat() {
			return nil
		}
	}
	p, err := o.Plan(ranks)
	if err != nil {
		return nil
	}
	terms := make([]labelled, len(in))
	for i, v := range in {
		if terms[i] = (labelled{v, p.In[i]}); !terms[i].repeatsKnown() {
			return nil
		}
	}
	acc := terms[0].diagonal(b)
	for i := 1; i < len(in); i++ {
		later := slices.Concat(p.In[i+1:]...)
		acc = contract(b, acc, terms[i].diagonal(b), append(later, p.Out...))
	}
	acc = acc.sumBut(b, p.Out)
	return one(b.Add(Identity{}, acc.arranged(b, p.Out).v))
}

// labelled is a value whose dimensions have einsum labels.
type labelled struct {
	v  *graph.Value
	ls []int
}

// dim is the size of label l; 1 where x lacks it.
func (x labelled) dim(l int) graph.Dim {
	i := slices.Index(x.ls, l)
	if i < 0 {
		return graph.D(1)
	}
	return x.v.Type.Dims[i]
}

// repeatsKnown reports whether the dimensions under repeated labels are numbers.
func (x labelled) repeatsKnown() bool {
	for i, l := range x.ls {
		if j := slices.Index(x.ls, l); j < i && !(x.v.Type.Dims[i].IsConst() && x.v.Type.Dims[j].IsConst()) {
			return false
		}
	}
	return true
}

// diagonal takes the diagonal of repeated labels: it masks what is off it and sums one of the two away.
func (x labelled) diagonal(b *graph.Builder) labelled {
	for i := 0; i < len(x.ls); i++ {
		j := i + 1 + slices.Index(x.ls[i+1:], x.ls[i])
		if j == i {
			continue
		}
		n, m := x.at(i), x.at(j)
		if n == m {
			x.v = b.Add(Mul{}, x.v, b.Const("eye", eye(b, x.v.Type.DType, n, len(x.ls), i, j)))
		}
		drop := j
		if m != 1 && n == 1 {
			drop = i
		}
		x.v = b.Add(ReduceSum{}, x.v, b.Ints(int64(drop)))
		x.ls = slices.Delete(slices.Clone(x.ls), drop, drop+1)
		i--
	}
	return x
}

// eye is the n by n unit matrix in dimensions i and j of a tensor of that rank.
func eye(b *graph.Builder, dt tensor.DType, n, rank, i, j int) *tensor.Tensor {
	shape := slices.Repeat([]int{1}, rank)
	shape[i], shape[j] = n, n
	vs := make([]float64, n*n)
	for k := range n {
		vs[k*n+k] = 1
	}
	t := tensor.New(dt, shape...)
	if err := t.SetFloat64s(vs); err != nil {
		b.Fail(err)
	}
	return t
}

func (x labelled) at(i int) int {
	d, _ := x.v.Type.Dims[i].Const()
	return d
}

// sumBut sums over all labels that are not in keep.
func (x labelled) sumBut(b *graph.Builder, keep []int) labelled {
	axes, ls := []int64{}, []int{}
	for i, l := range x.ls {
		if slices.Contains(keep, l) {
			ls = append(ls, l)
		} else {
			axes = append(axes, int64(i))
		}
	}
	if len(axes) == 0 {
		return x
	}
	return labelled{b.Add(ReduceSum{}, x.v, b.Ints(axes...)), ls}
}

// arranged permutes the dimensions to the order ls, with dimensions of 1 for labels that x lacks.
func (x labelled) arranged(b *graph.Builder, ls []int) labelled {
	perm, missing := []int{}, []int64{}
	for i, l := range ls {
		if j := slices.Index(x.ls, l); j >= 0 {
			perm = append(perm, j)
		} else {
			missing = append(missing, int64(i))
		}
	}
	v := x.v
	if !slices.IsSorted(perm) {
		v = b.Add(Transpose{Perm: perm}, v)
	}
	if len(missing) > 0 {
		v = b.Add(Unsqueeze{}, v, b.Ints(missing...))
	}
	return labelled{v, ls}
}

// size is the product of the sizes of some labels, as a vector of one element.
func (x labelled) size(b *graph.Builder, ls ...int) *graph.Value {
	n := int64(1)
	var acc *graph.Value
	for _, l := range ls {
		if d, ok := x.dim(l).Const(); ok {
			n *= int64(d)
			continue
		}
		i := slices.Index(x.ls, l)
		d := b.Add(Shape{Start: i, End: i + 1, HasEnd: true}, x.v)
		if acc != nil {
			d = b.Add(Mul{}, acc, d)
		}
		acc = d
	}
	switch {
	case acc == nil:
		return b.Ints(n)
	case n == 1:
		return acc
	}
	return b.Add(Mul{}, acc, b.Ints(n))
}

// contract multiplies x and y and sums over the labels that nothing later needs.
func contract(b *graph.Builder, x, y labelled, later []int) labelled {
	x = x.sumBut(b, append(slices.Clone(later), y.ls...))
	y = y.sumBut(b, append(slices.Clone(later), x.ls...))
	var batch, sum, xo, yo []int
	for _, l := range x.ls {
		switch both := slices.Contains(y.ls, l); {
		case !both:
			xo = append(xo, l)
		case slices.Contains(later, l) || x.dim(l) != y.dim(l):
			batch = append(batch, l)
		default:
			sum = append(sum, l)
		}
	}
	for _, l := range y.ls {
		if !slices.Contains(x.ls, l) {
			yo = append(yo, l)
		}
	}
	z := b.Add(MatMul{}, x.stacked(b, batch, xo, sum), y.stacked(b, batch, sum, yo))
	if len(xo) != 1 || len(yo) != 1 {
		shape := []*graph.Value{}
		for _, l := range batch {
			shape = append(shape, commonSize(b, x, y, l))
		}
		for _, l := range xo {
			shape = append(shape, x.size(b, l))
		}
		for _, l := range yo {
			shape = append(shape, y.size(b, l))
		}
		z = b.Add(Reshape{Allowzero: true}, z, joined(b, shape))
	}
	return labelled{z, slices.Concat(batch, xo, yo)}.sumBut(b, later)
}

// stacked is x as matrices: the labels first as rows, second as columns, batch before them.
func (x labelled) stacked(b *graph.Builder, batch, first, second []int) *graph.Value {
	x = x.arranged(b, slices.Concat(batch, first, second))
	if len(first) == 1 && len(second) == 1 {
		return x.v
	}
	shape := []*graph.Value{}
	for _, l := range batch {
		shape = append(shape, x.size(b, l))
	}
	shape = append(shape, x.size(b, first...), x.size(b, second...))
	return b.Add(Reshape{Allowzero: true}, x.v, joined(b, shape))
}

// joined concatenates parts of a shape; none are a rank-0 shape.
func joined(b *graph.Builder, parts []*graph.Value) *graph.Value {
	switch len(parts) {
	case 0:
		return b.Ints()
	case 1:
		return parts[0]
	}
	return b.Add(Concat{}, parts...)
}

// commonSize is the size that a label has after broadcasting x and y, as a vector of one element.
func commonSize(b *graph.Builder, x, y labelled, l int) *graph.Value {
	switch one := graph.D(1); {
	case y.dim(l) == one || x.dim(l) == y.dim(l) || x.dim(l) != one && x.dim(l).IsConst():
		return x.size(b, l)
	case x.dim(l) == one || y.dim(l).IsConst():
		return y.size(b, l)
	}
	return b.Add(Max{}, x.size(b, l), y.size(b, l))
}
