package pretrained

import (
	"fmt"

	"github.com/nnrt/nnrt/layers"
)

// VGG16 is Simonyan and Zisserman's network of 13 convolutions (arXiv:1409.1556).
func VGG16(o Options) (*layers.Model, error) { return vgg("vgg16", [5]int{2, 2, 3, 3, 3}, o) }

// VGG19 is VGG16 with 16 convolutions.
func VGG19(o Options) (*layers.Model, error) { return vgg("vgg19", [5]int{2, 2, 4, 4, 4}, o) }

func vgg(name string, convs [5]int, o Options) (*layers.Model, error) {
	n := start(name, o, 224)
	for b, count := range convs {
		for i := range count {
			n.add(&layers.Conv2D{Base: layers.Named(fmt.Sprintf("block%d_conv%d", b+1, i+1)), Filters: min(512, 64<<b),
				KernelSize: []int{3, 3}, Padding: "same", Activation: "relu"})
		}
		n.add(&layers.MaxPooling2D{Base: layers.Named(fmt.Sprintf("block%d_pool", b+1)), PoolSize: []int{2, 2}, Strides: []int{2, 2}})
	}
	if o.NoTop {
		return n.noTop()
	}
	n.add(&layers.Flatten{Base: layers.Named("flatten")})
	n.add(&layers.Dense{Base: layers.Named("fc1"), Units: 4096, Activation: "relu"})
	n.add(&layers.Dense{Base: layers.Named("fc2"), Units: 4096, Activation: "relu"})
	n.add(&layers.Dense{Base: layers.Named("predictions"), Units: n.classes(), Activation: n.softmax()})
	return n.end()
}

// norm is a batch normalization with the ResNets' epsilon.
//
//go:noinline
func (n *net) norm(name string) {
	n.add(&layers.BatchNormalization{Base: layers.Named(name), Axis: new(3), Epsilon: new(1.001e-5)})
}

// ResNet50 is He et al.'s residual network of 50 layers (arXiv:1512.03385).
func ResNet50(o Options) (*layers.Model, error) {
	n := start("resnet50", o, 224)
	n.pad("conv1_pad", 3, 3, 3, 3)
	n.conv("conv1_conv", 64, 7, 2, "valid", true)
	n.norm("conv1_bn")
	n.relu("conv1_relu")
	n.pad("pool1_pad", 1, 1, 1, 1)
	n.add(&layers.MaxPooling2D{Base: layers.Named("pool1_pool"), PoolSize: []int{3, 3}, Strides: []int{2, 2}})
	for s, blocks := range []int{3, 4, 6, 3} {
		for b := range blocks {
			stride := 1
			if s > 0 && b == 0 {
				stride = 2
			}
			n.residual(fmt.Sprintf("conv%d_block%d", s+2, b+1), 64<<s, stride, b == 0)
		}
	}
	return n.top("avg_pool")
}

// residual is a block of three convolutions beside a shortcut. Layers are called in the order in which Keras lists
// them, which is also that of weights in files.
func (n *net) residual(name string, filters, stride int, project bool) {
	short := n.x
	n.conv(name+"_1_conv", filters, 1, stride, "valid", true)
	n.norm(name + "_1_bn")
	n.relu(name + "_1_relu")
	n.conv(name+"_2_conv", filters, 3, 1, "same", true)
	n.norm(name + "_2_bn")
	n.relu(name + "_2_relu")
	main := n.x
	if project {
		n.x = short
		n.conv(name+"_0_conv", 4*filters, 1, stride, "valid", true)
		short, n.x = n.x, main
	}
	n.conv(name+"_3_conv", 4*filters, 1, 1, "valid", true)
	if project {
		main, n.x = n.x, short
		n.norm(name + "_0_bn")
		short, n.x = n.x, main
	}
	n.norm(name + "_3_bn")
	n.x = n.m.Apply(&layers.Add{Base: layers.Named(name + "_add")}, short, n.x)
	n.relu(name + "_out")
}

// ResNet50V2 is the residual network with normalization before the convolutions (arXiv:1603.05027).
func ResNet50V2(o Options) (*layers.Model, error) {
	n := start("resnet50v2", o, 224)
	n.pad("conv1_pad", 3, 3, 3, 3)
	n.conv("conv1_conv", 64, 7, 2, "valid", true)
	n.pad("pool1_pad", 1, 1, 1, 1)
	n.add(&layers.MaxPooling2D{Base: layers.Named("pool1_pool"), PoolSize: []int{3, 3}, Strides: []int{2, 2}})
	for s, blocks := range []int{3, 4, 6, 3} {
		for b := range blocks {
			stride := 1
			if s < 3 && b == blocks-1 {
				stride = 2
			}
			n.residualV2(fmt.Sprintf("conv%d_block%d", s+2, b+1), 64<<s, stride, b == 0)
		}
	}
	n.norm("post_bn")
	n.relu("post_relu")
	return n.top("avg_pool")
}

