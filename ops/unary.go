package ops

import (
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// unaryOps is the family of elementwise functions of one argument that are no activations.
var unaryOps = []Info{
	{Neg{}, "-x"},
	{Abs{}, "|x|"},
	{Acos{}, "the arc cosine"},
	{Acosh{}, "the inverse hyperbolic cosine"},
	{Asin{}, "the arc sine"},
	{Asinh{}, "the inverse hyperbolic sine"},
	{Atan{}, "the arc tangent"},
	{Atanh{}, "the inverse hyperbolic tangent"},
	{Ceil{}, "the least integer not below x"},
	{Cos{}, "the cosine"},
	{Cosh{}, "the hyperbolic cosine"},
	{Digamma{}, "the derivative of lgamma"},
	{Exp{}, "e to the x"},
	{Expm1{}, "exp(x) - 1, exactly near 0"},
	{Floor{}, "the greatest integer not above x"},
	{Lgamma{}, "log |gamma(x)|"},
	{Log{}, "the natural logarithm"},
	{Log1p{}, "log(1 + x), exactly near 0"},
	{Reciprocal{}, "1 / x"},
	{Round{}, "the nearest integer, halves to even"},
	{Rsqrt{}, "1 / sqrt(x)"},
	{Sign{}, "-1, 0 or 1"},
	{Sin{}, "the sine"},
	{Sinh{}, "the hyperbolic sine"},
	{Sqrt{}, "the square root"},
	{Tan{}, "the tangent"},
	{Not{}, "logical not"},
	{BitwiseNot{}, "bitwise not"},
	{IsNaN{}, "whether x is NaN"},
	{IsInf{DetectPositive: true, DetectNegative: true}, "whether x is infinite"},
	{Identity{}, "its input"},
	{StopGradient{}, "its input, through which no gradient flows"},
}

func infs() *tensor.Tensor {
	return tensor.Of([]float32{1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())})
}

// Neg is -x.
type Neg struct{ numberMap }

// Name implements graph.Op.
func (Neg) Name() string { return "Neg" }

// Infer negates known contents.
func (Neg) Infer(in []graph.Type) ([]graph.Type, error) {
	out, err := numberMap{}.Infer(in)
	if err == nil {
		out[0].Ints = mapContents(in[0], func(d graph.Dim) graph.Dim { return graph.D(0).Sub(d) })
	}
	return out, err
}

// VJP is -dy.
func (Neg) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Neg{}, dy[0]))
}

// mapContents applies f to the known contents of an integer tensor of rank 0 or 1.
func mapContents(t graph.Type, f func(graph.Dim) graph.Dim) []graph.Dim {
	if !t.DType.IsInt() || t.Rank() < 0 || t.Rank() > 1 || t.Const != nil && t.Const.Len() > maxContents {
		return nil
	}
	ds, ok := t.Contents()
	if !ok {
		return nil
	}
	out := make([]graph.Dim, len(ds))
	for i, d := range ds {
		out[i] = f(d)
	}
	return out
}

// maxContents bounds the integer tensors whose contents inference follows: shapes and axes, not data.
const maxContents = 64

// Abs is |x|.
type Abs struct{ numberMap }

// Name implements graph.Op.
func (Abs) Name() string { return "Abs" }

// VJP is dy * sign(x).
func (Abs) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Sign{}, n.In[0])))
}

// Acos is the arc cosine.
type Acos struct{ floatMap }

// Name implements graph.Op.
func (Acos) Name() string { return "Acos" }

// VJP is -dy / sqrt(1-x*x).
func (Acos) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Neg{}, b.Add(Mul{}, dy[0], b.Add(Rsqrt{}, oneMinus(b, square(b, n.In[0]))))))
}

// Acosh is the inverse hyperbolic cosine.
type Acosh struct{ floatMap }

// Name implements graph.Op.
func (Acosh) Name() string { return "Acosh" }

// VJP is dy / sqrt(x*x-1), as 1/sinh(y).
func (Acosh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, dy[0], b.Add(Sinh{}, n.Out[0])))
}

// Asin is the arc sine.
type Asin struct{ floatMap }

// Name implements graph.Op.
func (Asin) Name() string { return "Asin" }

// VJP is dy / sqrt(1-x*x).
func (Asin) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Rsqrt{}, oneMinus(b, square(b, n.In[0])))))
}

// Asinh is the inverse hyperbolic sine.
type Asinh struct{ floatMap }

