package ref

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/order"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func sortKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(topK),
		fn(unique),
		fn(nonZero),
		fn(nonMaxSuppression),
	}
}

// ordering compares elements of a tensor: below zero where element i comes before j, NaNs last.
func ordering(t *tensor.Tensor) (func(i, j int) int, error) {
	switch {
	case t.DType() == tensor.String:
		s := t.Strings()
		return func(i, j int) int { return cmp.Compare(s[i], s[j]) }, nil
	case t.DType() == tensor.Uint64:
		s := tensor.As[uint64](t)
		return func(i, j int) int { return cmp.Compare(s[i], s[j]) }, nil
	case t.DType().IsInt() || t.DType() == tensor.Bool:
		s, err := t.Int64s()
		return func(i, j int) int { return cmp.Compare(s[i], s[j]) }, err
	}
	if t.DType().IsComplex() {
		s := complexOf(t)
		return func(i, j int) int { return compareComplex(s[i], s[j]) }, nil
	}
	s, err := t.Float64s()
	return func(i, j int) int {
		if a, b := math.IsNaN(s[i]), math.IsNaN(s[j]); a || b {
			return cmp.Compare(bit(a), bit(b))
		}
		return cmp.Compare(s[i], s[j])
	}, err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func topK(op ops.TopK, c *Call) error {
	x := c.In(0)
	ks, err := c.ints(1)
	if err != nil {
		return err
	}
	outer, n, inner, err := around(x.Shape(), op.Axis)
	if err != nil {
		return err
	}
	if len(ks) != 1 || ks[0] < 0 || ks[0] > n {
		return errs.Errorf("k is %v for axis %d of %v", ks, op.Axis, x.Shape())
	}
	k := ks[0]
	shape := append([]int{}, x.Shape()...)
	shape[(op.Axis+x.Rank())%x.Rank()] = k
	values, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	indices, err := c.OutOf(1, tensor.Int64, shape...)
	if err != nil {
		return err
	}
	by, err := ordering(x)
	if err != nil {
		return err
	}
	if op.Largest {
		up := by
		by = func(i, j int) int { return up(j, i) }
	}
	at, idx := make([]int, n), tensor.As[int64](indices)
	for o := range outer {
		for i := range inner {
			for j := range at {
				at[j] = (o*n+j)*inner + i
			}
			sort.SliceStable(at, func(a, b int) bool { return by(at[a], at[b]) < 0 })
			for j, a := range at[:k] {
				to := (o*k+j)*inner + i
				copyBlock(values, to, x, a, 1)
				idx[to] = int64(a / inner % n)
			}
		}
	}
	return nil
}

func unique(op ops.Unique, c *Call) error {
	x := c.In(0)
	outer, n, inner, axis := 1, x.Len(), 1, 0
	shape := []int{n}
	if op.HasAxis {
		var err error
		if outer, n, inner, err = around(x.Shape(), op.Axis); err != nil {
			return err
		}
		shape = append([]int{}, x.Shape()...)
		axis = (op.Axis + x.Rank()) % x.Rank()
	}
	by, err := ordering(x)
	if err != nil {
		return err
	}
	// Entries are compared element by element, in order.
	entries := func(i, j int) int {
		for o := range outer {
			for e := range inner {
				if r := by((o*n+i)*inner+e, (o*n+j)*inner+e); r != 0 {
					return r
				}
			}
		}
		return 0
	}
	sorted := make([]int, n)
	for i := range sorted {
		sorted[i] = i
	}
	order.Stable(sorted, entries)
	var first []int // of each distinct entry, in ascending order
	group := make([]int, n)
	for i, e := range sorted {
		if i == 0 || entries(sorted[i-1], e) != 0 {
			first = append(first, e)
		}
		group[e] = len(first) - 1
	}
	rank := make([]int, len(first))
	for i := range rank {
		rank[i] = i
	}
	if !op.Sorted {
		order.Sort(rank, func(a, b int) int { return first[a] - first[b] })
	}
	place := make([]int64, len(first))
	for i, r := range rank {
		place[r] = int64(i)
	}
	shape[axis] = len(first)
	y, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	at, inverse, counts := make([]int64, len(first)), make([]int64, n), make([]int64, len(first))
	for i, r := range rank {
		at[i] = int64(first[r])
		for o := range outer {
			copyBlock(y, (o*len(first)+i)*inner, x, (o*n+first[r])*inner, inner)
		}
	}
	for e, g := range group {
		inverse[e] = place[g]
		counts[place[g]]++
	}
	return c.vectors(1, at, inverse, counts)
}

// vectors makes int64 vectors the outputs from first on, as many as the node has.
func (c *Call) vectors(first int, vectors ...[]int64) error {
	for i, vs := range vectors {
		if first+i >= c.NOut() {
			break
		}
		out, err := c.OutOf(first+i, tensor.Int64, len(vs))
		if err != nil {
			return err
		}
		copy(tensor.As[int64](out), vs)
	}
	return nil
}

func nonZero(_ ops.NonZero, c *Call) error {
	x := c.In(0)
	var at []int
	if x.DType() == tensor.String {
		for i, s := range x.Strings() {
			if s != "" {
				at = append(at, i)
			}
		}
	} else if x.DType().IsComplex() {
		for i, v := range complexOf(x) {
			if v != 0 {
				at = append(at, i)
			}
		}
	} else {
		xs, err := x.Float64s()
		if err != nil {
			return err
		}
		for i, v := range xs {
			if v != 0 {
				at = append(at, i)
			}
		}
	}
	out, err := c.OutOf(0, tensor.Int64, x.Rank(), len(at))
	if err != nil {
		return err
	}
	rows := tensor.As[int64](out)
	for j, i := range at {
		for a, p := range unravel(i, x.Shape()) {
			rows[a*len(at)+j] = int64(p)
		}
	}
	return nil
}

// box is a rectangle with its corners in order.
type box struct{ x1, y1, x2, y2 float64 }

func boxOf(v []float64, center bool) box {
	if center {
		return box{v[0] - v[2]/2, v[1] - v[3]/2, v[0] + v[2]/2, v[1] + v[3]/2}
	}
	return box{min(v[1], v[3]), min(v[0], v[2]), max(v[1], v[3]), max(v[0], v[2])}
}

// overlap is the intersection over the union of two boxes.
func (a box) overlap(b box) float64 {
	w, h := min(a.x2, b.x2)-max(a.x1, b.x1), min(a.y2, b.y2)-max(a.y1, b.y1)
	areaA, areaB := (a.x2-a.x1)*(a.y2-a.y1), (b.x2-b.x1)*(b.y2-b.y1)
	if w <= 0 || h <= 0 || areaA <= 0 || areaB <= 0 {
		return 0
	}
	return w * h / (areaA + areaB - w*h)
}

func nonMaxSuppression(op ops.NonMaxSuppression, c *Call) error {
	boxes, scores := c.In(0), c.In(1)
	bs, ss, err := floatPair(boxes, scores)
	if err != nil {
		return err
	}
	n, classes := boxes.Dim(1), scores.Dim(1)
	if boxes.Dim(2) != 4 || scores.Dim(2) != n || scores.Dim(0) != boxes.Dim(0) {
		return errs.Errorf("boxes %v and scores %v", boxes.Shape(), scores.Shape())
	}
	limit, iou, least := 0.0, 0.0, math.Inf(-1)
	for i, p := range []*float64{&limit, &iou, &least} {
		if t := c.In(2 + i); t != nil && t.Len() > 0 {
			vs, err := t.Float64s()
			if err != nil {
				return err
			}
			*p = vs[0]
		}
	}
	var picked []int64
	for b := range boxes.Dim(0) {
		for k := range classes {
			score := ss[(b*classes+k)*n:][:n]
			for _, i := range suppress(bs[b*n*4:][:n*4], score, op.CenterPointBox, limit, iou, least) {
				picked = append(picked, int64(b), int64(k), int64(i))
			}
		}
	}
	out, err := c.OutOf(0, tensor.Int64, len(picked)/3, 3)
	if err != nil {
		return err
	}
	copy(tensor.As[int64](out), picked)
	return nil
}

// suppress is the boxes of one class that are kept, best first; of equal scores the lower index first.
func suppress(boxes, score []float64, center bool, limit, iou, least float64) []int {
	var order, kept []int
	for i, s := range score {
		if s > least || math.IsInf(least, -1) {
			order = append(order, i)
		}
	}
	sort.SliceStable(order, func(i, j int) bool { return score[order[i]] > score[order[j]] })
	for _, i := range order {
		if float64(len(kept)) >= limit {
			break
		}
		a := boxOf(boxes[i*4:], center)
		if !slices.ContainsFunc(kept, func(j int) bool { return a.overlap(boxOf(boxes[j*4:], center)) > iou }) {
			kept = append(kept, i)
		}
	}
	return kept
}
