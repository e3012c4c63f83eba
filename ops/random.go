package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// randomOps is the family of random numbers.
//
// There are three sources. With a key, an int64 vector of two (stream and counter), numbers come from
// Philox4x32-10 and depend on key and element index alone: word i of the sequence At(stream, counter, i)
// of internal/philox, on every device. Otherwise, with HasSeed, they are the draws of numpy's
// RandomState(seed), as ONNX's reference evaluator makes them. Without either they differ at each run.
var randomOps = []Info{
	{RandomNormal{Dtype: tensor.Float32, Scale: 1}, "normally distributed numbers"},
	{RandomNormalLike{Scale: 1}, "normally distributed numbers in the shape of the input"},
	{RandomUniform{Dtype: tensor.Float32, High: 1}, "uniformly distributed numbers"},
	{RandomUniformLike{High: 1}, "uniformly distributed numbers in the shape of the input"},
	{Multinomial{Dtype: tensor.Int32, SampleSize: 1}, "draws from rows of log-probabilities"},
	{Bernoulli{}, "1 with the probability in the input, else 0"},
	{Dropout{}, "in training, zeroes a part and scales up the rest"},
	{PhiloxUniform{Dtype: tensor.Float32, High: 1}, "uniformly distributed numbers of a key"},
	{PhiloxNormal{Dtype: tensor.Float32, Scale: 1}, "normally distributed numbers of a key"},
}

func noGrad(shape ...int) SampleIn {
	return SampleIn{DType: tensor.Float32, Shape: shape, NoGrad: true}
}

// inferShaped is the type of random numbers of a fixed shape.
func inferShaped(in []graph.Type, dt tensor.DType, shape []int) ([]graph.Type, error) {
	if err := arity(in, 0, 0); err != nil {
		return nil, err
	}
	if !dt.IsFloat() {
		return nil, errs.Errorf("dtype is %v, not a float type", dt)
	}
	if _, err := tensor.NumElements(shape); err != nil {
		return nil, err
	}
	return []graph.Type{graph.TensorOf(dt, graph.Dims(shape...)...)}, nil
}

// inferLike is the type of random numbers in the shape of the input: in dt, or the input's type where dt
// is Invalid.
func inferLike(in []graph.Type, dt tensor.DType, ok func(tensor.DType) bool) ([]graph.Type, error) {
	if err := arity(in, 1, 1); err != nil {
		return nil, err
	}
	if err := tensors(in); err != nil {
		return nil, err
	}
	if dt == tensor.Invalid {
		dt = in[0].DType
	}
	if !ok(dt) {
		return nil, errs.Errorf("no random numbers of type %v", dt)
	}
	return []graph.Type{retyped(in[0], dt)}, nil
}

// RandomNormal is numbers of a normal distribution, of that Shape.
type RandomNormal struct {
	Dtype       tensor.DType
	Mean, Scale float64
	Seed        float64
	HasSeed     bool
	Shape       []int
}

// Name implements graph.Op.
func (RandomNormal) Name() string { return "RandomNormal" }

// Infer implements graph.Op.
func (o RandomNormal) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferShaped(in, o.Dtype, o.Shape)
}

// Stateful implements graph.Stateful.
func (o RandomNormal) Stateful() bool { return !o.HasSeed }

// RandomNormalLike is numbers of a normal distribution, in the input's shape, and in its type where Dtype
// is Invalid.
type RandomNormalLike struct {
	Dtype       tensor.DType
	Mean, Scale float64
	Seed        float64
	HasSeed     bool
}

// Name implements graph.Op.
func (RandomNormalLike) Name() string { return "RandomNormalLike" }

// Infer implements graph.Op.
func (o RandomNormalLike) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferLike(in, o.Dtype, tensor.DType.IsFloat)
}

// Stateful implements graph.Stateful.
func (o RandomNormalLike) Stateful() bool { return !o.HasSeed }

// RandomUniform is numbers uniform in [Low, High), of that Shape.
type RandomUniform struct {
	Dtype     tensor.DType
	Low, High float64
	Seed      float64
	HasSeed   bool
	Shape     []int
}

// Name implements graph.Op.
func (RandomUniform) Name() string { return "RandomUniform" }

// Infer implements graph.Op.
func (o RandomUniform) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferShaped(in, o.Dtype, o.Shape)
}

// Stateful implements graph.Stateful.
func (o RandomUniform) Stateful() bool { return !o.HasSeed }

