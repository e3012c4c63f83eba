package layers

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

var attentionRows = []row{
	{class: "Attention", make: func() Layer { return new(Attention) }},
	{class: "AdditiveAttention", make: func() Layer { return new(AdditiveAttention) }},
	{class: "MultiHeadAttention", make: func() Layer { return new(MultiHeadAttention) }, masks: true},
	{class: "GroupQueryAttention", make: func() Layer { return new(GroupQueryAttention) }, aliases: []string{"GroupedQueryAttention"}},
}

// Attention is dot-product attention (Luong) of queries over values: inputs query, value, and optionally key.
type Attention struct {
	Base
	UseScale  bool
	ScoreMode string  `def:"\"dot\""` // dot (also "") or concat
	Dropout   float64 `def:"0.0"`
	Seed      *int
}

// Call implements Layer.
func (l *Attention) Call(c *Call) []*graph.Value {
	if len(c.In) < 2 {
		c.Failf("takes query, value and optionally key, got %d inputs", len(c.In))
		return one(c.X())
	}
	q, v, k := c.attentionInputs()
	var scale, concat *graph.Value
	if l.UseScale {
		scale = c.Weight("scale", []int{}, From("Ones"))
	}
	if l.ScoreMode == "concat" {
		concat = c.Weight("concat_score_weight", []int{}, From("Ones"))
	}
	r := c.rank(k)
	if c.Err() != nil || r < 2 {
		return one(q)
	}
	var scores *graph.Value
	switch l.ScoreMode {
	case "", "dot":
		perm := identityPerm(r)
		perm[r-1], perm[r-2] = r-2, r-1
		scores = c.Add(ops.MatMul{}, q, c.transpose(k, perm...))
		scores = c.times(scores, scale)
	case "concat":
		sum := c.add(c.expandDims(q, -2), c.expandDims(k, -3))
		scores = c.mul(concat, c.sum(c.Add(ops.Tanh{}, c.times(sum, scale)), false, -1))
	default:
		c.Failf("unknown score_mode %q", l.ScoreMode)
		return one(q)
	}
	return c.attend(q, v, scores, l.Dropout, l.Seed)
}

// attentionInputs is query, value and key, which is the value where it isn't given.
func (c *Call) attentionInputs() (q, v, k *graph.Value) {
	q, v = c.FloatArg(0), c.FloatArg(1)
	k = v
	if len(c.In) > 2 {
		k = c.FloatArg(2)
	}
	return q, v, k
}

// inputMasks is the masks of query and value: the mask argument, or what the inputs carry.
func (c *Call) inputMasks() (q, v *graph.Value) {
	q, v = c.Mask(c.In[0]), c.Mask(c.In[1])
	if list, ok := c.Kwargs["mask"].([]any); ok {
		if len(list) > 0 {
			if m, ok := list[0].(*graph.Value); ok {
				q = m
			}
		}
		if len(list) > 1 {
			if m, ok := list[1].(*graph.Value); ok {
				v = m
			}
		}
	}
	return q, v
}

// attend weighs the values by the softmax of the scores.
func (c *Call) attend(q, v, scores *graph.Value, dropout float64, seed *int) []*graph.Value {
	qMask, vMask := c.inputMasks()
	var mask *graph.Value
	if vMask != nil {
		mask = c.expandDims(vMask, -2)
	}
	if c.BoolArg("use_causal_mask", false) {
		mask = c.and(mask, c.causalMask(scores))
	}
	if mask != nil {
		big := 1e9
		if scores.Type.DType == tensor.Float16 {
			big = 65504
		}
		padding := c.cast(c.Add(ops.Not{}, mask), scores.Type.DType)
		scores = c.sub(scores, c.mulN(padding, big))
	}
	w := c.Add(ops.Softmax{Axis: -1}, scores)
	w = c.dropout(w, dropout, seed, nil)
	y := c.Add(ops.MatMul{}, w, v)
	if qMask != nil {
		y = c.mul(y, c.cast(c.expandDims(qMask, -1), y.Type.DType))
		c.SetMask(y, qMask)
	}
	if c.BoolArg("return_attention_scores", false) {
		return []*graph.Value{y, w}
	}
	return one(y)
}

