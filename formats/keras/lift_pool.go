package keras

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/graph"
	"github.com/nnrt/nnrt/layers"
	"github.com/nnrt/nnrt/ops"
)

func (l *lifter) pool(n *graph.Node, isMax bool, size, strides, pads, dilations []int, auto ops.AutoPad, ceil, countPads bool, f ops.Format) {
	x, rank := l.in(n, 0), len(size)
	if x == nil || rank < 1 || rank > 3 || len(n.Out) > 1 && len(l.uses[n.Out[1]]) > 0 || slices.ContainsFunc(dilations, func(d int) bool { return d != 1 }) {
		l.refuse(n, "it is dilated or gives indices")
		return
	}
	padding, explicit, ok := l.windows(n, auto, pads, rank)
	if auto == ops.SameLower {
		pads = explicit
	}
	if ok && ceil {
		explicit, ok = reach(n, size, orOnes(strides, rank), explicit, f)
	}
	if !ok || countPads && padding == "same" && !isMax {
		l.refuse(n, "its padding %v (ceil_mode %v) is not one of Keras'", pads, ceil)
		return
	}
	b := l.base(n)
	var weigh any
	if explicit != nil {
		fill := 0.0
		if isMax {
			fill = -math.MaxFloat32
		} else if weigh, ok = shares(n, size, orOnes(strides, rank), pads, explicit, countPads, f); !ok {
			l.refuse(n, "it leaves padding out of the mean, and its input's size is open")
			return
		}
		x = l.padded(n, x, explicit, f, fill)
	}
	c := layers.PoolConfig{Base: b, PoolSize: slices.Clone(size), Strides: orOnes(strides, rank), Padding: padding, DataFormat: dataFormat(f)}
	var layer layers.Layer
	switch {
	case isMax && rank == 1:
		layer = (*layers.MaxPooling1D)(&c)
	case isMax && rank == 2:
		layer = (*layers.MaxPooling2D)(&c)
	case isMax:
		layer = (*layers.MaxPooling3D)(&c)
	case rank == 1:
		layer = (*layers.AveragePooling1D)(&c)
	case rank == 2:
		layer = (*layers.AveragePooling2D)(&c)
	default:
		layer = (*layers.AveragePooling3D)(&c)
	}
	l.put(n, layer, nil, x)
	if weigh != nil {
		l.vals[n.Out[0]] = l.apply(b.Name, "Multiply", l.vals[n.Out[0]], weigh)
	}
}

// spatialDims is the spatial dimensions of an image.
func spatialDims(v *graph.Value, f ops.Format) []graph.Dim {
	if f == ops.NHWC {
		return v.Type.Dims[1 : len(v.Type.Dims)-1]
	}
	return v.Type.Dims[2:]
}

// reach is the padding under which windows, rounded down, come to the places that the node gives: what
// ceil_mode adds is written out. False where a size is open that would have to be known.
func reach(n *graph.Node, size, strides, pads []int, f ops.Format) ([]int, bool) {
	rank := len(size)
	if pads == nil {
		pads = make([]int, 2*rank)
	}
	out := slices.Clone(pads)
	for i, to := range spatialDims(n.Out[0], f) {
		d, ok1 := spatialDims(n.In[0], f)[i].Const()
		o, ok2 := to.Const()
		if !ok1 || !ok2 {
			return nil, false
		}
		out[rank+i] += max((o-1)*strides[i]+size[i]-(d+pads[i]+pads[rank+i]), 0)
	}
	return out, true
}

// shares is what the mean over a whole window, padding included, has to be multiplied by: the window's size
// by the number of its places that count. Nil where that is one everywhere.
func shares(n *graph.Node, size, strides, pads, explicit []int, countPads bool, f ops.Format) (any, bool) {
	rank := len(size)
	factors := []float64{1}
	one := true
	shape := []int{1}
	if f == ops.NCHW {
		shape = append(shape, 1)
	}
	for i, to := range spatialDims(n.Out[0], f) {
		front, back := 0, 0 // of the padding, what counts
		if countPads && len(pads) == 2*rank {
			front, back = pads[i], pads[rank+i]
		}
		if front == explicit[i] && back == explicit[rank+i] {
			o, ok := to.Const()
			if !ok {
				o = 1
			}
			shape = append(shape, o)
			factors = spread(factors, slices.Repeat([]float64{1}, o))
			continue
		}
		one = false
		d, ok1 := spatialDims(n.In[0], f)[i].Const()
		o, ok2 := to.Const()
		if !ok1 || !ok2 {
			return nil, false
		}
		var line []float64
		for j := range o {
			from := j*strides[i] - explicit[i]
			count := min(from+size[i], d+back) - max(from, -front)
			line = append(line, float64(size[i])/float64(max(count, 1)))
		}
		shape = append(shape, o)
		factors = spread(factors, line)
	}
	if f == ops.NHWC {
		shape = append(shape, 1)
	}
	if one {
		return nil, true
	}
	if len(factors) > maxInline {
		return nil, false
	}
	return array(n.In[0].Type.DType, factors, shape...), true
}

// spread is the products of all of a with all of b.
func spread(a, b []float64) []float64 {
	var out []float64
	for _, x := range a {
		for _, y := range b {
			out = append(out, x*y)
		}
	}
	return out
}