func (n *net) residualV2(name string, filters, stride int, project bool) {
	in := n.x
	n.norm(name + "_preact_bn")
	n.relu(name + "_preact_relu")
	pre, short := n.x, in
	if !project && stride > 1 {
		short = n.m.Apply(&layers.MaxPooling2D{PoolSize: []int{1, 1}, Strides: []int{stride, stride}}, in)
	}
	n.conv(name+"_1_conv", filters, 1, 1, "valid", false)
	n.norm(name + "_1_bn")
	n.relu(name + "_1_relu")
	n.pad(name+"_2_pad", 1, 1, 1, 1)
	n.conv(name+"_2_conv", filters, 3, stride, "valid", false)
	n.norm(name + "_2_bn")
	n.relu(name + "_2_relu")
	if project {
		main := n.x
		n.x = pre
		n.conv(name+"_0_conv", 4*filters, 1, stride, "valid", true)
		short, n.x = n.x, main
	}
	n.conv(name+"_3_conv", 4*filters, 1, 1, "valid", true)
	n.x = n.m.Apply(&layers.Add{Base: layers.Named(name + "_out")}, short, n.x)
}

// DenseNet121 is Huang et al.'s network whose blocks keep all earlier features (arXiv:1608.06993).
func DenseNet121(o Options) (*layers.Model, error) {
	n := start("densenet121", o, 224)
	n.pad("zero_padding2d", 3, 3, 3, 3)
	n.conv("conv1_conv", 64, 7, 2, "valid", false)
	n.norm("conv1_bn")
	n.relu("conv1_relu")
	n.pad("zero_padding2d_1", 1, 1, 1, 1)
	n.add(&layers.MaxPooling2D{Base: layers.Named("pool1"), PoolSize: []int{3, 3}, Strides: []int{2, 2}})
	channels := 64
	for s, blocks := range []int{6, 12, 24, 16} {
		for b := range blocks {
			name := fmt.Sprintf("conv%d_block%d", s+2, b+1)
			in := n.x
			n.norm(name + "_0_bn")
			n.relu(name + "_0_relu")
			n.conv(name+"_1_conv", 128, 1, 1, "valid", false)
			n.norm(name + "_1_bn")
			n.relu(name + "_1_relu")
			n.conv(name+"_2_conv", 32, 3, 1, "same", false)
			n.x = n.m.Apply(&layers.Concatenate{Base: layers.Named(name + "_concat")}, in, n.x)
			channels += 32
		}
		if s == 3 {
			break
		}
		name := fmt.Sprintf("pool%d", s+2)
		channels /= 2
		n.norm(name + "_bn")
		n.relu(name + "_relu")
		n.conv(name+"_conv", channels, 1, 1, "valid", false)
		n.add(&layers.AveragePooling2D{Base: layers.Named(name + "_pool"), PoolSize: []int{2, 2}, Strides: []int{2, 2}})
	}
	n.norm("bn")
	n.relu("relu")
	return n.top("avg_pool")
}

// SqueezeNet is SqueezeNet 1.1 (arXiv:1602.07360), with the layer names of the Keras weights.
func SqueezeNet(o Options) (*layers.Model, error) {
	n := start("squeezenet", o, 227)
	conv := func(name string, filters, size, stride int, padding string) {
		n.conv(name, filters, size, stride, padding, true)
	}
	conv("conv1", 64, 3, 2, "valid")
	n.relu("relu_conv1")
	pool := func(name string) {
		n.add(&layers.MaxPooling2D{Base: layers.Named(name), PoolSize: []int{3, 3}, Strides: []int{2, 2}})
	}
	pool("pool1")
	for i, squeeze := range []int{16, 16, 32, 32, 48, 48, 64, 64} {
		name := fmt.Sprintf("fire%d/", i+2)
		conv(name+"squeeze1x1", squeeze, 1, 1, "valid")
		n.relu(name + "relu_squeeze1x1")
		in := n.x
		conv(name+"expand1x1", 4*squeeze, 1, 1, "valid")
		n.relu(name + "relu_expand1x1")
		left := n.x
		n.x = in
		conv(name+"expand3x3", 4*squeeze, 3, 1, "same")
		n.relu(name + "relu_expand3x3")
		n.x = n.m.Apply(&layers.Concatenate{Base: layers.Named(name + "concat"), Axis: new(3)}, left, n.x)
		if i == 1 || i == 3 {
			pool(fmt.Sprintf("pool%d", i+2))
		}
	}
	if o.NoTop {
		return n.noTop()
	}
	n.add(&layers.Dropout{Base: layers.Named("drop9"), Rate: 0.5})
	conv("conv10", n.classes(), 1, 1, "valid")
	n.relu("relu_conv10")
	n.add(&layers.GlobalAveragePooling2D{})
	if !o.Logits {
		n.add(&layers.ActivationLayer{Base: layers.Named("loss"), Activation: "softmax"})
	}
	return n.end()
}
