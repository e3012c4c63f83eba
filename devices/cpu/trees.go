package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/devices/ref"
	"github.com/nnrt/nnrt/ops"
)

// treeStep runs an ensemble of trees on blocks of rows. The reference does the rows themselves, so that the results are its bits.
type treeStep struct {
	d     *Device
	e     *ref.Ensemble
	tasks freelist[*treeTask]
}

type treeTask struct {
	run  ref.EnsembleRun
	rows int
	size int // rows of a tile
}

func (*treeStep) Scratch() int { return 0 }

func (s *treeStep) Run(a *devices.Args) (err error) {
	t := s.tasks.get()
	defer s.tasks.put(t)
	if t.rows, err = t.run.Start(s.e, a); err != nil {
		return err
	}
	t.size = s.e.Block()
	s.d.pool.Run(t, ceilDiv(t.rows, t.size))
	return t.run.Finish()
}

// Tile implements par.Task.
func (t *treeTask) Tile(i, _ int) { t.run.Rows(i*t.size, min((i+1)*t.size, t.rows)) }

func (d *Device) treeKernels() []devices.Kernel {
	list := []devices.Kernel{
		devices.For[ops.TreeEnsemble]("trees/TreeEnsemble", nil, nil),
		devices.For[ops.TreeEnsembleClassifier]("trees/TreeEnsembleClassifier", nil, nil),
		devices.For[ops.TreeEnsembleRegressor]("trees/TreeEnsembleRegressor", nil, nil),
	}
	for i := range list {
		list[i].Match = func(devices.Request) int { return 10 }
		list[i].Prepare = func(r devices.Request) (devices.Step, error) {
			e, err := ref.NewEnsemble(r)
			return &treeStep{d: d, e: e}, err
		}
	}
	return list
}
