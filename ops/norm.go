package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// BatchNormalization normalizes each channel of x by a mean and variance, then scales and shifts. Inputs:
// x, scale, B, mean, var, the last four of shape [C]; and, while a training graph is made only, the weights
// (broadcast to x) that its elements have in a batch's statistics, which package train spells out.
//
// In inference mode the one output is (x-mean)/sqrt(var+Epsilon)*scale + B. With TrainingMode mean and
// (biased) variance are those of the batch, and there are five outputs: y; the running mean and variance,
// old*Momentum + batch*(1-Momentum); and, for the gradient, the batch's mean and 1/sqrt(var+Epsilon).
type BatchNormalization struct {
	Epsilon      float64
	Momentum     float64
	TrainingMode bool
	Format       Format // where the channels are: dimension 1, or the last
}

// Name implements graph.Op.
func (BatchNormalization) Name() string { return "BatchNormalization" }

// Infer implements graph.Op.
func (o BatchNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	most := 6
	if o.TrainingMode {
		most = 5
	}
	if err := arity(in, 5, most); err != nil {
		return nil, err
	}
	for i, t := range in {
		if !t.DType.IsFloat() {
			return nil, errs.Errorf("input %d is %v, not of a float type", i, t)
		}
	}
	c := ChannelDim(in[0], o.Format)
	for i, t := range in[1:5] {
		if err := isVector(t, c); err != nil {
			return nil, errs.Errorf("input %d: %w", i+1, err)
		}
		if !c.IsConst() && t.Rank() == 1 {
			c = t.Dims[0]
		}
	}
	out := []graph.Type{in[0].WithoutValue()}
	if o.TrainingMode {
		vec := graph.TensorOf(in[3].DType, c)
		out = append(out, vec, graph.TensorOf(in[4].DType, c), vec, vec)
	}
	return out, nil
}

// ChannelDim is the channel dimension of a spatial operator's data; 1 where it has none.
func ChannelDim(x graph.Type, f Format) graph.Dim {
	switch r := x.Rank(); {
	case r < 0:
		return graph.Unknown()
	case f == NHWC && r > 0:
		return x.Dims[r-1]
	case r > 1:
		return x.Dims[1]
	}
	return graph.D(1)
}

// isVector checks for a vector of c elements, as far as is known.
func isVector(t graph.Type, c graph.Dim) error {
	if t.Rank() >= 0 && (t.Rank() != 1 || !graph.Compatible(t.Dims[0], c)) {
		return errs.Errorf("%v is not a vector of the %v channels", t.WithoutValue(), c)
	}
	return nil
}

// perChannel brings a vector over the channels to the shape in which it broadcasts to x.
func perChannel(b *graph.Builder, v, x *graph.Value, f Format) *graph.Value {
	r := x.Type.Rank()
	if f == NHWC || r <= 2 {
		return v
	}
	axes := make([]int64, r-2)
	for i := range axes {
		axes[i] = int64(i + 1)
	}
	return b.Add(Unsqueeze{}, v, b.Ints(axes...))
}

// otherAxes is the axes of x but for the channels'.
func otherAxes(x *graph.Value, f Format) []int64 {
	axes := []int64{}
	r := x.Type.Rank()
	for i := range r {
		if f == NHWC && i != r-1 || f == NCHW && i != 1 {
			axes = append(axes, int64(i))
		}
	}
	return axes
}

// castTo is v in the element type dt.
//
//go:noinline
func castTo(b *graph.Builder, v *graph.Value, dt tensor.DType) *graph.Value {
	if v.Type.DType == dt {
		return v
	}
	return b.Add(Cast{To: dt, Saturate: true}, v)
}

// Decompose spells both modes by elementwise operators and reductions.
func (o BatchNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := in[0]
	if x.Type.Rank() < 1 {
		return nil
	}
	dt := x.Type.DType
	mean, variance := castTo(b, in[3], dt), castTo(b, in[4], dt)
	if o.TrainingMode {
		axes := b.Ints(otherAxes(x, o.Format)...)
		mean = b.Add(ReduceMean{}, x, axes)
		d := b.Add(Sub{}, x, perChannel(b, mean, x, o.Format))
		variance = b.Add(ReduceMean{}, square(b, d), axes)
	}
	inv := b.Add(Rsqrt{}, addC(b, variance, o.Epsilon))
	per := func(v *graph.Value) *graph.Value { return perChannel(b, castTo(b, v, dt), x, o.Format) }
	y := b.Add(Mul{}, b.Add(Sub{}, x, per(mean)), per(b.Add(Mul{}, castTo(b, in[1], dt), inv)))
	outs := one(b.Add(Add{}, y, per(in[2])))
	if !o.TrainingMode {
		return outs
	}
	run := func(old, batch *graph.Value) *graph.Value {
		return b.Add(Add{}, mulC(b, old, o.Momentum), mulC(b, castTo(b, batch, old.Type.DType), 1-o.Momentum))
	}
	to := in[3].Type.DType
	return append(outs, run(in[3], mean), run(in[4], variance), castTo(b, mean, to), castTo(b, inv, to))
}

