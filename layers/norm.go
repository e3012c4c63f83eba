package layers

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var normRows = []row{
	{class: "BatchNormalization", make: func() Layer { return new(BatchNormalization) }, masks: true, aliases: []string{"BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"}},
	{class: "LayerNormalization", make: func() Layer { return new(LayerNormalization) }, masks: true},
	{class: "GroupNormalization", make: func() Layer { return new(GroupNormalization) }, masks: true},
	{class: "RMSNormalization", make: func() Layer { return new(RMSNormalization) }, masks: true},
	{class: "UnitNormalization", make: func() Layer { return new(UnitNormalization) }, masks: true},
	{class: "SpectralNormalization", make: func() Layer { return new(SpectralNormalization) }, masks: true},
}

// BatchNormalization scales each channel by the statistics of the training set: gamma * (x - moving_mean) /
// sqrt(moving_variance + epsilon) + beta.
type BatchNormalization struct {
	Base
	Axis                      *int     `def:"-1"`
	Momentum                  *float64 `def:"0.99"`
	Epsilon                   *float64 `def:"0.001"`
	NoCenter                  bool     `keras:"center,not"`
	NoScale                   bool     `keras:"scale,not"`
	BetaInitializer           *Object  `init:"Zeros"`
	GammaInitializer          *Object  `init:"Ones"`
	MovingMeanInitializer     *Object  `init:"Zeros"`
	MovingVarianceInitializer *Object  `init:"Ones"`
	BetaRegularizer           *Object
	GammaRegularizer          *Object
	BetaConstraint            *Object
	GammaConstraint           *Object
	Synchronized              bool
	Renorm                    bool
	RenormClipping            any
	RenormMomentum            *float64 `def:"0.99"`
}

// Call implements Layer.
func (l *BatchNormalization) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	r := c.rank(x)
	if r < 1 {
		c.Failf("takes inputs of rank 1 or more, got %v", x.Type)
		return one(x)
	}
	axis := c.axis(orInt(l.Axis, -1), r)
	n := []int{c.dim(x, axis)}
	dt := c.variableType()
	var gamma, beta *graph.Value
	if !l.NoScale {
		gamma = c.Variable("gamma", n, With(orInit(l.GammaInitializer, "Ones"), l.GammaRegularizer, l.GammaConstraint))
	}
	if !l.NoCenter {
		beta = c.Variable("beta", n, With(orInit(l.BetaInitializer, "Zeros"), l.BetaRegularizer, l.BetaConstraint))
	}
	mean := c.Variable("moving_mean", n, With(orInit(l.MovingMeanInitializer, "Zeros"), nil, nil), NotTrainable())
	variance := c.Variable("moving_variance", n, With(orInit(l.MovingVarianceInitializer, "Ones"), nil, nil), NotTrainable())
	if l.Renorm {
		c.Variable("moving_stddev", n, From("Ones"), NotTrainable())
		c.Variable("renorm_mean", n, From("Zeros"), NotTrainable())
		c.Variable("renorm_stddev", n, From("Ones"), NotTrainable())
	}
	if c.Err() != nil {
		return one(x)
	}
	if gamma == nil {
		gamma = c.expand(c.scalar(dt, 1), []graph.Dim{graph.D(n[0])})
	}
	if beta == nil {
		beta = c.expand(c.scalar(dt, 0), []graph.Dim{graph.D(n[0])})
	}
	// The operator has its channels on axis 1, or last in NHWC.
	op := ops.BatchNormalization{Epsilon: orFloat(l.Epsilon, 1e-3), Momentum: orFloat(l.Momentum, 0.99)}
	perm := identityPerm(r)
	switch {
	case axis == r-1:
		op.Format = ops.NHWC
	case axis == 1:
	case axis == 0 && r > 1:
		perm[0], perm[1] = 1, 0
	default:
		perm = append(slices.Delete(perm, axis, axis+1), axis)
		op.Format = ops.NHWC
	}
	y := c.cast(c.transpose(x, perm...), dt)
	in := []*graph.Value{y, gamma, beta, mean, variance}
	if mask := c.InMask(); mask != nil && c.Opts.Training {
		if mr := c.rank(mask); mr != r-1 {
			c.Failf("takes masks of one dimension less than its inputs %v, got %v", x.Type, mask.Type)
			return one(x)
		}
		in = append(in, c.transpose(c.expandDims(c.cast(mask, dt), -1), perm...))
	}
	y = c.AddN(op, in...)[0]
	return one(c.cast(c.transpose(y, inversePerm(perm)...), x.Type.DType))
}

