// Command boston predicts house prices by regression, judged by k-fold validation.
package main

import (
	"context"
	"flag"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

func main() {
	e := kit.Flags(80, 16)
	e.Verbose = 0
	folds := flag.Int("folds", 4, "folds")
	e.Main(func(ctx context.Context, e *kit.Env) error {
		_, err := run(ctx, e, *folds)
		return err
	})
}

// run trains once for each fold and returns the mean absolute error over all, in thousands of dollars.
func run(ctx context.Context, e *kit.Env, folds int) (float64, error) {
	rows, err := kit.ReadTable(e.Path("datasets", "tabular", "housing.csv"))
	if err != nil {
		return 0, err
	}
	kit.Shuffle(rows, e.Seed)
	sum, guess := 0.0, 0.0
	for k := range folds {
		lo, hi := k*len(rows)/folds, (k+1)*len(rows)/folds
		held := rows[lo:hi]
		rest := append(append([][]float64{}, rows[:lo]...), rows[hi:]...)
		mae, naive, err := fold(ctx, e, rest, held)
		if err != nil {
			return 0, err
		}
		e.Printf("fold %d: %d houses, mean absolute error %.3f (the mean price: %.3f)\n", k+1, len(held), mae, naive)
		sum, guess = sum+mae, guess+naive
	}
	e.Printf("mean over %d folds: %.3f thousand dollars (the mean price: %.3f)\n", folds, sum/float64(folds), guess/float64(folds))
	return sum / float64(folds), nil
}

// fold trains on some rows and measures on others; naive is the error of always saying the mean.
func fold(ctx context.Context, e *kit.Env, rest, held [][]float64) (mae, naive float64, err error) {
	x, y := kit.Split(rest, 13)
	hx, hy := kit.Split(held, 13)
	scale := kit.FitScaler(x) // of the training part only: the held-out part must not leak into it
	mean := kit.FitScaler(y).Mean[0]
	for _, r := range hy {
		naive += max(r[0]-mean, mean-r[0]) / float64(len(hy))
	}
	net := layers.NewSequential("boston", kit.Input("house", 13),
		&layers.Dense{Units: 64, Activation: "relu"},
		&layers.Dense{Units: 64, Activation: "relu"},
		&layers.Dense{Units: 1})
	rms, err := kit.Optimizer("rmsprop", 0)
	if err != nil {
		return 0, 0, err
	}
	valid := data.New(kit.Matrix(scale.Apply(hx)), kit.Matrix(hy))
	m, h, err := e.Train(ctx, net, data.New(kit.Matrix(scale.Apply(x)), kit.Matrix(y)),
		train.CompileOptions{Optimizer: rms, Loss: "mse", Metrics: [][]any{{"mae"}}}, e.Fit())
	if err != nil {
		return 0, 0, err
	}
	if err := e.Keep(h); err != nil {
		return 0, 0, err
	}
	logs, err := m.Evaluate(ctx, valid, train.EvaluateOptions{BatchSize: 128})
	if err != nil {
		return 0, 0, err
	}
	mae, _ = logs.Get("mae")
	return mae, naive, nil
}
