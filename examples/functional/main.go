// Command functional trains a model of two inputs and two outputs: from four sizes of a flower as numbers, and the
// place where it was found as a category, its species and its petals' area. The place is made up: each species has
// a place that it prefers.
package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/loss"
)

func main() {
	kit.Flags(60, 16).Main(func(ctx context.Context, e *kit.Env) error {
		_, err := run(ctx, e)
		return err
	})
}

const places = 4

// flowers is the iris table as inputs (sepal sizes and petal ratio, place) and targets (species, petal area).
func flowers(e *kit.Env) (data.Arrays, error) {
	f, err := os.Open(e.Path("datasets", "tabular", "iris.csv"))
	if err != nil {
		return data.Arrays{}, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return data.Arrays{}, err
	}
	kit.Shuffle(lines, e.Seed)
	rng := philox.New(e.Seed + 1)
	species := map[string]int32{}
	n := len(lines)
	var sizes, areas [][]float64
	place, class := tensor.New(tensor.Int32, n, 1), tensor.New(tensor.Int32, n)
	for i, line := range lines {
		if len(line) != 5 {
			return data.Arrays{}, fmt.Errorf("iris.csv: %d columns in line %d", len(line), i+1)
		}
		var v [4]float64
		for j := range v {
			if v[j], err = strconv.ParseFloat(line[j], 64); err != nil {
				return data.Arrays{}, err
			}
		}
		k, ok := species[line[4]]
		if !ok {
			k = int32(len(species))
			species[line[4]] = k
		}
		sizes = append(sizes, []float64{v[0], v[1], v[2] / v[3]})
		areas = append(areas, []float64{v[2] * v[3] / 4})
		tensor.As[int32](class)[i] = k
		tensor.As[int32](place)[i] = k
		if rng.IntN(4) == 0 { // a quarter grows anywhere
			tensor.As[int32](place)[i] = int32(rng.IntN(places))
		}
	}
	x := kit.Matrix(kit.FitScaler(sizes).Apply(sizes))
	return data.Arrays{Batch: data.Batch{X: []*tensor.Tensor{x, place}, Y: []*tensor.Tensor{class, kit.Matrix(areas)}}}, nil
}

// build is the network: an embedding of the place beside the sizes, a common layer, and two heads.
func build() *layers.Model {
	m := layers.NewModel("flowers")
	sizes := m.AddInput("sizes", 3)
	place := m.Apply(&layers.InputLayer{Base: layers.Named("place"), BatchShape: []int{-1, 1}, InputDType: "int32"})
	at := m.Apply(&layers.Flatten{}, m.Apply(&layers.Embedding{InputDim: places, OutputDim: 3}, place))
	x := m.Apply(&layers.Concatenate{}, sizes, at)
	x = m.Apply(&layers.Dense{Units: 24, Activation: "relu"}, x)
	species := m.Apply(&layers.Dense{Base: layers.Named("species"), Units: 3, Activation: "softmax"}, x)
	area := m.Apply(&layers.Dense{Base: layers.Named("area"), Units: 1}, m.Apply(&layers.Dense{Units: 12, Activation: "relu"}, x))
	return m.SetOutputs(species, area)
}

func run(ctx context.Context, e *kit.Env) (train.Logs, error) {
	all, err := flowers(e)
	if err != nil {
		return nil, err
	}
	cut := all.Len() * 4 / 5
	set, err := all.Range(0, cut)
	if err != nil {
		return nil, err
	}
	held, err := all.Range(cut, all.Len())
	if err != nil {
		return nil, err
	}
	adam, err := kit.Optimizer("adam", 0.01)
	if err != nil {
		return nil, err
	}
	species, err := loss.New("sparse_categorical_crossentropy")
	if err != nil {
		return nil, err
	}
	area, err := loss.New("mse")
	if err != nil {
		return nil, err
	}
	o := e.Fit()
	o.ValidationData = held
	m, h, err := e.Train(ctx, build(), set, train.CompileOptions{Optimizer: adam, Losses: []loss.Loss{species, area},
		LossWeights: []float64{1, 0.5}, Metrics: [][]any{{"accuracy"}, {"mae"}}}, o)
	if err != nil {
		return nil, err
	}
	if err := e.Keep(h); err != nil {
		return nil, err
	}
	logs, err := m.Evaluate(ctx, held, train.EvaluateOptions{})
	e.Printf("%d flowers held out:%s\n", held.Len(), kit.Logs(logs))
	return logs, err
}
