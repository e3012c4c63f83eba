package ops

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/tensor"
)

// Einsum is Einstein summation: Equation "ij,jk->ik" and its like, with numpy's meaning of an ellipsis,
// of repeated letters and of a missing right-hand side.
type Einsum struct {
	Equation string
}

// Name implements graph.Op.
func (Einsum) Name() string { return "Einsum" }

// EinsumPlan is an equation applied to operands: each label is a letter, or -1, -2, ... for the ellipsis'
// dimensions counted from its end.
type EinsumPlan struct {
	In  [][]int
	Out []int
}

// Plan reads the equation for operands of those ranks.
func (o Einsum) Plan(ranks []int) (EinsumPlan, error) {
	lhs, rhs, explicit := strings.Cut(strings.ReplaceAll(o.Equation, " ", ""), "->")
	terms := strings.Split(lhs, ",")
	if len(terms) != len(ranks) {
		return EinsumPlan{}, fmt.Errorf("%q has %d terms for %d inputs", o.Equation, len(terms), len(ranks))
	}
	p := EinsumPlan{}
	dots := 0
	for i, t := range terms {
		labels, err := einsumLabels(t, ranks[i])
		if err != nil {
			return p, fmt.Errorf("%q: %w", o.Equation, err)
		}
		for _, l := range labels {
			dots = max(dots, -l)
		}
		p.In = append(p.In, labels)
	}
	if explicit {
		before, after, has := strings.Cut(rhs, "...")
		if !has {
			before, after, dots = rhs, "", 0
		}
		out, err := einsumLabels(before+after, len(before)+len(after))
		if err != nil {
			return p, fmt.Errorf("%q: %w", o.Equation, err)
		}
		p.Out = append(p.Out, out[:len(before)]...)
		p.Out = append(append(p.Out, dotLabels(dots)...), out[len(before):]...)
		return p, p.check(o.Equation)
	}
	count := map[int]int{}
	for _, ls := range p.In {
		for _, l := range ls {
			count[l]++
		}
	}
	p.Out = dotLabels(dots)
	for l := range 128 {
		if count[l] == 1 {
			p.Out = append(p.Out, l)
		}
	}
	return p, nil
}

// check refuses output labels that are repeated or unknown.
func (p EinsumPlan) check(eq string) error {
	seen := map[int]bool{}
	for _, l := range p.Out {
		if seen[l] {
			return fmt.Errorf("%q: label %q is repeated in the output", eq, rune(l))
		}
		seen[l] = true
		if l < 0 {
			continue
		}
		if !slices.ContainsFunc(p.In, func(ls []int) bool { return slices.Contains(ls, l) }) {
			return fmt.Errorf("%q: output label %q is in no input", eq, rune(l))
		}
	}
	return nil
}

// dotLabels is the labels of n dimensions under an ellipsis: -n to -1.
func dotLabels(n int) []int {
	ls := make([]int, n)
	for i := range ls {
		ls[i] = i - n
	}
	return ls
}

// einsumLabels is the label of each dimension of a term; an ellipsis takes what is left of the rank.
func einsumLabels(term string, rank int) ([]int, error) {
	before, after, dots := strings.Cut(term, "...")
	for _, c := range before + after {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return nil, fmt.Errorf("%q is no label", c)
		}
	}
	rest := rank - len(before) - len(after)
	if rest < 0 || rest > 0 && !dots {
		return nil, fmt.Errorf("term %q does not fit rank %d", term, rank)
	}
	ls := []int{}
	for _, c := range before {
		ls = append(ls, int(c))
	}
	ls = append(ls, dotLabels(rest)...)
	for _, c := range after {
		ls = append(ls, int(c))
	}
	return ls, nil
}

// Infer implements graph.Op.
func (o Einsum) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
		return nil, err
	}
	dt, err := sameDType(in)
	if err != nil {
		return nil, err
	}
	ranks := make([]int, len(in))
	for i, t := range in {
		if ranks[i] = t.Rank(); ranks[i] < 0 {
			return []graph.Type{graph.UnrankedOf(dt)}, nil
		}
	}
	p, err := o.Plan(ranks)
	if err != nil {
		return nil, err
	}
	size := map[int]graph.Dim{}
	for i, ls := range p.In {
		for j, l := range ls {
			d, ok := size[l]
			if !ok {
				d = graph.D(1)
			}
			if size[l], err = broadcastDim(d, in[i].Dims[j]); err != nil {
				return nil, fmt.Errorf("%q: label %q has two sizes: %s", o.Equation, rune(l), typeList(in))
			}
		}
	}
	dims := make([]graph.Dim, len(p.Out))
	for i, l := range p.Out {
		dims[i] = size[l]
	}
	return []graph.Type{graph.TensorOf(dt, dims...)}, nil
}

// Decompose contracts the operands from left to right, each pair by one MatMul.
func (o Einsum) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	ranks := make([]int, len(in))
	for i, v := range in {
		if _, static := v.Type.Shape(); !static || !v.Type.DType.IsFloat() {
			return nil
		}
		ranks[i] = v.Type.Rank()
	}
	p, err := o.Plan(ranks)
	if err != nil {
		return nil
	}
	acc := labelled{in[0], p.In[0]}.diagonal(b)
	for i := 1; i < len(in); i++ {
		next := labelled{in[i], p.In[i]}.diagonal(b)
		later := slices.Concat(p.In[i+1:]...)
		acc = contract(b, acc, next, append(later, p.Out...))
	}
	acc = acc.sumBut(b, p.Out)
	return one(b.Add(Identity{}, acc.arranged(b, p.Out).v))
}

// labelled is a value whose dimensions have einsum labels.
type labelled struct {
	v  *graph.Value
	ls []int
}

func (x labelled) dim(l int) int {
	i := slices.Index(x.ls, l)
	if i < 0 {
		return 1
	}
	d, _ := x.v.Type.Dims[i].Const()
	return d
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
			shape := make([]int, len(x.ls))
			for k := range shape {
				shape[k] = 1
			}
			shape[i], shape[j] = n, n
			eye := make([]float64, n*n)
			for k := range n {
				eye[k*n+k] = 1
			}
			t := tensor.New(x.v.Type.DType, shape...)
			if err := t.SetFloat64s(eye); err != nil {
				b.Fail(err)
			}
			x.v = b.Add(Mul{}, x.v, b.Const("eye", t))
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
	flat := func(v labelled, first, second []int) *graph.Value {
		v = v.arranged(b, slices.Concat(batch, first, second))
		shape := []int64{}
		for _, l := range batch {
			shape = append(shape, int64(v.dim(l)))
		}
		shape = append(shape, sizeOf(v, first), sizeOf(v, second))
		return b.Add(Reshape{Allowzero: true}, v.v, b.Ints(shape...))
	}
	z := b.Add(MatMul{}, flat(x, xo, sum), flat(y, sum, yo))
	shape := []int64{}
	for _, l := range batch {
		shape = append(shape, int64(max(x.dim(l), y.dim(l))*min(x.dim(l), y.dim(l), 1)))
	}
	for _, l := range xo {
		shape = append(shape, int64(x.dim(l)))
	}
	for _, l := range yo {
		shape = append(shape, int64(y.dim(l)))
	}
	z = b.Add(Reshape{Allowzero: true}, z, b.Ints(shape...))
	return labelled{z, slices.Concat(batch, xo, yo)}.sumBut(b, later)
}

func sizeOf(v labelled, ls []int) int64 {
	n := int64(1)
	for _, l := range ls {
		n *= int64(v.dim(l))
	}
	return n
}
