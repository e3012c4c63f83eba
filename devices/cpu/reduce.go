package cpu

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/ops"
)

func (d *Device) reduceKernels() []devices.Kernel {
	v := &d.k.Vec
	squares := folder{
		into: func(dst, row []float32) { v.MulAdd(dst, row, row, dst) },
		of:   func(acc float32, row []float32) float32 { return acc + v.SumSq(row) },
		join: v.Add,
	}
	root := squares
	root.finish = func(y []float32) { v.Sqrt(y, y, 0, 0) }
	inf := float32(math.Inf(1))
	largest := d.maximum()
	smallest := folder{init: inf, join: v.Min, into: func(dst, row []float32) { v.Min(dst, dst, row) },
		of: func(acc float32, row []float32) float32 {
			for _, x := range row {
				acc = min(acc, x)
			}
			return acc
		}}
	sum := func(int) folder { return d.summing() }
	mean := func(n int) folder {
		f := d.summing()
		share := 1 / float32(n)
		f.finish = func(y []float32) { v.MulS(y, y, share, 0) }
		return f
	}
	absolute := folder{join: v.Add, into: func(dst, row []float32) {
		for i, x := range row[:len(dst)] {
			dst[i] += float32(math.Abs(float64(x)))
		}
	}, of: func(acc float32, row []float32) float32 {
		s := float64(acc)
		for _, x := range row {
			s += math.Abs(float64(x))
		}
		return float32(s)
	}}
	product := folder{init: 1, join: v.Mul, into: func(dst, row []float32) { v.Mul(dst, dst, row) },
		of: func(acc float32, row []float32) float32 {
			for _, x := range row {
				acc *= x
			}
			return acc
		}}
	logged := func(int) folder {
		f := d.summing()
		f.finish = func(y []float32) { v.Log(y, y, 0, 0) }
		return f
	}
	fixed := func(f folder) func(int) folder { return func(int) folder { return f } }
	return []devices.Kernel{
		reduceKernel[ops.ReduceSum](d, "reducesum", sum),
		reduceKernel[ops.ReduceMean](d, "reducemean", mean),
		reduceKernel[ops.ReduceMax](d, "reducemax", fixed(largest)),
		reduceKernel[ops.ReduceMin](d, "reducemin", fixed(smallest)),
		reduceKernel[ops.ReduceSumSquare](d, "reducesumsquare", fixed(squares)),
		reduceKernel[ops.ReduceL2](d, "reducel2", fixed(root)),
		reduceKernel[ops.ReduceL1](d, "reducel1", fixed(absolute)),
		reduceKernel[ops.ReduceProd](d, "reduceprod", fixed(product)),
		reduceKernel[ops.ReduceLogSum](d, "reducelogsum", logged),
	}
}

// maximum is the largest of elements, NaN if one of them is.
func (d *Device) maximum() folder {
	v := &d.k.Vec
	return folder{init: negInf, join: v.Max, into: func(dst, row []float32) { v.Max(dst, dst, row) },
		of: func(acc float32, row []float32) float32 {
			if s := v.Sum(row); s-s == 0 && len(row) > 0 {
				return max(acc, v.MaxOf(row))
			}
			for _, x := range row {
				acc = max(acc, x)
			}
			return acc
		}}
}

// prepareGlobal reduces the spatial dimensions of r's first input.
func (d *Device) prepareGlobal(r devices.Request, format ops.Format, f folder) devices.Step {
	x := dims(r.In[0])
	kept := make([]int, len(x))
	for i := range kept {
		kept[i] = 1
	}
	c := format.Channel(len(x))
	kept[0], kept[c] = x[0], x[c]
	s := d.newSumStep(x, kept)
	s.f = f
	return s
}

// reduceKernel reduces float32 tensors over axes that are known; f is given how many elements fall together.
func reduceKernel[O interface {
	graph.Op
	ops.ReduceSum | ops.ReduceMean | ops.ReduceMax | ops.ReduceMin | ops.ReduceSumSquare | ops.ReduceL2 |
		ops.ReduceL1 | ops.ReduceProd | ops.ReduceLogSum
}](d *Device, name string, f func(n int) folder) devices.Kernel {
	return devices.For(name+"/f32_"+d.Level(), func(op O, r devices.Request) int {
		if !isF32(r.In[0], r.Out[0]) || prod(dims(r.In[0])) == 0 || keptShape(ops.ReduceSum(op), r) == nil {
			return 0
		}
		return 10
	}, func(op O, r devices.Request) (devices.Step, error) {
		x, kept := dims(r.In[0]), keptShape(ops.ReduceSum(op), r)
		s := d.newSumStep(x, kept)
		s.f = f(prod(x) / prod(kept))
		return s, nil
	})
}

// keptShape is the shape of the result with the reduced dimensions as 1; nil where the axes aren't known.
func keptShape(op ops.ReduceSum, r devices.Request) []int {
	var axes []int
	if has(r, 1) {
		if r.Const[1] == nil {
			return nil
		}
		vs, err := r.Const[1].Int64s()
		if err != nil {
			return nil
		}
		for _, v := range vs {
			axes = append(axes, int(v))
		}
	}
	shape := dims(r.In[0])
	drop, err := ops.ReducedAxes(axes, len(shape), op.NoopWithEmptyAxes)
	if err != nil {
		return nil
	}
	kept := append([]int{}, shape...)
	for i := range kept {
		if drop[i] {
			kept[i] = 1
		}
	}
	return kept
}
