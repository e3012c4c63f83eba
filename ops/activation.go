package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// activationOps is the family of activation functions.
var activationOps = []Info{
	{Relu{}, "max(x, 0)"},
	{Sigmoid{}, "1 / (1 + exp(-x))"},
	{Tanh{}, "the hyperbolic tangent"},
	{LeakyRelu{Alpha: 0.01}, "x, or Alpha*x where negative"},
	{PRelu{}, "x, or slope*x where negative"},
	{Elu{Alpha: 1}, "x, or Alpha*(exp(x)-1) where negative"},
	{Selu{Alpha: seluAlpha, Gamma: seluGamma}, "Gamma*x, or Gamma*Alpha*(exp(x)-1) where negative"},
	{Celu{Alpha: 1}, "max(0, x) + min(0, Alpha*(exp(x/Alpha)-1))"},
	{ThresholdedRelu{Alpha: 1}, "x where above Alpha, else 0"},
	{HardSigmoid{Alpha: 0.2, Beta: 0.5}, "Alpha*x + Beta clipped to [0, 1]"},
	{HardSwish{}, "x * min(max(x/6 + 0.5, 0), 1)"},
	{Mish{}, "x * tanh(softplus(x))"},
	{Softplus{}, "log(1 + exp(x))"},
	{Softsign{}, "x / (1 + |x|)"},
	{Gelu{Approximate: "none"}, "x * Phi(x), exactly or by tanh"},
	{Swish{Alpha: 1}, "x * sigmoid(Alpha*x); silu with Alpha 1"},
	{Shrink{Lambd: 0.5}, "x -/+ Bias where |x| > Lambd, else 0"},
	{Clip{}, "x limited to [min, max]"},
	{Erf{}, "the error function"},
	{SwiGLU{Alpha: 1}, "a * sigmoid(Alpha*a) * b"},
}

// The constants of self-normalizing networks (Klambauer et al. 2017), as ONNX gives them.
const (
	seluAlpha = 1.67326319217681884765625
	seluGamma = 1.05070102214813232421875
)

// Relu is max(x, 0).
type Relu struct{ numberMap }

// Name implements graph.Op.
func (Relu) Name() string { return "Relu" }

// VJP passes the gradient where the output is positive.
func (Relu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(keepWhere(b, positive(b, n.Out[0]), dy[0]))
}

// Sigmoid is 1 / (1 + exp(-x)).
type Sigmoid struct{ floatMap }

// Name implements graph.Op.
func (Sigmoid) Name() string { return "Sigmoid" }

// VJP is dy * y * (1 - y).
func (Sigmoid) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y := n.Out[0]
	return one(b.Add(Mul{}, dy[0], b.Add(Mul{}, y, oneMinus(b, y))))
}

// Tanh is the hyperbolic tangent.
type Tanh struct{ floatMap }

// Name implements graph.Op.
func (Tanh) Name() string { return "Tanh" }

// VJP is dy * (1 - y*y).
func (Tanh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], oneMinus(b, square(b, n.Out[0]))))
}

// LeakyRelu is x where x >= 0 and Alpha*x elsewhere.
type LeakyRelu struct {
	floatMap
	Alpha float64
}

// Name implements graph.Op.
func (LeakyRelu) Name() string { return "LeakyRelu" }

// VJP scales the gradient by Alpha where x is negative.
func (o LeakyRelu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Where{}, positive(b, sideOf(n, o.Alpha)), dy[0], mulC(b, dy[0], o.Alpha)))
}

// sideOf is the value whose sign is that of the input: the output if alpha is positive, which lets the
// input be overwritten.
func sideOf(n *graph.Node, alpha float64) *graph.Value {
	if alpha > 0 {
		return n.Out[0]
	}
	return n.In[0]
}

// PRelu is x where x >= 0 and slope*x elsewhere; slope broadcasts to x.
type PRelu struct{}

// Name implements graph.Op.
func (PRelu) Name() string { return "PRelu" }