// RandomUniformLike is numbers uniform in [Low, High), in the input's shape, and in its type where Dtype
// is Invalid.
type RandomUniformLike struct {
	Dtype     tensor.DType
	Low, High float64
	Seed      float64
	HasSeed   bool
}

// Name implements graph.Op.
func (RandomUniformLike) Name() string { return "RandomUniformLike" }

// Infer implements graph.Op.
func (o RandomUniformLike) Infer(in []graph.Type) ([]graph.Type, error) {
	return inferLike(in, o.Dtype, tensor.DType.IsFloat)
}

// Stateful implements graph.Stateful.
func (o RandomUniformLike) Stateful() bool { return !o.HasSeed }

// Multinomial draws SampleSize class indices from each row of unnormalized log-probabilities [batch,
// classes], with replacement, in the type Dtype (int32 or int64).
type Multinomial struct {
	Dtype      tensor.DType
	SampleSize int
	Seed       float64
	HasSeed    bool
}

// Name implements graph.Op.
func (Multinomial) Name() string { return "Multinomial" }

// Infer implements graph.Op.
func (o Multinomial) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	if o.Dtype != tensor.Int32 && o.Dtype != tensor.Int64 {
		return nil, errs.Errorf("dtype is %v, not int32 or int64", o.Dtype)
	}
	n := graph.Unknown()
	if r := in[0].Rank(); r >= 0 && r != 2 {
		return nil, errs.Errorf("input is %v, not a matrix", in[0].WithoutValue())
	} else if r == 2 {
		n = in[0].Dims[0]
	}
	if o.SampleSize < 0 {
		return nil, errs.Errorf("sample_size is %d", o.SampleSize)
	}
	return []graph.Type{graph.TensorOf(o.Dtype, n, graph.D(o.SampleSize))}, nil
}

// Stateful implements graph.Stateful.
func (o Multinomial) Stateful() bool { return !o.HasSeed }

// Bernoulli is 1 with the probability that the input gives, else 0; in the input's type where Dtype is
// Invalid.
type Bernoulli struct {
	Dtype   tensor.DType
	Seed    float64
	HasSeed bool
}

// Name implements graph.Op.
func (Bernoulli) Name() string { return "Bernoulli" }

// Infer implements graph.Op.
func (o Bernoulli) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := floats(in, 1, 1); err != nil {
		return nil, err
	}
	return inferLike(in, o.Dtype, func(dt tensor.DType) bool { return dt.Valid() && dt != tensor.String && !dt.IsComplex() })
}

// Stateful implements graph.Stateful.
func (o Bernoulli) Stateful() bool { return !o.HasSeed }

// Dropout zeroes each element of its first input with the probability in the second (ratio, 0.5 where
// omitted) and divides the others by 1-ratio, if the third (training mode, a bool scalar) is given and
// true; else the output is the input. A fourth input, which ONNX does not have, is the key of the draws:
// element i is kept where philox.Unit of word i is at least the ratio. The second output is the mask of
// what was kept.
type Dropout struct {
	Seed    int
	HasSeed bool
}

// Name implements graph.Op.
func (Dropout) Name() string { return "Dropout" }

// Infer implements graph.Op.
func (Dropout) Infer(in []graph.Type) ([]graph.Type, error) {
	if err := arity(in, 1, 4); err != nil {
		return nil, err
	}
	if !in[0].DType.IsFloat() {
		return nil, errs.Errorf("input is %v, not of a float type", in[0])
	}
	for i, t := range in[1:] {
		want := [...]string{"ratio a float", "training_mode a bool", "key an int64 vector of 2"}[i]
		bad := i == 0 && !t.DType.IsFloat() || i == 1 && t.DType != tensor.Bool || i == 2 && t.DType != tensor.Int64
		if t.DType.Valid() && bad {
			return nil, errs.Errorf("input %d is %v: %s", i+1, t, want)
		}
	}
	if present(in, 3) {
		if err := isVector(in[3], graph.D(2)); err != nil {
			return nil, errs.Errorf("the key: %w", err)
		}
	}
	return []graph.Type{in[0].WithoutValue(), retyped(in[0], tensor.Bool)}, nil
}

// Stateful implements graph.Stateful.
func (o Dropout) Stateful() bool { return !o.HasSeed }

