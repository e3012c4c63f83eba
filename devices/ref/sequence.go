package ref

import (
	"errors"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func sequenceKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(func(_ ops.SequenceConstruct, c *Call) error {
			return c.Set(0, &tensor.Sequence{DType: c.Req.Out[0].DType, Elems: kept(c.Args.In...)})
		}),
		fn(func(op ops.SequenceEmpty, c *Call) error { return c.Set(0, &tensor.Sequence{DType: op.DType}) }),
		fn(func(_ ops.SequenceAt, c *Call) error {
			s, err := sequence(c, 0)
			if err != nil {
				return err
			}
			i, err := position(c.In(1), len(s.Elems), len(s.Elems)-1)
			if err != nil {
				return err
			}
			return c.Set(0, s.Elems[i])
		}),
		fn(sequenceInsert),
		fn(sequenceErase),
		fn(func(_ ops.SequenceLength, c *Call) error {
			s, err := sequence(c, 0)
			if err != nil {
				return err
			}
			tensor.As[int64](c.Out(0))[0] = int64(len(s.Elems))
			return nil
		}),
		fn(splitToSequence),
		fn(concatFromSequence),
		fn(func(_ ops.Optional, c *Call) error {
			o := &tensor.Optional{}
			if len(c.Args.In) > 0 {
				o.Elem = kept(c.Args.In[0])[0]
			}
			return c.Set(0, o)
		}),
		fn(func(_ ops.OptionalHasElement, c *Call) error {
			has := len(c.Args.In) > 0 && c.Args.In[0] != nil
			if has {
				o, ok := c.Args.In[0].(*tensor.Optional)
				has = !ok || o.Elem != nil
			}
			tensor.As[bool](c.Out(0))[0] = has
			return nil
		}),
		fn(func(_ ops.OptionalGetElement, c *Call) error {
			o, ok := c.Args.In[0].(*tensor.Optional)
			if !ok {
				return c.Set(0, c.Args.In[0])
			}
			if o.Elem == nil {
				return errors.New("the optional is empty")
			}
			return c.Set(0, o.Elem)
		}),
	}
}

// kept is values that outlive the run: a tensor's memory is planned, and used again by later steps and runs.
func kept(vs ...tensor.Value) []tensor.Value {
	out := make([]tensor.Value, len(vs))
	for i, v := range vs {
		if t, ok := v.(*tensor.Tensor); ok && t != nil {
			v = t.Clone()
		}
		out[i] = v
	}
	return out
}

func sequence(c *Call, i int) (*tensor.Sequence, error) {
	s, ok := c.Args.In[i].(*tensor.Sequence)
	if !ok {
		return nil, errs.Errorf("input %d is no sequence", i)
	}
	return s, nil
}

// position is the place that t names among n elements, at most last; negative counts from the end.
func position(t *tensor.Tensor, n, last int) (int, error) {
	v, err := t.Int64s()
	if err != nil || len(v) != 1 {
		return 0, errs.Errorf("a position is one integer, got %v%v", t.DType(), t.Shape())
	}
	i := v[0]
	if i < 0 {
		i += int64(n)
	}
	if i < 0 || i > int64(last) {
		return 0, errs.Errorf("position %d of a sequence of %d", v[0], n)
	}
	return int(i), nil
}

func sequenceInsert(_ ops.SequenceInsert, c *Call) error {
	s, err := sequence(c, 0)
	if err != nil {
		return err
	}
	n := len(s.Elems)
	at := n
	if c.NIn() > 2 && c.In(2) != nil {
		if at, err = position(c.In(2), n, n); err != nil {
			return err
		}
	}
	elems := append([]tensor.Value{}, s.Elems[:at]...)
	elems = append(append(elems, kept(c.Args.In[1])...), s.Elems[at:]...)
	return c.Set(0, &tensor.Sequence{DType: s.DType, Elems: elems})
}

