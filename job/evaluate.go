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

// Predictions is a model's outputs for data.
type Predictions struct {
	Names   []string         // of the outputs
	Outputs []*tensor.Tensor // a row a sample
	Files   []string         // the samples' files, where they are pictures
}

// Predict computes the outputs for data, whose targets, if any, are not looked at: a folder may hold pictures itself, too.
func Predict(ctx context.Context, o Options) (*Predictions, error) {
	src, m, err := Load(o)
	if err != nil {
		return nil, err
	}
	o.preprocessing(src)
	if o.Data.Target == "" {
		if o.Data.Target, err = unusedTarget(o.Data.Path, m); err != nil {
			return nil, FileError{o.Data.Path, err}
		}
	}
	set, err := o.Data.Open(m, "", "test", "val", "train")
	if err != nil {
		return nil, err
	}
	o.tell(o.Data.Path, set.notes)
	p := &Predictions{Files: set.files}
	if p.Outputs, err = m.Predict(ctx, set, train.EvaluateOptions{BatchSize: o.batch()}); err != nil {
		return nil, o.refused(err)
	}
	for _, v := range m.Graph().Outputs[:len(p.Outputs)] {
		p.Names = append(p.Names, v.Name)
	}
	return p, nil
}

// unusedTarget is the target's column for predicting: the last, to be dropped, where a .csv has one column
// more than the model's input, as the data has that it was trained on; else none.
func unusedTarget(path string, m *train.Model) (string, error) {
	if !strings.HasSuffix(strings.ToLower(path), ".csv") {
		return noTarget, nil
	}
	t, err := data.ReadCSV(path, data.CSVOptions{Target: noTarget})
	if err != nil {
		return "", err
	}
	dims := m.Graph().Inputs[0].Type.Dims
	if len(dims) == 2 {
		if n, ok := dims[1].Const(); ok && t.X.Dim(1) == n+1 {
			return "", nil // ReadCSV's default: the last
		}
	}
	return noTarget, nil
}