// Name implements graph.Op.
func (Asinh) Name() string { return "Asinh" }

// VJP is dy / sqrt(x*x+1), as 1/cosh(y).
func (Asinh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, dy[0], b.Add(Cosh{}, n.Out[0])))
}

// Atan is the arc tangent.
type Atan struct{ floatMap }

// Name implements graph.Op.
func (Atan) Name() string { return "Atan" }

// VJP is dy / (1+x*x).
func (Atan) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, dy[0], addC(b, square(b, n.In[0]), 1)))
}

// Atanh is the inverse hyperbolic tangent.
type Atanh struct{ floatMap }

// Name implements graph.Op.
func (Atanh) Name() string { return "Atanh" }

// VJP is dy / (1-x*x).
func (Atanh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, dy[0], oneMinus(b, square(b, n.In[0]))))
}

// Ceil is the least integer not below x.
type Ceil struct{ floatMap }

// Name implements graph.Op.
func (Ceil) Name() string { return "Ceil" }

// VJP is zero.
func (Ceil) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(nil)
}

// Cos is the cosine of x in radians.
type Cos struct{ floatMap }

// Name implements graph.Op.
func (Cos) Name() string { return "Cos" }

// VJP is -dy * sin(x).
func (Cos) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Neg{}, b.Add(Mul{}, dy[0], b.Add(Sin{}, n.In[0]))))
}

// Cosh is the hyperbolic cosine.
type Cosh struct{ floatMap }

// Name implements graph.Op.
func (Cosh) Name() string { return "Cosh" }

// VJP is dy * sinh(x).
func (Cosh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Sinh{}, n.In[0])))
}

// Digamma is the derivative of Lgamma. It has no gradient.
type Digamma struct{ floatMap }

// Name implements graph.Op.
func (Digamma) Name() string { return "Digamma" }

// Exp is e to the x.
type Exp struct{ floatMap }

// Name implements graph.Op.
func (Exp) Name() string { return "Exp" }

// VJP is dy * y.
func (Exp) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], n.Out[0]))
}

// Expm1 is exp(x) - 1, without cancellation near 0.
type Expm1 struct{ floatMap }

// Name implements graph.Op.
func (Expm1) Name() string { return "Expm1" }

// VJP is dy * (y+1).
func (Expm1) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], addC(b, n.Out[0], 1)))
}

// Floor is the greatest integer not above x.
type Floor struct{ floatMap }

// Name implements graph.Op.
func (Floor) Name() string { return "Floor" }

// VJP is zero.
func (Floor) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(nil)
}

// Lgamma is the logarithm of the absolute value of the gamma function.
type Lgamma struct{ floatMap }

// Name implements graph.Op.
func (Lgamma) Name() string { return "Lgamma" }

// VJP is dy * digamma(x).
func (Lgamma) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Digamma{}, n.In[0])))
}

// Log is the natural logarithm.
type Log struct{ floatMap }

// Name implements graph.Op.
func (Log) Name() string { return "Log" }

// VJP is dy / x.
func (Log) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, dy[0], n.In[0]))
}

// Log1p is log(1 + x), without cancellation near 0.
type Log1p struct{ floatMap }

// Name implements graph.Op.
func (Log1p) Name() string { return "Log1p" }

// VJP is dy / (1+x).
func (Log1p) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, dy[0], addC(b, n.In[0], 1)))
}

// Reciprocal is 1 / x.
type Reciprocal struct{ floatMap }

// Name implements graph.Op.
func (Reciprocal) Name() string { return "Reciprocal" }

// VJP is -dy * y * y.
func (Reciprocal) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Neg{}, b.Add(Mul{}, dy[0], square(b, n.Out[0]))))
}

// Round is the nearest integer; halves go to the even one.
type Round struct{ floatMap }

// Name implements graph.Op.
func (Round) Name() string { return "Round" }

// VJP is zero.
func (Round) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(nil)
}

// Rsqrt is 1 / sqrt(x).
type Rsqrt struct{ floatMap }

// Name implements graph.Op.
func (Rsqrt) Name() string { return "Rsqrt" }

// Decompose spells it by Sqrt and Reciprocal.
func (Rsqrt) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Reciprocal{}, b.Add(Sqrt{}, in[0])))
}

