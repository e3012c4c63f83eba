package ops

import (
	"fmt"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// LayerNormalization normalizes x over the axes from Axis on, then scales and shifts by Scale and B (which
// may be omitted), both broadcast to x. Outputs: y, and the mean and 1/sqrt(var+Epsilon), with dimensions
// of 1 for the axes normalized, in the stash type. StashType is its ONNX number (0 means 1, float32).
type LayerNormalization struct {
	Axis      int
	Epsilon   float64
	StashType int
}

// Name implements graph.Op.
func (LayerNormalization) Name() string { return "LayerNormalization" }

// Infer implements graph.Op.
func (o LayerNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 2, 3); err != nil {
		return nil, err
	}
	x := in[0]
	u := stashOut(o.StashType)
	if x.Rank() < 0 {
		return []graph.Type{x.WithoutValue(), graph.UnrankedOf(u), graph.UnrankedOf(u)}, nil
	}
	axis, err := normAxis(o.Axis, x.Rank())
	if err != nil {
		return nil, err
	}
	for i, t := range in[1:] {
		if t.DType.Valid() {
			if err := broadcastsTo(t, x, fmt.Sprintf("input %d", i+1)); err != nil {
				return nil, err
			}
		}
	}
	stat := graph.TensorOf(u, reducedFrom(x.Dims, axis)...)
	return []graph.Type{x.WithoutValue(), stat, stat}, nil
}

// reducedFrom is dims with 1 from axis on.
func reducedFrom(dims []graph.Dim, axis int) []graph.Dim {
	out := append([]graph.Dim{}, dims...)
	for i := axis; i < len(out); i++ {
		out[i] = graph.D(1)
	}
	return out
}

// stashOut is the element type of outputs in the stash type.
func stashOut(n int) tensor.DType { return stashType(n, tensor.Float32) }

// axesFrom is the axes from axis to the last.
func axesFrom(axis, rank int) []int64 {
	if axis < 0 {
		axis += rank
	}
	axes := []int64{}
	for i := axis; i < rank; i++ {
		axes = append(axes, int64(i))
	}
	return axes
}

// Decompose follows ONNX's function body.
func (o LayerNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := in[0]
	if x.Type.Rank() < 1 {
		return nil
	}
	dt, u := x.Type.DType, stashType(o.StashType, x.Type.DType)
	hat, mean, inv := standardize(b, castTo(b, x, u), b.Ints(axesFrom(o.Axis, x.Type.Rank())...), o.Epsilon)
	y := b.Add(Mul{}, castTo(b, hat, dt), in[1])
	if len(in) > 2 && in[2] != nil {
		y = b.Add(Add{}, y, in[2])
	}
	to := stashOut(o.StashType)
	return []*graph.Value{y, castTo(b, mean, to), castTo(b, inv, to)}
}

// VJP is the closed form by LayerNormalizationGrad, and where a gradient of the mean or of inv =
// 1/sqrt(var+Epsilon) comes in, their parts: dmean/n and -dinv*inv^3*(x-mean)/n.
func (o LayerNormalization) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	x, scale := n.In[0], n.In[1]
	if dy[0] != nil {
		g := b.AddN(LayerNormalizationGrad{Axis: o.Axis}, dy[0], x, scale, n.Out[1], n.Out[2])
		dx[0], dx[1] = g[0], g[1]
		if len(dx) > 2 && need[2] {
			dx[2] = sumTo(b, dy[0], n.In[2])
		}
	}
	dt := x.Type.DType
	share := func(v *graph.Value) *graph.Value { return b.Add(Mul{}, castTo(b, v, dt), shareOf(b, x, n.Out[1])) }
	sum := func(v *graph.Value) {
		if dx[0] != nil {
			v = b.Add(Add{}, dx[0], v)
		}
		dx[0] = v
	}
	if dy[1] != nil && need[0] {
		sum(expandLike(b, share(dy[1]), x))
	}
	if dy[2] != nil && need[0] {
		inv := castTo(b, n.Out[2], dt)
		slope := b.Add(Neg{}, b.Add(Mul{}, share(dy[2]), b.Add(Mul{}, inv, square(b, inv))))
		sum(b.Add(Mul{}, slope, b.Add(Sub{}, x, castTo(b, n.Out[1], dt))))
	}
	return dx
}

// LayerNormalizationGrad is the gradient of LayerNormalization: from dy, x, Scale, the mean and
// 1/sqrt(var+Epsilon) to the gradients of x and Scale.
type LayerNormalizationGrad struct {
	Axis int
}

// Name implements graph.Op.
func (LayerNormalizationGrad) Name() string { return "LayerNormalizationGrad" }

// Infer implements graph.Op.
func (o LayerNormalizationGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 5, 5); err != nil {
		return nil, err
	}
	x, err := sameShape(in[1], in[0])
	if err != nil {
		return nil, err
	}
	if x.Rank() >= 0 {
		if _, err := normAxis(o.Axis, x.Rank()); err != nil {
			return nil, err
		}
	}
	return []graph.Type{x, in[2].WithoutValue()}, nil
}

// Decompose spells it by elementwise operators and reductions, with g = dy*Scale:
// dx = inv * (g - mean(g) - xhat*mean(g*xhat)).
func (o LayerNormalizationGrad) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	dy, x, scale := in[0], in[1], in[2]
	if x.Type.Rank() < 1 {
		return nil
	}
	axes := b.Ints(axesFrom(o.Axis, x.Type.Rank())...)
	inv := castTo(b, in[4], x.Type.DType)
	hat := b.Add(Mul{}, b.Add(Sub{}, x, castTo(b, in[3], x.Type.DType)), inv)
	g := b.Add(Mul{}, dy, scale)
	mean := func(v *graph.Value) *graph.Value { return b.Add(ReduceMean{Keepdims: true}, v, axes) }
	rest := b.Add(Add{}, mean(g), b.Add(Mul{}, hat, mean(b.Add(Mul{}, g, hat))))
	return []*graph.Value{b.Add(Mul{}, inv, b.Add(Sub{}, g, rest)), sumTo(b, b.Add(Mul{}, dy, hat), scale)}
}