// VJP is the closed form; in training mode through BatchNormalizationGrad. Running statistics carry none.
func (o BatchNormalization) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	if dy[0] == nil {
		return dx
	}
	x, scale := n.In[0], n.In[1]
	if o.TrainingMode {
		g := b.AddN(BatchNormalizationGrad{Format: o.Format}, dy[0], x, scale, n.Out[3], n.Out[4])
		dx[0], dx[1], dx[2] = g[0], g[1], castTo(b, g[2], n.In[2].Type.DType)
		return dx
	}
	dt := x.Type.DType
	axes := b.Ints(otherAxes(x, o.Format)...)
	mean := castTo(b, n.In[3], dt)
	inv := b.Add(Rsqrt{}, addC(b, castTo(b, n.In[4], dt), o.Epsilon))
	gain := b.Add(Mul{}, castTo(b, scale, dt), inv)
	if need[0] {
		dx[0] = b.Add(Mul{}, dy[0], perChannel(b, gain, x, o.Format))
	}
	var sum, moment *graph.Value // of dy and of dy*(x-mean), per channel
	if need[2] || need[3] {
		sum = b.Add(ReduceSum{}, dy[0], axes)
	}
	if need[1] || need[4] {
		d := b.Add(Sub{}, x, perChannel(b, mean, x, o.Format))
		moment = b.Add(ReduceSum{}, b.Add(Mul{}, dy[0], d), axes)
	}
	if need[1] {
		dx[1] = castTo(b, b.Add(Mul{}, moment, inv), scale.Type.DType)
	}
	if need[2] {
		dx[2] = castTo(b, sum, n.In[2].Type.DType)
	}
	if need[3] {
		dx[3] = castTo(b, b.Add(Neg{}, b.Add(Mul{}, sum, gain)), n.In[3].Type.DType)
	}
	if need[4] {
		cube := b.Add(Mul{}, gain, square(b, inv))
		dx[4] = castTo(b, mulC(b, b.Add(Mul{}, moment, cube), -0.5), n.In[4].Type.DType)
	}
	return dx
}

// BatchNormalizationGrad is the gradient of BatchNormalization in training mode: from dy, x, scale, the
// batch's mean and its 1/sqrt(var+Epsilon) to the gradients of x, scale and B.
type BatchNormalizationGrad struct {
	Format Format
}

// Name implements graph.Op.
func (BatchNormalizationGrad) Name() string { return "BatchNormalizationGrad" }

// Infer implements graph.Op.
func (o BatchNormalizationGrad) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 5, 5); err != nil {
		return nil, err
	}
	x, err := sameShape(in[1], in[0])
	if err != nil {
		return nil, err
	}
	for i, t := range in[2:] {
		if err := isVector(t, ChannelDim(x, o.Format)); err != nil {
			return nil, errs.Errorf("input %d: %w", i+2, err)
		}
	}
	vec := in[2].WithoutValue()
	return []graph.Type{x, vec, vec}, nil
}

// Decompose spells it by elementwise operators and reductions:
// dx = scale*inv * (dy - mean(dy) - xhat*mean(dy*xhat)).
func (o BatchNormalizationGrad) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	dy, x, scale := in[0], in[1], in[2]
	if x.Type.Rank() < 1 {
		return nil
	}
	dt := x.Type.DType
	axes := b.Ints(otherAxes(x, o.Format)...)
	per := func(v *graph.Value) *graph.Value { return perChannel(b, castTo(b, v, dt), x, o.Format) }
	hat := b.Add(Mul{}, b.Add(Sub{}, x, per(in[3])), per(in[4]))
	db := b.Add(ReduceSum{}, dy, axes)
	ds := b.Add(ReduceSum{}, b.Add(Mul{}, dy, hat), axes)
	share := shareOf(b, x, db)
	mean := b.Add(Add{}, per(b.Add(Mul{}, db, share)), b.Add(Mul{}, hat, per(b.Add(Mul{}, ds, share))))
	dx := b.Add(Mul{}, b.Add(Sub{}, dy, mean), per(b.Add(Mul{}, castTo(b, scale, dt), castTo(b, in[4], dt))))
	return []*graph.Value{dx, castTo(b, ds, scale.Type.DType), castTo(b, db, scale.Type.DType)}
}

// InstanceNormalization normalizes each channel of each instance of x, then scales and shifts by the
// vectors scale and B of shape [C].
type InstanceNormalization struct {
	Epsilon float64
	Format  Format
}

