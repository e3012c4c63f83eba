package cpu

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// programTile is the most elements of a tile. The registers of a program are to take at most programCache elements,
// and a task that many kernel calls.
const (
	programTile  = 1024
	programCache = 6 << 10
	programCalls = 64
)

// truth is a float32 whose bits are all one.
var truth = math.Float32frombits(math.MaxUint32)

// pointCode is one call of a kernel on slots.
type pointCode struct {
	unary  kern.Unary
	binary kern.Binary
	right  func(dst, x []float32, s float32)
	left   func(dst []float32, s float32, y []float32)
	choose func(dst, c, x, y []float32)
	dst    int
	x      [3]int // operands; of right and left the number among them is one of the program's numbers
	a, b   float32
}

func (c *pointCode) run(v [][]float32, numbers []float32) {
	dst := v[c.dst]
	n := len(dst)
	switch {
	case c.unary != nil:
		c.unary(dst, v[c.x[0]][:n], c.a, c.b)
	case c.binary != nil:
		c.binary(dst, v[c.x[0]][:n], v[c.x[1]][:n])
	case c.right != nil:
		c.right(dst, v[c.x[0]][:n], numbers[c.x[1]])
	case c.left != nil:
		c.left(dst, numbers[c.x[0]], v[c.x[1]][:n])
	default:
		c.choose(dst, v[c.x[0]][:n], v[c.x[1]][:n], v[c.x[2]][:n])
	}
}

// values is how many of x are slots.
func (c *pointCode) values() []int {
	switch {
	case c.unary != nil, c.right != nil:
		return c.x[:1]
	case c.binary != nil:
		return c.x[:2]
	case c.left != nil:
		return c.x[1:2]
	}
	return c.x[:3]
}

// operand is a value of a program in the making: a slot, or a number.
type operand struct {
	slot   int
	number bool
	num    pointArg
}

// compiler turns instructions into code. Until registers are given out, each value has a slot of its own.
type compiler struct {
	s      *program
	temps  map[int]bool // slots that need a register, for code defines them
	pinned []int        // slots that have a register to themselves
	made   map[pointArg]int
}

func (d *Device) newProgram(op ops.Pointwise, r devices.Request) (devices.Step, error) {
	out := dims(r.Out[0])
	s := &program{d: d, total: prod(out)}
	c := &compiler{s: s, temps: map[int]bool{}, made: map[pointArg]int{}}
	vals := make([]operand, 0, len(op.Expr))
	in := make([]*operand, len(r.In))
	for _, e := range op.Expr {
		var x []operand
		for _, k := range e.X {
			if k >= 0 {
				x = append(x, vals[k])
				continue
			}
			k = -1 - k
			if in[k] == nil {
				o := c.input(k, r, out)
				in[k] = &o
			}
			x = append(x, *in[k])
		}
		f, ok := instructions[e.Fn]
		if !ok {
			return nil, errs.Errorf("no instruction %s", e.Fn)
		}
		vals = append(vals, f(c, e, x))
	}
	for i, k := range op.Results {
		c.output(i, vals[k], r.Out[i].DType == tensor.Bool)
	}
	c.allocate()
	rows := 0
	for _, e := range s.stretched { // so that a tile is whole rows, and what they are stretched to can stay
		if k := len(e.shape) - 1; e.stride[k] == 1 && k > 0 {
			rows = max(rows, e.shape[k])
		}
	}
	s.tile = max(128, min(programTile, programCache/(len(s.regs)+1)/64*64))
	if rows > 0 && rows <= s.tile {
		s.tile = s.tile / rows * rows
	}
	s.tile = max(1, min(s.tile, s.total))
	s.chunk = s.tile * max(1, min(pointwiseTile/s.tile, programCalls/max(1, len(s.code)/2)))
	return s, nil
}

//go:noinline
func (c *compiler) slot() int {
	c.s.slots++
	return c.s.slots - 1
}

// input is how the program sees input k.
func (c *compiler) input(k int, r devices.Request, out []int) operand {
	shape := dims(r.In[k])
	isBool := r.In[k].DType == tensor.Bool
	n := prod(shape)
	switch {
	case n == c.s.total && c.s.total > 1:
		p := pointArg{arg: k, slot: c.slot(), bool: isBool}
		c.s.full = append(c.s.full, p)
		if isBool {
			c.pinned = append(c.pinned, p.slot)
		}
		return operand{slot: p.slot}
	case n == 1:
		p := pointArg{arg: k, bool: isBool}
		if v := r.Const[k]; v != nil && !isBool {
			p = pointArg{arg: -1, bits: math.Float32bits(tensor.As[float32](v)[0])}
		}
		return operand{number: true, num: p}
	}
	e := newStretch(k, c.slot(), isBool, shape, out)
	c.s.stretched = append(c.s.stretched, e)
	c.pinned = append(c.pinned, e.slot)
	return operand{slot: e.slot}
}