// VJP is -dy/2 * y*y*y.
func (Rsqrt) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	y := n.Out[0]
	return one(b.Add(Mul{}, mulC(b, dy[0], -0.5), b.Add(Mul{}, y, square(b, y))))
}

// Sign is -1, 0 or 1.
type Sign struct{ numberMap }

// Name implements graph.Op.
func (Sign) Name() string { return "Sign" }

// VJP is zero.
func (Sign) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(nil)
}

// Sin is the sine of x in radians.
type Sin struct{ floatMap }

// Name implements graph.Op.
func (Sin) Name() string { return "Sin" }

// VJP is dy * cos(x).
func (Sin) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Cos{}, n.In[0])))
}

// Sinh is the hyperbolic sine.
type Sinh struct{ floatMap }

// Name implements graph.Op.
func (Sinh) Name() string { return "Sinh" }

// VJP is dy * cosh(x).
func (Sinh) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], b.Add(Cosh{}, n.In[0])))
}

// Sqrt is the square root; NaN where x is negative.
type Sqrt struct{ floatMap }

// Name implements graph.Op.
func (Sqrt) Name() string { return "Sqrt" }

// VJP is dy / (2*y).
func (Sqrt) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Div{}, mulC(b, dy[0], 0.5), n.Out[0]))
}

// Tan is the tangent of x in radians.
type Tan struct{ floatMap }

// Name implements graph.Op.
func (Tan) Name() string { return "Tan" }

// VJP is dy * (1 + y*y).
func (Tan) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(Mul{}, dy[0], addC(b, square(b, n.Out[0]), 1)))
}

// Not is the logical negation of a bool tensor.
type Not struct{}

// Name implements graph.Op.
func (Not) Name() string { return "Not" }

// Infer implements graph.Op.
func (Not) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if in[0].DType != tensor.Bool {
		return nil, errs.Errorf("input is %v, not bool", in[0])
	}
	return sameAsFirst(in)
}

// MayAlias implements graph.Aliaser.
func (Not) MayAlias(in, out int) bool { return true }

// BitwiseNot flips the bits of an integer tensor.
type BitwiseNot struct{}

// Name implements graph.Op.
func (BitwiseNot) Name() string { return "BitwiseNot" }

// Infer implements graph.Op.
func (BitwiseNot) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := integers(in, 1, 1); err != nil {
		return nil, err
	}
	return sameAsFirst(in)
}

// MayAlias implements graph.Aliaser.
func (BitwiseNot) MayAlias(in, out int) bool { return true }

// integers checks for lo to hi tensors of one integer type.
func integers(in []graph.Type, lo, hi int) error {
	if err := arity(in, lo, hi); err != nil {
		return err
	}
	for i, t := range in {
		if !t.DType.IsInt() || t.Kind != graph.TensorKind {
			return errs.Errorf("input %d is %v, not of an integer type", i, t)
		}
	}
	_, err := sameDType(in)
	return err
}

// IsNaN tells where a float tensor is not a number.
type IsNaN struct{}

// Name implements graph.Op.
func (IsNaN) Name() string { return "IsNaN" }

// Infer implements graph.Op.
func (IsNaN) Infer(in []graph.Type) ([]graph.Type, error) { return floatToBool(in) }

// IsInf tells where a float tensor is infinite, with either sign or one of them.
type IsInf struct {
	DetectNegative, DetectPositive bool
}

// Name implements graph.Op.
func (IsInf) Name() string { return "IsInf" }

// Infer implements graph.Op.
func (IsInf) Infer(in []graph.Type) ([]graph.Type, error) { return floatToBool(in) }

func floatToBool(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	return []graph.Type{retyped(in[0], tensor.Bool)}, nil
}

// retyped is a tensor of t's shape with another element type.
func retyped(t graph.Type, dt tensor.DType) graph.Type {
	t = t.WithoutValue()
	t.DType = dt
	return t
}

// Identity is its input, a tensor or any other kind of value.
type Identity struct{}

// Name implements graph.Op.
func (Identity) Name() string { return "Identity" }

// Infer keeps what is known of the contents.
func (Identity) Infer(in []graph.Type) ([]graph.Type, error) { return copied(in) }

// copied is the type of a copy: a constant's elements become symbolic contents where they may be a shape.
func copied(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	t := in[0].WithoutValue()
	t.Ints = mapContents(in[0], func(d graph.Dim) graph.Dim { return d })
	return []graph.Type{t}, nil
}

// MayAlias implements graph.Aliaser.
func (Identity) MayAlias(in, out int) bool { return true }

