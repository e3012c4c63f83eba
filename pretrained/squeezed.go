package pretrained

import (
	"fmt"
	"math"

	"github.com/nnrt/nnrt/layers"
)

// act is an activation as a layer of its own.
//
//go:noinline
func (n *net) act(name string, a layers.Activation) {
	n.add(&layers.ActivationLayer{Base: layers.Named(name), Activation: a})
}

// deep is a depthwise convolution of a square kernel, padded as Keras pads what TensorFlow trained: with a stride of 2, one
// more behind than before where the size is even.
//
//go:noinline
func (n *net) deep(name, pad string, kernel, stride int) {
	padding := "same"
	if stride == 2 {
		padding = "valid"
		k := kernel / 2
		n.pad(pad, k-1+n.h%2, k, k-1+n.w%2, k)
		n.halve()
	}
	n.add(&layers.DepthwiseConv2D{Base: layers.Named(name), KernelSize: []int{kernel, kernel}, Strides: []int{stride, stride}, Padding: padding,
		NoBias: true})
}

// v3 is a row of MobileNetV3: the part that a block widens by, its filters, kernel and stride, whether it squeezes, and
// whether it bends like hard_silu rather than relu.
type v3 struct {
	wide            float64
	filters         int
	kernel, stride  int
	squeeze, smooth bool
}

// MobileNetV3Small is Howard et al.'s third network, the smaller (arXiv:1905.02244). Its pictures are numbers from 0 to 255.
func MobileNetV3Small(o Options) (*layers.Model, error) {
	return mobileNetV3("MobileNetV3Small", o, 1024, []v3{{1, 16, 3, 2, true, false}, {72. / 16, 24, 3, 2, false, false}, {88. / 24, 24, 3, 1, false, false},
		{4, 40, 5, 2, true, true}, {6, 40, 5, 1, true, true}, {6, 40, 5, 1, true, true}, {3, 48, 5, 1, true, true}, {3, 48, 5, 1, true, true},
		{6, 96, 5, 2, true, true}, {6, 96, 5, 1, true, true}, {6, 96, 5, 1, true, true}})
}

// MobileNetV3Large is the larger.
func MobileNetV3Large(o Options) (*layers.Model, error) {
	return mobileNetV3("MobileNetV3Large", o, 1280, []v3{{1, 16, 3, 1, false, false}, {4, 24, 3, 2, false, false}, {3, 24, 3, 1, false, false},
		{3, 40, 5, 2, true, false}, {3, 40, 5, 1, true, false}, {3, 40, 5, 1, true, false}, {6, 80, 3, 2, false, true}, {2.5, 80, 3, 1, false, true},
		{2.3, 80, 3, 1, false, true}, {2.3, 80, 3, 1, false, true}, {6, 112, 3, 1, true, true}, {6, 112, 3, 1, true, true}, {6, 160, 5, 2, true, true},
		{6, 160, 5, 1, true, true}, {6, 160, 5, 1, true, true}})
}

func mobileNetV3(name string, o Options, last int, blocks []v3) (*layers.Model, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	n := start(name, o, 224)
	n.add(&layers.Rescaling{Base: layers.Named("rescaling"), Scale: 1 / 127.5, Offset: -1.0})
	n.conv("conv", 16, 3, 2, "same", false)
	n.halve()
	n.normV2("conv_bn")
	n.act("activation", "hard_silu")
	in := 16
	for i, b := range blocks {
		prefix := "expanded_conv_"
		if i > 0 {
			prefix += fmt.Sprintf("%d_", i)
		}
		in = n.squeezed(prefix, i, in, divisible(float64(b.filters)*o.alpha(), 8), b)
	}
	wide := divisible(float64(in)*6, 8)
	n.conv("conv_1", wide, 1, 1, "same", false)
	n.normV2("conv_1_bn")
	n.act("activation_17", "hard_silu")
	if o.NoTop {
		return n.noTop()
	}
	if o.alpha() > 1 {
		last = divisible(float64(last)*o.alpha(), 8)
	}
	n.add(&layers.GlobalAveragePooling2D{Base: layers.Named("global_average_pooling2d"), Keepdims: true})
	n.conv("conv_2", last, 1, 1, "same", true)
	n.act("activation_18", "hard_silu")
	n.add(&layers.Dropout{Base: layers.Named("dropout"), Rate: 0.2})
	n.conv("logits", n.classes(), 1, 1, "same", true)
	n.add(&layers.Flatten{Base: layers.Named("flatten")})
	n.act("predictions", n.softmax())
	return n.end()
}

// squeezed is a block of MobileNetV3; it returns the channels it gives.
func (n *net) squeezed(prefix string, i, in, out int, b v3) int {
	bend := layers.Activation("relu")
	if b.smooth {
		bend = "hard_silu"
	}
	before, wide := n.x, divisible(float64(in)*b.wide, 8)
	if i > 0 {
		n.conv(prefix+"expand", wide, 1, 1, "same", false)
		n.normV2(prefix + "expand_bn")
		n.act(prefix+"expand_act", bend)
	}
	n.deep(prefix+"depthwise", prefix+"depthwise_pad", b.kernel, b.stride)
	n.normV2(prefix + "depthwise_bn")
	n.act(prefix+"depthwise_act", bend)
	if b.squeeze {
		name, x := prefix+"squeeze_excite_", n.x
		n.add(&layers.GlobalAveragePooling2D{Base: layers.Named(name + "avg_pool"), Keepdims: true})
		n.conv(name+"conv", divisible(float64(wide)*0.25, 8), 1, 1, "same", true)
		n.relu(name + "relu")
		n.conv(name+"conv_1", wide, 1, 1, "same", true)
		n.act(name+"gate", "hard_sigmoid")
		n.x = n.m.Apply(&layers.Multiply{Base: layers.Named(name + "mul")}, x, n.x)
	}
	n.conv(prefix+"project", out, 1, 1, "same", false)
	n.normV2(prefix + "project_bn")
	if b.stride == 1 && in == out {
		n.x = n.m.Apply(&layers.Add{Base: layers.Named(prefix + "add")}, before, n.x)
	}
	return out
}

