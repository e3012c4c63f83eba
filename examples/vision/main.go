// Command vision shows what a convnet with ImageNet weights sees in a photo: what its layers answer, which patterns its
// filters like, and where a cat/dog classifier finds its evidence.
package main

import (
	"context"
	"flag"
	"fmt"
	"image"
	_ "image/jpeg" // the photos' formats
	_ "image/png"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/pretrained"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/vision"
)

type config struct {
	photo   string
	out     string
	filters int
	steps   int
	size    int
}

func main() {
	e := kit.Flags(0, 0)
	var c config
	flag.StringVar(&c.photo, "photo", "", "a photo (default: the shared dog)")
	flag.StringVar(&c.out, "o", ".", "folder to write pictures to")
	flag.IntVar(&c.filters, "filters", 8, "filters to visualize")
	flag.IntVar(&c.steps, "steps", 40, "steps of gradient ascent")
	flag.IntVar(&c.size, "size", 128, "height and width of the filters' pictures")
	e.Main(func(ctx context.Context, e *kit.Env) error { return run(ctx, e, c) })
}

func run(ctx context.Context, e *kit.Env, c config) error {
	if c.photo == "" {
		c.photo = e.Path("pretrained", "teachable-mobilenetv2-cat-dog", "input_dog5_224.png")
	}
	f, err := os.Open(c.photo)
	if err != nil {
		return err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return fmt.Errorf("%s: %w", c.photo, err)
	}
	if err := squeeze(ctx, e, c, img); err != nil {
		return err
	}
	return heat(ctx, e, c, img)
}

// squeeze looks into SqueezeNet: activations of the photo, and filters.
func squeeze(ctx context.Context, e *kit.Env, c config, img image.Image) error {
	weights := e.Path("pretrained", "squeezenet1.1-notop", "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5")
	net, err := pretrained.Open("SqueezeNet", weights, pretrained.Options{Height: 224, Width: 224, NoTop: true})
	if err != nil {
		return err
	}
	x := pretrained.Pixels(img, 224, 224)
	if err := pretrained.Preprocess(x, pretrained.Caffe); err != nil {
		return err
	}
	names := []string{"relu_conv1", "fire2/concat", "fire5/concat", "fire9/concat"}
	acts, err := vision.New(net, e.Device).Activations(ctx, x, names...)
	if err != nil {
		return err
	}
	for i, name := range names {
		mosaic, err := vision.Mosaic(acts[name], 8, 64)
		if err != nil {
			return err
		}
		if err := save(c, fmt.Sprintf("activations_%d.png", i+1), mosaic); err != nil {
			return err
		}
		e.Printf("activations_%d.png: %s, %v\n", i+1, name, acts[name].Shape())
	}
	for k := range c.filters {
		if err := filter(ctx, e, c, k); err != nil {
			return err
		}
	}
	return nil
}

// filter draws what a filter of SqueezeNet's fifth block likes.
func filter(ctx context.Context, e *kit.Env, c config, k int) error {
	weights := e.Path("pretrained", "squeezenet1.1-notop", "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5")
	net, err := pretrained.Open("SqueezeNet", weights, pretrained.Options{Height: c.size, Width: c.size, NoTop: true})
	if err != nil {
		return err
	}
	x, before, after, err := vision.New(net, e.Device).Filter(ctx, "fire5/relu_expand3x3", k, vision.Ascent{Steps: c.steps, Low: -110, High: 130, Seed: e.Seed})
	if err != nil {
		return err
	}
	v := tensor.As[float32](x)
	for i := 0; i < len(v); i += 3 { // the network sees blue first
		v[i], v[i+2] = v[i+2], v[i]
	}
	img, err := vision.Picture(x, -110, 130)
	if err != nil {
		return err
	}
	e.Printf("filter_%d.png: fire5/relu_expand3x3, channel %d: mean answer from %.1f to %.1f\n", k, k, before, after)
	return save(c, fmt.Sprintf("filter_%d.png", k), img)
}

// heat draws where a classifier finds its evidence.
func heat(ctx context.Context, e *kit.Env, c config, img image.Image) error {
	f, err := keras.ReadFile(e.Path("pretrained", "teachable-mobilenetv2-cat-dog", "keras_model.h5"), keras.Options{})
	if err != nil {
		return err
	}
	x := pretrained.Pixels(img, 224, 224)
	if err := pretrained.Preprocess(x, pretrained.TF); err != nil {
		return err
	}
	warm, class, err := vision.New(f.Model, e.Device).GradCAM(ctx, "out_relu", x, -1)
	if err != nil {
		return err
	}
	square := image.NewRGBA(image.Rect(0, 0, 224, 224))
	draw.BiLinear.Scale(square, square.Bounds(), img, img.Bounds(), draw.Src, nil)
	over, err := vision.Overlay(square, warm, 0.65)
	if err != nil {
		return err
	}
	e.Printf("heat.png: evidence for %q\n", []string{"dog", "cat"}[class])
	return save(c, "heat.png", over)
}

func save(c config, name string, img image.Image) error {
	p, err := vision.PNG(img)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.out, name), p, 0o666)
}
