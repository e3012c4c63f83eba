package main

import (
	"fmt"
	"math"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/ops/expr"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/loss"
	"github.com/nnrt/nnrt/train/optim"
)

// trainCase is one case of torch_train.py, built of nnrt's operators. Weights carry the names of PyTorch's modules,
// from which both sides compute the same numbers.
type trainCase struct {
	name          string
	iters, warmup int
	layouts       bool    // PyTorch also runs channels-last
	bar           float64 // the ratio that the project asks for
	build         func(n *net) (x, y *tensor.Tensor)
	loss          loss.Loss
	optimizer     func() optim.Optimizer
}

var trainCases = []trainCase{
	{"mlp_sgd", 200, 20, false, 1.15, mlp, crossentropy(), sgd(0.01, 0)},
	{"mlp_adam", 100, 20, false, 1.3, mlp, crossentropy(), adam},
	{"mnist_conv_adam", 30, 6, true, 1.5, mnist, crossentropy(), adam},
	{"resnet18_sgdm", 2, 1, true, 1.1, resnet18, crossentropy(), sgd(0.01, 0.9)},
	{"lstm_adam", 15, 3, false, 1.6, lstm, loss.BinaryCrossentropy{FromLogits: true}, adam},
	{"transformer_adam", 12, 4, false, 1.1, transformer, crossentropy(), adam},
	{"vgg16_frozen", 3, 1, true, 1.1, vgg16, loss.BinaryCrossentropy{FromLogits: true}, adam},
}

func crossentropy() loss.Loss { return loss.SparseCategoricalCrossentropy{FromLogits: true} }

func adam() optim.Optimizer {
	o, _ := optim.New("adam")
	// PyTorch divides the root by that of the correction first, so that its 1e-8 is this in the first steps.
	o.(*optim.Adam).Epsilon = 5e-10
	return o
}

func sgd(lr, momentum float64) func() optim.Optimizer {
	return func() optim.Optimizer {
		o, _ := optim.New("sgd")
		o.(*optim.SGD).LearningRate.Value, o.(*optim.SGD).Momentum = lr, momentum
		return o
	}
}

// uniform is the recipe of torch_train.py: splitmix64 of the name's FNV-1a hash, its top 24 bits.
func uniform(name string, n int) []float32 {
	h := uint64(0xCBF29CE484222325)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 0x100000001B3
	}
	v := make([]float32, n)
	for i := range v {
		z := h + uint64(i) + 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		v[i] = float32(z>>40) / (1 << 24)
	}
	return v
}

// signed is uniform in [-scale, scale).
func signed(name string, n int, scale float64) []float32 {
	v := uniform(name, n)
	for i, u := range v {
		v[i] = (u*2 - 1) * float32(scale)
	}
	return v
}