func (c *Call) and(a, b *graph.Value) *graph.Value {
	if a == nil {
		return b
	}
	return c.Add(ops.And{}, a, b)
}

// causalMask is true where a key is not behind its query, over the last two axes of the scores.
func (c *Call) causalMask(scores *graph.Value) *graph.Value {
	r := c.rank(scores)
	if r < 2 {
		return scores
	}
	return c.causal(scores.Type.Dims[r-2], scores.Type.Dims[r-1], scores)
}

// causal is the lower triangle of ones, as booleans [rows, cols].
func (c *Call) causal(rows, cols graph.Dim, like *graph.Value) *graph.Value {
	index := func(d graph.Dim) *graph.Value {
		zero, step := c.Const("zero", tensor.Scalar(int64(0))), c.Const("one", tensor.Scalar(int64(1)))
		return c.Add(ops.Range{}, zero, c.squeeze(c.dimValue(d, like), 0), step)
	}
	return c.Add(ops.GreaterOrEqual{}, c.expandDims(index(rows), 1), c.expandDims(index(cols), 0))
}

// AdditiveAttention is Bahdanau's attention: scores are sums of tanh(query + key).
type AdditiveAttention struct {
	Base
	NoScale bool    `keras:"use_scale,not"`
	Dropout float64 `def:"0.0"`
	Seed    *int
}

// Call implements Layer.
func (l *AdditiveAttention) Call(c *Call) []*graph.Value {
	if len(c.In) < 2 {
		c.Failf("takes query, value and optionally key, got %d inputs", len(c.In))
		return one(c.X())
	}
	q, v, k := c.attentionInputs()
	sum := c.Add(ops.Tanh{}, c.add(c.expandDims(q, -2), c.expandDims(k, -3)))
	if !l.NoScale {
		sum = c.mul(sum, c.Weight("scale", []int{c.dim(q, -1)}, From("GlorotUniform")))
	}
	return c.attend(q, v, c.sum(sum, false, -1), l.Dropout, l.Seed)
}

// MultiHeadAttention attends in several heads: inputs query, value, and optionally key; keyword arguments
// attention_mask, use_causal_mask, return_attention_scores.
type MultiHeadAttention struct {
	Base
	NumHeads            int
	KeyDim              int
	ValueDim            *int    // nil: KeyDim
	Dropout             float64 `def:"0.0"`
	NoBias              bool    `keras:"use_bias,not"`
	UseGate             bool
	OutputShape         []int // nil: the query's features
	AttentionAxes       []int // nil: all but batch, heads and features
	SlidingWindow       *int
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
	Seed                *int

	query, key, value, gate, output *EinsumDense
}

// projection is the equation of a product of the last bound of free+bound dimensions with a kernel that
// gives out dimensions instead, and the letters of those.
func projection(free, bound, out int) (equation, bias string) {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	if free+bound+out > len(letters) {
		return "", ""
	}
	f, b, o := letters[:free], letters[free:free+bound], letters[free+bound:free+bound+out]
	return f + b + "," + b + o + "->" + f + o, o
}

// dense makes an inner product of an attention layer.
func (c *Call) attentionDense(name string, free, bound int, shape []int, noBias bool, k, b, kr, br, kc, bc *Object) *EinsumDense {
	eq, bias := projection(free, bound, len(shape))
	d := &EinsumDense{
		Base: Named(name), Equation: eq, OutputShape: append(repeat(-1, free-1), shape...),
		KernelInitializer: k, BiasInitializer: b, KernelRegularizer: kr, BiasRegularizer: br,
		KernelConstraint: kc, BiasConstraint: bc,
	}
	if !noBias {
		d.BiasAxes = bias
	}
	return d
}

