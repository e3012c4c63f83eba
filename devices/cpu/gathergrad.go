package cpu

import (
	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/tensor"
)

// gatherGrad adds rows to those rows of zeros that indices name. A tile takes some columns of all rows, so that each element's
// sum has one order.
type gatherGrad struct {
	d                  *Device
	outer, size, inner int
	cols, tiles        int
	tasks              freelist[*gatherGradTask]
}

// gatherColumns is the least columns of a tile.
const gatherColumns = 64

func (d *Device) newGatherGrad(axis int, r devices.Request) *gatherGrad {
	x := dims(r.Out[0])
	if axis < 0 {
		axis += len(x)
	}
	s := &gatherGrad{d: d, outer: prod(x[:axis]), size: x[axis], inner: prod(x[axis+1:])}
	s.cols = roundUp(max(gatherColumns, ceilDiv(s.inner, 2*gradTiles)), 16)
	s.tiles = ceilDiv(s.inner, s.cols)
	return s
}

func (s *gatherGrad) Scratch() int { return 0 }

func (s *gatherGrad) Run(a *devices.Args) error {
	t := s.tasks.get()
	defer s.tasks.put(t)
	t.s, t.dy, t.dx, t.wide, t.narrow = s, f32(a, 0), f32Out(a, 0), nil, nil
	if i := a.Tensor(1); i.DType() == tensor.Int64 {
		t.wide = tensor.As[int64](i)
	} else {
		t.narrow = tensor.As[int32](i)
	}
	for k := range t.count() {
		if i := t.index(k); i < 0 || i >= s.size {
			return errs.Errorf("index %d for a dimension of %d", i, s.size)
		}
	}
	s.d.pool.Run(t, s.outer*s.tiles)
	return nil
}

type gatherGradTask struct {
	s      *gatherGrad
	dy, dx []float32
	wide   []int64
	narrow []int32
}

func (t *gatherGradTask) count() int { return len(t.wide) + len(t.narrow) }

// index is index k, counted from the front.
func (t *gatherGradTask) index(k int) int {
	i := 0
	if t.wide != nil {
		i = int(t.wide[k])
	} else {
		i = int(t.narrow[k])
	}
	if i < 0 {
		i += t.s.size
	}
	return i
}

// Tile implements par.Task.
func (t *gatherGradTask) Tile(i, _ int) {
	s := t.s
	o, c0 := i/s.tiles, i%s.tiles*s.cols
	n := min(s.cols, s.inner-c0)
	dx := t.dx[o*s.size*s.inner+c0:]
	if s.tiles == 1 {
		clear(dx[:s.size*s.inner])
	} else {
		for r := range s.size {
			clear(dx[r*s.inner:][:n])
		}
	}
	dy := t.dy[o*t.count()*s.inner+c0:]
	for k := range t.count() {
		row := dx[t.index(k)*s.inner:][:n]
		s.d.k.Vec.Add(row, row, dy[k*s.inner:][:n])
	}
}
