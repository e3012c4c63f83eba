// Command hymenoptera teaches networks that know ImageNet to tell ants from bees, from 244 photos: first a linear
// classifier on the frozen network's features, then fine-tuning of its last blocks; and, for comparison, the same
// network from scratch.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/pretrained"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// backbone is a network with ImageNet weights, and what of it is fine-tuned.
type backbone struct {
	name, folder, file string
	alpha              float64
	mode               pretrained.Mode
	decay              float64  // L2 of the linear classifier
	tune               []string // beginnings of the names of the layers that fine-tuning changes
}

var backbones = map[string]backbone{
	"mobilenet": {"MobileNetV2", "mobilenetv2-0.35-224-notop", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
		0.35, pretrained.TF, 1e-3, []string{"block_14", "block_15", "block_16", "Conv_1"}},
	"squeezenet": {"SqueezeNet", "squeezenet1.1-notop", "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5",
		0, pretrained.Caffe, 1e-2, []string{"fire8", "fire9"}},
}

type config struct {
	net   string
	steps string // which of probe, tune, scratch
	size  int
	limit int // photos of each class; 0: all
	slow  int // epochs of fine-tuning and of training from scratch
}

func main() {
	e := kit.Flags(200, 16)
	e.Verbose = 0
	var c config
	flag.StringVar(&c.net, "net", "mobilenet", "mobilenet, squeezenet or catdog")
	flag.StringVar(&c.steps, "steps", "probe,tune,scratch", "what to do")
	flag.IntVar(&c.size, "size", 160, "height and width of the photos")
	flag.IntVar(&c.limit, "n", 0, "photos of each class; 0: all")
	flag.IntVar(&c.slow, "slow", 10, "epochs of fine-tuning, of training from scratch, and of the cat/dog head")
	e.Main(func(ctx context.Context, e *kit.Env) error {
		_, err := run(ctx, e, c)
		return err
	})
}

// run does the steps and returns the validation accuracy of each.
func run(ctx context.Context, e *kit.Env, c config) (map[string]float64, error) {
	if c.net == "catdog" {
		acc, err := catDog(ctx, e, c)
		return map[string]float64{"head": acc}, err
	}
	b, ok := backbones[c.net]
	if !ok {
		return nil, fmt.Errorf("no network %q: mobilenet, squeezenet or catdog", c.net)
	}
	set, held, err := photos(e, c, b.mode)
	if err != nil {
		return nil, err
	}
	r := &runner{e: e, c: c, b: b, set: set, held: held}
	acc := map[string]float64{}
	for _, s := range []struct {
		name string
		do   func(ctx context.Context) (float64, error)
	}{{"probe", r.probe}, {"tune", r.tune}, {"scratch", r.scratch}} {
		if !strings.Contains(c.steps, s.name) {
			continue
		}
		v, err := s.do(ctx)
		if err != nil {
			return nil, err
		}
		acc[s.name] = v
		e.Printf("%s, %s: validation accuracy %.3f of %d photos\n", b.name, s.name, v, held.Len())
	}
	return acc, nil
}

func photos(e *kit.Env, c config, mode pretrained.Mode) (set, held data.Arrays, err error) {
	if set, err = load(e.Path("datasets", "hymenoptera", "train"), c.size, c.limit, mode); err != nil {
		return set, held, err
	}
	held, err = load(e.Path("datasets", "hymenoptera", "val"), c.size, c.limit, mode)
	return set, held, err
}

type runner struct {
	e         *kit.Env
	c         config
	b         backbone
	set, held data.Arrays
	head      []*tensor.Tensor // the probe's kernel and bias
}

// open builds the network with one vector a picture as its output.
func (r *runner) open(weights bool) (*layers.Model, error) {
	o := pretrained.Options{Height: r.c.size, Width: r.c.size, Alpha: r.b.alpha, NoTop: true, Pooling: "avg"}
	if weights {
		return pretrained.Open(r.b.name, r.e.Path("pretrained", r.b.folder, r.b.file), o)
	}
	n, err := pretrained.Find(r.b.name)
	if err != nil {
		return nil, err
	}
	return n.Build(o)
}

// compile is the options that all steps share.
func compile(optimizer string, rate float64) (train.CompileOptions, error) {
	o, err := kit.Optimizer(optimizer, rate)
	return train.CompileOptions{Optimizer: o, Loss: "sparse_categorical_crossentropy", Metrics: [][]any{{"accuracy"}}}, err
}

// probe computes every photo's features once and trains a linear classifier on them.
func (r *runner) probe(ctx context.Context) (float64, error) {
	net, err := r.open(true)
	if err != nil {
		return 0, err
	}
	set, err := r.features(ctx, net, r.set)
	if err != nil {
		return 0, err
	}
	held, err := r.features(ctx, net, r.held)
	if err != nil {
		return 0, err
	}
	head := layers.NewSequential("probe", kit.Input("features", set.X[0].Dim(1)),
		&layers.Dense{Base: layers.Named("head"), Units: len(classes), Activation: "softmax", KernelRegularizer: layers.L2(r.b.decay)})
	o, err := compile("adam", 0.002)
	if err != nil {
		return 0, err
	}
	m, h, err := r.e.Train(ctx, head, set, o, r.e.Fit())
	if err != nil {
		return 0, err
	}
	for _, w := range head.Weights() {
		r.head = append(r.head, w.Data)
	}
	if err := r.e.Keep(h); err != nil {
		return 0, err
	}
	return accuracy(ctx, m, held)
}