func sequenceErase(_ ops.SequenceErase, c *Call) error {
	s, err := sequence(c, 0)
	if err != nil {
		return err
	}
	at := len(s.Elems) - 1
	if c.NIn() > 1 && c.In(1) != nil {
		if at, err = position(c.In(1), len(s.Elems), at); err != nil {
			return err
		}
	}
	if at < 0 {
		return errors.New("nothing to erase: the sequence is empty")
	}
	elems := append(append([]tensor.Value{}, s.Elems[:at]...), s.Elems[at+1:]...)
	return c.Set(0, &tensor.Sequence{DType: s.DType, Elems: elems})
}

func splitToSequence(op ops.SplitToSequence, c *Call) error {
	x := c.In(0)
	axis := op.Axis
	if axis < 0 {
		axis += x.Rank()
	}
	total, keep := x.Dim(axis), op.Keepdims
	var sizes []int
	if s := c.In(1); c.NIn() > 1 && s != nil {
		keep = true
		v, err := s.Int64s()
		if err != nil {
			return err
		}
		if s.Rank() == 0 {
			if v[0] <= 0 {
				return errs.Errorf("split is %d", v[0])
			}
			for at := 0; at < total; at += int(v[0]) {
				sizes = append(sizes, min(int(v[0]), total-at))
			}
		} else {
			sum := 0
			for _, n := range v {
				if n < 0 || n > int64(total) {
					return errs.Errorf("split %v of %d", v, total)
				}
				sizes = append(sizes, int(n))
				sum += int(n)
			}
			if sum != total {
				return errs.Errorf("split %v of %d", v, total)
			}
		}
	} else {
		for range total {
			sizes = append(sizes, 1)
		}
	}
	out := &tensor.Sequence{DType: x.DType()}
	outer, inner, at := product(x.Shape()[:axis]), product(x.Shape()[axis+1:]), 0
	for _, n := range sizes {
		shape := append([]int{}, x.Shape()...)
		if shape[axis] = n; !keep {
			shape = append(shape[:axis], shape[axis+1:]...)
		}
		t := tensor.New(x.DType(), shape...)
		for o := range outer {
			copyBlock(t, o*n*inner, x, (o*total+at)*inner, n*inner)
		}
		at += n
		out.Elems = append(out.Elems, t)
	}
	return c.Set(0, out)
}

func concatFromSequence(op ops.ConcatFromSequence, c *Call) error {
	s, err := sequence(c, 0)
	if err != nil {
		return err
	}
	if len(s.Elems) == 0 {
		return errors.New("the sequence is empty")
	}
	ts := make([]*tensor.Tensor, len(s.Elems))
	for i, v := range s.Elems {
		var ok bool
		if ts[i], ok = v.(*tensor.Tensor); !ok {
			return errs.Errorf("element %d is no tensor", i)
		}
	}
	if op.NewAxis {
		return stack(c, 0, ts, op.Axis, false)
	}
	axis := op.Axis
	if axis < 0 {
		axis += ts[0].Rank()
	}
	if axis < 0 || axis >= ts[0].Rank() {
		return errs.Errorf("axis %d of %v", op.Axis, ts[0].Shape())
	}
	shape := append([]int{}, ts[0].Shape()...)
	shape[axis] = 0
	for _, t := range ts {
		for a, d := range t.Shape() {
			if t.Rank() != len(shape) || a != axis && d != shape[a] || t.DType() != ts[0].DType() {
				return errs.Errorf("can't join %v%v and %v%v", ts[0].DType(), ts[0].Shape(), t.DType(), t.Shape())
			}
		}
		shape[axis] += t.Dim(axis)
	}
	out, err := c.OutOf(0, ts[0].DType(), shape...)
	if err != nil {
		return err
	}
	outer, inner, at := product(shape[:axis]), product(shape[axis+1:]), 0
	for _, t := range ts {
		n := t.Dim(axis) * inner
		for o := range outer {
			copyBlock(out, o*shape[axis]*inner+at, t, o*n, n)
		}
		at += n
	}
	return nil
}