func volume(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// classes is integers below n as int64 of the given shape.
func classes(n int, name string, shape ...int) *tensor.Tensor {
	u := uniform(name, volume(shape))
	v := make([]int64, len(u))
	for i := range v {
		v[i] = int64(u[i] * float32(n))
	}
	return tensor.Of(v, shape...)
}

// net builds a model; the batch is a symbol, as in models that come from files.
type net struct {
	b       *graph.Builder
	e       expr.E
	weights []train.Weight
	frozen  bool
}

func (n *net) param(name string, t *tensor.Tensor, trainable bool) *graph.Value {
	n.weights = append(n.weights, train.Weight{Name: name, Trainable: trainable && !n.frozen})
	return n.b.Param(name, t)
}

func (n *net) vector(name string, size int, v float32) *graph.Value {
	s := make([]float32, size)
	for i := range s {
		s[i] = v
	}
	return n.param(name, tensor.Of(s, size), true)
}

// kernel is a weight of PyTorch's shape with its dimensions permuted to nnrt's.
func (n *net) kernel(name string, shape, perm []int) *graph.Value {
	rf := volume(shape[2:])
	return n.param(name, permuted(signed(name, volume(shape), math.Sqrt(6/float64((shape[0]+shape[1])*rf))), shape, perm), true)
}

func permuted(src []float32, shape, perm []int) *tensor.Tensor {
	st := tensor.Strides(shape)
	out, from := make([]int, len(shape)), make([]int, len(shape))
	for i, p := range perm {
		out[i], from[i] = shape[p], st[p]
	}
	v := make([]float32, len(src))
	for i := range v {
		rest, at := i, 0
		for k := len(out) - 1; k >= 0; k-- {
			at += rest % out[k] * from[k]
			rest /= out[k]
		}
		v[i] = src[at]
	}
	return tensor.Of(v, out...)
}

func (n *net) linear(name string, x *graph.Value, in, out int) *graph.Value {
	w := n.kernel(name+".weight", []int{out, in}, []int{1, 0})
	return n.e.Add(n.b.Add(ops.MatMul{}, x, w), n.vector(name+".bias", out, 0))
}

// flatLinear is the layer behind a flattened picture of h x w pixels: PyTorch counts channels first.
func (n *net) flatLinear(name string, x *graph.Value, c, h, w, out int) *graph.Value {
	t := signed(name+".weight", out*c*h*w, math.Sqrt(6/float64(out+c*h*w)))
	k := permuted(t, []int{out, c, h, w}, []int{2, 3, 1, 0})
	flat, err := k.Reshape(h*w*c, out)
	n.b.Fail(err)
	v := n.param(name+".weight", flat, true)
	return n.e.Add(n.b.Add(ops.MatMul{}, n.b.Add(ops.Flatten{Axis: 1}, x), v), n.vector(name+".bias", out, 0))
}

func (n *net) conv(name string, x *graph.Value, in, out, k, stride, pad int, bias bool) *graph.Value {
	w := n.kernel(name+".weight", []int{out, in, k, k}, []int{2, 3, 1, 0})
	op := ops.Conv{Strides: []int{stride, stride}, Pads: []int{pad, pad, pad, pad}, Format: ops.NHWC}
	if bias {
		return n.b.Add(op, x, w, n.vector(name+".bias", out, 0))
	}
	return n.b.Add(op, x, w)
}

func (n *net) norm(name string, x *graph.Value, c int) *graph.Value {
	gamma, beta := n.vector(name+".weight", c, 1), n.vector(name+".bias", c, 0)
	mean := n.param(name+".running_mean", tensor.New(tensor.Float32, c), false)
	one := tensor.New(tensor.Float32, c)
	for i := range c {
		tensor.As[float32](one)[i] = 1
	}
	return n.b.Add(ops.BatchNormalization{Epsilon: 1e-5, Momentum: 0.9, Format: ops.NHWC}, x, gamma, beta, mean, n.param(name+".running_var", one, false))
}

func (n *net) relu(x *graph.Value) *graph.Value { return n.b.Add(ops.Relu{}, x) }

func (n *net) pool(x *graph.Value) *graph.Value {
	return n.b.Add(ops.MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}, Format: ops.NHWC}, x)
}

// input declares the input like t, whose first dimension is the batch.
func (n *net) input(t *tensor.Tensor) *graph.Value {
	return n.b.Input("x", graph.TensorOf(t.DType(), append([]graph.Dim{graph.Sym("batch")}, graph.Dims(t.Shape()[1:]...)...)...))
}

func mlp(n *net) (x, y *tensor.Tensor) {
	x = tensor.Of(uniform("x", 128*784), 128, 784)
	h := n.relu(n.linear("fc1", n.input(x), 784, 512))
	n.b.Output(n.linear("fc2", h, 512, 10))
	return x, classes(10, "y", 128)
}

func mnist(n *net) (x, y *tensor.Tensor) {
	x = tensor.Of(uniform("x", 64*28*28), 64, 28, 28, 1)
	v := n.pool(n.relu(n.conv("conv1", n.input(x), 1, 32, 3, 1, 0, true)))
	v = n.pool(n.relu(n.conv("conv2", v, 32, 64, 3, 1, 0, true)))
	v = n.relu(n.flatLinear("fc1", v, 64, 5, 5, 128))
	n.b.Output(n.linear("fc2", v, 128, 10))
	return x, classes(10, "y", 64)
}

// picture is torch's input of pictures, channels moved last.
func picture(batch, c, side int) *tensor.Tensor {
	return permuted(signed("x", batch*c*side*side, 1), []int{batch, c, side, side}, []int{0, 2, 3, 1})
}

func resnet18(n *net) (x, y *tensor.Tensor) {
	x = picture(32, 3, 64)
	v := n.relu(n.norm("bn", n.conv("stem", n.input(x), 3, 64, 3, 1, 1, false), 64))
	in := 64
	for i, s := range []struct{ out, stride int }{{64, 1}, {64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}} {
		name := fmt.Sprintf("blocks.%d.", i)
		r := n.relu(n.norm(name+"bn1", n.conv(name+"conv1", v, in, s.out, 3, s.stride, 1, false), s.out))
		r = n.norm(name+"bn2", n.conv(name+"conv2", r, s.out, s.out, 3, 1, 1, false), s.out)
		if s.stride != 1 || in != s.out {
			v = n.norm(name+"bnd", n.conv(name+"down", v, in, s.out, 1, s.stride, 0, false), s.out)
		}
		v, in = n.relu(n.e.Add(r, v)), s.out
	}
	v = n.b.Add(ops.ReduceMean{}, v, n.b.Ints(1, 2))
	n.b.Output(n.linear("fc", v, 512, 10))
	return x, classes(10, "y", 32)
}

