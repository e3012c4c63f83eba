// Command xor trains a small network on the parity of three inputs.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/nnrt/nnrt/devices/cpu"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/optim"
)

func main() {
	seed := flag.Uint64("seed", 1, "of data, weights and order")
	epochs := flag.Int("epochs", 60, "")
	flag.Parse()
	if _, err := run(*seed, *epochs, 1); err != nil {
		log.Fatal(err)
	}
}

// points is n random triples of bits and, one-hot, their parity.
func points(seed uint64, n int) data.Arrays {
	rng := philox.New(seed)
	x, y := tensor.New(tensor.Float32, n, 3), tensor.New(tensor.Float32, n, 2)
	for i := range n {
		odd := 0
		for k := range 3 {
			bit := rng.IntN(2)
			odd ^= bit
			tensor.As[float32](x)[i*3+k] = float32(bit)
		}
		tensor.As[float32](y)[i*2+odd] = 1
	}
	return data.New(x, y)
}

// run trains from one seed and returns the best validation accuracy of any epoch.
func run(seed uint64, epochs, verbose int) (float64, error) {
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	net := layers.NewSequential("xor",
		&layers.Dense{Base: layers.Base{BatchInputShape: []int{-1, 3}}, Units: 4, Activation: "tanh"},
		&layers.Dense{Units: 3, Activation: "tanh"},
		&layers.Dense{Units: 2, Activation: "softmax"})
	m, err := train.FromLayers(net, dev, seed)
	if err != nil {
		return 0, err
	}
	adam, err := optim.New("adam")
	if err != nil {
		return 0, err
	}
	if err := m.Compile(train.CompileOptions{Optimizer: adam, Loss: "categorical_crossentropy",
		Metrics: [][]any{{"accuracy"}}, Seed: seed}); err != nil {
		return 0, err
	}
	h, err := m.Fit(context.Background(), points(seed, 10000), train.FitOptions{Epochs: epochs, BatchSize: 32,
		ValidationSplit: 0.1, Shuffle: true, Verbose: verbose, Output: os.Stdout})
	if err != nil {
		return 0, err
	}
	best := 0.0
	for _, v := range h.Values["val_accuracy"] {
		best = max(best, v)
	}
	if verbose > 0 {
		fmt.Printf("best validation accuracy %.4f\n", best)
	}
	return best, nil
}
