package job

import (
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/train"
	"github.com/nnrt/nnrt/train/data"
)

// Memory loads a model and data as Train does, and plans a training step on the first batch without running it.
func Memory(o Options) (train.Memory, error) {
	src, m, err := Load(o)
	if err != nil {
		return train.Memory{}, err
	}
	if m, err = o.freeze(src, m); err != nil {
		return train.Memory{}, err
	}
	o.preprocessing(src)
	s, err := o.sets(src, m)
	if err != nil {
		return train.Memory{}, err
	}
	c, _, err := o.compileOptions(src, s.set)
	if err != nil {
		return train.Memory{}, err
	}
	if err := m.Compile(c); err != nil {
		return train.Memory{}, UsageError{err}
	}
	for b, err := range s.set.Dataset.Batches(data.Order{BatchSize: o.batch()}) {
		if err != nil {
			return train.Memory{}, err
		}
		return m.Memory(b)
	}
	return train.Memory{}, errs.Errorf("job: %w", data.ErrEmpty)
}
