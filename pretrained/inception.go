package pretrained

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nnrt/nnrt/layers"
)

// tower calls convolutions, each with normalization and relu, one after the other on x: "64:1x1 96:3x3/2" has 64 filters of 1 by 1
// and 96 of 3 by 3 with a stride of 2, which, like any that is written, takes no padding. Keras gives them no names.
//
//go:noinline
func (n *net) tower(x *layers.Tensor, spec string) *layers.Tensor {
	for _, part := range strings.Fields(spec) {
		numbers := [4]int{3: 1}
		fields := strings.FieldsFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		for i, f := range fields {
			numbers[i], _ = strconv.Atoi(f)
		}
		filters, h, w, stride, padding := numbers[0], numbers[1], numbers[2], numbers[3], "same"
		if len(fields) == 4 {
			padding = "valid"
		}
		x = n.m.Apply(&layers.Conv2D{Filters: filters, KernelSize: []int{h, w}, Strides: []int{stride, stride}, Padding: padding, NoBias: true}, x)
		x = n.m.Apply(&layers.BatchNormalization{Axis: new(3), NoScale: true}, x)
		x = n.m.Apply(&layers.ActivationLayer{Activation: "relu"}, x)
	}
	return x
}

// branches puts the results of towers on the same x behind one another; "max" is a pooling that halves, "avg" one that smooths
// before the tower.
func (n *net) branches(name string, x *layers.Tensor, specs ...string) {
	xs := make([]*layers.Tensor, len(specs))
	for i, s := range specs {
		from := x
		if s == "max" {
			n.x = x
			xs[i] = n.shrink()
			continue
		}
		if rest, ok := strings.CutPrefix(s, "avg "); ok {
			s = rest
			from = n.m.Apply(&layers.AveragePooling2D{PoolSize: []int{3, 3}, Strides: []int{1, 1}, Padding: "same"}, x)
		}
		xs[i] = n.tower(from, s)
	}
	n.join(name, xs...)
}

// join puts feature maps behind one another.
//
//go:noinline
func (n *net) join(name string, xs ...*layers.Tensor) {
	if len(xs) == 1 {
		n.x = xs[0]
		return
	}
	n.x = n.m.Apply(&layers.Concatenate{Base: layers.Named(name), Axis: new(3)}, xs...)
}

//go:noinline
func (n *net) shrink() *layers.Tensor {
	return n.m.Apply(&layers.MaxPooling2D{PoolSize: []int{3, 3}, Strides: []int{2, 2}}, n.x)
}

// InceptionV3 is Szegedy et al.'s network of parallel convolutions (arXiv:1512.00567).
func InceptionV3(o Options) (*layers.Model, error) {
	n := start("inception_v3", o, 299)
	n.x = n.tower(n.x, "32:3x3/2 32:3x3/1 64:3x3")
	n.x = n.shrink()
	n.x = n.tower(n.x, "80:1x1/1 192:3x3/1")
	n.x = n.shrink()
	for i, pool := range []string{"avg 32:1x1", "avg 64:1x1", "avg 64:1x1"} {
		n.branches(fmt.Sprintf("mixed%d", i), n.x, "64:1x1", "48:1x1 64:5x5", "64:1x1 96:3x3 96:3x3", pool)
	}
	n.branches("mixed3", n.x, "384:3x3/2", "64:1x1 96:3x3 96:3x3/2", "max")
	for i, f := range []int{128, 160, 160, 192} {
		n.branches(fmt.Sprintf("mixed%d", 4+i), n.x, "192:1x1", fmt.Sprintf("%[1]d:1x1 %[1]d:1x7 192:7x1", f),
			fmt.Sprintf("%[1]d:1x1 %[1]d:7x1 %[1]d:1x7 %[1]d:7x1 192:1x7", f), "avg 192:1x1")
	}
	n.branches("mixed8", n.x, "192:1x1 320:3x3/2", "192:1x1 192:1x7 192:7x1 192:3x3/2", "max")
	for i := range 2 {
		x := n.x
		a := n.tower(x, "320:1x1")
		n.branches(fmt.Sprintf("mixed9_%d", i), n.tower(x, "384:1x1"), "384:1x3", "384:3x1")
		b := n.x
		n.branches("", n.tower(x, "448:1x1 384:3x3"), "384:1x3", "384:3x1")
		c := n.x
		n.branches("", x, "avg 192:1x1")
		n.join(fmt.Sprintf("mixed%d", 9+i), a, b, c, n.x)
	}
	return n.top("avg_pool")
}

// Xception is Chollet's network of depthwise separable convolutions (arXiv:1610.02357).
func Xception(o Options) (*layers.Model, error) {
	n := start("xception", o, 299)
	for i, f := range []int{32, 64} {
		name := fmt.Sprintf("block1_conv%d", i+1)
		n.conv(name, f, 3, 2-i, "valid", false)
		n.plain(name + "_bn")
		n.relu(name + "_act")
	}
	for i, f := range []int{128, 256, 728} {
		n.separated(i+2, i > 0, f, f)
	}
	for i := range 8 {
		before := n.x
		for k := range 3 {
			n.separable(fmt.Sprintf("block%d_sepconv%d", i+5, k+1), 728, true, false)
		}
		n.x = n.m.Apply(&layers.Add{}, n.x, before)
	}
	n.separated(13, true, 728, 1024)
	n.separable("block14_sepconv1", 1536, false, true)
	n.separable("block14_sepconv2", 2048, false, true)
	return n.top("avg_pool")
}

// separable is a separable convolution with normalization, and relu before or behind it.
//
//go:noinline
func (n *net) separable(name string, filters int, before, behind bool) {
	if before {
		n.relu(name + "_act")
	}
	n.add(&layers.SeparableConv2D{Base: layers.Named(name), Filters: filters, KernelSize: []int{3, 3}, Padding: "same", NoBias: true})
	n.plain(name + "_bn")
	if behind {
		n.relu(name + "_act")
	}
}

// separated is a block that halves the size beside a convolution that does, too.
func (n *net) separated(block int, bend bool, first, second int) {
	short := n.m.Apply(&layers.Conv2D{Filters: second, KernelSize: []int{1, 1}, Strides: []int{2, 2}, Padding: "same", NoBias: true}, n.x)
	short = n.m.Apply(&layers.BatchNormalization{}, short)
	name := fmt.Sprintf("block%d_", block)
	n.separable(name+"sepconv1", first, bend, false)
	n.separable(name+"sepconv2", second, true, false)
	n.add(&layers.MaxPooling2D{Base: layers.Named(name + "pool"), PoolSize: []int{3, 3}, Strides: []int{2, 2}, Padding: "same"})
	n.x = n.m.Apply(&layers.Add{}, n.x, short)
}
