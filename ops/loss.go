package ops

import (
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// lossOps is the family of loss functions.
var lossOps = []Info{
	{NegativeLogLikelihoodLoss{Reduction: "mean"}, "the loss of class labels under log-probabilities"},
	{SoftmaxCrossEntropyLoss{Reduction: "mean"}, "the loss of class labels under logits"},
	{SoftmaxCrossEntropy{Axis: -1}, "the cross entropy of target probabilities under logits"},
	{SigmoidCrossEntropy{}, "the binary cross entropy of targets under logits"},
}

func weights(n int) SampleIn {
	return SampleIn{DType: tensor.Float32, Shape: []int{n}, Lo: 0.2, Hi: 1, NoGrad: true}
}

// inferLoss is the type of the loss of scores [N, C, d...] against labels [N, d...].
func inferLoss(in []graph.Type, reduction string) (graph.Type, error) {
	var none graph.Type
	if err := arity(in, 2, 3); err != nil {
		return none, err
	}
	x, labels := in[0], in[1]
	if !x.DType.IsFloat() || !labels.DType.IsInt() {
		return none, errs.Errorf("scores and labels are not of a float and an integer type: %s", typeList(in[:2]))
	}
	if x.Rank() >= 0 && labels.Rank() >= 0 {
		if x.Rank() < 2 || labels.Rank() != x.Rank()-1 {
			return none, errs.Errorf("labels do not fit the scores: %s", typeList(in[:2]))
		}
		for i, d := range labels.Dims {
			if j := i + min(i, 1); !graph.Compatible(d, x.Dims[j]) {
				return none, errs.Errorf("labels do not fit the scores: %s", typeList(in[:2]))
			}
		}
	}
	if present(in, 2) {
		if err := isVector(in[2], ChannelDim(x, NCHW)); err != nil {
			return none, errs.Errorf("weight: %w", err)
		}
	}
	switch reduction {
	case "none":
		return retyped(labels, x.DType), nil
	case "mean", "sum":
		return graph.TensorOf(x.DType), nil
	}
	return none, errs.Errorf("reduction is %q, not none, mean or sum", reduction)
}

// NegativeLogLikelihoodLoss is minus the log-probability of each label: inputs are log-probabilities
// [N, C, d...], labels [N, d...] and class weights [C], which may be omitted. Labels equal to IgnoreIndex
// (with HasIgnoreIndex) count nothing. Reduction "mean" divides the sum by the weights of the labels.
type NegativeLogLikelihoodLoss struct {
	IgnoreIndex    int
	HasIgnoreIndex bool
	Reduction      string
}

// Name implements graph.Op.
func (NegativeLogLikelihoodLoss) Name() string { return "NegativeLogLikelihoodLoss" }

// Infer implements graph.Op.
func (o NegativeLogLikelihoodLoss) Infer(in []graph.Type) ([]graph.Type, error) {
	t, err := inferLoss(in, o.Reduction)
	return []graph.Type{t}, err
}

// Decompose picks the labels' entries by GatherElements.
func (o NegativeLogLikelihoodLoss) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	x, labels := in[0], in[1]
	if labels.Type.DType != tensor.Int64 {
		labels = b.Add(Cast{To: tensor.Int64, Saturate: true}, labels)
	}
	var skip *graph.Value
	if o.HasIgnoreIndex {
		skip = b.Add(Equal{}, labels, constLike(b, labels, float64(o.IgnoreIndex)))
		labels = b.Add(Where{}, skip, constLike(b, labels, 0), labels)
	}
	at := b.Add(Unsqueeze{}, labels, b.Ints(1))
	loss := b.Add(Neg{}, b.Add(Squeeze{}, b.Add(GatherElements{Axis: 1}, x, at), b.Ints(1)))
	var weight *graph.Value // of each label; nil: all 1
	if len(in) > 2 && in[2] != nil {
		weight = b.Add(Gather{}, in[2], labels)
	} else if skip != nil {
		weight = expandLike(b, constLike(b, x, 1), labels)
	}
	if weight != nil {
		if skip != nil {
			weight = zeroWhere(b, skip, weight)
			loss = zeroWhere(b, skip, loss)
		}
		loss = b.Add(Mul{}, loss, weight)
	}
	switch {
	case o.Reduction == "sum":
		loss = b.Add(ReduceSum{}, loss)
	case o.Reduction == "mean" && weight == nil:
		loss = b.Add(ReduceMean{}, loss)
	case o.Reduction == "mean":
		loss = b.Add(Div{}, b.Add(ReduceSum{}, loss), b.Add(ReduceSum{}, weight))
	}
	return one(loss)
}

// SoftmaxCrossEntropyLoss is NegativeLogLikelihoodLoss of the log-softmax of its first input over the
// classes. Outputs: the loss, and the log-probabilities.
type SoftmaxCrossEntropyLoss struct {
	IgnoreIndex    int
	HasIgnoreIndex bool
	Reduction      string
}

// Name implements graph.Op.
func (SoftmaxCrossEntropyLoss) Name() string { return "SoftmaxCrossEntropyLoss" }

// Infer implements graph.Op.
func (o SoftmaxCrossEntropyLoss) Infer(in []graph.Type) ([]graph.Type, error) {
	t, err := inferLoss(in, o.Reduction)
	if err != nil {
		return nil, err
	}
	return []graph.Type{t, in[0].WithoutValue()}, nil
}

// Decompose spells it by LogSoftmax and NegativeLogLikelihoodLoss.
func (o SoftmaxCrossEntropyLoss) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	log := b.Add(LogSoftmax{Axis: 1}, in[0])
	rest := append([]*graph.Value{log}, in[1:]...)
	return []*graph.Value{b.Add(NegativeLogLikelihoodLoss(o), rest...), log}
}