//go:noinline
func identityPerm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	return p
}

func inversePerm(p []int) []int {
	q := make([]int, len(p))
	for i, v := range p {
		q[v] = i
	}
	return q
}

// LayerNormalization scales each sample by its own mean and variance over some axes.
type LayerNormalization struct {
	Base
	Axis             []int    `def:"[-1]"`
	Epsilon          *float64 `def:"0.001"`
	NoCenter         bool     `keras:"center,not"`
	NoScale          bool     `keras:"scale,not"`
	RmsScaling       bool
	BetaInitializer  *Object `init:"Zeros"`
	GammaInitializer *Object `init:"Ones"`
	BetaRegularizer  *Object
	GammaRegularizer *Object
	BetaConstraint   *Object
	GammaConstraint  *Object
}

// Call implements Layer.
func (l *LayerNormalization) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	r := c.rank(x)
	if c.Err() != nil {
		return one(x)
	}
	axes, shape, sizes := c.normAxes(x, l.Axis)
	var gamma, beta *graph.Value
	if !l.NoScale || l.RmsScaling {
		gamma = c.Weight("gamma", sizes, With(orInit(l.GammaInitializer, "Ones"), l.GammaRegularizer, l.GammaConstraint))
	}
	if !l.NoCenter && !l.RmsScaling {
		beta = c.Weight("beta", sizes, With(orInit(l.BetaInitializer, "Zeros"), l.BetaRegularizer, l.BetaConstraint))
	}
	if c.Err() != nil {
		return one(x)
	}
	eps := orFloat(l.Epsilon, 1e-3)
	trailing := axes[0] == r-len(axes)
	if trailing && gamma != nil && !l.RmsScaling {
		return one(c.AddN(ops.LayerNormalization{Axis: axes[0], Epsilon: eps, StashType: stashType(x)}, x, gamma, beta)[0])
	}
	if l.RmsScaling { // Keras divides by the standard deviation here, about the mean, but doesn't centre
		return one(c.rmsScale(x, gamma, shape, axes, eps))
	}
	d := c.sub(x, c.mean(x, true, axes...))
	v := c.mean(c.mul(d, d), true, axes...)
	y := c.div(d, c.Add(ops.Sqrt{}, c.addN(v, eps)))
	if gamma != nil {
		y = c.mul(y, c.reshapeTo(gamma, shape...))
	}
	if beta != nil {
		y = c.add(y, c.reshapeTo(beta, shape...))
	}
	return one(y)
}

// normAxes is the axes to normalize over (nil: the last) in order, x's shape with 1 for all others, and their
// sizes.
func (c *Call) normAxes(x *graph.Value, axes []int) (sorted, shape, sizes []int) {
	if axes == nil {
		axes = []int{-1}
	}
	r := c.rank(x)
	for _, a := range axes {
		sorted = append(sorted, c.axis(a, r))
	}
	slices.Sort(sorted)
	shape = repeat(1, r)
	for _, a := range sorted {
		sizes = append(sizes, c.dim(x, a))
		shape[a] = c.dim(x, a)
	}
	return sorted, shape, sizes
}

// stashType is ONNX's number of the type in which the mean is computed: double for double, float otherwise.
func stashType(x *graph.Value) int {
	if x.Type.DType == tensor.Float64 {
		return 11
	}
	return 1
}

// rmsScale is x * gamma / sqrt(variance + eps).
func (c *Call) rmsScale(x, gamma *graph.Value, shape, axes []int, eps float64) *graph.Value {
	d := c.sub(x, c.mean(x, true, axes...))
	v := c.mean(c.mul(d, d), true, axes...)
	y := c.div(x, c.Add(ops.Sqrt{}, c.addN(v, eps)))
	return c.mul(y, c.reshapeTo(gamma, shape...))
}

// GroupNormalization normalizes groups of channels of each sample. Groups -1 is one for each channel.
type GroupNormalization struct {
	Base
	Groups           int      `def:"32"`
	Axis             *int     `def:"-1"`
	Epsilon          *float64 `def:"0.001"`
	NoCenter         bool     `keras:"center,not"`
	NoScale          bool     `keras:"scale,not"`
	BetaInitializer  *Object  `init:"Zeros"`
	GammaInitializer *Object  `init:"Ones"`
	BetaRegularizer  *Object
	GammaRegularizer *Object
	BetaConstraint   *Object
	GammaConstraint  *Object
}

