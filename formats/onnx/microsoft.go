package onnx

import (
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

// epsilon12 is 1e-12 as a file has it: a float32.
const epsilon12 = float64(float32(1e-12))

// microsoftRows is the operators of ONNX Runtime's own: those of the domain com.microsoft
// (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md) and the few that it puts
// into the default one. Most are spelled in ONNX' operators.
func microsoftRows() []row {
	simplified := takes("SimplifiedLayerNormalization", 2, 2, importSimplifiedNorm)
	return slices.Concat([]row{
		simplified,
		// Before ONNX had it, ONNX Runtime did.
		auto("LayerNormalization", 1, ops.LayerNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1}),
	}, in(microsoftDomain, slices.Concat(
		[]row{
			simplified,
			takes("LayerNormalization", 2, 3, as(ops.LayerNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1})),
			takes("SkipLayerNormalization", 3, 5, importSkipLayerNorm),
			takes("SkipSimplifiedLayerNormalization", 3, 4, importSkipSimplifiedNorm),
			{name: "EmbedLayerNormalization", since: 1, imp: importEmbedLayerNorm},
		},
		microsoftPointwise(), microsoftProducts(), microsoftSpatial(), microsoftShapes(), microsoftQuant(),
		microsoftPools(), microsoftAttention(),
	)...))
}

// takes is a row of version 1 for nodes that have from min to max inputs, none of the first min omitted.
//
//go:noinline
func takes(name string, min, max int, imp func(n *Node) []*graph.Value) row {
	return row{name: name, since: 1, imp: func(n *Node) []*graph.Value {
		if len(n.In) < min || len(n.In) > max || slices.Contains(n.In[:min], nil) {
			n.Refuse("it takes %d to %d inputs, got %d", min, max, len(n.In))
			return nil
		}
		return imp(n)
	}}
}

// as reads a node as an operator with the same inputs and attributes.
func as(op graph.Op) func(n *Node) []*graph.Value {
	return func(n *Node) []*graph.Value { return n.AddN(fill(n, op), n.In...) }
}

// plus adds v where it is given.
func (n *Node) plus(x, v *graph.Value) *graph.Value {
	if v == nil {
		return x
	}
	return n.Add(ops.Add{}, x, v)
}

// times multiplies by a number, if it is not 1.
func (n *Node) times(x *graph.Value, f float64) *graph.Value {
	if f == 1 {
		return x
	}
	return n.Add(ops.Mul{}, x, n.scalar(f, x))
}

// swapped exchanges the last two dimensions; the rank has to be known.
func (n *Node) swapped(x *graph.Value) *graph.Value {
	r := rank(x)
	if r < 2 {
		n.Refuse("%v has no last two dimensions to exchange", x.Type.WithoutValue())
		return x
	}
	return n.Add(ops.Transpose{Perm: swapLast(r)}, x)
}

// swapLast is the permutation of r axes that exchanges the last two.
func swapLast(r int) []int {
	perm := make([]int, r)
	for i := range perm {
		perm[i] = i
	}
	perm[r-2], perm[r-1] = r-1, r-2
	return perm
}

func importSimplifiedNorm(n *Node) []*graph.Value {
	op, ok := fill(n, ops.RMSNormalization{Axis: -1, Epsilon: epsilon5, StashType: 1}).(ops.RMSNormalization)
	if !ok {
		return nil
	}
	outs := []*graph.Value{n.Add(op, n.In...)}
	if n.NumOut > 1 {
		outs = append(outs, n.rootMeanSquare(n.In[0], op))
	}
	return outs
}

// rootMeanSquare is 1 over the root of the mean of squares, which the normalization divides by.
func (n *Node) rootMeanSquare(x *graph.Value, op ops.RMSNormalization) *graph.Value {
	r, axis := rank(x), op.Axis
	if axis < 0 {
		axis += r
	}
	if r < 0 || axis < 0 || axis >= r {
		n.Refuse("axis %d of %v", op.Axis, x.Type.WithoutValue())
		return x
	}
	var axes []int
	for i := axis; i < r; i++ {
		axes = append(axes, i)
	}
	f := n.Add(ops.Cast{To: tensor.Float32, Saturate: true}, x)
	mean := n.Add(ops.ReduceMean{Keepdims: true}, n.Add(ops.Mul{}, f, f), n.ints(axes...))
	return n.Add(ops.Rsqrt{}, n.Add(ops.Add{}, mean, n.scalar(op.Epsilon, f)))
}