// arg is positional argument i, or the keyword argument of that name, or def.
func (c *Call) arg(i int, name string, def *graph.Value) *graph.Value {
	if i < len(c.In) {
		return c.In[i]
	}
	if v := c.Kwarg(name); v != nil {
		return v
	}
	return def
}

// Call implements Layer.
func (l *MultiHeadAttention) Call(c *Call) []*graph.Value {
	q := c.arg(0, "query", nil)
	if q == nil {
		c.Failf("takes query and value")
		return one(c.X())
	}
	v := c.arg(1, "value", q)
	k := c.arg(2, "key", v)
	r := c.rank(q)
	if c.Err() != nil || r < 3 || l.NumHeads < 1 || l.KeyDim < 1 {
		c.Failf("num_heads %d, key_dim %d, query %v", l.NumHeads, l.KeyDim, q.Type)
		return one(q)
	}
	vd := orInt(l.ValueDim, l.KeyDim)
	if l.query == nil {
		mk := func(name string, x *graph.Value, n int) *EinsumDense {
			return c.attentionDense(name, c.rank(x)-1, 1, []int{l.NumHeads, n}, l.NoBias, l.KernelInitializer, l.BiasInitializer,
				l.KernelRegularizer, l.BiasRegularizer, l.KernelConstraint, l.BiasConstraint)
		}
		l.query, l.key, l.value = mk("query", q, l.KeyDim), mk("key", k, l.KeyDim), mk("value", v, vd)
		if l.UseGate {
			l.gate = mk("gate", q, vd)
			l.gate.Activation = "sigmoid"
		}
		shape := l.OutputShape
		if shape == nil {
			shape = []int{c.dim(q, -1)}
		}
		l.output = c.attentionDense("attention_output", r-1, 2, shape, l.NoBias, l.KernelInitializer, l.BiasInitializer,
			l.KernelRegularizer, l.BiasRegularizer, l.KernelConstraint, l.BiasConstraint)
	}
	qh := c.Sub("query_dense", l.query, q)[0]
	kh := c.Sub("key_dense", l.key, k)[0]
	var gate *graph.Value
	if l.gate != nil {
		gate = c.Sub("_gate_dense", l.gate, q)[0]
	}
	vh := c.Sub("value_dense", l.value, v)[0]
	if c.Err() != nil {
		return one(q)
	}
	axes := l.AttentionAxes
	if axes == nil {
		axes = identityPerm(r - 1)[1:]
	}
	mask := c.attentionMask(q, v, k, l.SlidingWindow)
	y, w := c.multiHead(qh, kh, vh, mask, axes, l.Dropout, l.Seed)
	if gate != nil {
		y = c.mul(y, gate)
	}
	y = c.Sub("output_dense", l.output, y)[0]
	if c.BoolArg("return_attention_scores", false) {
		return []*graph.Value{y, w}
	}
	return one(y)
}

// attentionMask joins the masks of query, value and key, causality, a window, and the mask argument.
func (c *Call) attentionMask(q, v, k *graph.Value, window *int) *graph.Value {
	named := func(name string, x *graph.Value) *graph.Value {
		if m := c.Kwarg(name); m != nil {
			return c.cast(m, tensor.Bool)
		}
		return c.Mask(x)
	}
	var mask *graph.Value
	if m := named("query_mask", q); m != nil {
		mask = c.expandDims(m, -1)
	}
	if m := named("value_mask", v); m != nil {
		mask = c.andMaybe(mask, c.expandDims(m, -2))
	}
	if k != v {
		if m := named("key_mask", k); m != nil {
			mask = c.andMaybe(mask, c.expandDims(m, -2))
		}
	}
	tq, tv := q.Type.Dims[1], v.Type.Dims[1]
	if c.BoolArg("use_causal_mask", false) {
		mask = c.andMaybe(mask, c.expandDims(c.causal(tq, tv, c.like(q, v)), 0))
	}
	if window != nil {
		mask = c.andMaybe(mask, c.expandDims(c.band(tq, tv, *window, c.like(q, v)), 0))
	}
	if m := c.arg(3, "attention_mask", nil); m != nil {
		mask = c.andMaybe(mask, c.cast(m, tensor.Bool))
	}
	return mask
}