// Call implements Layer.
func (l *GroupNormalization) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	r := c.rank(x)
	if c.Err() != nil {
		return one(x)
	}
	axis := c.axis(orInt(l.Axis, -1), r)
	n := c.dim(x, axis)
	groups := l.Groups
	switch groups {
	case 0:
		groups = 32
	case -1:
		groups = n
	}
	if groups < 1 || n < 1 || n%groups != 0 {
		c.Failf("%d channels can't be cut into %d groups", n, groups)
		return one(x)
	}
	var gamma, beta *graph.Value
	if !l.NoScale {
		gamma = c.Weight("gamma", []int{n}, With(orInit(l.GammaInitializer, "Ones"), l.GammaRegularizer, l.GammaConstraint))
	}
	if !l.NoCenter {
		beta = c.Weight("beta", []int{n}, With(orInit(l.BetaInitializer, "Zeros"), l.BetaRegularizer, l.BetaConstraint))
	}
	// Cut the axis into groups, and normalize over everything but batch and group.
	dims := slices.Clone(x.Type.Dims)
	cut := append(slices.Clone(dims[:axis]), graph.D(groups), graph.D(n/groups))
	cut = append(cut, dims[axis+1:]...)
	g := c.reshape(x, cut)
	var axes []int
	for i := 1; i < r+1; i++ {
		if i != axis {
			axes = append(axes, i)
		}
	}
	d := c.sub(g, c.mean(g, true, axes...))
	v := c.mean(c.mul(d, d), true, axes...)
	y := c.reshape(c.div(d, c.Add(ops.Sqrt{}, c.addN(v, orFloat(l.Epsilon, 1e-3)))), dims, x)
	shape := repeat(1, r)
	shape[axis] = n
	if gamma != nil {
		y = c.mul(y, c.reshapeTo(gamma, shape...))
	}
	if beta != nil {
		y = c.add(y, c.reshapeTo(beta, shape...))
	}
	return one(y)
}

// RMSNormalization divides by the root of the mean square over some axes.
type RMSNormalization struct {
	Base
	Axis    []int    `def:"[-1]"`
	Epsilon *float64 `def:"1e-06"`
}

// Call implements Layer.
func (l *RMSNormalization) Call(c *Call) []*graph.Value {
	x := c.FloatArg(0)
	axes, shape, sizes := c.normAxes(x, l.Axis)
	scale := c.Weight("scale", sizes, From("Ones"))
	ms := c.mean(c.mul(x, x), true, axes...)
	y := c.div(x, c.Add(ops.Sqrt{}, c.addN(ms, orFloat(l.Epsilon, 1e-6))))
	return one(c.mul(y, c.reshapeTo(scale, shape...)))
}

// UnitNormalization divides by the L2 norm over some axes.
type UnitNormalization struct {
	Base
	Axis []int `def:"[-1]"`
}

// Call implements Layer.
func (l *UnitNormalization) Call(c *Call) []*graph.Value {
	axes := l.Axis
	if axes == nil {
		axes = []int{-1}
	}
	return one(c.l2normalize(c.FloatArg(0), axes...))
}

// l2normalize is x / sqrt(max(sum x*x, 1e-12)).
func (c *Call) l2normalize(x *graph.Value, axes ...int) *graph.Value {
	s := c.sum(c.mul(x, x), true, axes...)
	return c.div(x, c.Add(ops.Sqrt{}, c.Add(ops.Max{}, s, c.num(s, 1e-12))))
}

// SpectralNormalization wraps a layer and divides its kernel by an estimate of its largest singular value,
// updated in training.
type SpectralNormalization struct {
	Base
	Layer           Layer
	PowerIterations int `def:"1"`
}

func (l *SpectralNormalization) inner() Layer { return l.Layer }

// Call implements Layer.
func (l *SpectralNormalization) Call(c *Call) []*graph.Value {
	if l.Layer == nil {
		c.Failf("has no layer")
		return one(c.X())
	}
	out := c.Sub("layer", l.Layer, c.X())
	if c.Err() != nil {
		return out
	}
	st := c.st.sub(l.Layer)
	var kernel *Weight
	for _, name := range []string{"kernel", "embeddings"} {
		if kernel == nil {
			kernel = st.weight(name)
		}
	}
	if kernel == nil {
		c.Failf("layer %q has neither kernel nor embeddings", l.Layer.Common().Name)
		return out
	}
	c.st.shared = []*Weight{kernel}
	c.Variable("vector_u", []int{1, kernel.Shape[len(kernel.Shape)-1]}, From("TruncatedNormal"), NotTrainable())
	return out
}