// Name implements graph.Op.
func (InstanceNormalization) Name() string { return "InstanceNormalization" }

// Infer implements graph.Op.
func (o InstanceNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 3, 3); err != nil {
		return nil, err
	}
	return inferScaled(in, o.Format)
}

// inferScaled is the inference of a normalization of in[0] with vectors over the channels behind it.
func inferScaled(in []graph.Type, f Format) ([]graph.Type, error) {
	if r := in[0].Rank(); r >= 0 && r < 2 {
		return nil, errs.Errorf("%v has no batch and channels", in[0].WithoutValue())
	}
	for i, t := range in[1:] {
		if err := isVector(t, ChannelDim(in[0], f)); err != nil {
			return nil, errs.Errorf("input %d: %w", i+1, err)
		}
	}
	return []graph.Type{in[0].WithoutValue()}, nil
}

// Decompose spells it by elementwise operators and reductions over the spatial axes.
func (o InstanceNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := in[0]
	r := x.Type.Rank()
	if r < 3 {
		return nil
	}
	axes := make([]int64, r-2)
	for i := range axes {
		axes[i] = int64(i + 2)
		if o.Format == NHWC {
			axes[i]--
		}
	}
	hat, _, _ := standardize(b, x, b.Ints(axes...), o.Epsilon)
	y := b.Add(Mul{}, hat, perChannel(b, in[1], x, o.Format))
	return one(b.Add(Add{}, y, perChannel(b, in[2], x, o.Format)))
}

// standardize is (x-mean)/sqrt(var+eps) over axes, with the mean and 1/sqrt(var+eps).
func standardize(b *graph.Builder, x, axes *graph.Value, eps float64) (hat, mean, inv *graph.Value) {
	mean = b.Add(ReduceMean{Keepdims: true}, x, axes)
	d := b.Add(Sub{}, x, mean)
	variance := b.Add(ReduceMean{Keepdims: true}, square(b, d), axes)
	inv = b.Add(Rsqrt{}, addC(b, variance, eps))
	return b.Add(Mul{}, d, inv), mean, inv
}

// GroupNormalization normalizes each of NumGroups groups of channels of each instance of x, then scales
// and shifts by the vectors scale and bias of shape [C]. StashType is the ONNX number of the type that
// the normalization is computed in (0 means 1, float32); kernels may use a wider one.
type GroupNormalization struct {
	Epsilon   float64
	NumGroups int
	StashType int
	Format    Format
}

// Name implements graph.Op.
func (GroupNormalization) Name() string { return "GroupNormalization" }

// Infer implements graph.Op.
func (o GroupNormalization) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 3, 3); err != nil {
		return nil, err
	}
	if o.NumGroups < 1 {
		return nil, errs.Errorf("num_groups is %d, not positive", o.NumGroups)
	}
	if c, ok := ChannelDim(in[0], o.Format).Const(); ok && c%o.NumGroups != 0 {
		return nil, errs.Errorf("%d channels do not divide into %d groups", c, o.NumGroups)
	}
	return inferScaled(in, o.Format)
}

// Decompose splits the channels into groups by Reshape.
func (o GroupNormalization) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x := in[0]
	r := x.Type.Rank()
	if r < 2 {
		return nil
	}
	shape := b.Ints(0, int64(o.NumGroups), -1)
	axes := b.Ints(2)
	if o.Format == NHWC {
		vs := make([]int64, r+1)
		over := []int64{int64(r)}
		vs[r-1], vs[r] = int64(o.NumGroups), -1
		for i := 1; i < r-1; i++ {
			over = append(over, int64(i))
		}
		shape, axes = b.Ints(vs...), b.Ints(over...)
	}
	dt := x.Type.DType
	wide := castTo(b, x, stashType(o.StashType, dt))
	hat, _, _ := standardize(b, b.Add(Reshape{}, wide, shape), axes, o.Epsilon)
	hat = castTo(b, b.Add(Reshape{}, hat, b.Add(Shape{}, x)), dt)
	y := b.Add(Mul{}, hat, perChannel(b, in[1], x, o.Format))
	return one(b.Add(Add{}, y, perChannel(b, in[2], x, o.Format)))
}

// stashType is the element type of an ONNX stash_type. Float64 data is never narrowed.
func stashType(n int, x tensor.DType) tensor.DType {
	switch {
	case n == onnxBFloat16:
		return tensor.BFloat16
	case n == onnxFloat16:
		return tensor.Float16
	case n == onnxFloat64 || x == tensor.Float64:
		return tensor.Float64
	}
	return tensor.Float32
}

// The numbers of TensorProto.DataType that a stash_type may be, but for 1, float32.
const (
	onnxFloat16  = 10
	onnxFloat64  = 11
	onnxBFloat16 = 16
)