// importSkipLayerNorm reads inputs x, skip, gamma, beta, bias; the last output is the sum that is normalized.
func importSkipLayerNorm(n *Node) []*graph.Value {
	sum := n.plus(n.Add(ops.Add{}, n.In[0], n.In[1]), n.Input(4))
	op := ops.LayerNormalization{Axis: -1, Epsilon: n.Float("epsilon", epsilon12), StashType: 1}
	outs := n.AddN(op, trimmed(sum, n.In[2], n.Input(3))...)
	return append(outs, sum)
}

// importSkipSimplifiedNorm reads inputs x, skip, gamma, bias.
func importSkipSimplifiedNorm(n *Node) []*graph.Value {
	sum := n.plus(n.Add(ops.Add{}, n.In[0], n.In[1]), n.Input(3))
	op := ops.RMSNormalization{Axis: -1, Epsilon: n.Float("epsilon", epsilon12), StashType: 1}
	outs := []*graph.Value{n.Add(op, sum, n.In[2]), nil, nil, sum}
	if n.NumOut > 2 {
		outs[2] = n.rootMeanSquare(sum, op)
	}
	return outs
}

// importEmbedLayerNorm reads the embeddings of BERT: words, positions and segments summed and normalized.
// Its second output counts each row's ones in the mask.
func importEmbedLayerNorm(n *Node) []*graph.Value {
	n.Int("mask_index_type", 0)
	for _, i := range []int{0, 2, 3, 5, 6} {
		if n.Input(i) == nil {
			n.Refuse("input %d is missing", i)
			return nil
		}
	}
	ids, segments, words, positions, segment := n.In[0], n.In[1], n.In[2], n.In[3], n.In[4]
	if (segments == nil) != (segment == nil) {
		n.Refuse("segment_ids and segment_embedding go together")
		return nil
	}
	sum := n.Add(ops.Gather{}, words, ids)
	if at := n.Input(8); at != nil {
		sum = n.Add(ops.Add{}, sum, n.Add(ops.Gather{}, positions, at))
	} else {
		length := n.Add(ops.Shape{Start: 1, End: 2, HasEnd: true}, ids)
		sum = n.Add(ops.Add{}, sum, n.Add(ops.Slice{}, positions, n.ints(0), length, n.ints(0)))
	}
	if segments != nil {
		sum = n.Add(ops.Add{}, sum, n.Add(ops.Gather{}, segment, segments))
	}
	op := ops.LayerNormalization{Axis: -1, Epsilon: n.Float("epsilon", epsilon12), StashType: 1}
	outs := []*graph.Value{n.AddN(op, sum, n.In[5], n.In[6])[0], nil, sum}
	if n.NumOut > 1 {
		outs[1] = n.ones(ids, n.Input(7))
	}
	return outs
}

// ones counts the ones in each row of a mask; without a mask it counts none.
func (n *Node) ones(ids, mask *graph.Value) *graph.Value {
	if mask == nil {
		rows := n.Add(ops.Shape{End: 1, HasEnd: true}, ids)
		return n.Add(ops.Expand{}, n.Const("zero", tensor.Scalar(int32(0))), rows)
	}
	is := n.Add(ops.Cast{To: tensor.Int32}, n.Add(ops.Equal{}, mask, n.scalar(1, mask)))
	return n.Add(ops.ReduceSum{}, is, n.ints(1))
}

// microsoftPointwise is activations.
func microsoftPointwise() []row {
	exact, fast := ops.Gelu{Approximate: "none"}, ops.Gelu{Approximate: "tanh"}
	biased := func(op graph.Op) func(n *Node) []*graph.Value {
		return func(n *Node) []*graph.Value { return one(n.Add(op, n.plus(n.In[0], n.Input(1)))) }
	}
	return []row{
		takes("BiasAdd", 3, 3, func(n *Node) []*graph.Value {
			return one(n.Add(ops.Add{}, n.Add(ops.Add{}, n.In[0], n.In[1]), n.In[2]))
		}),
		takes("BiasGelu", 2, 2, biased(exact)),
		takes("BiasSoftmax", 2, 2, func(n *Node) []*graph.Value {
			n.Bool("is_inner_broadcast", true) // says how the bias is shaped, which its shape says too
			n.In = []*graph.Value{n.Add(ops.Add{}, n.In[0], n.In[1])}
			return importFlattening(ops.Softmax{Axis: -1})(n)
		}),
		takes("FastGelu", 1, 2, biased(fast)),
		takes("Gelu", 1, 1, biased(exact)),
		takes("GemmFastGelu", 2, 3, func(n *Node) []*graph.Value {
			return one(n.Add(fast, n.plus(n.Add(ops.MatMul{}, n.In[0], n.In[1]), n.Input(2))))
		}),
		takes("QuickGelu", 1, 1, func(n *Node) []*graph.Value {
			return one(n.Add(ops.Swish{Alpha: n.Float("alpha", float64(float32(1.702)))}, n.In[0]))
		}),
	}
}