// RMSNormalization divides x by its root mean square over the axes from Axis on, then scales by scale,
// broadcast to x. The output has scale's element type. StashType is as for LayerNormalization.
type RMSNormalization struct {
	Axis      int
	Epsilon   float64
	StashType int
}

// Name implements graph.Op.
func (RMSNormalization) Name() string { return "RMSNormalization" }

// Infer implements graph.Op.
func (o RMSNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 2, 2); err != nil {
		return nil, err
	}
	if !in[0].DType.IsFloat() || !in[1].DType.IsFloat() {
		return nil, errs.Errorf("inputs are not of float types: %s", typeList(in))
	}
	if r := in[0].Rank(); r >= 0 {
		if _, err := normAxis(o.Axis, r); err != nil {
			return nil, err
		}
	}
	if err := broadcastsTo(in[1], in[0], "scale"); err != nil {
		return nil, err
	}
	return []graph.Type{retyped(in[0], in[1].DType)}, nil
}

// Decompose follows ONNX's function body.
func (o RMSNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := in[0]
	if x.Type.Rank() < 1 {
		return nil
	}
	wide := castTo(b, x, stashType(o.StashType, x.Type.DType))
	axes := b.Ints(axesFrom(o.Axis, x.Type.Rank())...)
	ms := b.Add(ReduceMean{Keepdims: true}, square(b, wide), axes)
	hat := b.Add(Mul{}, wide, b.Add(Rsqrt{}, addC(b, ms, o.Epsilon)))
	return one(b.Add(Mul{}, castTo(b, hat, in[1].Type.DType), in[1]))
}

// LpNormalization divides x by its norm along Axis: the sum of absolute values with P 1, the Euclidean
// norm with P 2. Where the norm is 0 so is the output.
type LpNormalization struct {
	Axis int
	P    int
}

// Name implements graph.Op.
func (LpNormalization) Name() string { return "LpNormalization" }

// Infer implements graph.Op.
func (o LpNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	if o.P != 1 && o.P != 2 {
		return nil, errs.Errorf("p is %d, not 1 or 2", o.P)
	}
	return inferAxis(in, o.Axis)
}

// Decompose spells it by ReduceL1 or ReduceL2.
func (o LpNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	axes := b.Ints(int64(o.Axis))
	var norm *graph.Value
	if o.P == 1 {
		norm = b.Add(ReduceL1{Keepdims: true}, in[0], axes)
	} else {
		norm = b.Add(ReduceL2{Keepdims: true}, in[0], axes)
	}
	safe := b.Add(Where{}, b.Add(Equal{}, norm, constLike(b, norm, 0)), constLike(b, norm, 1), norm)
	return one(b.Add(Div{}, in[0], safe))
}

// LRN is local response normalization: x / (Bias + Alpha/Size * s)^Beta, where s is the sum of squares
// over the Size channels around each.
type LRN struct {
	Alpha, Beta, Bias float64
	Size              int
	Format            Format
}

// Name implements graph.Op.
func (LRN) Name() string { return "LRN" }

// Infer implements graph.Op.
func (o LRN) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	if o.Size < 1 {
		return nil, errs.Errorf("size is %d, not positive", o.Size)
	}
	if r := in[0].Rank(); r >= 0 && r < 2 {
		return nil, errs.Errorf("%v has no channels", in[0].WithoutValue())
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// VJP is LRNGrad.
func (o LRN) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	return one(b.Add(LRNGrad(o), dy[0], n.In[0]))
}

// LRNGrad is the gradient of LRN: from dy and x to that of x.
type LRNGrad struct {
	Alpha, Beta, Bias float64
	Size              int
	Format            Format
}

// Name implements graph.Op.
func (LRNGrad) Name() string { return "LRNGrad" }

// Infer implements graph.Op.
func (o LRNGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 2, 2); err != nil {
		return nil, err
	}
	t, err := sameShape(in[1], in[0])
	return []graph.Type{t}, err
}

// MeanVarianceNormalization is (x-mean) / (sqrt(var) + 1e-9) over Axes.
type MeanVarianceNormalization struct {
	Axes []int
}

// Name implements graph.Op.
func (MeanVarianceNormalization) Name() string { return "MeanVarianceNormalization" }

// Infer implements graph.Op.
func (o MeanVarianceNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	if r := in[0].Rank(); r >= 0 {
		if _, err := ReducedAxes(o.Axes, r, false); err != nil {
			return nil, err
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// mvnEpsilon keeps MeanVarianceNormalization from dividing by 0, as ONNX's function body does.
const mvnEpsilon = 1e-9

// Decompose spells it by elementwise operators and reductions.
func (o MeanVarianceNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	axes := make([]int64, len(o.Axes))
	for i, a := range o.Axes {
		axes[i] = int64(a)
	}
	over := b.Ints(axes...)
	d := b.Add(Sub{}, in[0], b.Add(ReduceMean{Keepdims: true}, in[0], over))
	std := b.Add(Sqrt{}, b.Add(ReduceMean{Keepdims: true}, square(b, d), over))
	return one(b.Add(Div{}, d, addC(b, std, mvnEpsilon)))
}