// VJP passes the gradient.
func (Identity) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(dy[0])
}

// StopGradient is its input; no gradient flows back.
type StopGradient struct{}

// Name implements graph.Op.
func (StopGradient) Name() string { return "StopGradient" }

// Infer implements graph.Op.
func (StopGradient) Infer(in []graph.Type) ([]graph.Type, error) { return copied(in) }

// MayAlias implements graph.Aliaser.
func (StopGradient) MayAlias(in, out int) bool { return true }

// VJP is zero.
func (StopGradient) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(nil)
}

// unarySamples is the cases of unaryOps.
func unarySamples() map[string][]Sample {
	return map[string][]Sample{
		"Neg":        {Case(Neg{}, F(3, 4)), Case(Neg{}, IV(1, -2, 3))},
		"Abs":        {Case(Abs{}, F(3, 4)), Case(Abs{}, IV(1, -2, 3))},
		"Acos":       {Case(Acos{}, FR(-0.9, 0.9, 3, 4))},
		"Acosh":      {Case(Acosh{}, FR(1.2, 4, 3, 4))},
		"Asin":       {Case(Asin{}, FR(-0.9, 0.9, 3, 4))},
		"Asinh":      {Case(Asinh{}, FR(-3, 3, 3, 4))},
		"Atan":       {Case(Atan{}, FR(-3, 3, 3, 4))},
		"Atanh":      {Case(Atanh{}, FR(-0.9, 0.9, 3, 4))},
		"Ceil":       {Case(Ceil{}, FR(0.1, 0.9, 3, 4)), Case(Ceil{}, FR(-2.9, -2.1, 5))},
		"Cos":        {Case(Cos{}, FR(-3, 3, 3, 4))},
		"Cosh":       {Case(Cosh{}, FR(-2, 2, 3, 4))},
		"Digamma":    {Case(Digamma{}, FR(0.3, 9, 3, 4)), Case(Digamma{}, FR(-0.9, -0.1, 5))},
		"Exp":        {Case(Exp{}, FR(-2, 2, 3, 4))},
		"Expm1":      {Case(Expm1{}, FR(-2, 2, 3, 4))},
		"Floor":      {Case(Floor{}, FR(0.1, 0.9, 3, 4)), Case(Floor{}, FR(-2.9, -2.1, 5))},
		"Lgamma":     {Case(Lgamma{}, FR(0.5, 6, 3, 4))},
		"Log":        {Case(Log{}, FR(0.3, 4, 3, 4))},
		"Log1p":      {Case(Log1p{}, FR(-0.5, 3, 3, 4))},
		"Reciprocal": {Case(Reciprocal{}, FR(0.5, 2, 3, 4))},
		"Round": {Case(Round{}, FR(0.6, 1.4, 3, 4)),
			Case(Round{}, SampleIn{DType: tensor.Float32, NoGrad: true, Data: tensor.Of([]float32{0.5, 1.5, 2.5, -0.5, -1.5})})},
		"Rsqrt":      {Case(Rsqrt{}, FR(0.5, 2, 3, 4))},
		"Sign":       {Case(Sign{}, F(3, 4)), Case(Sign{}, IV(-3, 0, 5))},
		"Sin":        {Case(Sin{}, FR(-3, 3, 3, 4))},
		"Sinh":       {Case(Sinh{}, FR(-2, 2, 3, 4))},
		"Sqrt":       {Case(Sqrt{}, FR(0.3, 4, 3, 4))},
		"Tan":        {Case(Tan{}, FR(-1.2, 1.2, 3, 4))},
		"Not":        {Case(Not{}, TV(tensor.Of([]bool{true, false})))},
		"BitwiseNot": {Case(BitwiseNot{}, IV(0, 5, -7))},
		"IsNaN":      {Case(IsNaN{}, TV(tensor.Of([]float32{1, float32(math.NaN()), float32(math.Inf(1))})))},
		"IsInf": {
			Case(IsInf{DetectPositive: true, DetectNegative: true}, TV(infs())), Case(IsInf{DetectPositive: true}, TV(infs()))},
		"Identity": {Case(Identity{}, F(3, 4)), Case(Identity{}, IV(1, 2))},
		"StopGradient": {
			Case(StopGradient{}, SampleIn{DType: tensor.Float32, Shape: []int{3, 4}, NoGrad: true})},
	}
}
