package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// Pointwise evaluates a small program of elementwise operators for each element of its inputs, which broadcast:
// what a chain of such operators computes, without the values between. The inputs are of the float type Float, or
// bool.
type Pointwise struct {
	Float   tensor.DType
	Expr    []Instr
	Results []int // the instructions whose values are the outputs
}

// Instr is one instruction of a Pointwise.
type Instr struct {
	// Fn is the name of an operator without attributes or with the attributes A and B, or "ToFloat" or "ToBool"
	// for Cast. Clip has its limits in A and B.
	Fn string
	// X is the operands: i >= 0 is the value of instruction i, i < 0 is input -1-i.
	X    []int
	A, B float64
}

// Name implements graph.Op.
func (Pointwise) Name() string { return "Pointwise" }

// The functions that aren't named as an operator.
const (
	fnToFloat = "ToFloat"
	fnToBool  = "ToBool"
)

// pointFunc is one function that an Instr may have.
type pointFunc struct {
	name string
	// in is what the operands are: 'f' a float, 'b' a bool; out is what the result is.
	in  string
	out byte
	// op is the operator for those attributes and inputs, with what more it takes as inputs.
	op func(a, b float64) graph.Op
}

//go:noinline
func plainFunc(op graph.Op, in string, out byte) pointFunc {
	return pointFunc{op.Name(), in, out, func(float64, float64) graph.Op { return op }}
}

// pointFuncs is every function of an Instr, by name.
var pointFuncs = indexPointFuncs()

func indexPointFuncs() map[string]pointFunc {
	index := map[string]pointFunc{}
	for _, f := range listPointFuncs() {
		index[f.name] = f
	}
	return index
}

func listPointFuncs() []pointFunc {
	var all []pointFunc
	for _, op := range []graph.Op{Relu{}, Sigmoid{}, Tanh{}, HardSwish{}, Mish{}, Softplus{}, Softsign{}, Erf{}, Neg{}, Abs{}, Exp{}, Log{}, Sqrt{},
		Rsqrt{}, Reciprocal{}, Expm1{}, Log1p{}, Floor{}, Ceil{}, Round{}, Sign{}, Sin{}, Cos{}, Tan{}, Asin{}, Acos{}, Atan{}, Sinh{}, Cosh{}, Asinh{},
		Acosh{}, Atanh{}} {
		all = append(all, plainFunc(op, "f", 'f'))
	}
	for _, op := range []graph.Op{Add{}, Sub{}, Mul{}, Div{}, Max{}, Min{}, Pow{}, PRelu{}} {
		all = append(all, plainFunc(op, "ff", 'f'))
	}
	for _, op := range []graph.Op{Greater{}, GreaterOrEqual{}, Less{}, LessOrEqual{}, Equal{}} {
		all = append(all, plainFunc(op, "ff", 'b'))
	}
	for _, op := range []graph.Op{And{}, Or{}, Xor{}} {
		all = append(all, plainFunc(op, "bb", 'b'))
	}
	return append(all,
		plainFunc(Not{}, "b", 'b'),
		plainFunc(IsNaN{}, "f", 'b'),
		plainFunc(Where{}, "bff", 'f'),
		plainFunc(Clip{}, "f", 'f'),
		pointFunc{fnToFloat, "b", 'f', nil},
		pointFunc{fnToBool, "f", 'b', nil},
		pointFunc{"LeakyRelu", "f", 'f', func(a, _ float64) graph.Op { return LeakyRelu{Alpha: a} }},
		pointFunc{"Elu", "f", 'f', func(a, _ float64) graph.Op { return Elu{Alpha: a} }},
		pointFunc{"Selu", "f", 'f', func(a, b float64) graph.Op { return Selu{Alpha: a, Gamma: b} }},
		pointFunc{"Celu", "f", 'f', func(a, _ float64) graph.Op { return Celu{Alpha: a} }},
		pointFunc{"ThresholdedRelu", "f", 'f', func(a, _ float64) graph.Op { return ThresholdedRelu{Alpha: a} }},
		pointFunc{"HardSigmoid", "f", 'f', func(a, b float64) graph.Op { return HardSigmoid{Alpha: a, Beta: b} }},
		pointFunc{"Swish", "f", 'f', func(a, _ float64) graph.Op { return Swish{Alpha: a} }},
		pointFunc{"Shrink", "f", 'f', func(a, b float64) graph.Op { return Shrink{Bias: a, Lambd: b} }},
		pointFunc{"Gelu", "f", 'f', func(a, _ float64) graph.Op {
			if a != 0 {
				return Gelu{Approximate: "tanh"}
			}
			return Gelu{}
		}},
	)
}

// PointOp spells a node as one instruction for the float type, without its operands: the first n of the node's
// inputs. ok is false where the operator is no function of an Instr.
func PointOp(node *graph.Node, float tensor.DType) (in Instr, n int, ok bool) {
	switch op := node.Op.(type) {
	case LeakyRelu:
		in.A = op.Alpha
	case Elu:
		in.A = op.Alpha
	case Selu:
		in.A, in.B = op.Alpha, op.Gamma
	case Celu:
		in.A = op.Alpha
	case ThresholdedRelu:
		in.A = op.Alpha
	case HardSigmoid:
		in.A, in.B = op.Alpha, op.Beta
	case Swish:
		in.A = op.Alpha
	case Shrink:
		in.A, in.B = op.Bias, op.Lambd
	case Gelu:
		if op.Approximate == "tanh" {
			in.A = 1
		}
	case Clip:
		if in.A, in.B, ok = clipLimits(node.In); !ok {
			return in, 0, false
		}
	case Cast:
		in.Fn = fnToFloat
		switch {
		case op.To == tensor.Bool:
			in.Fn = fnToBool
		case op.To != float:
			return in, 0, false
		}
	}
	if in.Fn == "" {
		in.Fn = node.Op.Name()
	}
	f, ok := pointFuncs[in.Fn]
	if !ok || len(node.In) < len(f.in) || len(node.Out) != 1 || in.Fn != "Clip" && len(node.In) != len(f.in) {
		return in, 0, false
	}
	for i, kind := range f.in {
		if v := node.In[i]; v == nil || !isPoint(v.Type, byte(kind), float) {
			return in, 0, false
		}
	}
	return in, len(f.in), isPoint(node.Out[0].Type, f.out, float)
}