func lstm(n *net) (x, y *tensor.Tensor) {
	x = classes(10000, "x", 32, 100)
	emb := n.param("emb.weight", tensor.Of(signed("emb.weight", 10000*128, 0.05), 10000, 128), true)
	v := n.b.Add(ops.Gather{}, emb, n.input(x))
	v = n.b.AddN(ops.LSTM{HiddenSize: 128, Layout: 1}, v, n.gates("lstm.weight_ih_l0"), n.gates("lstm.weight_hh_l0"),
		n.param("lstm.bias", tensor.New(tensor.Float32, 1, 8*128), true))[1]
	n.b.Output(n.linear("fc", n.b.Add(ops.Squeeze{}, v, n.b.Ints(1)), 128, 1))
	t := uniform("y", 32)
	for i, u := range t {
		t[i] = float32(math.Floor(float64(u * 2)))
	}
	return x, tensor.Of(t, 32, 1)
}

// gates is an LSTM's matrix in ONNX's order of gates, i o f c; PyTorch's is i f c o.
func (n *net) gates(name string) *graph.Value {
	src := signed(name, 4*128*128, math.Sqrt(6/float64(5*128)))
	var v []float32
	for _, g := range []int{0, 3, 1, 2} {
		v = append(v, src[g*128*128:][:128*128]...)
	}
	return n.param(name, tensor.Of(v, 1, 4*128, 128), true)
}

func transformer(n *net) (x, y *tensor.Tensor) {
	x = tensor.Of(signed("x", 16*64*256, 1), 16, 64, 256)
	v := n.input(x)
	for i := range 2 {
		name := fmt.Sprintf("layers.%d.", i)
		v = n.layerNorm(name+"ln1", n.e.Add(v, n.attention(name+"att.", v, 256, 4)))
		h := n.b.Add(ops.Gelu{}, n.linear(name+"ff1", v, 256, 1024))
		v = n.layerNorm(name+"ln2", n.e.Add(v, n.linear(name+"ff2", h, 1024, 256)))
	}
	n.b.Output(n.linear("fc", n.b.Add(ops.ReduceMean{}, v, n.b.Ints(1)), 256, 10))
	return x, classes(10, "y", 16)
}

func (n *net) layerNorm(name string, x *graph.Value) *graph.Value {
	return n.b.Add(ops.LayerNormalization{Axis: -1, Epsilon: 1e-5, StashType: 1}, x, n.vector(name+".weight", 256, 1), n.vector(name+".bias", 256, 0))
}

func (n *net) attention(name string, x *graph.Value, d, heads int) *graph.Value {
	b := n.b
	v := b.Add(ops.Reshape{}, n.linear(name+"qkv", x, d, 3*d), b.Ints(0, 0, 3, int64(heads), int64(d/heads)))
	v = b.Add(ops.Transpose{Perm: []int{2, 0, 3, 1, 4}}, v)
	var p [3]*graph.Value
	for i := range p {
		p[i] = b.Add(ops.Gather{}, v, b.Const("i", tensor.Scalar(int64(i))))
	}
	a := n.e.MulC(b.Add(ops.MatMul{}, p[0], b.Add(ops.Transpose{Perm: []int{0, 1, 3, 2}}, p[1])), math.Sqrt(float64(heads)/float64(d)))
	a = b.Add(ops.MatMul{}, b.Add(ops.Softmax{Axis: -1}, a), p[2])
	a = b.Add(ops.Reshape{}, b.Add(ops.Transpose{Perm: []int{0, 2, 1, 3}}, a), b.Ints(0, 0, int64(d)))
	return n.linear(name+"out", a, d, d)
}

func vgg16(n *net) (x, y *tensor.Tensor) {
	x = picture(16, 3, 96)
	v, in, at := n.input(x), 3, 0
	n.frozen = true
	for _, out := range []int{64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0} {
		if out == 0 {
			v = n.pool(v)
			at++
			continue
		}
		v = n.relu(n.conv(fmt.Sprintf("base.%d", at), v, in, out, 3, 1, 1, true))
		in, at = out, at+2
	}
	n.frozen = false
	v = n.relu(n.flatLinear("fc1", v, 512, 3, 3, 256))
	n.b.Output(n.linear("fc2", v, 256, 1))
	t := uniform("y", 16)
	for i, u := range t {
		t[i] = float32(math.Floor(float64(u * 2)))
	}
	return x, tensor.Of(t, 16, 1)
}
