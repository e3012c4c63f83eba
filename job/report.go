package job

import (
	"context"

	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
	"github.com/nnrt/nnrt/train/metric"
)

// Report says how well a classifier tells the classes of data apart. An output of one number is a probability.
func Report(ctx context.Context, o Options) (*metric.Report, error) {
	src, m, err := Load(o)
	if err != nil {
		return nil, err
	}
	o.preprocessing(src)
	p, err := o.Data.open(m, o.lossName(src), []string{"test", "val", "train"})
	if err != nil {
		return nil, err
	}
	o.tell(o.Data.Path, p.notes)
	labels, err := labelsOf(p.Dataset)
	if err != nil {
		return nil, err
	}
	set, err := o.Data.finish(p, m, nil)
	if err != nil {
		return nil, err
	}
	outs, err := m.Predict(ctx, set, train.EvaluateOptions{BatchSize: o.batch()})
	if err != nil {
		return nil, o.refused(err)
	}
	called, err := decide(outs[0])
	if err != nil {
		return nil, UsageError{err}
	}
	truth := make([]int, len(labels))
	for i, c := range labels {
		truth[i] = int(c)
	}
	r, err := metric.NewReport(truth, called, p.classes)
	if err != nil {
		return nil, FileError{o.Data.Path, err}
	}
	return r, nil
}

// decide is the class that each row of an output speaks for.
func decide(y *tensor.Tensor) ([]int, error) {
	if y.Rank() == 2 && y.Dim(1) > 1 {
		return data.Labels(y)
	}
	vs, err := y.Float64s()
	if err != nil {
		return nil, err
	}
	if len(vs) != y.Dim(0) {
		return nil, usagef("an output of shape %v is no classifier's", y.Shape())
	}
	out := make([]int, len(vs))
	for i, v := range vs {
		if v > 0.5 {
			out[i] = 1
		}
	}
	return out, nil
}