// like is a value whose shape has the sizes of axis 1 of both q and v.
func (c *Call) like(q, v *graph.Value) *graph.Value {
	if q.Type.Dims[1].IsConst() || q.Type.Dims[1] == v.Type.Dims[1] {
		return v
	}
	if v.Type.Dims[1].IsConst() {
		return q
	}
	return c.Add(ops.MatMul{}, c.expandDims(c.slice(q, -1, 0, 1), 1), c.transpose(c.expandDims(c.slice(v, -1, 0, 1), 1), 0, 1, 3, 2))
}

func (c *Call) andMaybe(a, b *graph.Value) *graph.Value {
	if a == nil {
		return b
	}
	return c.and(a, b)
}

// band is true where query and key are less than window steps apart.
func (c *Call) band(rows, cols graph.Dim, window int, like *graph.Value) *graph.Value {
	index := func(d graph.Dim) *graph.Value {
		zero, step := c.Const("zero", tensor.Scalar(int64(0))), c.Const("one", tensor.Scalar(int64(1)))
		return c.Add(ops.Range{}, zero, c.squeeze(c.dimValue(d, like), 0), step)
	}
	d := c.sub(c.expandDims(index(rows), 1), c.expandDims(index(cols), 0))
	return c.Add(ops.Less{}, c.Add(ops.Abs{}, d), c.num(d, float64(window)))
}

// multiHead is attention over the given axes of (batch, ..., heads, features).
func (c *Call) multiHead(q, k, v, mask *graph.Value, axes []int, dropout float64, seed *int) (y, w *graph.Value) {
	r := c.rank(q)
	letters := "abcdefghijklmnopqrstuvwxyz"
	if r > 10 || c.Err() != nil {
		c.Failf("has too many dimensions: %v", q.Type)
		return q, q
	}
	// the letters of q; k and v share those of the axes that aren't attended over
	ql := []byte(letters[:r])
	kl := slices.Clone(ql)
	next := r
	var batch, qAxes, kAxes []byte
	for i := range r - 1 {
		if slices.Contains(axes, i) {
			kl[i] = letters[next]
			next++
			qAxes, kAxes = append(qAxes, ql[i]), append(kAxes, kl[i])
		} else {
			batch = append(batch, ql[i])
		}
	}
	vl := slices.Clone(kl)
	vl[r-1] = letters[next]
	scores := string(batch) + string(qAxes) + string(kAxes)
	out := slices.Clone(ql)
	out[r-1] = vl[r-1]
	s := c.Add(ops.Einsum{Equation: string(ql) + "," + string(kl) + "->" + scores}, c.mulN(q, 1/math.Sqrt(float64(c.dim(q, -1)))), k)
	if mask != nil {
		// the mask lacks the axes of heads: they go in front of the attended ones
		for c.Err() == nil && mask.Type.Rank() < s.Type.Rank() {
			mask = c.expandDims(mask, -2*len(axes)-1)
		}
	}
	flat := s
	var dims []graph.Dim
	if len(axes) > 1 && c.Err() == nil { // softmax over several axes is over one, reshaped
		dims = s.Type.Dims
		n := len(dims) - len(axes)
		flat = c.maskLogits(s, mask)
		flat = c.reshape(flat, append(slices.Clone(dims[:n]), graph.Product(dims[n:])))
		w = c.reshape(c.Add(ops.Softmax{Axis: -1}, flat), dims, s)
	} else {
		w = c.Add(ops.Softmax{Axis: -1}, c.maskLogits(flat, mask))
	}
	dropped := c.dropout(w, dropout, seed, nil)
	y = c.Add(ops.Einsum{Equation: scores + "," + string(vl) + "->" + string(out)}, dropped, v)
	return y, w
}