// isPoint reports whether t is a tensor of that kind of operand.
func isPoint(t graph.Type, kind byte, float tensor.DType) bool {
	want := float
	if kind == 'b' {
		want = tensor.Bool
	}
	return t.Kind == graph.TensorKind && t.DType == want
}

// clipLimits is the limits of a Clip, where they are known.
func clipLimits(in []*graph.Value) (lo, hi float64, ok bool) {
	limits := [2]float64{math.Inf(-1), math.Inf(1)}
	for i := range limits {
		if i+1 >= len(in) || in[i+1] == nil {
			continue
		}
		if !in[i+1].IsConst() || in[i+1].Type.Const.Len() != 1 {
			return 0, 0, false
		}
		vs, err := in[i+1].Type.Const.Float64s()
		if err != nil {
			return 0, 0, false
		}
		limits[i] = vs[0]
	}
	return limits[0], limits[1], true
}

// Infer implements graph.Op.
func (p Pointwise) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, -1); err != nil {
		return nil, err
	}
	if !p.Float.IsFloat() {
		return nil, errs.Errorf("a program over %v, which is no float type", p.Float)
	}
	if len(p.Results) == 0 {
		return nil, errs.Errorf("a program without results")
	}
	types := make([]graph.Type, len(p.Expr))
	for i, e := range p.Expr {
		t, err := p.instrType(e, in, types[:i])
		if err != nil {
			return nil, errs.Errorf("instruction %d, %s: %w", i, e.Fn, err)
		}
		types[i] = t
	}
	out := make([]graph.Type, len(p.Results))
	for i, r := range p.Results {
		if r < 0 || r >= len(types) {
			return nil, errs.Errorf("result %d of %d instructions", r, len(types))
		}
		out[i] = types[r]
	}
	return out, nil
}

// instrType is the type of an instruction's value.
func (p Pointwise) instrType(e Instr, in, done []graph.Type) (graph.Type, error) {
	f, ok := pointFuncs[e.Fn]
	if !ok || len(e.X) != len(f.in) {
		return graph.Type{}, errs.Errorf("no such function of %d operands", len(e.X))
	}
	args := make([]graph.Type, len(e.X))
	for i, x := range e.X {
		switch {
		case x >= 0 && x < len(done):
			args[i] = done[x]
		case x < 0 && -1-x < len(in):
			args[i] = in[-1-x]
		default:
			return graph.Type{}, errs.Errorf("no operand %d", x)
		}
		if !isPoint(args[i], f.in[i], p.Float) {
			return graph.Type{}, errs.Errorf("operand %d is %v", i, args[i])
		}
	}
	dt := p.Float
	if f.out == 'b' {
		dt = tensor.Bool
	}
	dims, unranked, err := broadcast(args...)
	return tensorOr(dt, dims, unranked), err
}

// MayAlias allows an output over an input with elements of its type; what is smaller than the output is never
// overwritten.
func (p Pointwise) MayAlias(in, out int) bool {
	if out >= len(p.Results) || p.Results[out] < 0 || p.Results[out] >= len(p.Expr) {
		return false
	}
	f, ok := pointFuncs[p.Expr[p.Results[out]].Fn]
	return ok && p.inputKind(in) == f.out
}

// inputKind is 'f' or 'b', as the program reads an input, or 0 where it doesn't.
func (p Pointwise) inputKind(in int) byte {
	for _, e := range p.Expr {
		f := pointFuncs[e.Fn]
		for i, x := range e.X {
			if x == -1-in && i < len(f.in) {
				return f.in[i]
			}
		}
	}
	return 0
}

// Decompose spells each instruction as its operator.
func (p Pointwise) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	vals := make([]*graph.Value, 0, len(p.Expr))
	for _, e := range p.Expr {
		args := make([]*graph.Value, 0, 3)
		for _, x := range e.X {
			if x < 0 {
				args = append(args, in[-1-x])
			} else {
				args = append(args, vals[x])
			}
		}
		vals = append(vals, b.Add(e.op(p.Float), e.more(b, args)...))
	}
	out := make([]*graph.Value, len(p.Results))
	for i, r := range p.Results {
		out[i] = vals[r]
	}
	return out
}

// op is the instruction's operator.
func (e Instr) op(float tensor.DType) graph.Op {
	switch e.Fn {
	case fnToFloat:
		return Cast{To: float, Saturate: true}
	case fnToBool:
		return Cast{To: tensor.Bool, Saturate: true}
	}
	f := pointFuncs[e.Fn]
	return f.op(e.A, e.B)
}

// more is the operands with what the operator takes as inputs besides.
func (e Instr) more(b *graph.Builder, args []*graph.Value) []*graph.Value {
	if e.Fn != "Clip" {
		return args
	}
	x := args[0]
	return append(args, constLike(b, x, e.A), constLike(b, x, e.B))
}
