// Package pretrained holds well-known image classifiers as layers, with where their ImageNet weights come from,
// how they want their pictures, and what their outputs are called. It downloads nothing: weights are read from
// files that the caller has.
package pretrained

import (
	"math"
	"os"

	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/layers"
)

// Options steers the making of a network. The zero value is the ImageNet classifier at its own size.
type Options struct {
	Height, Width int     // of the pictures; 0: the network's own size
	Alpha         float64 // width of the MobileNets; 0: 1
	NoTop         bool    // ends with the last feature map
	Pooling       string  // with NoTop: "" for the feature map, "avg" or "max" for one vector a picture
	Classes       int     // 0: 1000
	Logits        bool    // no softmax at the end

	imageNet bool // weights of ImageNet are to come
}

// Mode is how pixel values from 0 to 255 become a network's input.
type Mode string

// The modes of Keras' preprocess_input.
const (
	TF    Mode = "tf"    // x/127.5 - 1
	Caffe Mode = "caffe" // BGR, less the mean of ImageNet's channels
	Torch Mode = "torch" // x/255, less the mean of ImageNet's channels, over their deviation
	None  Mode = "none"  // as it is
)

// Weights is a weights file that its makers publish.
type Weights struct {
	URL   string
	MD5   string  // as Keras publishes it; empty where it publishes none
	Alpha float64 // the width it is for; 0 where the network has only one
	NoTop bool
}

// Net is a row of the catalogue.
type Net struct {
	Name    string
	Size    int // height and width of the pictures it was trained on
	Mode    Mode
	Weights []Weights
	Build   func(o Options) (*layers.Model, error)
}

const (
	releases = "https://github.com/fchollet/deep-learning-models/releases/download/v0.1/"
	storage  = "https://storage.googleapis.com/tensorflow/keras-applications/"
)

// Catalogue lists the networks.
func Catalogue() []Net {
	tf := "_weights_tf_dim_ordering_tf_kernels"
	return []Net{
		{"VGG16", 224, Caffe, []Weights{
			{storage + "vgg16/vgg16" + tf + ".h5", "64373286793e3c8b2b4e3219cbf3544b", 0, false},
			{storage + "vgg16/vgg16" + tf + "_notop.h5", "6d6bbae143d832006294945121d1f1fc", 0, true}}, VGG16},
		{"VGG19", 224, Caffe, []Weights{
			{storage + "vgg19/vgg19" + tf + ".h5", "cbe5617147190e668d6c5d5026f83318", 0, false},
			{storage + "vgg19/vgg19" + tf + "_notop.h5", "253f8cb515780f3b799900260a226db6", 0, true}}, VGG19},
		{"ResNet50", 224, Caffe, []Weights{
			{storage + "resnet/resnet50" + tf + ".h5", "2cb95161c43110f7111970584f804107", 0, false},
			{storage + "resnet/resnet50" + tf + "_notop.h5", "4d473c1dd8becc155b73f8504c6f6626", 0, true}}, ResNet50},
		{"ResNet50V2", 224, TF, []Weights{
			{storage + "resnet/resnet50v2" + tf + ".h5", "3ef43a0b657b3be2300d5770ece849e0", 0, false},
			{storage + "resnet/resnet50v2" + tf + "_notop.h5", "fac2f116257151a9d068a22e544a4917", 0, true}}, ResNet50V2},
		{"MobileNet", 224, TF, []Weights{
			{storage + "mobilenet/mobilenet_1_0_224_tf.h5", "", 1, false},
			{storage + "mobilenet/mobilenet_1_0_224_tf_no_top.h5", "", 1, true}}, MobileNet},
		{"MobileNetV2", 224, TF, []Weights{
			{storage + "mobilenet_v2/mobilenet_v2" + tf + "_1.0_224.h5", "", 1, false},
			{storage + "mobilenet_v2/mobilenet_v2" + tf + "_1.0_224_no_top.h5", "", 1, true},
			{storage + "mobilenet_v2/mobilenet_v2" + tf + "_0.35_224_no_top.h5", "", 0.35, true}}, MobileNetV2},
		{"SqueezeNet", 227, Caffe, []Weights{
			{"https://github.com/rcmalli/keras-squeezenet/releases/download/v1.0/squeezenet" + tf + ".h5", "", 0, false},
			{"https://github.com/rcmalli/keras-squeezenet/releases/download/v1.0/squeezenet" + tf + "_notop.h5", "", 0, true}}, SqueezeNet},
		{"DenseNet121", 224, Torch, []Weights{
			{storage + "densenet/densenet121" + tf + ".h5", "9d60b8095a5708f2dcce2bca79d332c7", 0, false},
			{storage + "densenet/densenet121" + tf + "_notop.h5", "30ee3e1110167f948a6b9946edeeb738", 0, true}}, DenseNet121},
		{"InceptionV3", 299, TF, []Weights{
			{storage + "inception_v3/inception_v3" + tf + ".h5", "9a0d58056eeedaa3f26cb7ebd46da564", 0, false},
			{storage + "inception_v3/inception_v3" + tf + "_notop.h5", "bcbd6486424b2319ff4ef7d526e38f63", 0, true}}, InceptionV3},
		{"Xception", 299, TF, []Weights{
			{storage + "xception/xception" + tf + ".h5", "0a58e3b7378bc2990ea3b43d5981f1f6", 0, false},
			{storage + "xception/xception" + tf + "_notop.h5", "b0042744bf5b25fce3cb969f33bebb97", 0, true}}, Xception},
		{"MobileNetV3Small", 224, None, []Weights{
			{storage + "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float.h5", "8768d4c2e7dee89b9d02b2d03d65d862", 1, false},
			{storage + "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5", "", 1, true}}, MobileNetV3Small},
		{"MobileNetV3Large", 224, None, []Weights{
			{storage + "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float.h5", "59e551e166be033d707958cf9e29a6a7", 1, false},
			{storage + "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5", "07fb09a5933dd0c8eaafa16978110389", 1, true}}, MobileNetV3Large},
		{"EfficientNetB0", 224, None, []Weights{
			{"https://storage.googleapis.com/keras-applications/efficientnetb0.h5", "902e53a9f72be733fc0bcb005b3ebbac", 0, false},
			{"https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d", 0, true}}, EfficientNetB0},
	}
}

