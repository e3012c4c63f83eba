// Command xor trains a small network on the parity of three bits, from ten seeds.
package main

import (
	"context"
	"flag"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

func main() {
	e := kit.Flags(60, 32)
	seeds := flag.Int("seeds", 10, "how many runs, of seeds from -seed on")
	points := flag.Int("n", 10000, "points")
	e.Main(func(ctx context.Context, e *kit.Env) error {
		good := 0
		first := e.Seed
		for i := range *seeds {
			e.Seed = first + uint64(i)
			epochs, acc, err := run(ctx, e, *points)
			if err != nil {
				return err
			}
			if acc > 0.95 {
				good++
			}
			e.Printf("seed %d: validation accuracy %.4f after %d epochs\n", e.Seed, acc, epochs)
		}
		e.Printf("%d of %d runs over 0.95\n", good, *seeds)
		return nil
	})
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

// run trains from one seed until the validation accuracy is over 0.95, or the epochs are over.
func run(ctx context.Context, e *kit.Env, n int) (epochs int, acc float64, err error) {
	net := layers.NewSequential("xor", kit.Input("bits", 3),
		&layers.Dense{Units: 4, Activation: "tanh"},
		&layers.Dense{Units: 3, Activation: "tanh"},
		&layers.Dense{Units: 2, Activation: "softmax"})
	adam, err := kit.Optimizer("adam", 0)
	if err != nil {
		return 0, 0, err
	}
	o := e.Fit()
	o.ValidationSplit = 0.1
	o.Callbacks = []train.Callback{&train.Lambda{EpochEnd: func(f *train.Fit, epoch int, logs train.Logs) error {
		if v, _ := logs.Get("val_accuracy"); v > 0.95 {
			f.Stop("the validation accuracy is over 0.95")
		}
		return nil
	}}}
	_, h, err := e.Train(ctx, net, points(e.Seed, n), train.CompileOptions{
		Optimizer: adam, Loss: "categorical_crossentropy", Metrics: [][]any{{"accuracy"}}}, o)
	if err != nil {
		return 0, 0, err
	}
	return len(h.Epoch), h.Last("val_accuracy"), e.Keep(h)
}
