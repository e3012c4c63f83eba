// Command pima tells from eight measurements whether a person has diabetes: binary classification with class
// weights, judged by the area under the ROC curve.
package main

import (
	"context"
	"math"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

func main() {
	kit.Flags(80, 16).Main(func(ctx context.Context, e *kit.Env) error {
		_, err := run(ctx, e)
		return err
	})
}

// run trains on four fifths and returns what it is worth on the rest.
func run(ctx context.Context, e *kit.Env) (train.Logs, error) {
	rows, err := kit.ReadTable(e.Path("datasets", "tabular", "pima-indians-diabetes.csv"))
	if err != nil {
		return nil, err
	}
	kit.Shuffle(rows, e.Seed)
	x, y := kit.Split(rows, 8)
	for _, r := range x {
		for _, j := range []int{1, 2, 3, 4, 5} { // glucose, pressure, skin, insulin, mass: 0 stands for not measured
			if r[j] == 0 {
				r[j] = math.NaN()
			}
		}
	}
	n := len(rows) * 4 / 5
	scale := kit.FitScaler(x[:n])
	positive := 0.0
	for _, r := range y[:n] {
		positive += r[0]
	}
	net := layers.NewSequential("pima", kit.Input("person", 8),
		&layers.Dense{Units: 16, Activation: "relu"},
		&layers.Dropout{Rate: 0.3},
		&layers.Dense{Units: 8, Activation: "relu"},
		&layers.Dense{Units: 1, Activation: "sigmoid"})
	adam, err := kit.Optimizer("adam", 0.002)
	if err != nil {
		return nil, err
	}
	held := data.New(kit.Matrix(scale.Apply(x[n:])), kit.Matrix(y[n:]))
	o := e.Fit()
	// Both classes count the same in all, though only a third of the people are ill.
	o.ClassWeight = map[int]float64{0: float64(n) / 2 / (float64(n) - positive), 1: float64(n) / 2 / positive}
	o.ValidationSplit = 0.2 // stops the training; the held-out people only judge it
	o.Callbacks = []train.Callback{&train.EarlyStopping{Monitor: "val_auc", Mode: "max", Patience: 15, RestoreBestWeights: true}}
	m, h, err := e.Train(ctx, net, data.New(kit.Matrix(scale.Apply(x[:n])), kit.Matrix(y[:n])),
		train.CompileOptions{Optimizer: adam, Loss: "binary_crossentropy", Metrics: [][]any{{"accuracy", "AUC", "Precision", "Recall"}}}, o)
	if err != nil {
		return nil, err
	}
	if err := e.Keep(h); err != nil {
		return nil, err
	}
	logs, err := m.Evaluate(ctx, held, train.EvaluateOptions{})
	e.Printf("%d people held out, class weights %.2f and %.2f:%s\n", len(rows)-n, o.ClassWeight[0], o.ClassWeight[1], kit.Logs(logs))
	return logs, err
}