// microsoftProducts is matrix products with something more.
func microsoftProducts() []row {
	return []row{
		takes("CDist", 2, 2, importCDist),
		takes("FusedGemm", 2, 3, func(n *Node) []*graph.Value {
			y := n.Add(fill(n, ops.Gemm{Alpha: 1, Beta: 1}), n.In...)
			return one(n.activated(y, n.Float("activation_alpha", 0), n.Float("activation_beta", 0)))
		}),
		takes("FusedMatMul", 2, 2, func(n *Node) []*graph.Value { return one(n.fusedMatMul()) }),
		takes("FusedMatMulActivation", 2, 2, func(n *Node) []*graph.Value {
			n.Ignore("activation_axis", "activation_gamma")
			return one(n.activated(n.fusedMatMul(), n.Float("activation_alpha", 0), n.Float("activation_beta", 0)))
		}),
		takes("Inverse", 1, 1, func(n *Node) []*graph.Value {
			x := n.In[0]
			det := n.Add(ops.Unsqueeze{}, n.Add(ops.Det{}, x), n.ints(-1, -2))
			return one(n.Add(ops.Div{}, n.swapped(n.Add(ops.Cofactor{}, x)), det))
		}),
		auto("MatMulNBits", 1, ops.MatMulNBits{Bits: 4}).ignoring("accuracy_level"),
		takes("TransposeMatMul", 2, 2, func(n *Node) []*graph.Value { return one(n.fusedMatMul()) }),
	}
}

// fusedMatMul reads a product whose operands are transposed first: transA exchanges the last two
// dimensions, transBatchA moves the first one behind the other leading ones.
func (n *Node) fusedMatMul() *graph.Value {
	operand := func(x *graph.Value, trans, batch string) *graph.Value {
		t, tb := n.Bool(trans, false), n.Bool(batch, false)
		r := rank(x)
		if !t && !tb || r == 1 {
			return x
		}
		if r < 2 {
			n.Refuse("the rank of %v has to be known to transpose it", x.Type.WithoutValue())
			return x
		}
		perm := make([]int, r)
		for i := range perm {
			perm[i] = i
		}
		if tb { // (0, 1, .., r-2, r-1) to (1, .., r-2, 0, r-1)
			perm = append(slices.Delete(perm, 0, 1), 0)
			perm[r-2], perm[r-1] = 0, r-1
		}
		if t {
			perm[r-2], perm[r-1] = perm[r-1], perm[r-2]
		}
		return n.Add(ops.Transpose{Perm: perm}, x)
	}
	y := n.Add(ops.MatMul{}, operand(n.In[0], "transA", "transBatchA"), operand(n.In[1], "transB", "transBatchB"))
	return n.times(y, n.Float("alpha", 1))
}

// importCDist reads the distances of each row of A to each row of B.
func importCDist(n *Node) []*graph.Value {
	d := n.Add(ops.Sub{}, n.Add(ops.Unsqueeze{}, n.In[0], n.ints(1)), n.Add(ops.Unsqueeze{}, n.In[1], n.ints(0)))
	y := n.Add(ops.ReduceSumSquare{}, d, n.ints(2))
	switch metric := n.String("metric", "sqeuclidean"); metric {
	case "sqeuclidean":
	case "euclidean":
		y = n.Add(ops.Sqrt{}, y)
	default:
		n.Refuse("metric is %q", metric)
	}
	return one(y)
}

// activated applies the function that the attribute activation names.
func (n *Node) activated(x *graph.Value, alpha, beta float64) *graph.Value {
	var op graph.Op
	switch name := n.String("activation", ""); name {
	case "":
		return x
	case "Clip":
		return n.Add(ops.Clip{}, x, n.scalar(alpha, x), n.scalar(beta, x))
	case "Elu":
		op = ops.Elu{Alpha: alpha}
	case "HardSigmoid":
		op = ops.HardSigmoid{Alpha: alpha, Beta: beta}
	case "LeakyRelu":
		op = ops.LeakyRelu{Alpha: alpha}
	case "Relu":
		op = ops.Relu{}
	case "Sigmoid":
		op = ops.Sigmoid{}
	case "Softplus":
		op = ops.Softplus{}
	case "Softsign":
		op = ops.Softsign{}
	case "Tanh":
		op = ops.Tanh{}
	case "ThresholdedRelu":
		op = ops.ThresholdedRelu{Alpha: alpha}
	default:
		n.Refuse("activation is %q", name)
		return x
	}
	return n.Add(op, x)
}
