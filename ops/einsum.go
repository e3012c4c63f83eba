package ops

import (
	"slices"
	"strings"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
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
		return EinsumPlan{}, errs.Errorf("%q has %d terms for %d inputs", o.Equation, len(terms), len(ranks))
	}
	p := EinsumPlan{}
	dots := 0
	for i, t := range terms {
		labels, err := einsumLabels(t, ranks[i])
		if err != nil {
			return p, errs.Errorf("%q: %w", o.Equation, err)
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
			return p, errs.Errorf("%q: %w", o.Equation, err)
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
			return errs.Errorf("%q: label %q is repeated in the output", eq, rune(l))
		}
		seen[l] = true
		if l < 0 {
			continue
		}
		if !slices.ContainsFunc(p.In, func(ls []int) bool { return slices.Contains(ls, l) }) {
			return errs.Errorf("%q: output label %q is in no input", eq, rune(l))
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
			return nil, errs.Errorf("%q is no label", c)
		}
	}
	rest := rank - len(before) - len(after)
	if rest < 0 || rest > 0 && !dots {
		return nil, errs.Errorf("term %q does not fit rank %d", term, rank)
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
				return nil, errs.Errorf("%q: label %q has two sizes: %s", o.Equation, rune(l), typeList(in))
			}
		}
	}
	dims := make([]graph.Dim, len(p.Out))
	for i, l := range p.Out {
		dims[i] = size[l]
	}
	return []graph.Type{graph.TensorOf(dt, dims...)}, nil
}
