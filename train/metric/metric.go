// Package metric holds Keras' stateful metrics, on the host: Update adds a batch, Result is the value over
// all batches since Reset. Thresholds and buckets are compared in float32, as Keras does; sums are kept in
// float64.
package metric

import (
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Epsilon is Keras' fuzz factor.
const Epsilon = 1e-7

// Metric measures predictions against targets. It is not safe for concurrent use.
type Metric interface {
	// Name is the key of the metric in logs and history.
	Name() string
	// Update adds a batch. weight is one number per sample or per element, or nil. It fails where shapes
	// don't fit, with the state unchanged.
	Update(yTrue, yPred, weight *tensor.Tensor) error
	// Result is the metric's value so far: one number, or several (per threshold, per class).
	Result() []float64
	// Reset forgets all batches.
	Reset()
	// State is a copy of the accumulated numbers, which SetState takes back.
	State() []float64
	SetState(s []float64)
}

// Base is the name and the accumulated state of a metric; the exported structs embed it.
type Base struct {
	Label string `json:"name"` // empty: Keras' own name for the class
	s     []float64
	name  string
	class string // Keras' class, where Decode made it
}

// Name implements Metric.
//
//go:noinline
func (b *Base) Name() string {
	if b.Label != "" {
		return b.Label
	}
	return b.name
}

//go:noinline
func (b *Base) setDefaultName(name string) { b.name = name }

//go:noinline
func (b *Base) setClass(class string) { b.class = class }

//go:noinline
func (b *Base) keras() (class, name string) { return b.class, b.Name() }

// Rename gives the metric another name.
//
//go:noinline
func (b *Base) Rename(name string) { b.Label = name }

// Reset implements Metric.
//
//go:noinline
func (b *Base) Reset() { clear(b.s) }

// State implements Metric.
//
//go:noinline
func (b *Base) State() []float64 { return slices.Clone(b.s) }

// SetState implements Metric.
//
//go:noinline
func (b *Base) SetState(s []float64) { b.s = slices.Clone(s) }

// need makes the state n numbers long.
//
//go:noinline
func (b *Base) need(n int) []float64 {
	if len(b.s) != n {
		b.s = make([]float64, n)
	}
	return b.s
}

// array is a host array of numbers in row-major order.
type array struct {
	shape []int
	v     []float64
}

func (a array) rank() int { return len(a.shape) }

func (a array) dim(i int) int {
	if i < 0 {
		i += len(a.shape)
	}
	return a.shape[i]
}

func of(t *tensor.Tensor) (array, error) {
	if t == nil {
		return array{}, nil
	}
	v, err := t.Float64s()
	return array{slices.Clone(t.Shape()), v}, err
}

func both(yTrue, yPred *tensor.Tensor) (t, p array, err error) {
	if yTrue == nil || yPred == nil {
		return t, p, errs.Errorf("metric: targets and predictions are both needed")
	}
	if t, err = of(yTrue); err == nil {
		p, err = of(yPred)
	}
	return t, p, err
}

// sameRank drops or adds a last dimension of 1 where the ranks differ by one. rank1 allows adding one to a
// vector.
func sameRank(a, b array, rank1 bool) (array, array) {
	switch {
	case a.rank() == b.rank()+1 && a.dim(-1) == 1:
		if b.rank() == 1 && rank1 {
			b.shape = append(slices.Clone(b.shape), 1)
		} else {
			a.shape = a.shape[:a.rank()-1]
		}
	case b.rank() == a.rank()+1 && b.dim(-1) == 1:
		b, a = sameRank(b, a, rank1)
	}
	return a, b
}

// aligned is both arrays in one shape, broadcasting where Keras would.
func aligned(t, p array) (array, array, error) {
	t, p = sameRank(t, p, true)
	if slices.Equal(t.shape, p.shape) {
		return t, p, nil
	}
	shape, err := joint(t.shape, p.shape)
	if err != nil {
		return t, p, errs.Errorf("metric: targets %v against predictions %v", t.shape, p.shape)
	}
	return broadcast(t, shape), broadcast(p, shape), nil
}

func joint(a, b []int) ([]int, error) {
	n := max(len(a), len(b))
	out := make([]int, n)
	for i := range out {
		x, y := 1, 1
		if j := i - n + len(a); j >= 0 {
			x = a[j]
		}
		if j := i - n + len(b); j >= 0 {
			y = b[j]
		}
		switch {
		case x == y || y == 1:
			out[i] = x
		case x == 1:
			out[i] = y
		default:
			return nil, errs.Errorf("metric: shapes %v and %v don't broadcast", a, b)
		}
	}
	return out, nil
}

// broadcast stretches a to shape, which joint gave.
func broadcast(a array, shape []int) array {
	if slices.Equal(a.shape, shape) {
		return a
	}
	out := array{shape, make([]float64, count(shape))}
	idx := make([]int, len(shape))
	off := len(shape) - len(a.shape)
	for i := range out.v {
		j := 0
		for k, d := range a.shape {
			j *= d
			if d > 1 {
				j += idx[k+off]
			}
		}
		out.v[i] = a.v[j]
		for k := len(idx) - 1; k >= 0; k-- {
			if idx[k]++; idx[k] < shape[k] {
				break
			}
			idx[k] = 0
		}
	}
	return out
}

func count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// axisLast is a with that axis moved to the end.
func axisLast(a array, axis int) (array, error) {
	if axis < 0 {
		axis += a.rank()
	}
	if axis < 0 || axis >= a.rank() {
		return a, errs.Errorf("metric: axis %d of shape %v", axis, a.shape)
	}
	if axis == a.rank()-1 {
		return a, nil
	}
	outer, n, inner := count(a.shape[:axis]), a.shape[axis], count(a.shape[axis+1:])
	out := array{slices.Concat(a.shape[:axis], a.shape[axis+1:], []int{n}), make([]float64, len(a.v))}
	for o := range outer {
		for k := range n {
			for i := range inner {
				out.v[(o*inner+i)*n+k] = a.v[(o*n+k)*inner+i]
			}
		}
	}
	return out, nil
}

// rows calls f on each run along the last axis of t and p, and gathers what it returns.
func rows(t, p array, f func(t, p []float64) float64) array {
	if p.rank() == 0 {
		return array{[]int{}, []float64{f(t.v, p.v)}}
	}
	n := p.dim(-1)
	out := array{p.shape[:p.rank()-1], make([]float64, count(p.shape[:p.rank()-1]))}
	for i := range out.v {
		out.v[i] = f(t.v[i*n:(i+1)*n], p.v[i*n:(i+1)*n])
	}
	return out
}

// reduceTail sums (or averages) all axes from n on away.
func reduceTail(a array, n int, mean bool) array {
	if a.rank() <= n {
		return a
	}
	out := array{a.shape[:n], make([]float64, count(a.shape[:n]))}
	k := count(a.shape[n:])
	for i := range out.v {
		for _, v := range a.v[i*k : (i+1)*k] {
			out.v[i] += v
		}
		if mean {
			out.v[i] /= float64(k)
		}
	}
	return out
}

// samplewise is Keras' reduce_to_samplewise_values: one value a sample, weighted, and the samples' weights.
func samplewise(values array, weight *tensor.Tensor, mean bool) (v, w array, weighted bool, err error) {
	if weight == nil {
		return reduceTail(values, 1, mean), w, false, nil
	}
	if w, err = of(weight); err != nil {
		return values, w, false, err
	}
	values, w = sameRank(values, w, true)
	values = reduceTail(values, w.rank(), mean)
	if _, err := joint(w.shape, values.shape); err != nil || w.rank() > values.rank() {
		return values, w, false, errs.Errorf("metric: weights %v for values %v", w.shape, values.shape)
	}
	rank := w.rank()
	w = broadcast(w, values.shape)
	out := array{values.shape, make([]float64, len(values.v))}
	for i, x := range values.v {
		out.v[i] = x * w.v[i]
	}
	if rank > 1 {
		w = reduceTail(w, 1, mean)
	}
	return reduceTail(out, 1, mean), w, true, nil
}

func sum(v []float64) float64 {
	var s float64
	for _, x := range v {
		s += x
	}
	return s
}

func divNoNaN(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Mean is the weighted mean of the values given to it as predictions; targets are ignored.
type Mean struct{ Base }

// Update implements Metric.
func (m *Mean) Update(_, values, weight *tensor.Tensor) error {
	a, err := of(values)
	if err != nil {
		return err
	}
	return m.add(a, weight)
}

func (b *Base) add(values array, weight *tensor.Tensor) error {
	v, w, weighted, err := samplewise(values, weight, true)
	if err != nil {
		return err
	}
	s := b.need(2)
	s[0] += sum(v.v)
	if weighted {
		s[1] += sum(w.v)
	} else {
		s[1] += float64(len(v.v))
	}
	return nil
}

func (b *Base) mean() float64 {
	s := b.need(2)
	return divNoNaN(s[0], s[1])
}

// Add puts a value with its weight in: for losses, which come as one number a batch.
func (m *Mean) Add(value, weight float64) {
	s := m.need(2)
	s[0] += value * weight
	s[1] += weight
}

// Result implements Metric.
func (m *Mean) Result() []float64 { return []float64{m.mean()} }

// Sum is the weighted sum of the values given to it as predictions; targets are ignored.
type Sum struct{ Base }

// Update implements Metric.
func (m *Sum) Update(_, values, weight *tensor.Tensor) error {
	a, err := of(values)
	if err != nil {
		return err
	}
	v, _, _, err := samplewise(a, weight, false)
	if err == nil {
		m.need(1)[0] += sum(v.v)
	}
	return err
}

// Result implements Metric.
func (m *Sum) Result() []float64 { return []float64{m.need(1)[0]} }