// maskLogits adds a large negative number where mask is false.
func (c *Call) maskLogits(s, mask *graph.Value) *graph.Value {
	if mask == nil {
		return s
	}
	inv := c.sub(c.num(s, 1), c.cast(mask, s.Type.DType))
	return c.add(s, c.mulN(inv, largeNegative(s)))
}

// GroupQueryAttention is MultiHeadAttention in which groups of query heads share a key and value head.
type GroupQueryAttention struct {
	Base
	HeadDim             int
	NumQueryHeads       int
	NumKeyValueHeads    int
	NoBias              bool `keras:"use_bias,not"`
	UseGate             bool
	SlidingWindow       *int
	Dropout             float64 `def:"0.0"`
	KernelInitializer   *Object `init:"GlorotUniform"`
	BiasInitializer     *Object `init:"Zeros"`
	KernelRegularizer   *Object
	BiasRegularizer     *Object
	ActivityRegularizer *Object
	KernelConstraint    *Object
	BiasConstraint      *Object
	Seed                *int

	query, key, value, gate, output *EinsumDense
}

// Call implements Layer.
func (l *GroupQueryAttention) Call(c *Call) []*graph.Value {
	q := c.arg(0, "query", nil)
	if q == nil {
		c.Failf("takes query and value")
		return one(c.X())
	}
	v := c.arg(1, "value", q)
	k := c.arg(2, "key", v)
	if !c.wantRank(q, 3) || l.NumKeyValueHeads < 1 || l.NumQueryHeads%l.NumKeyValueHeads != 0 {
		c.Failf("%d query heads and %d key/value heads, query %v", l.NumQueryHeads, l.NumKeyValueHeads, q.Type)
		return one(q)
	}
	if l.query == nil {
		mk := func(name string, heads int) *EinsumDense {
			return c.attentionDense(name, 2, 1, []int{heads, l.HeadDim}, l.NoBias, l.KernelInitializer, l.BiasInitializer,
				l.KernelRegularizer, l.BiasRegularizer, l.KernelConstraint, l.BiasConstraint)
		}
		l.query, l.key, l.value = mk("query", l.NumQueryHeads), mk("key", l.NumKeyValueHeads), mk("value", l.NumKeyValueHeads)
		if l.UseGate {
			l.gate = mk("gate", l.NumQueryHeads)
			l.gate.Activation = "sigmoid"
		}
		l.output = c.attentionDense("attention_output", 2, 2, []int{c.dim(q, -1)}, l.NoBias, l.KernelInitializer, l.BiasInitializer,
			l.KernelRegularizer, l.BiasRegularizer, l.KernelConstraint, l.BiasConstraint)
	}
	qh := c.Sub("_query_dense", l.query, q)[0]
	kh := c.Sub("_key_dense", l.key, k)[0]
	var gate *graph.Value
	if l.gate != nil {
		gate = c.Sub("_gate_dense", l.gate, q)[0]
	}
	vh := c.Sub("_value_dense", l.value, v)[0]
	n := l.NumQueryHeads / l.NumKeyValueHeads
	kh, vh = c.repeatAxis(kh, 2, n), c.repeatAxis(vh, 2, n)
	mask := c.attentionMask(q, v, k, l.SlidingWindow)
	y, w := c.multiHead(qh, kh, vh, mask, []int{1}, l.Dropout, l.Seed)
	if gate != nil {
		y = c.mul(y, gate)
	}
	y = c.Sub("_output_dense", l.output, y)[0]
	if c.BoolArg("return_attention_scores", false) {
		return []*graph.Value{y, w}
	}
	return one(y)
}
