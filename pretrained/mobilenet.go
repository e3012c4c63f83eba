package pretrained

import (
	"fmt"

	"github.com/nnrt/nnrt/layers"
)

//go:noinline
func (n *net) depthwise(name string, stride int, padding string) {
	n.add(&layers.DepthwiseConv2D{Base: layers.Named(name), KernelSize: []int{3, 3}, Strides: []int{stride, stride},
		Padding: padding, NoBias: true})
}

// MobileNet is Howard et al.'s first network of depthwise convolutions (arXiv:1704.04861).
func MobileNet(o Options) (*layers.Model, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	n := start("mobilenet", o, 224)
	norm := func(name string) { n.add(&layers.BatchNormalization{Base: layers.Named(name)}) }
	width := func(v int) int { return int(float64(v) * o.alpha()) }
	n.conv("conv1", width(32), 3, 2, "same", false)
	norm("conv1_bn")
	n.relu6("conv1_relu")
	for i, filters := range []int{64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024} {
		k := i + 1
		stride, padding := 1, "same"
		if k == 2 || k == 4 || k == 6 || k == 12 {
			stride, padding = 2, "valid"
			n.pad(fmt.Sprintf("conv_pad_%d", k), 0, 1, 0, 1)
		}
		n.depthwise(fmt.Sprintf("conv_dw_%d", k), stride, padding)
		norm(fmt.Sprintf("conv_dw_%d_bn", k))
		n.relu6(fmt.Sprintf("conv_dw_%d_relu", k))
		n.conv(fmt.Sprintf("conv_pw_%d", k), width(filters), 1, 1, "same", false)
		norm(fmt.Sprintf("conv_pw_%d_bn", k))
		n.relu6(fmt.Sprintf("conv_pw_%d_relu", k))
	}
	if o.NoTop {
		return n.noTop()
	}
	n.add(&layers.GlobalAveragePooling2D{Keepdims: true})
	n.add(&layers.Dropout{Base: layers.Named("dropout"), Rate: 0.001})
	n.conv("conv_preds", n.classes(), 1, 1, "same", true)
	n.add(&layers.Reshape{Base: layers.Named("reshape_2"), TargetShape: []int{n.classes()}})
	if !o.Logits {
		n.add(&layers.ActivationLayer{Base: layers.Named("predictions"), Activation: "softmax"})
	}
	return n.end()
}

// MobileNetV2 is Sandler et al.'s network of inverted residuals (arXiv:1801.04381).
func MobileNetV2(o Options) (*layers.Model, error) {
	if err := check(o); err != nil {
		return nil, err
	}
	n := start(fmt.Sprintf("mobilenetv2_%.2f", o.alpha()), o, 224)
	channels := divisible(32*o.alpha(), 8)
	n.conv("Conv1", channels, 3, 2, "same", false)
	n.halve()
	n.normV2("bn_Conv1")
	n.relu6("Conv1_relu")
	block := 0
	for _, s := range []struct{ filters, count, stride, expansion int }{
		{16, 1, 1, 1}, {24, 2, 2, 6}, {32, 3, 2, 6}, {64, 4, 2, 6}, {96, 3, 1, 6}, {160, 3, 2, 6}, {320, 1, 1, 6}} {
		for i := range s.count {
			stride := 1
			if i == 0 {
				stride = s.stride
			}
			channels = n.inverted(block, channels, divisible(float64(s.filters)*o.alpha(), 8), stride, s.expansion)
			block++
		}
	}
	last := 1280
	if o.alpha() > 1 {
		last = divisible(1280*o.alpha(), 8)
	}
	n.conv("Conv_1", last, 1, 1, "valid", false)
	n.normV2("Conv_1_bn")
	n.relu6("out_relu")
	return n.top("global_average_pooling2d")
}

//go:noinline
func (n *net) normV2(name string) {
	n.add(&layers.BatchNormalization{Base: layers.Named(name), Epsilon: new(1e-3), Momentum: new(0.999)})
}

// inverted is a residual block that is wide inside and narrow at its ends; it returns the channels it gives.
func (n *net) inverted(block, in, out, stride, expansion int) int {
	before, name := n.x, "expanded_conv_"
	if block > 0 {
		name = fmt.Sprintf("block_%d_", block)
		n.conv(name+"expand", expansion*in, 1, 1, "same", false)
		n.normV2(name + "expand_BN")
		n.relu6(name + "expand_relu")
	}
	padding := "same"
	if stride == 2 {
		padding = "valid"
		n.pad(name+"pad", n.h%2, 1, n.w%2, 1)
		n.halve()
	}
	n.depthwise(name+"depthwise", stride, padding)
	n.normV2(name + "depthwise_BN")
	n.relu6(name + "depthwise_relu")
	n.conv(name+"project", out, 1, 1, "same", false)
	n.normV2(name + "project_BN")
	if in == out && stride == 1 {
		n.x = n.m.Apply(&layers.Add{Base: layers.Named(name + "add")}, before, n.x)
	}
	return out
}