// Find is the network of that name.
func Find(name string) (Net, error) {
	var names []string
	for _, n := range Catalogue() {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Net{}, errs.Errorf("pretrained: no network %q; there are %v", name, names)
}

// Open builds a network and gives it the weights in a file: weights alone or a whole model, in any format that
// package keras reads.
func Open(name, weights string, o Options) (*layers.Model, error) {
	n, err := Find(name)
	if err != nil {
		return nil, err
	}
	o.imageNet = true
	m, err := n.Build(o)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(weights)
	if err != nil {
		return nil, err
	}
	if _, err := keras.LoadWeights(m, b, keras.Options{}); err != nil {
		return nil, errs.Errorf("pretrained: %s from %s: %w", name, weights, err)
	}
	return m, nil
}

// net is a network in the making.
type net struct {
	m *layers.Model
	x *layers.Tensor
	o Options

	h, w int // of the feature map, where a network has to know
}

// halve is what a stride of 2 does to the feature map.
func (n *net) halve() { n.h, n.w = (n.h+1)/2, (n.w+1)/2 }

func start(name string, o Options, size int) *net {
	h, w := o.Height, o.Width
	if h == 0 {
		h = size
	}
	if w == 0 {
		w = size
	}
	n := &net{m: layers.NewModel(name), o: o, h: h, w: w}
	n.x = n.m.AddInput("input_layer", h, w, 3)
	return n
}

// add calls a layer on what came last.
//
//go:noinline
func (n *net) add(l layers.Layer) *layers.Tensor {
	n.x = n.m.Apply(l, n.x)
	return n.x
}

//go:noinline
func (n *net) relu(name string) {
	n.add(&layers.ActivationLayer{Base: layers.Named(name), Activation: "relu"})
}

// relu6 is a ReLU that ends at 6.
//
//go:noinline
func (n *net) relu6(name string) {
	n.add(&layers.ReLU{Base: layers.Named(name), MaxValue: new(6.0)})
}

//go:noinline
func (n *net) pad(name string, top, bottom, left, right int) {
	n.add(&layers.ZeroPadding2D{Base: layers.Named(name), Padding: [][2]int{{top, bottom}, {left, right}}})
}

// conv is a convolution without activation.
//
//go:noinline
func (n *net) conv(name string, filters, size, stride int, padding string, bias bool) {
	n.add(&layers.Conv2D{Base: layers.Named(name), Filters: filters, KernelSize: []int{size, size}, Strides: []int{stride, stride},
		Padding: padding, NoBias: !bias})
}

func (n *net) classes() int {
	if n.o.Classes == 0 {
		return 1000
	}
	return n.o.Classes
}

// softmax is the activation of the last layer.
func (n *net) softmax() layers.Activation {
	if n.o.Logits {
		return ""
	}
	return "softmax"
}

// top is global average pooling and a dense layer.
func (n *net) top(pool string) (*layers.Model, error) {
	if n.o.NoTop {
		return n.noTop()
	}
	n.add(&layers.GlobalAveragePooling2D{Base: layers.Named(pool)})
	n.add(&layers.Dense{Base: layers.Named("predictions"), Units: n.classes(), Activation: n.softmax()})
	return n.end()
}

func (n *net) noTop() (*layers.Model, error) {
	switch n.o.Pooling {
	case "":
	case "avg":
		n.add(&layers.GlobalAveragePooling2D{})
	case "max":
		n.add(&layers.GlobalMaxPooling2D{})
	default:
		return nil, errs.Errorf("pretrained: pooling %q; it is avg, max or empty", n.o.Pooling)
	}
	return n.end()
}

func (n *net) end() (*layers.Model, error) {
	n.m.SetOutputs(n.x)
	n.m.SortLayers()
	if err := n.m.Build(); err != nil {
		return nil, err
	}
	return n.m, nil
}

// divisible rounds v to a multiple of d, at least d and not below nine tenths of v.
func divisible(v float64, d int) int {
	n := max(d, int(v+float64(d)/2)/d*d)
	if float64(n) < 0.9*v {
		n += d
	}
	return n
}

func (o Options) alpha() float64 {
	if o.Alpha == 0 {
		return 1
	}
	return o.Alpha
}

func check(o Options) error {
	if a := o.alpha(); a <= 0 || math.IsNaN(a) || a > 8 {
		return errs.Errorf("pretrained: a width of %v", o.Alpha)
	}
	return nil
}
