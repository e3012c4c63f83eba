// Package data feeds training: datasets as iterators over batches, readers of the usual files, and the
// preprocessing around them. All randomness is seeded and counter-based, so that any batch of any epoch can
// be had again.
package data

import (
	"errors"
	"fmt"
	"iter"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// Batch is some samples: a tensor for each of the model's inputs and outputs, and optionally weights (none,
// one for all outputs, or one each). The first dimension of all is the number of samples.
type Batch struct {
	X, Y, W []*tensor.Tensor
}

// Size is the number of samples.
func (b Batch) Size() int {
	for _, t := range b.X {
		if t != nil && t.Rank() > 0 {
			return t.Dim(0)
		}
	}
	return 0
}

// Order is how a dataset is gone through.
type Order struct {
	BatchSize int    // samples in a batch; 0: 32
	Shuffle   bool   // in an order drawn from Seed and Epoch
	Seed      uint64 //
	Epoch     int
	Skip      int  // batches to leave out at the beginning
	DropLast  bool // leaves out a last batch that is not full
}

func (o Order) size() int {
	if o.BatchSize <= 0 {
		return 32
	}
	return o.BatchSize
}

// Perm is the order of n samples.
func (o Order) Perm(n int) []int {
	if o.Shuffle {
		return philox.New(o.Seed).Fork(uint64(o.Epoch)).Perm(n)
	}
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	return p
}

// Dataset gives the batches of an epoch. An error ends the iteration.
type Dataset interface {
	// Len is the number of samples, or -1 where only going through them tells.
	Len() int
	Batches(o Order) iter.Seq2[Batch, error]
}

// ErrEmpty is wrapped by errors about datasets without samples.
var ErrEmpty = errors.New("no samples")

// ErrMismatch is wrapped by errors about arrays that don't go together.
var ErrMismatch = errors.New("the arrays do not go together")

// Arrays is a dataset in memory.
type Arrays struct{ Batch }

// New is a dataset of one input and one target; y may be nil.
func New(x, y *tensor.Tensor) Arrays {
	a := Arrays{Batch{X: []*tensor.Tensor{x}}}
	if y != nil {
		a.Y = []*tensor.Tensor{y}
	}
	return a
}

// Check says what is wrong with the arrays: none at all, no samples, or different numbers of them.
func (a Arrays) Check() error {
	n, of := -1, ""
	for _, k := range []struct {
		kind string
		list []*tensor.Tensor
	}{{"input", a.X}, {"target", a.Y}, {"sample weight", a.W}} {
		for i, t := range k.list {
			name := fmt.Sprintf("%s %d", k.kind, i)
			switch {
			case t == nil && k.kind == "input":
				return errs.Errorf("data: %w: %s is missing", ErrMismatch, name)
			case t == nil:
				continue
			case t.Rank() == 0:
				return errs.Errorf("data: %w: %s is a scalar", ErrMismatch, name)
			case n >= 0 && t.Dim(0) != n:
				return errs.Errorf("data: %w: %s has %d samples (%v) where %s has %d", ErrMismatch, name, t.Dim(0), t.Shape(), of, n)
			case n < 0:
				n, of = t.Dim(0), name
			}
		}
	}
	if n <= 0 {
		return errs.Errorf("data: %w", ErrEmpty)
	}
	return nil
}

// Len implements Dataset.
func (a Arrays) Len() int { return a.Size() }

// Batches implements Dataset.
func (a Arrays) Batches(o Order) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		if err := a.Check(); err != nil {
			yield(Batch{}, err)
			return
		}
		perm, size := o.Perm(a.Len()), o.size()
		for i := o.Skip * size; i < len(perm); i += size {
			end := min(i+size, len(perm))
			if end-i < size && o.DropLast {
				return
			}
			b, err := a.Take(perm[i:end])
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// Take copies the samples of those numbers.
func (a Arrays) Take(idx []int) (Batch, error) {
	pick := func(list []*tensor.Tensor) ([]*tensor.Tensor, error) {
		if list == nil {
			return nil, nil
		}
		out := make([]*tensor.Tensor, len(list))
		for i, t := range list {
			if t == nil {
				continue
			}
			r, err := Rows(t, idx)
			if err != nil {
				return nil, err
			}
			out[i] = r
		}
		return out, nil
	}
	var b Batch
	var err error
	if b.X, err = pick(a.X); err == nil {
		if b.Y, err = pick(a.Y); err == nil {
			b.W, err = pick(a.W)
		}
	}
	return b, err
}

// Rows copies the given rows (entries of the first dimension) of t.
func Rows(t *tensor.Tensor, idx []int) (*tensor.Tensor, error) {
	if t.Rank() == 0 {
		return nil, errs.Errorf("data: a scalar has no rows")
	}
	shape := append([]int{len(idx)}, t.Shape()[1:]...)
	out, err := tensor.Make(t.DType(), shape)
	if err != nil {
		return nil, err
	}
	n := t.Dim(0)
	row := 0
	if n > 0 {
		row = t.Len() / n
	}
	size := row * t.DType().Size()
	for i, k := range idx {
		if k < 0 || k >= n {
			return nil, errs.Errorf("data: row %d of %d", k, n)
		}
		copy(out.Bytes()[i*size:], t.Bytes()[k*size:(k+1)*size])
		if s := t.Strings(); s != nil {
			copy(out.Strings()[i*row:], s[k*row:(k+1)*row])
		}
	}
	return out, nil
}

// Range is the samples from lo up to hi, sharing memory.
func (a Arrays) Range(lo, hi int) (Arrays, error) {
	cut := func(list []*tensor.Tensor) ([]*tensor.Tensor, error) {
		var out []*tensor.Tensor
		for _, t := range list {
			if t == nil {
				out = append(out, nil)
				continue
			}
			if lo < 0 || hi < lo || hi > t.Dim(0) {
				return nil, errs.Errorf("data: samples %d to %d of %d", lo, hi, t.Dim(0))
			}
			row := t.Len() / max(t.Dim(0), 1)
			v, err := t.View(lo*row, append([]int{hi - lo}, t.Shape()[1:]...)...)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
	var b Batch
	var err error
	if b.X, err = cut(a.X); err == nil {
		if b.Y, err = cut(a.Y); err == nil {
			b.W, err = cut(a.W)
		}
	}
	return Arrays{b}, err
}

// Func is a dataset made by a function that yields batches itself, whatever the order asks for beyond its
// epoch: the caller's own generator. N is the number of samples, or 0 where that is not known.
type Func struct {
	N    int
	Each func(o Order) iter.Seq2[Batch, error]
}

// Len implements Dataset.
func (f Func) Len() int {
	if f.N <= 0 {
		return -1
	}
	return f.N
}

// Batches implements Dataset, leaving out what the order skips.
func (f Func) Batches(o Order) iter.Seq2[Batch, error] {
	skip := o.Skip
	o.Skip = 0
	return func(yield func(Batch, error) bool) {
		for b, err := range f.Each(o) {
			if err == nil && skip > 0 {
				skip--
				continue
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// Map is d with each batch changed by f, which gets a stream of random numbers of that batch's own.
func Map(d Dataset, f func(b Batch, rng *philox.Stream) (Batch, error)) Dataset {
	return mapped{d, f}
}

type mapped struct {
	d Dataset
	f func(Batch, *philox.Stream) (Batch, error)
}

func (m mapped) Len() int { return m.d.Len() }

func (m mapped) Batches(o Order) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		rng := philox.New(o.Seed ^ 0x6d6170).Fork(uint64(o.Epoch))
		i := o.Skip
		for b, err := range m.d.Batches(o) {
			if err == nil {
				b, err = m.f(b, rng.Fork(uint64(i)))
			}
			i++
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// Prefetch is d with n batches made ahead by a goroutine of its own, which ends with the iteration.
func Prefetch(d Dataset, n int) Dataset { return prefetched{d, max(n, 1)} }

type prefetched struct {
	d Dataset
	n int
}

func (p prefetched) Len() int { return p.d.Len() }

func (p prefetched) Batches(o Order) iter.Seq2[Batch, error] {
	type item struct {
		b   Batch
		err error
	}
	return func(yield func(Batch, error) bool) {
		ch, stop, done := make(chan item, p.n), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			defer close(ch)
			for b, err := range p.d.Batches(o) {
				select {
				case ch <- item{b, err}:
				case <-stop:
					return
				}
			}
		}()
		defer func() { close(stop); <-done }()
		for it := range ch {
			if !yield(it.b, it.err) || it.err != nil {
				return
			}
		}
	}
}

// Collect reads a whole dataset, unshuffled, into memory.
func Collect(d Dataset) (Arrays, error) {
	var parts []Batch
	for b, err := range d.Batches(Order{BatchSize: 256}) {
		if err != nil {
			return Arrays{}, err
		}
		parts = append(parts, b)
	}
	return Join(parts...)
}

// Join puts batches of the same tensors one behind the other.
func Join(parts ...Batch) (Arrays, error) {
	if len(parts) == 0 {
		return Arrays{}, errs.Errorf("data: %w", ErrEmpty)
	}
	join := func(get func(Batch) []*tensor.Tensor) ([]*tensor.Tensor, error) {
		out := make([]*tensor.Tensor, len(get(parts[0])))
		for i := range out {
			var rows []*tensor.Tensor
			for _, p := range parts {
				rows = append(rows, get(p)[i])
			}
			t, err := Concat(rows...)
			if err != nil {
				return nil, err
			}
			out[i] = t
		}
		return out, nil
	}
	var a Arrays
	var err error
	if a.X, err = join(func(b Batch) []*tensor.Tensor { return b.X }); err == nil {
		if a.Y, err = join(func(b Batch) []*tensor.Tensor { return b.Y }); err == nil {
			a.W, err = join(func(b Batch) []*tensor.Tensor { return b.W })
		}
	}
	return a, err
}

// Concat joins tensors along the first dimension.
func Concat(ts ...*tensor.Tensor) (*tensor.Tensor, error) {
	if len(ts) == 0 || ts[0].Rank() == 0 {
		return nil, errs.Errorf("data: nothing to join")
	}
	n := 0
	for _, t := range ts {
		if t.DType() != ts[0].DType() || t.Rank() != ts[0].Rank() || t.Len()*ts[0].Dim(0) != ts[0].Len()*t.Dim(0) {
			return nil, errs.Errorf("data: can't join %v%v to %v%v", t.DType(), t.Shape(), ts[0].DType(), ts[0].Shape())
		}
		n += t.Dim(0)
	}
	out, err := tensor.Make(ts[0].DType(), append([]int{n}, ts[0].Shape()[1:]...))
	if err != nil {
		return nil, err
	}
	bytes, strs := out.Bytes(), out.Strings()
	for _, t := range ts {
		bytes = bytes[copy(bytes, t.Bytes()):]
		strs = strs[copy(strs, t.Strings()):]
	}
	return out, nil
}
