// Command pollution forecasts Beijing's fine dust from the weather and the dust of the hours before: stacked and
// bidirectional GRUs with recurrent dropout, against the forecast that nothing changes.
package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/nnrt/nnrt/examples/internal/kit"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/train"
)

type config struct {
	model       string
	past, ahead int // hours
	stride      int // hours from one sample to the next
	limit       int // samples of each part: the last ones; 0: all
}

func main() {
	e := kit.Flags(6, 64)
	var c config
	flag.StringVar(&c.model, "model", "stacked", "stacked or bidirectional")
	flag.IntVar(&c.past, "past", 24, "hours that are seen")
	flag.IntVar(&c.ahead, "ahead", 12, "hours from the last one seen to the forecast")
	flag.IntVar(&c.stride, "stride", 3, "hours from one sample to the next")
	flag.IntVar(&c.limit, "n", 0, "samples of each part; 0: all")
	e.Main(func(ctx context.Context, e *kit.Env) error {
		_, _, err := run(ctx, e, c)
		return err
	})
}

func build(c config) (*layers.Model, error) {
	net := layers.NewSequential("pollution_"+c.model, kit.Input("hours", c.past, features))
	switch c.model {
	case "stacked":
		net.Append(&layers.GRU{Units: 32, ReturnSequences: true, Dropout: 0.1, RecurrentDropout: 0.2}).
			Append(&layers.GRU{Units: 32, Dropout: 0.1, RecurrentDropout: 0.2})
	case "bidirectional":
		net.Append(&layers.Bidirectional{Layer: &layers.GRU{Units: 32, Dropout: 0.1, RecurrentDropout: 0.2}})
	default:
		return nil, fmt.Errorf("no model %q: stacked or bidirectional", c.model)
	}
	return net.Append(&layers.Dropout{Rate: 0.2}).Append(&layers.Dense{Units: 1}), nil
}

// run trains and returns the mean absolute errors on the last part of the series, in micrograms a cubic metre: the
// network's and the naive forecast's.
func run(ctx context.Context, e *kit.Env, c config) (mae, naive float64, err error) {
	rows, err := readHours(e.Path("datasets", "timeseries", "pollution.csv"))
	if err != nil {
		return 0, 0, err
	}
	s, err := windows(rows, c.past, c.ahead, c.stride, c)
	if err != nil {
		return 0, 0, err
	}
	net, err := build(c)
	if err != nil {
		return 0, 0, err
	}
	adam, err := kit.Optimizer("adam", 0.002)
	if err != nil {
		return 0, 0, err
	}
	o := e.Fit()
	o.ValidationData = s.valid
	o.Callbacks = []train.Callback{&train.EarlyStopping{Monitor: "val_loss", Patience: 3, RestoreBestWeights: true}}
	m, h, err := e.Train(ctx, net, s.train, train.CompileOptions{Optimizer: adam, Loss: "mae"}, o)
	if err != nil {
		return 0, 0, err
	}
	if err := e.Keep(h); err != nil {
		return 0, 0, err
	}
	logs, err := m.Evaluate(ctx, s.test, train.EvaluateOptions{BatchSize: 256})
	if err != nil {
		return 0, 0, err
	}
	loss, _ := logs.Get("loss")
	mae = loss * s.scale.Std[0]
	e.Printf("%s, %d hours ahead, %d test windows: mean absolute error %.2f µg/m³, naive forecast %.2f\n", c.model, c.ahead, s.test.Len(), mae, s.naive)
	return mae, s.naive, nil
}