// scales is what makes the EfficientNets of one another: width, depth, size of the pictures, dropout.
var scales = []struct {
	width, depth float64
	size         int
	drop         float64
}{{1, 1, 224, 0.2}, {1, 1.1, 240, 0.2}, {1.1, 1.2, 260, 0.3}, {1.2, 1.4, 300, 0.3}, {1.4, 1.8, 380, 0.4}, {1.6, 2.2, 456, 0.4}, {1.8, 2.6, 528, 0.5},
	{2, 3.1, 600, 0.5}}

// EfficientNetB0 is Tan and Le's network (arXiv:1905.11946). Its pictures are numbers from 0 to 255.
func EfficientNetB0(o Options) (*layers.Model, error) { return efficientNet(0, o) }

// efficientNet is EfficientNetB<b>.
func efficientNet(b int, o Options) (*layers.Model, error) {
	s := scales[b]
	width := func(v int) int { return divisible(float64(v)*s.width, 8) }
	n := start(fmt.Sprintf("efficientnetb%d", b), o, s.size)
	n.add(&layers.Rescaling{Base: layers.Named("rescaling"), Scale: 1 / 255., Offset: 0.0})
	n.add(&layers.Normalization{Base: layers.Named("normalization"), Axis: 3})
	if o.imageNet { // as those were trained: divided by the deviation, not by its root
		n.add(&layers.Rescaling{Base: layers.Named("rescaling_1"), Offset: 0.0, Scale: []float64{1 / math.Sqrt(0.229), 1 / math.Sqrt(0.224), 1 / math.Sqrt(0.225)}})
	}
	n.pad("stem_conv_pad", n.h%2, 1, n.w%2, 1)
	n.conv("stem_conv", width(32), 3, 2, "valid", false)
	n.halve()
	n.plain("stem_bn")
	n.act("stem_activation", "silu")
	rows := []struct{ kernel, repeats, filters, wide, stride int }{{3, 1, 16, 1, 1}, {3, 2, 24, 6, 2}, {5, 2, 40, 6, 2}, {3, 3, 80, 6, 2}, {5, 3, 112, 6, 1},
		{5, 4, 192, 6, 2}, {3, 1, 320, 6, 1}}
	repeats := func(k int) int { return int(math.Ceil(s.depth * float64(k))) }
	total, at, in := 0, 0, width(32)
	for _, r := range rows {
		total += repeats(r.repeats)
	}
	for i, r := range rows {
		for k := range repeats(r.repeats) {
			stride := r.stride
			if k > 0 {
				stride = 1
			}
			in = n.excited(fmt.Sprintf("block%d%c_", i+1, 'a'+k), in, width(r.filters), r.wide, r.kernel, stride, 0.2*float64(at)/float64(total))
			at++
		}
	}
	n.conv("top_conv", width(1280), 1, 1, "same", false)
	n.plain("top_bn")
	n.act("top_activation", "silu")
	if o.NoTop {
		return n.noTop()
	}
	n.add(&layers.GlobalAveragePooling2D{Base: layers.Named("avg_pool")})
	n.add(&layers.Dropout{Base: layers.Named("top_dropout"), Rate: s.drop})
	n.add(&layers.Dense{Base: layers.Named("predictions"), Units: n.classes(), Activation: n.softmax()})
	return n.end()
}

// plain is a batch normalization as Keras has it by default.
//
//go:noinline
func (n *net) plain(name string) { n.add(&layers.BatchNormalization{Base: layers.Named(name)}) }

// excited is a block of EfficientNet; it returns the channels it gives.
func (n *net) excited(name string, in, out, by, kernel, stride int, drop float64) int {
	before, wide := n.x, in*by
	if by > 1 {
		n.conv(name+"expand_conv", wide, 1, 1, "same", false)
		n.plain(name + "expand_bn")
		n.act(name+"expand_activation", "silu")
	}
	n.deep(name+"dwconv", name+"dwconv_pad", kernel, stride)
	n.plain(name + "bn")
	n.act(name+"activation", "silu")
	x := n.x
	n.add(&layers.GlobalAveragePooling2D{Base: layers.Named(name + "se_squeeze")})
	n.add(&layers.Reshape{Base: layers.Named(name + "se_reshape"), TargetShape: []int{1, 1, wide}})
	for _, c := range []struct {
		name    string
		filters int
		act     layers.Activation
	}{{"se_reduce", max(1, in/4), "silu"}, {"se_expand", wide, "sigmoid"}} {
		n.add(&layers.Conv2D{Base: layers.Named(name + c.name), Filters: c.filters, KernelSize: []int{1, 1}, Padding: "same", Activation: c.act})
	}
	n.x = n.m.Apply(&layers.Multiply{Base: layers.Named(name + "se_excite")}, x, n.x)
	n.conv(name+"project_conv", out, 1, 1, "same", false)
	n.plain(name + "project_bn")
	if stride == 1 && in == out {
		if drop > 0 {
			n.add(&layers.Dropout{Base: layers.Named(name + "drop"), Rate: drop, NoiseShape: []any{nil, 1.0, 1.0, 1.0}})
		}
		n.x = n.m.Apply(&layers.Add{Base: layers.Named(name + "add")}, n.x, before)
	}
	return out
}
