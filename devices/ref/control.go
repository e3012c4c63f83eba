package ref

import (
	"errors"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// controlKernels run subgraphs on the device that asks for them, so any host device can use them.
func controlKernels() []*devices.Kernel {
	return []*devices.Kernel{
		new(devices.For("ref/If", nil, prepareIf)),
		new(devices.For("ref/Loop", nil, prepareLoop)),
		new(devices.For("ref/Scan", nil, prepareScan)),
		new(devices.For("ref/SequenceMap", nil, prepareSequenceMap)),
	}
}

// stepFunc is a step that needs no scratch.
type stepFunc func(c *Call) error

type callStep struct {
	f   stepFunc
	req devices.Request
}

func (callStep) Scratch() int                { return 0 }
func (s callStep) Run(a *devices.Args) error { return s.f(&Call{Args: a, Req: s.req}) }

func prepareIf(op ops.If, r devices.Request) (devices.Step, error) {
	then, err := r.Sub(op.Then)
	if err != nil {
		return nil, err
	}
	els, err := r.Sub(op.Else)
	if err != nil {
		return nil, err
	}
	return callStep{req: r, f: func(c *Call) error {
		cond, err := flag(c.In(0))
		if err != nil {
			return err
		}
		branch := els
		if cond {
			branch = then
		}
		outs, err := branch.Run(c.Ctx, c.Args.In[1:])
		if err != nil {
			return err
		}
		return setAll(c, outs)
	}}, nil
}

// flag is the one bool of a condition.
func flag(t *tensor.Tensor) (bool, error) {
	if t.DType() != tensor.Bool || t.Len() != 1 {
		return false, errs.Errorf("a condition is one bool, got %v%v", t.DType(), t.Shape())
	}
	return tensor.As[bool](t)[0], nil
}

func setAll(c *Call, vs []tensor.Value) error {
	if len(vs) != c.NOut() {
		return errs.Errorf("the subgraph gives %d values, the node has %d outputs", len(vs), c.NOut())
	}
	for i, v := range vs {
		if err := c.Set(i, v); err != nil {
			return err
		}
	}
	return nil
}

func prepareLoop(op ops.Loop, r devices.Request) (devices.Step, error) {
	body, err := r.Sub(op.Body)
	if err != nil {
		return nil, err
	}
	return callStep{req: r, f: func(c *Call) error { return runLoop(op, body, c) }}, nil
}

func runLoop(op ops.Loop, body devices.Runner, c *Call) error {
	trips, cond := int64(-1), true
	if t := c.In(0); t != nil {
		v, err := t.Int64s()
		if err != nil || len(v) != 1 {
			return errs.Errorf("the trip count is one int64, got %v%v", t.DType(), t.Shape())
		}
		trips = max(v[0], 0)
	}
	if t := c.In(1); t != nil {
		var err error
		if cond, err = flag(t); err != nil {
			return err
		}
	}
	n := op.NumCarried
	vals := append([]tensor.Value{nil, nil}, c.Args.In[2:]...)
	stacks := make([][]*tensor.Tensor, c.NOut()-n)
	for i := int64(0); cond && (trips < 0 || i < trips); i++ {
		vals[0], vals[1] = tensor.Scalar(i), tensor.Scalar(cond)
		outs, err := body.Run(c.Ctx, vals)
		if err != nil {
			return errs.Errorf("iteration %d: %w", i, err)
		}
		if len(outs) != 1+c.NOut() {
			return errs.Errorf("the body gives %d values for %d outputs", len(outs), c.NOut())
		}
		t, ok := outs[0].(*tensor.Tensor)
		if !ok {
			return errors.New("the body's condition is no tensor")
		}
		if cond, err = flag(t); err != nil {
			return err
		}
		copy(vals[2:2+n], outs[1:1+n])
		for j := range stacks {
			t, ok := outs[1+n+j].(*tensor.Tensor)
			if !ok {
				return errors.New("a stacked value is no tensor")
			}
			stacks[j] = append(stacks[j], t)
		}
	}
	for i := range n {
		if err := c.Set(i, vals[2+i]); err != nil {
			return err
		}
	}
	for j, ts := range stacks {
		if err := stack(c, n+j, ts, 0, false); err != nil {
			return err
		}
	}
	return nil
}

// stack joins tensors along a new axis into output i.
func stack(c *Call, i int, ts []*tensor.Tensor, axis int, reverse bool) error {
	if len(ts) == 0 {
		return emptyStack(c, i, axis)
	}
	inner := ts[0].Shape()
	if axis < 0 {
		axis += len(inner) + 1
	}
	if axis < 0 || axis > len(inner) {
		return errs.Errorf("there is no axis %d to stack %v along", axis, inner)
	}
	shape := append(append(append([]int{}, inner[:axis]...), len(ts)), inner[axis:]...)
	out, err := c.OutOf(i, ts[0].DType(), shape...)
	if err != nil {
		return err
	}
	outer, block := product(inner[:axis]), product(inner[axis:])
	for k, t := range ts {
		if !tensor.SameShape(t, ts[0]) || t.DType() != ts[0].DType() {
			return errs.Errorf("stacked values differ: %v%v and %v%v", ts[0].DType(), ts[0].Shape(), t.DType(), t.Shape())
		}
		if reverse {
			k = len(ts) - 1 - k
		}
		for o := range outer {
			copyBlock(out, (o*len(ts)+k)*block, t, o*block, block)
		}
	}
	return nil
}

// emptyStack is the stack of no values: zero slices of whatever shape was inferred.
func emptyStack(c *Call, i, axis int) error {
	if c.OutTensor(i) != nil {
		return nil
	}
	t := c.Req.Out[i]
	if axis < 0 {
		axis = 0
	}
	shape := make([]int, max(t.Rank(), 1))
	for a := range shape {
		if a < len(t.Dims) {
			if d, ok := t.Dims[a].Const(); ok {
				shape[a] = d
			}
		}
	}
	shape[axis] = 0
	_, err := c.OutOf(i, t.DType, shape...)
	return err
}

//go:noinline
func product(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}

// copyBlock copies n elements between tensors of one type.
//
//go:noinline
func copyBlock(dst *tensor.Tensor, to int, src *tensor.Tensor, from, n int) {
	if dst.DType() == tensor.String {
		copy(dst.Strings()[to:to+n], src.Strings()[from:from+n])
		return
	}
	s := dst.DType().Size()
	copy(dst.Bytes()[to*s:(to+n)*s], src.Bytes()[from*s:(from+n)*s])
}

func prepareScan(op ops.Scan, r devices.Request) (devices.Step, error) {
	body, err := r.Sub(op.Body)
	if err != nil {
		return nil, err
	}
	return callStep{req: r, f: func(c *Call) error { return runScan(op, body, c) }}, nil
}

func runScan(op ops.Scan, body devices.Runner, c *Call) error {
	n, m := op.NumStates, op.NumScanInputs
	axes, trips := make([]int, m), -1
	for i := range m {
		t := c.In(n + i)
		if axes[i] = op.At(op.ScanInputAxes, i); axes[i] < 0 {
			axes[i] += t.Rank()
		}
		if axes[i] < 0 || axes[i] >= t.Rank() {
			return errs.Errorf("scan input %d has no axis %d", i, op.At(op.ScanInputAxes, i))
		}
		if d := t.Dim(axes[i]); trips >= 0 && d != trips {
			return errs.Errorf("scan inputs have %d and %d slices", trips, d)
		}
		trips = t.Dim(axes[i])
	}
	vals := append([]tensor.Value{}, c.Args.In...)
	stacks := make([][]*tensor.Tensor, c.NOut()-n)
	for k := range trips {
		for i := range m {
			at := k
			if op.At(op.ScanInputDirections, i) == 1 {
				at = trips - 1 - k
			}
			vals[n+i] = slice(c.In(n+i), axes[i], at)
		}
		outs, err := body.Run(c.Ctx, vals)
		if err != nil {
			return errs.Errorf("slice %d: %w", k, err)
		}
		if len(outs) != c.NOut() {
			return errs.Errorf("the body gives %d values for %d outputs", len(outs), c.NOut())
		}
		copy(vals[:n], outs[:n])
		for j := range stacks {
			t, ok := outs[n+j].(*tensor.Tensor)
			if !ok {
				return errors.New("a stacked value is no tensor")
			}
			stacks[j] = append(stacks[j], t)
		}
	}
	for i := range n {
		if err := c.Set(i, vals[i]); err != nil {
			return err
		}
	}
	for j, ts := range stacks {
		if err := stack(c, n+j, ts, op.At(op.ScanOutputAxes, j), op.At(op.ScanOutputDirections, j) == 1); err != nil {
			return err
		}
	}
	return nil
}

// slice is t at index at of axis, that axis removed; it shares t's memory where the axis is the first.
func slice(t *tensor.Tensor, axis, at int) *tensor.Tensor {
	shape := append(append([]int{}, t.Shape()[:axis]...), t.Shape()[axis+1:]...)
	outer, block := product(t.Shape()[:axis]), product(t.Shape()[axis+1:])
	if outer == 1 {
		if v, err := t.View(at*block, shape...); err == nil {
			return v
		}
	}
	out := tensor.New(t.DType(), shape...)
	for o := range outer {
		copyBlock(out, o*block, t, (o*t.Dim(axis)+at)*block, block)
	}
	return out
}

func prepareSequenceMap(op ops.SequenceMap, r devices.Request) (devices.Step, error) {
	body, err := r.Sub(op.Body)
	if err != nil {
		return nil, err
	}
	return callStep{req: r, f: func(c *Call) error { return runSequenceMap(op, body, c) }}, nil
}

func runSequenceMap(op ops.SequenceMap, body devices.Runner, c *Call) error {
	first, ok := c.Args.In[0].(*tensor.Sequence)
	if !ok {
		return errors.New("the first input is no sequence")
	}
	res := make([]*tensor.Sequence, c.NOut())
	for i := range res {
		res[i] = &tensor.Sequence{DType: c.Req.Out[i].DType}
	}
	vals := append([]tensor.Value{}, c.Args.In...)
	for k := range first.Elems {
		for i, v := range c.Args.In[:op.NumInputs] {
			s, ok := v.(*tensor.Sequence)
			if !ok {
				continue
			}
			if len(s.Elems) != len(first.Elems) {
				return errs.Errorf("sequences of %d and %d elements", len(first.Elems), len(s.Elems))
			}
			vals[i] = s.Elems[k]
		}
		outs, err := body.Run(c.Ctx, vals)
		if err != nil {
			return errs.Errorf("element %d: %w", k, err)
		}
		for i := range res {
			res[i].Elems = append(res[i].Elems, outs[i])
		}
	}
	for i, s := range res {
		if err := c.Set(i, s); err != nil {
			return err
		}
	}
	return nil
}