// Infer implements graph.Op.
func (PRelu) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := numeric(in); err != nil {
		return nil, err
	}
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if _, err := sameDType(in); err != nil {
		return nil, err
	}
	if err := broadcastsTo(in[1], in[0], "slope"); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP scales dy by the slope where x is negative; the slope collects x*dy there.
func (PRelu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x, slope := n.In[0], n.In[1]
	neg := b.Add(Less{}, x, constLike(b, x, 0))
	dx := []*graph.Value{nil, nil}
	if need[0] {
		dx[0] = b.Add(Where{}, neg, b.Add(Mul{}, dy[0], slope), dy[0])
	}
	if need[1] {
		dx[1] = sumTo(b, keepWhere(b, neg, b.Add(Mul{}, dy[0], x)), slope)
	}
	return dx
}

// Elu is x where x >= 0 and Alpha*(exp(x)-1) elsewhere.
type Elu struct {
	floatMap
	Alpha float64
}

// Name implements graph.Op.
func (Elu) Name() string { return "Elu" }

// VJP is dy*(y+Alpha) where x is negative.
func (o Elu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	neg := b.Add(Mul{}, dy[0], addC(b, n.Out[0], o.Alpha))
	return one(b.Add(Where{}, positive(b, sideOf(n, o.Alpha)), dy[0], neg))
}

// Selu is Gamma*x where x > 0 and Gamma*Alpha*(exp(x)-1) elsewhere.
type Selu struct {
	floatMap
	Alpha, Gamma float64
}

// Name implements graph.Op.
func (Selu) Name() string { return "Selu" }

// VJP is dy*Gamma, or dy*(y+Gamma*Alpha) where x is not positive.
func (o Selu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	neg := b.Add(Mul{}, dy[0], addC(b, n.Out[0], o.Gamma*o.Alpha))
	return one(b.Add(Where{}, positive(b, n.In[0]), mulC(b, dy[0], o.Gamma), neg))
}

// Celu is max(0, x) + min(0, Alpha*(exp(x/Alpha)-1)).
type Celu struct {
	floatMap
	Alpha float64
}

// Name implements graph.Op.
func (Celu) Name() string { return "Celu" }

// VJP is dy*exp(x/Alpha) where x is negative.
func (o Celu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	neg := b.Add(Mul{}, dy[0], b.Add(Exp{}, mulC(b, n.In[0], 1/o.Alpha)))
	return one(b.Add(Where{}, positive(b, n.In[0]), dy[0], neg))
}

// ThresholdedRelu is x where x > Alpha and 0 elsewhere.
type ThresholdedRelu struct {
	floatMap
	Alpha float64
}

// Name implements graph.Op.
func (ThresholdedRelu) Name() string { return "ThresholdedRelu" }

// VJP passes the gradient where x is above Alpha.
func (o ThresholdedRelu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(keepWhere(b, b.Add(Greater{}, n.In[0], constLike(b, n.In[0], o.Alpha)), dy[0]))
}

// HardSigmoid is Alpha*x + Beta, clipped to [0, 1].
type HardSigmoid struct {
	floatMap
	Alpha, Beta float64
}

// Name implements graph.Op.
func (HardSigmoid) Name() string { return "HardSigmoid" }

// VJP is Alpha*dy where the output is strictly between 0 and 1.
func (o HardSigmoid) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y := n.Out[0]
	inside := b.Add(And{}, positive(b, y), b.Add(Less{}, y, constLike(b, y, 1)))
	return one(keepWhere(b, inside, mulC(b, dy[0], o.Alpha)))
}

// HardSwish is x * HardSigmoid{1/6, 0.5}(x).
type HardSwish struct{ floatMap }

// Name implements graph.Op.
func (HardSwish) Name() string { return "HardSwish" }

// Decompose spells it by HardSigmoid.
func (HardSwish) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Mul{}, in[0], b.Add(HardSigmoid{Alpha: 1.0 / 6, Beta: 0.5}, in[0])))
}

