package job

import (
	"context"
	"strings"

	"github.com/nnrt/nnrt/tensor"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// Evaluate computes losses and metrics of a model on data.
func Evaluate(ctx context.Context, o Options) (train.Logs, error) {
	src, m, err := Load(o)
	if err != nil {
		return nil, err
	}
	o.preprocessing(src)
	set, err := o.Data.Open(m, o.lossName(src), "test", "val", "train")
	if err != nil {
		return nil, err
	}
	o.tell(o.Data.Path, set.notes)
	c, _, err := o.compileOptions(src, set)
	if err != nil {
		return nil, err
	}
	if err := m.Compile(c); err != nil {
		return nil, UsageError{err}
	}
	logs, err := m.Evaluate(ctx, set, train.EvaluateOptions{BatchSize: o.batch()})
	return logs, o.refused(err)
}

// Predict computes the outputs for data, whose targets, if any, are not looked at.
func Predict(ctx context.Context, o Options) (names []string, outs []*tensor.Tensor, err error) {
	src, m, err := Load(o)
	if err != nil {
		return nil, nil, err
	}
	o.preprocessing(src)
	if o.Data.Target == "" {
		if o.Data.Target, err = unusedTarget(o.Data.Path, m); err != nil {
			return nil, nil, FileError{o.Data.Path, err}
		}
	}
	set, err := o.Data.Open(m, "", "test", "val", "train")
	if err != nil {
		return nil, nil, err
	}
	o.tell(o.Data.Path, set.notes)
	if outs, err = m.Predict(ctx, set, train.EvaluateOptions{BatchSize: o.batch()}); err != nil {
		return nil, nil, o.refused(err)
	}
	for _, v := range m.Graph().Outputs[:len(outs)] {
		names = append(names, v.Name)
	}
	return names, outs, nil
}

// unusedTarget is the target's column for predicting: the last, to be dropped, where a .csv has one column
// more than the model's input, as the data has that it was trained on; else none.
func unusedTarget(path string, m *train.Model) (string, error) {
	if !strings.HasSuffix(strings.ToLower(path), ".csv") {
		return "none", nil
	}
	t, err := data.ReadCSV(path, data.CSVOptions{Target: "none"})
	if err != nil {
		return "", err
	}
	dims := m.Graph().Inputs[0].Type.Dims
	if len(dims) == 2 {
		if n, ok := dims[1].Const(); ok && t.X.Dim(1) == n+1 {
			return "", nil // ReadCSV's default: the last
		}
	}
	return "none", nil
}