func (r *runner) features(ctx context.Context, net *layers.Model, d data.Arrays) (data.Arrays, error) {
	m, err := train.FromLayers(net, r.e.Device, r.e.Seed)
	if err != nil {
		return d, err
	}
	y, err := m.Predict(ctx, d, train.EvaluateOptions{BatchSize: 16})
	if err != nil {
		return d, err
	}
	return data.New(y[0], d.Y[0]), nil
}

func accuracy(ctx context.Context, m *train.Model, d data.Dataset) (float64, error) {
	logs, err := m.Evaluate(ctx, d, train.EvaluateOptions{BatchSize: 16})
	acc, _ := logs.Get("accuracy")
	return acc, err
}

// classifier is the network with a dense layer on top.
func (r *runner) classifier(weights bool) (*layers.Model, *layers.Dense, error) {
	net, err := r.open(weights)
	if err != nil {
		return nil, nil, err
	}
	head := &layers.Dense{Base: layers.Named("head"), Units: len(classes), Activation: "softmax"}
	net.SetOutputs(net.Apply(head, net.Outputs()[0]))
	return net, head, net.Build()
}

// tune puts the probe on top of the network and trains both its last blocks and the head at a low rate. The other
// layers are frozen, and so are all normalizations: 244 photos are too few to measure means from.
func (r *runner) tune(ctx context.Context) (float64, error) {
	if r.head == nil {
		if _, err := r.probe(ctx); err != nil {
			return 0, err
		}
	}
	net, head, err := r.classifier(true)
	if err != nil {
		return 0, err
	}
	for i, w := range net.LayerWeights(head) {
		if err := w.SetData(r.head[i]); err != nil {
			return 0, err
		}
	}
	for _, l := range net.Layers() {
		_, norm := l.(*layers.BatchNormalization)
		l.Common().Frozen = norm || l != layers.Layer(head) && !r.tuned(l.Common().Name)
	}
	return r.fit(ctx, net, "adam", 1e-4)
}

func (r *runner) tuned(name string) bool {
	for _, p := range r.b.tune {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// scratch trains the same network from random weights.
func (r *runner) scratch(ctx context.Context) (float64, error) {
	net, _, err := r.classifier(false)
	if err != nil {
		return 0, err
	}
	return r.fit(ctx, net, "adam", 1e-3)
}

func (r *runner) fit(ctx context.Context, net *layers.Model, optimizer string, rate float64) (float64, error) {
	o, err := compile(optimizer, rate)
	if err != nil {
		return 0, err
	}
	f := r.e.Fit()
	f.Epochs = r.c.slow
	m, h, err := r.e.Train(ctx, net, r.set, o, f)
	if err != nil {
		return 0, err
	}
	if err := r.e.Keep(h); err != nil {
		return 0, err
	}
	return accuracy(ctx, m, r.held)
}

// catDog takes a whole model that tells cats from dogs, and trains its own head, of two layers, on ants and bees.
func catDog(ctx context.Context, e *kit.Env, c config) (float64, error) {
	f, err := keras.ReadFile(e.Path("pretrained", "teachable-mobilenetv2-cat-dog", "keras_model.h5"), keras.Options{})
	if err != nil {
		return 0, err
	}
	c.size = 224 // the model's input
	set, held, err := photos(e, c, pretrained.TF)
	if err != nil {
		return 0, err
	}
	inner := models(f.Model)
	if len(inner) != 2 {
		return 0, fmt.Errorf("keras_model.h5 holds %d models, not a backbone and a head", len(inner))
	}
	inner[0].Frozen = true
	o, err := compile("adam", 1e-3)
	if err != nil {
		return 0, err
	}
	m, err := train.FromLayers(f.Model, e.Device, e.Seed)
	if err != nil {
		return 0, err
	}
	if err := m.Compile(o); err != nil {
		return 0, err
	}
	before, err := accuracy(ctx, m, held)
	if err != nil {
		return 0, err
	}
	fit := e.Fit()
	fit.Epochs = c.slow
	h, err := m.Fit(ctx, set, fit)
	if err != nil {
		return 0, err
	}
	if err := e.Keep(h); err != nil {
		return 0, err
	}
	after, err := accuracy(ctx, m, held)
	e.Printf("cat/dog model, its own head: validation accuracy %.3f before, %.3f after %d epochs\n", before, after, c.slow)
	return after, err
}

// models is the models directly inside another.
func models(m *layers.Model) []*layers.Model {
	var out []*layers.Model
	for _, l := range m.Layers() {
		if inner, ok := l.(*layers.Model); ok {
			out = append(out, inner)
		}
	}
	return out
}