// VJP is dy times 0 below -3, 1 above 3, and x/3 + 1/2 between.
func (HardSwish) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x := n.In[0]
	mid := b.Add(Mul{}, dy[0], addC(b, mulC(b, x, 1.0/3), 0.5))
	upper := b.Add(Where{}, b.Add(Less{}, x, constLike(b, x, 3)), mid, dy[0])
	return one(keepWhere(b, b.Add(GreaterOrEqual{}, x, constLike(b, x, -3)), upper))
}

// Mish is x * tanh(softplus(x)).
type Mish struct{ floatMap }

// Name implements graph.Op.
func (Mish) Name() string { return "Mish" }

// Decompose spells it by Softplus and Tanh.
func (Mish) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Mul{}, in[0], b.Add(Tanh{}, b.Add(Softplus{}, in[0]))))
}

// VJP is dy * (t + x*(1-t*t)*sigmoid(x)) with t = tanh(softplus(x)).
func (Mish) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x := n.In[0]
	t := b.Add(Tanh{}, b.Add(Softplus{}, x))
	rest := b.Add(Mul{}, b.Add(Mul{}, x, b.Add(Sigmoid{}, x)), oneMinus(b, square(b, t)))
	return one(b.Add(Mul{}, dy[0], b.Add(Add{}, t, rest)))
}

// Softplus is log(1 + exp(x)).
type Softplus struct{ floatMap }

// Name implements graph.Op.
func (Softplus) Name() string { return "Softplus" }

// VJP is dy * sigmoid(x).
func (Softplus) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Sigmoid{}, n.In[0])))
}

// Softsign is x / (1 + |x|).
type Softsign struct{ floatMap }

// Name implements graph.Op.
func (Softsign) Name() string { return "Softsign" }

// Decompose spells it by Abs and Div.
func (Softsign) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Div{}, in[0], addC(b, b.Add(Abs{}, in[0]), 1)))
}

// VJP is dy * (1-|y|)^2.
func (Softsign) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], square(b, oneMinus(b, b.Add(Abs{}, n.Out[0])))))
}

// Gelu is x times the normal distribution function of x: exactly with Approximate "none" (or ""), by the
// tanh formula with "tanh".
type Gelu struct {
	Approximate string
}

// Name implements graph.Op.
func (Gelu) Name() string { return "Gelu" }

// Infer implements graph.Op.
func (o Gelu) Infer(in []graph.Type) ([]graph.Type, error) {
	if o.Approximate != "none" && o.Approximate != "tanh" && o.Approximate != "" {
		return nil, errs.Errorf("approximate is %q, not none or tanh", o.Approximate)
	}
	return floatMap{}.Infer(in)
}

// MayAlias implements graph.Aliaser.
func (Gelu) MayAlias(in, out int) bool { return true }

// The numbers of the tanh formula: sqrt(2/pi) * (x + 0.044715*x^3).
const geluCubic = 0.044715

var geluScale = math.Sqrt(2 / math.Pi)

// Decompose spells it by Erf or Tanh.
func (o Gelu) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := in[0]
	var f *graph.Value
	if o.Approximate == "tanh" {
		f = b.Add(Tanh{}, geluInner(b, x))
	} else {
		f = b.Add(Erf{}, mulC(b, x, math.Sqrt2/2))
	}
	return one(b.Add(Mul{}, mulC(b, x, 0.5), addC(b, f, 1)))
}

func geluInner(b *graph.Builder, x *graph.Value) *graph.Value {
	cube := b.Add(Mul{}, x, addC(b, mulC(b, square(b, x), geluCubic), 1))
	return mulC(b, cube, geluScale)
}