// vector is x as a slot: a number fills a register.
//
//go:noinline
func (c *compiler) vector(x operand) int {
	if !x.number {
		return x.slot
	}
	if slot, ok := c.made[x.num]; ok {
		return slot
	}
	p := x.num
	p.slot = c.slot()
	c.made[x.num] = p.slot
	c.s.splats = append(c.s.splats, p)
	return p.slot
}

// number is x's place among the numbers.
func (c *compiler) number(x operand) int {
	if i := slices.Index(c.s.numbers, x.num); i >= 0 {
		return i
	}
	c.s.numbers = append(c.s.numbers, x.num)
	return len(c.s.numbers) - 1
}

//go:noinline
func (c *compiler) emit(p pointCode) operand {
	p.dst = c.slot()
	c.temps[p.dst] = true
	c.s.code = append(c.s.code, p)
	return operand{slot: p.dst}
}

//go:noinline
func (c *compiler) unary(f kern.Unary, x operand, a, b float32) operand {
	return c.emit(pointCode{unary: f, x: [3]int{c.vector(x)}, a: a, b: b})
}

//go:noinline
func (c *compiler) binary(f kern.Binary, x, y operand) operand {
	return c.emit(pointCode{binary: f, x: [3]int{c.vector(x), c.vector(y)}})
}

//go:noinline
func (c *compiler) choose(cond, x, y operand) operand {
	return c.emit(pointCode{choose: c.s.d.k.Point.Select, x: [3]int{c.vector(cond), c.vector(x), c.vector(y)}})
}

//go:noinline
func (c *compiler) arithmetic(f arithmetic, x, y operand) operand {
	switch {
	case x.number && y.number || !x.number && !y.number:
		return c.binary(f.vv, x, y)
	case y.number:
		return c.emit(pointCode{right: f.vs, x: [3]int{x.slot, c.number(y)}})
	case f.sv != nil:
		return c.emit(pointCode{left: f.sv, x: [3]int{c.number(x), y.slot}})
	}
	return c.emit(pointCode{right: f.vs, x: [3]int{y.slot, c.number(x)}})
}

//go:noinline
func lit(v float64) operand {
	return operand{number: true, num: pointArg{arg: -1, bits: math.Float32bits(float32(v))}}
}

// output says where a value goes. It is written in place where nothing that the output may lie over is read later.
func (c *compiler) output(arg int, v operand, isBool bool) {
	p := pointArg{arg: arg, slot: c.vector(v), bool: isBool}
	at := slices.IndexFunc(c.s.code, func(k pointCode) bool { return k.dst == p.slot })
	direct := at >= 0 && !isBool && c.temps[p.slot]
	if direct {
		for _, k := range c.s.code[at+1:] {
			for _, x := range k.values() {
				direct = direct && !slices.ContainsFunc(c.s.full, func(o pointArg) bool { return !o.bool && o.slot == x })
			}
		}
	}
	if direct {
		delete(c.temps, p.slot)
		c.s.direct = append(c.s.direct, p)
		return
	}
	c.s.stores = append(c.s.stores, p)
}

// allocate gives registers to the values that code makes, each until its last use, and to those pinned.
func (c *compiler) allocate() {
	s := c.s
	reg := map[int]int{} // of a slot
	add := func(slot int) int {
		s.regs = append(s.regs, slot)
		return len(s.regs) - 1
	}
	for _, slot := range c.pinned {
		add(slot)
	}
	for i := range s.splats {
		s.splats[i].slot = add(s.splats[i].slot)
	}
	last := map[int]int{}
	for i := range s.code {
		for _, x := range s.code[i].values() {
			last[x] = i
		}
	}
	for _, p := range s.stores {
		last[p.slot] = len(s.code)
	}
	var free []int
	rename := map[int]int{}
	for i := range s.code {
		k := &s.code[i]
		vals := k.values()
		for j, x := range vals {
			if to, ok := rename[x]; ok {
				vals[j] = to
			}
			if r, ok := reg[x]; ok && last[x] == i {
				free = append(free, r)
				delete(reg, x)
			}
		}
		if !c.temps[k.dst] {
			continue
		}
		var r int
		if n := len(free); n > 0 {
			r, free = free[n-1], free[:n-1]
		} else {
			r = add(k.dst)
		}
		rename[k.dst], reg[k.dst] = s.regs[r], r
		k.dst = s.regs[r]
	}
	for i, p := range s.stores {
		if to, ok := rename[p.slot]; ok {
			s.stores[i].slot = to
		}
	}
}
