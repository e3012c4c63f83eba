package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices/cpu/internal/kern"
	"github.com/nnrt/nnrt/ops"
)

// instruction emits the code of one instruction.
type instruction func(c *compiler, e ops.Instr, x []operand) operand

//go:noinline
func ofVec(f func(v *kern.Vec) kern.Unary) instruction {
	return func(c *compiler, e ops.Instr, x []operand) operand {
		return c.unary(f(&c.s.d.k.Vec), x[0], float32(e.A), float32(e.B))
	}
}

//go:noinline
func ofPoint(f func(p *kern.Point) kern.Unary) instruction {
	return func(c *compiler, _ ops.Instr, x []operand) operand { return c.unary(f(&c.s.d.k.Point), x[0], 0, 0) }
}

//go:noinline
func pairOf(f func(p *kern.Point) kern.Binary, swapped bool) instruction {
	return func(c *compiler, _ ops.Instr, x []operand) operand {
		if swapped {
			return c.binary(f(&c.s.d.k.Point), x[1], x[0])
		}
		return c.binary(f(&c.s.d.k.Point), x[0], x[1])
	}
}

//go:noinline
func ofArithmetic(f func(d *Device) arithmetic) instruction {
	return func(c *compiler, _ ops.Instr, x []operand) operand { return c.arithmetic(f(c.s.d), x[0], x[1]) }
}

// instructions is what each function of an ops.Instr becomes: the kernel that the operator alone has, or several.
var instructions = map[string]instruction{
	"Relu": func(c *compiler, _ ops.Instr, x []operand) operand {
		return c.unary(c.s.d.k.Vec.Clip, x[0], 0, posInf)
	},
	"Sigmoid":        ofVec(func(v *kern.Vec) kern.Unary { return v.Sigmoid }),
	"Tanh":           ofVec(func(v *kern.Vec) kern.Unary { return v.Tanh }),
	"HardSwish":      ofVec(func(v *kern.Vec) kern.Unary { return v.HardSwish }),
	"Erf":            ofVec(func(v *kern.Vec) kern.Unary { return v.Erf }),
	"Neg":            ofVec(func(v *kern.Vec) kern.Unary { return v.Neg }),
	"Abs":            ofVec(func(v *kern.Vec) kern.Unary { return v.Abs }),
	"Exp":            ofVec(func(v *kern.Vec) kern.Unary { return v.Exp }),
	"Log":            ofVec(func(v *kern.Vec) kern.Unary { return v.Log }),
	"Sqrt":           ofVec(func(v *kern.Vec) kern.Unary { return v.Sqrt }),
	"Rsqrt":          ofVec(func(v *kern.Vec) kern.Unary { return v.Rsqrt }),
	"Reciprocal":     ofVec(func(v *kern.Vec) kern.Unary { return v.Reciprocal }),
	"Clip":           ofVec(func(v *kern.Vec) kern.Unary { return v.Clip }),
	"LeakyRelu":      ofVec(func(v *kern.Vec) kern.Unary { return v.LeakyRelu }),
	"HardSigmoid":    ofVec(func(v *kern.Vec) kern.Unary { return v.HardSigmoid }),
	"Expm1":          ofPoint(func(p *kern.Point) kern.Unary { return p.Expm1 }),
	"Log1p":          ofPoint(func(p *kern.Point) kern.Unary { return p.Log1p }),
	"Floor":          ofPoint(func(p *kern.Point) kern.Unary { return p.Floor }),
	"Ceil":           ofPoint(func(p *kern.Point) kern.Unary { return p.Ceil }),
	"Round":          ofPoint(func(p *kern.Point) kern.Unary { return p.Round }),
	"Sign":           ofPoint(func(p *kern.Point) kern.Unary { return p.Sign }),
	"Sin":            ofPoint(func(p *kern.Point) kern.Unary { return p.Sin }),
	"Cos":            ofPoint(func(p *kern.Point) kern.Unary { return p.Cos }),
	"Tan":            ofPoint(func(p *kern.Point) kern.Unary { return p.Tan }),
	"Asin":           ofPoint(func(p *kern.Point) kern.Unary { return p.Asin }),
	"Acos":           ofPoint(func(p *kern.Point) kern.Unary { return p.Acos }),
	"Atan":           ofPoint(func(p *kern.Point) kern.Unary { return p.Atan }),
	"Sinh":           ofPoint(func(p *kern.Point) kern.Unary { return p.Sinh }),
	"Cosh":           ofPoint(func(p *kern.Point) kern.Unary { return p.Cosh }),
	"Asinh":          ofPoint(func(p *kern.Point) kern.Unary { return p.Asinh }),
	"Acosh":          ofPoint(func(p *kern.Point) kern.Unary { return p.Acosh }),
	"Atanh":          ofPoint(func(p *kern.Point) kern.Unary { return p.Atanh }),
	"IsNaN":          ofPoint(func(p *kern.Point) kern.Unary { return p.NaN }),
	"Not":            ofPoint(func(p *kern.Point) kern.Unary { return p.Not }),
	"ToFloat":        ofPoint(func(p *kern.Point) kern.Unary { return p.One }),
	"Greater":        pairOf(func(p *kern.Point) kern.Binary { return p.Greater }, false),
	"Less":           pairOf(func(p *kern.Point) kern.Binary { return p.Greater }, true),
	"GreaterOrEqual": pairOf(func(p *kern.Point) kern.Binary { return p.GreaterOrEqual }, false),
	"LessOrEqual":    pairOf(func(p *kern.Point) kern.Binary { return p.GreaterOrEqual }, true),
	"Equal":          pairOf(func(p *kern.Point) kern.Binary { return p.Equal }, false),
	"And":            pairOf(func(p *kern.Point) kern.Binary { return p.And }, false),
	"Or":             pairOf(func(p *kern.Point) kern.Binary { return p.Or }, false),
	"Xor":            pairOf(func(p *kern.Point) kern.Binary { return p.Xor }, false),
	"Add":            ofArithmetic((*Device).adding),
	"Sub":            ofArithmetic((*Device).subtracting),
	"Mul":            ofArithmetic((*Device).multiplying),
	"Div":            ofArithmetic((*Device).dividing),
	"Max":            ofArithmetic((*Device).largest),
	"Min":            ofArithmetic((*Device).smallest),
	"Pow":            power,
	"Where":          func(c *compiler, _ ops.Instr, x []operand) operand { return c.choose(x[0], x[1], x[2]) },
	"ToBool": func(c *compiler, _ ops.Instr, x []operand) operand {
		return c.unary(c.s.d.k.Point.Not, c.binary(c.s.d.k.Point.Equal, x[0], lit(0)), 0, 0)
	},
	"PRelu": func(c *compiler, _ ops.Instr, x []operand) operand {
		return c.choose(c.greater(lit(0), x[0]), c.mul(x[0], x[1]), x[0])
	},
	"Elu": func(c *compiler, e ops.Instr, x []operand) operand {
		return c.choose(c.greater(lit(0), x[0]), c.mul(c.expm1(x[0]), lit(e.A)), x[0])
	},
	"Selu": func(c *compiler, e ops.Instr, x []operand) operand {
		low := c.binary(c.s.d.k.Point.GreaterOrEqual, lit(0), x[0])
		return c.mul(c.choose(low, c.mul(c.expm1(x[0]), lit(e.A)), x[0]), lit(e.B))
	},
	"Celu": func(c *compiler, e ops.Instr, x []operand) operand {
		low := c.mul(c.expm1(c.arithmetic(c.s.d.dividing(), x[0], lit(e.A))), lit(e.A))
		return c.add(c.unary(c.s.d.k.Vec.Clip, x[0], 0, posInf), c.unary(c.s.d.k.Vec.Clip, low, negInf, 0))
	},
	"ThresholdedRelu": func(c *compiler, e ops.Instr, x []operand) operand {
		return c.choose(c.binary(c.s.d.k.Point.GreaterOrEqual, lit(e.A), x[0]), lit(0), x[0])
	},
	"Shrink": func(c *compiler, e ops.Instr, x []operand) operand {
		inside := c.choose(c.unary(c.s.d.k.Point.NaN, x[0], 0, 0), x[0], lit(0))
		below := c.choose(c.greater(lit(-e.B), x[0]), c.add(x[0], lit(e.A)), inside)
		return c.choose(c.greater(x[0], lit(e.B)), c.add(x[0], lit(-e.A)), below)
	},
	"Softplus": func(c *compiler, _ ops.Instr, x []operand) operand { return c.softplus(x[0]) },
	"Mish": func(c *compiler, _ ops.Instr, x []operand) operand {
		return c.mul(x[0], c.unary(c.s.d.k.Vec.Tanh, c.softplus(x[0]), 0, 0))
	},
	"Softsign": func(c *compiler, _ ops.Instr, x []operand) operand {
		return c.arithmetic(c.s.d.dividing(), x[0], c.add(c.unary(c.s.d.k.Vec.Abs, x[0], 0, 0), lit(1)))
	},
	"Swish": func(c *compiler, e ops.Instr, x []operand) operand {
		if e.A == 1 {
			return c.unary(c.s.d.k.Vec.Silu, x[0], 0, 0)
		}
		return c.mul(x[0], c.unary(c.s.d.k.Vec.Sigmoid, c.mul(x[0], lit(e.A)), 0, 0))
	},
	"Gelu": func(c *compiler, e ops.Instr, x []operand) operand {
		if e.A != 0 {
			return c.unary(c.s.d.k.Vec.GeluTanh, x[0], 0, 0)
		}
		return c.unary(c.s.d.k.Vec.Gelu, x[0], 0, 0)
	},
}