// VJP is dy * (Phi(x) + x*phi(x)), or the derivative of the tanh formula.
func (o Gelu) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x := n.In[0]
	var cdf, slope *graph.Value
	if o.Approximate == "tanh" {
		t := b.Add(Tanh{}, geluInner(b, x))
		cdf = mulC(b, addC(b, t, 1), 0.5)
		inner := mulC(b, addC(b, mulC(b, square(b, x), 3*geluCubic), 1), geluScale/2)
		slope = b.Add(Mul{}, oneMinus(b, square(b, t)), inner)
	} else {
		cdf = mulC(b, addC(b, b.Add(Erf{}, mulC(b, x, math.Sqrt2/2)), 1), 0.5)
		slope = mulC(b, b.Add(Exp{}, mulC(b, square(b, x), -0.5)), 1/math.Sqrt(2*math.Pi))
	}
	return one(b.Add(Mul{}, dy[0], b.Add(Add{}, cdf, b.Add(Mul{}, x, slope))))
}

// Swish is x * sigmoid(Alpha*x); silu is Swish{Alpha: 1}.
type Swish struct {
	floatMap
	Alpha float64
}

// Name implements graph.Op.
func (Swish) Name() string { return "Swish" }

// Decompose spells it by Sigmoid.
func (o Swish) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Mul{}, in[0], b.Add(Sigmoid{}, mulC(b, in[0], o.Alpha))))
}

// VJP is dy * (s + Alpha*y*(1-s)) with s = sigmoid(Alpha*x).
func (o Swish) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	s := b.Add(Sigmoid{}, mulC(b, n.In[0], o.Alpha))
	rest := b.Add(Mul{}, mulC(b, n.Out[0], o.Alpha), oneMinus(b, s))
	return one(b.Add(Mul{}, dy[0], b.Add(Add{}, s, rest)))
}

// Shrink is x+Bias where x < -Lambd, x-Bias where x > Lambd, and 0 between.
type Shrink struct {
	numberMap
	Bias, Lambd float64
}

// Name implements graph.Op.
func (Shrink) Name() string { return "Shrink" }

// VJP passes the gradient where |x| is above Lambd.
func (o Shrink) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x := n.In[0]
	return one(keepWhere(b, b.Add(Greater{}, b.Add(Abs{}, x), constLike(b, x, o.Lambd)), dy[0]))
}

// Clip limits its first input to [min, max], rank-0 inputs that may be omitted. Where min is above max
// everything becomes max.
type Clip struct{}

// Name implements graph.Op.
func (Clip) Name() string { return "Clip" }

// Infer implements graph.Op.
func (Clip) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 3); err != nil {
		return nil, err
	}
	if err := numeric(in); err != nil {
		return nil, err
	}
	if _, err := sameDType(in); err != nil {
		return nil, err
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// MayAlias implements graph.Aliaser.
func (Clip) MayAlias(in, out int) bool { return in == 0 }

// VJP passes the gradient where clipping changed nothing.
func (Clip) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	dx[0] = keepWhere(b, b.Add(Equal{}, n.In[0], n.Out[0]), dy[0])
	return dx
}

// Erf is the error function.
type Erf struct{ numberMap }

// Name implements graph.Op.
func (Erf) Name() string { return "Erf" }

// VJP is dy * 2/sqrt(pi) * exp(-x*x).
func (Erf) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	e := b.Add(Exp{}, b.Add(Neg{}, square(b, n.In[0])))
	return one(b.Add(Mul{}, dy[0], mulC(b, e, 2/math.Sqrt(math.Pi))))
}

// SwiGLU is a * sigmoid(Alpha*a) * b, for a gate a and a value b of one shape.
type SwiGLU struct {
	Alpha float64
}

// Name implements graph.Op.
func (SwiGLU) Name() string { return "SwiGLU" }

// Infer implements graph.Op.
func (SwiGLU) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 2, 2); err != nil {
		return nil, err
	}
	t, err := sameShape(in[0], in[1])
	return []graph.Type{t}, err
}

// MayAlias implements graph.Aliaser.
func (SwiGLU) MayAlias(in, out int) bool { return true }

// Decompose spells it by Swish.
func (o SwiGLU) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Mul{}, b.Add(Swish{Alpha: o.Alpha}, in[0]), in[1]))
}