// VJP passes dy where the mask kept the input, scaled as the input was.
func (Dropout) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := make([]*graph.Value, len(n.In))
	if dy[0] == nil {
		return dx
	}
	if len(n.In) < 3 || n.In[2] == nil {
		dx[0] = dy[0]
		return dx
	}
	dt := n.In[0].Type.DType
	ratio := constLike(b, n.In[0], 0.5)
	if n.In[1] != nil {
		ratio = castTo(b, n.In[1], dt)
	}
	scaled := b.Add(Div{}, dy[0], oneMinus(b, ratio))
	kept := b.Add(Where{}, n.In[2], scaled, dy[0]) // in inference mode the mask is all true
	dx[0] = keepWhere(b, n.Out[1], kept)
	return dx
}

// inferKeyed is the type of random numbers of a shape and a key, both inputs.
func inferKeyed(in []graph.Type, dt tensor.DType) ([]graph.Type, error) {
	if err := integers(in, 2, 2); err != nil {
		return nil, err
	}
	if !dt.IsFloat() {
		return nil, errs.Errorf("dtype is %v, not a float type", dt)
	}
	if err := isVector(in[1], graph.D(2)); err != nil {
		return nil, errs.Errorf("the key: %w", err)
	}
	if dims, ok := in[0].Contents(); ok {
		return []graph.Type{graph.TensorOf(dt, dims...)}, nil
	}
	if n, ok := vectorLen(in[0]); ok {
		return []graph.Type{graph.TensorOf(dt, unknownDims(n)...)}, nil
	}
	return []graph.Type{graph.UnrankedOf(dt)}, nil
}

// PhiloxUniform is numbers uniform in [Low, High) in the shape of its first input (an int64 vector):
// element i is Low + (High-Low)*philox.Unit of word i under the key in the second.
type PhiloxUniform struct {
	Dtype     tensor.DType
	Low, High float64
}

// Name implements graph.Op.
func (PhiloxUniform) Name() string { return "PhiloxUniform" }

// Infer implements graph.Op.
func (o PhiloxUniform) Infer(in []graph.Type) ([]graph.Type, error) { return inferKeyed(in, o.Dtype) }

// PhiloxNormal is numbers of a normal distribution in the shape of its first input (an int64 vector):
// element i takes words 2i and 2i+1 under the key in the second, by Box and Muller's cosine:
// Mean + Scale*sqrt(-2*log(1-u))*cos(2*pi*v).
type PhiloxNormal struct {
	Dtype       tensor.DType
	Mean, Scale float64
}

// Name implements graph.Op.
func (PhiloxNormal) Name() string { return "PhiloxNormal" }

// Infer implements graph.Op.
func (o PhiloxNormal) Infer(in []graph.Type) ([]graph.Type, error) { return inferKeyed(in, o.Dtype) }

// randomSamples is the cases of randomOps.
func randomSamples() map[string][]Sample {
	return map[string][]Sample{
		"RandomNormal": {
			Case(RandomNormal{Dtype: tensor.Float32, Mean: 1, Scale: 2, Seed: 7, HasSeed: true, Shape: []int{2, 3}})},
		"RandomNormalLike": {
			Case(RandomNormalLike{Scale: 1, Seed: 7, HasSeed: true}, noGrad(2, 3))},
		"RandomUniform": {
			Case(RandomUniform{Dtype: tensor.Float64, Low: -1, High: 1, Seed: 7, HasSeed: true, Shape: []int{2, 3}})},
		"RandomUniformLike": {
			Case(RandomUniformLike{High: 1, Seed: 7, HasSeed: true}, noGrad(2, 3))},
		"Multinomial": {
			Case(Multinomial{Dtype: tensor.Int64, SampleSize: 4, Seed: 7, HasSeed: true}, noGrad(2, 3))},
		"Bernoulli": {
			Case(Bernoulli{Seed: 7, HasSeed: true}, SampleIn{DType: tensor.Float32, Shape: []int{2, 3}, Hi: 1, NoGrad: true})},
		"Dropout": {
			Case(Dropout{}, F(3, 4)),
			Case(Dropout{Seed: 7, HasSeed: true}, F(3, 4), scalarStill(0.4), TV(tensor.Scalar(true))),
			Case(Dropout{}, F(3, 4), scalarStill(0.4), TV(tensor.Scalar(true)), IV(3, 9))},
		"PhiloxUniform": {
			Case(PhiloxUniform{Dtype: tensor.Float32, Low: -1, High: 1}, IV(2, 5), IV(3, 9))},
		"PhiloxNormal": {
			Case(PhiloxNormal{Dtype: tensor.Float32, Mean: 1, Scale: 2}, IV(2, 5), IV(3, 9))},
	}
}