//go:noinline
func (c *compiler) add(x, y operand) operand { return c.arithmetic(c.s.d.adding(), x, y) }

//go:noinline
func (c *compiler) mul(x, y operand) operand { return c.arithmetic(c.s.d.multiplying(), x, y) }

//go:noinline
func (c *compiler) greater(x, y operand) operand { return c.binary(c.s.d.k.Point.Greater, x, y) }

//go:noinline
func (c *compiler) expm1(x operand) operand { return c.unary(c.s.d.k.Point.Expm1, x, 0, 0) }

// softplus is max(x, 0) + log1p(exp(-|x|)).
//
//go:noinline
func (c *compiler) softplus(x operand) operand {
	v := &c.s.d.k.Vec
	low := c.unary(v.Exp, c.unary(v.Neg, c.unary(v.Abs, x, 0, 0), 0, 0), 0, 0)
	return c.add(c.unary(v.Clip, x, 0, posInf), c.unary(c.s.d.k.Point.Log1p, low, 0, 0))
}

// power multiplies for the small exponents that graphs have.
func power(c *compiler, _ ops.Instr, x []operand) operand {
	if x[1].number && x[1].num.arg < 0 {
		switch math.Float32frombits(x[1].num.bits) {
		case 2:
			return c.mul(x[0], x[0])
		case 3:
			return c.mul(c.mul(x[0], x[0]), x[0])
		case -1:
			return c.unary(c.s.d.k.Vec.Reciprocal, x[0], 0, 0)
		}
	}
	return c.binary(c.s.d.k.Point.Pow, x[0], x[1])
}