// VJP is the product rule over Swish.
func (o SwiGLU) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	a, v := n.In[0], n.In[1]
	s := b.Add(Sigmoid{}, mulC(b, a, o.Alpha))
	w := b.Add(Mul{}, a, s)
	dx := []*graph.Value{nil, nil}
	if need[0] {
		slope := b.Add(Add{}, s, b.Add(Mul{}, mulC(b, w, o.Alpha), oneMinus(b, s)))
		dx[0] = b.Add(Mul{}, b.Add(Mul{}, dy[0], v), slope)
	}
	if need[1] {
		dx[1] = b.Add(Mul{}, dy[0], w)
	}
	return dx
}

// activationSamples is the cases of activationOps.
func activationSamples() map[string][]Sample {
	return map[string][]Sample{
		"Relu":    {Case(Relu{}, F(3, 4)), Case(Relu{}, F())},
		"Sigmoid": {Case(Sigmoid{}, FR(-4, 4, 3, 4))},
		"Tanh":    {Case(Tanh{}, FR(-3, 3, 3, 4))},
		"LeakyRelu": {
			Case(LeakyRelu{Alpha: 0.01}, F(3, 4)), Case(LeakyRelu{Alpha: -0.5}, F(3, 4))},
		"PRelu": {
			Case(PRelu{}, F(2, 3, 4), F(3, 1)), Case(PRelu{}, F(3, 4), F(3, 4))},
		"Elu": {
			Case(Elu{Alpha: 1}, FR(-3, 3, 3, 4)), Case(Elu{Alpha: 0.5}, F(5))},
		"Selu": {
			Case(Selu{Alpha: seluAlpha, Gamma: seluGamma}, FR(-3, 3, 3, 4)), Case(Selu{Alpha: 2, Gamma: 3}, F(5))},
		"Celu": {
			Case(Celu{Alpha: 1}, FR(-3, 3, 3, 4)), Case(Celu{Alpha: 2}, FR(-3, 3, 5))},
		"ThresholdedRelu": {
			Case(ThresholdedRelu{Alpha: 1}, FR(-3, 3, 3, 4)), Case(ThresholdedRelu{Alpha: 0.3}, F(5))},
		"HardSigmoid": {
			Case(HardSigmoid{Alpha: 0.2, Beta: 0.5}, FR(-4, 4, 3, 4)), Case(HardSigmoid{Alpha: 0.5, Beta: 0.6}, FR(-3, 3, 7))},
		"HardSwish": {Case(HardSwish{}, FR(-5, 5, 4, 5))},
		"Mish":      {Case(Mish{}, FR(-4, 4, 3, 4))},
		"Softplus":  {Case(Softplus{}, FR(-4, 4, 3, 4))},
		"Softsign":  {Case(Softsign{}, FR(-4, 4, 3, 4))},
		"Gelu": {
			Case(Gelu{Approximate: "none"}, FR(-3, 3, 3, 4)), Case(Gelu{Approximate: "tanh"}, FR(-3, 3, 3, 4))},
		"Swish": {
			Case(Swish{Alpha: 1}, FR(-4, 4, 3, 4)), Case(Swish{Alpha: 1.702}, FR(-3, 3, 5))},
		"Shrink": {
			Case(Shrink{Lambd: 0.5}, FR(-2, 2, 3, 4)), Case(Shrink{Lambd: 0.7, Bias: 0.3}, FR(-2, 2, 7))},
		"Clip": {
			Case(Clip{}, FR(-2, 2, 3, 4), scalarStill(-0.6), scalarStill(0.7)),
			Case(Clip{}, F(5), SampleIn{}, scalarStill(0.25)),
			Case(Clip{}, TV(tensor.Of([]int32{-5, 1, 9})), TV(tensor.Scalar(int32(0))))},
		"Erf": {Case(Erf{}, FR(-3, 3, 3, 4))},
		"SwiGLU": {
			Case(SwiGLU{Alpha: 1}, FR(-3, 3, 3, 4), F(3, 4)), Case(SwiGLU{Alpha: 1.5}, FR(-3, 3, 5), F(5))},
	}
}
