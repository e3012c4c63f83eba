// Command mnist trains a network on handwritten digits: an MLP or a small convnet.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"path/filepath"

	"github.com/nnrt/nnrt"
	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/formats/keras"
	"github.com/nnrt/nnrt/formats/onnx"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// config is this example's own flags.
type config struct {
	model string
	limit int // pictures to train on; 0: all
	rate  float64
	save  string
}

func main() {
	e := kit.Flags(6, 64)
	var c config
	flag.StringVar(&c.model, "model", "cnn", "mlp or cnn")
	flag.IntVar(&c.limit, "n", 0, "training pictures; 0: all 60,000")
	flag.Float64Var(&c.rate, "rate", 0.002, "learning rate of Adam at the beginning; it falls to 0 along a cosine")
	flag.StringVar(&c.save, "o", "", "write the trained model: .h5, .keras or .onnx")
	e.Main(func(ctx context.Context, e *kit.Env) error {
		_, err := run(ctx, e, c)
		return err
	})
}

// build is the network of that name.
func build(name string) (*layers.Model, error) {
	input := kit.Input("picture", 28, 28, 1)
	conv := func(filters int) layers.Layer {
		return &layers.Conv2D{Filters: filters, KernelSize: []int{3, 3}, Activation: "relu"}
	}
	switch name {
	case "mlp":
		return layers.NewSequential("mnist_mlp", input,
			&layers.Flatten{},
			&layers.Dense{Units: 512, Activation: "relu"},
			&layers.Dropout{Rate: 0.2},
			&layers.Dense{Units: 256, Activation: "relu"},
			&layers.Dropout{Rate: 0.2},
			&layers.Dense{Units: 10, Activation: "softmax"}), nil
	case "cnn":
		return layers.NewSequential("mnist_cnn", input,
			conv(16), conv(16), &layers.MaxPooling2D{},
			conv(32), conv(32), &layers.MaxPooling2D{},
			&layers.Flatten{},
			&layers.Dropout{Rate: 0.3},
			&layers.Dense{Units: 10, Activation: "softmax"}), nil
	}
	return nil, fmt.Errorf("no model %q: mlp or cnn", name)
}

// run trains, and returns the test accuracy.
func run(ctx context.Context, e *kit.Env, c config) (float64, error) {
	trainSet, err := load(e.Path("datasets", "mnist", "train-images-idx3-ubyte.gz"), e.Path("datasets", "mnist", "train-labels-idx1-ubyte.gz"), c.limit)
	if err != nil {
		return 0, err
	}
	testSet, err := load(e.Path("datasets", "mnist", "t3k-images-idx3-ubyte.gz"), e.Path("datasets", "mnist", "t3k-labels-idx1-ubyte.gz"), 0)
	if err != nil {
		return 0, err
	}
	net, err := build(c.model)
	if err != nil {
		return 0, err
	}
	m, err := train.FromLayers(net, e.Device, e.Seed)
	if err != nil {
		return 0, err
	}
	adam, err := kit.Optimizer("adam", c.rate)
	if err != nil {
		return 0, err
	}
	if err := m.Compile(train.CompileOptions{Optimizer: adam, Loss: "sparse_categorical_crossentropy", Metrics: [][]any{{"accuracy"}}, Seed: e.Seed}); err != nil {
		return 0, err
	}
	o := e.Fit()
	o.ValidationData = testSet
	o.Callbacks = []train.Callback{&train.LearningRateScheduler{Schedule: func(epoch int, _ float64) float64 {
		return c.rate * (1 + math.Cos(math.Pi*float64(epoch)/float64(e.Epochs))) / 2
	}}}
	h, err := m.Fit(ctx, trainSet, o)
	if err != nil {
		return 0, err
	}
	if err := e.Keep(h); err != nil {
		return 0, err
	}
	return finish(ctx, e, m, net, testSet, c)
}

// finish evaluates, prints and saves.
func finish(ctx context.Context, e *kit.Env, m *train.Model, net *layers.Model, testSet data.Arrays, c config) (float64, error) {
	logs, err := m.Evaluate(ctx, testSet, train.EvaluateOptions{BatchSize: 250})
	if err != nil {
		return 0, err
	}
	e.Printf("%s, seed %d, %d test pictures:%s\n", c.model, e.Seed, testSet.Len(), kit.Logs(logs))
	acc, _ := logs.Get("accuracy")
	if err := m.ToLayers(net); err != nil || c.save == "" {
		return acc, err
	}
	return acc, save(net, c.save)
}

// save writes a trained network as .h5, .keras or .onnx.
func save(net *layers.Model, path string) error {
	if filepath.Ext(path) == ".onnx" {
		g, err := net.Graph(layers.Options{})
		if err != nil {
			return err
		}
		return nnrt.Export(path, g, onnx.WriteOptions{})
	}
	return keras.WriteFile(path, &keras.File{Model: net}, keras.WriteOptions{})
}