// inferPair is the inference of a loss of logits against targets of the same shape.
func inferPair(in []graph.Type) (graph.Type, error) {
	if err := floats(in, 2, 2); err != nil {
		return graph.Type{}, err
	}
	return sameShape(in[0], in[1])
}

// SoftmaxCrossEntropy is -sum(target * log(softmax(logits))) along Axis, which it takes away. It is exact
// for logits of any size.
type SoftmaxCrossEntropy struct {
	Axis int
}

// Name implements graph.Op.
func (SoftmaxCrossEntropy) Name() string { return "SoftmaxCrossEntropy" }

// Infer implements graph.Op.
func (o SoftmaxCrossEntropy) Infer(in []graph.Type) ([]graph.Type, error) {
	t, err := inferPair(in)
	if err != nil || t.Rank() < 0 {
		return []graph.Type{t}, err
	}
	axis, err := normAxis(o.Axis, t.Rank())
	if err != nil {
		return nil, err
	}
	dims := append([]graph.Dim{}, t.Dims[:axis]...)
	return []graph.Type{graph.TensorOf(t.DType, append(dims, t.Dims[axis+1:]...)...)}, nil
}

// Decompose spells it by LogSoftmax.
func (o SoftmaxCrossEntropy) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	p := b.Add(Mul{}, in[1], b.Add(LogSoftmax(o), in[0]))
	return one(b.Add(Neg{}, b.Add(ReduceSum{}, p, b.Ints(int64(o.Axis)))))
}

// VJP is dy * (softmax*sum(target) - target), and -dy * log(softmax).
func (o SoftmaxCrossEntropy) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	x, target := n.In[0], n.In[1]
	d := b.Add(Unsqueeze{}, dy[0], b.Ints(int64(o.Axis)))
	dx := []*graph.Value{nil, nil}
	if need[0] {
		p := b.Add(Mul{}, b.Add(Softmax(o), x), sumAlong(b, target, o.Axis))
		dx[0] = b.Add(Mul{}, d, b.Add(Sub{}, p, target))
	}
	if need[1] {
		dx[1] = b.Add(Neg{}, b.Add(Mul{}, d, b.Add(LogSoftmax(o), x)))
	}
	return dx
}

// SigmoidCrossEntropy is -target*log(s) - (1-target)*log(1-s) with s = sigmoid(logits), elementwise,
// exact for logits of any size.
type SigmoidCrossEntropy struct{}

// Name implements graph.Op.
func (SigmoidCrossEntropy) Name() string { return "SigmoidCrossEntropy" }

// Infer implements graph.Op.
func (SigmoidCrossEntropy) Infer(in []graph.Type) ([]graph.Type, error) {
	t, err := inferPair(in)
	return []graph.Type{t}, err
}

// Decompose is softplus(x) - x*target.
func (SigmoidCrossEntropy) Decompose(b *graph.Builder, in []*graph.Value) []*graph.Value {
	return one(b.Add(Sub{}, b.Add(Softplus{}, in[0]), b.Add(Mul{}, in[0], in[1])))
}

// VJP is dy * (sigmoid(x) - target), and -dy*x.
func (SigmoidCrossEntropy) VJP(b *graph.Builder, n *graph.Node, dy []*graph.Value, need []bool) []*graph.Value {
	dx := []*graph.Value{nil, nil}
	if need[0] {
		dx[0] = b.Add(Mul{}, dy[0], b.Add(Sub{}, b.Add(Sigmoid{}, n.In[0]), n.In[1]))
	}
	if need[1] {
		dx[1] = b.Add(Neg{}, b.Add(Mul{}, dy[0], n.In[0]))
	}
	return dx
}

// lossSamples is the cases of lossOps.
func lossSamples() map[string][]Sample {
	return map[string][]Sample{
		"NegativeLogLikelihoodLoss": {
			Case(NegativeLogLikelihoodLoss{Reduction: "mean"}, F(3, 4), IV(1, 0, 3)),
			Case(NegativeLogLikelihoodLoss{Reduction: "sum", IgnoreIndex: -1, HasIgnoreIndex: true}, F(2, 3, 2),
				TV(tensor.Of([]int64{0, 2, -1, 1}, 2, 2)), weights(3)),
			Case(NegativeLogLikelihoodLoss{Reduction: "mean", IgnoreIndex: 1, HasIgnoreIndex: true}, F(3, 4), IV(1, 0, 3)),
			Case(NegativeLogLikelihoodLoss{Reduction: "none"}, F(3, 4), IV(1, 0, 3), weights(4))},
		"SoftmaxCrossEntropyLoss": {
			Case(SoftmaxCrossEntropyLoss{Reduction: "mean"}, F(3, 4), IV(1, 0, 3)),
			Case(SoftmaxCrossEntropyLoss{Reduction: "mean"}, F(3, 4), IV(1, 0, 3), weights(4)),
			Case(SoftmaxCrossEntropyLoss{Reduction: "none", IgnoreIndex: 0, HasIgnoreIndex: true}, F(2, 3, 2),
				TV(tensor.Of([]int32{0, 2, 0, 1}, 2, 2)), weights(3))},
		"SoftmaxCrossEntropy": {
			Case(SoftmaxCrossEntropy{Axis: -1}, FR(-3, 3, 3, 4), FR(0, 1, 3, 4)), Case(SoftmaxCrossEntropy{Axis: 1}, F(2, 3, 2), FR(0, 1, 2, 3, 2))},
		"SigmoidCrossEntropy": {
			Case(SigmoidCrossEntropy{}, FR(-3, 3, 3, 4), FR(0, 1, 3, 4))},
	}
}
