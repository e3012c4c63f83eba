package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func regionKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(maxUnpool),
		fn(maxRoiPool),
		fn(maxRoiPoolGrad),
		fn(roiAlign),
		fn(roiAlignGrad),
		fn(func(op ops.AdaptiveAveragePool, c *Call) error {
			x := c.In(0)
			xs, shape, err := pooled(x, op.Format, op.OutputSize)
			if err != nil {
				return err
			}
			ys := make([]float64, product(shape))
			adaptive(op.Format, x.Shape(), shape, func(y int, in []int) {
				for _, i := range in {
					ys[y] += xs[i]
				}
				ys[y] /= float64(len(in))
			})
			return store(c, x.DType(), shape, ys)
		}),
		fn(func(op ops.AdaptiveAveragePoolGrad, c *Call) error {
			shape, err := c.ints(1)
			if err != nil {
				return err
			}
			gs, err := c.In(0).Float64s()
			if err != nil {
				return err
			}
			dx := make([]float64, product(shape))
			adaptive(op.Format, shape, c.In(0).Shape(), func(y int, in []int) {
				for _, i := range in {
					dx[i] += gs[y] / float64(len(in))
				}
			})
			return store(c, c.In(0).DType(), shape, dx)
		}),
		fn(func(op ops.AdaptiveMaxPool, c *Call) error {
			x := c.In(0)
			xs, shape, err := pooled(x, op.Format, op.OutputSize)
			if err != nil {
				return err
			}
			ys := make([]float64, product(shape))
			adaptive(op.Format, x.Shape(), shape, func(y int, in []int) { ys[y] = xs[largestOf(xs, in)] })
			return store(c, x.DType(), shape, ys)
		}),
		fn(func(op ops.AdaptiveMaxPoolGrad, c *Call) error {
			x, dy := c.In(0), c.In(1)
			xs, gs, err := floatPair(x, dy)
			if err != nil {
				return err
			}
			dx := make([]float64, len(xs))
			adaptive(op.Format, x.Shape(), dy.Shape(), func(y int, in []int) { dx[largestOf(xs, in)] += gs[y] })
			return store(c, x.DType(), x.Shape(), dx)
		}),
	}
}

// largestOf is the first of the indices whose element is the largest; a NaN wins.
func largestOf(xs []float64, in []int) int {
	best := in[0]
	for _, i := range in {
		if xs[i] > xs[best] || math.IsNaN(xs[i]) && !math.IsNaN(xs[best]) {
			best = i
		}
	}
	return best
}

// adaptive calls f for every element of y with the elements of x in its cell.
func adaptive(f ops.Format, x, y []int, each func(y int, xs []int)) {
	st, ch := tensor.Strides(x), f.Channel(len(x))
	in, out := ops.SpatialDims(f, x), ops.SpatialDims(f, y)
	strides := ops.SpatialDims(f, st)
	lo, _ := f.Spatial(len(x))
	for i := range product(y) {
		at := unravel(i, y)
		cell := []int{at[0]*st[0] + at[ch]*st[ch]}
		for a := range in {
			first, last := ops.AdaptiveCell(at[lo+a], out[a], in[a])
			next := make([]int, 0, len(cell)*(last-first))
			for _, base := range cell {
				for p := first; p < last; p++ {
					next = append(next, base+p*strides[a])
				}
			}
			cell = next
		}
		if len(cell) > 0 {
			each(i, cell)
		}
	}
}

func maxUnpool(op ops.MaxUnpool, c *Call) error {
	x := c.In(0)
	at, err := c.ints(1)
	if err != nil {
		return err
	}
	if len(at) != x.Len() {
		return errs.Errorf("%d indices for %d elements", len(at), x.Len())
	}
	pooled := shapeOf(op.Dims(dimsOf(x.Shape())))
	shape := pooled
	if c.In(2) != nil {
		if shape, err = c.ints(2); err != nil {
			return err
		}
	}
	out, err := c.OutOf(0, x.DType(), shape...)
	if err != nil {
		return err
	}
	clearAll(out)
	for i, a := range at {
		if a, err = unpoolIndex(a, pooled, shape); err != nil {
			return err
		}
		copyBlock(out, a, x, i, 1)
	}
	return nil
}

// unpoolIndex moves an index of the pooled data to an output whose shape may be larger.
func unpoolIndex(i int, pooled, shape []int) (int, error) {
	if i < 0 || i >= product(pooled) {
		return 0, errs.Errorf("index %d outside %v", i, pooled)
	}
	to := 0
	st := tensor.Strides(shape)
	for a, p := range unravel(i, pooled) {
		if p >= shape[a] {
			return 0, errs.Errorf("index %d of %v lies outside %v", i, pooled, shape)
		}
		to += p * st[a]
	}
	return to, nil
}

func maxRoiPool(op ops.MaxRoiPool, c *Call) error {
	x, rois := c.In(0), c.In(1)
	xs, err := x.Float64s()
	if err != nil {
		return err
	}
	shape := []int{rois.Dim(0), x.Dim(1), op.PooledShape[0], op.PooledShape[1]}
	ys := make([]float64, product(shape))
	err = roiMaxima(op, x.Shape(), xs, rois, func(y, at int) { ys[y] = xs[at] })
	if err != nil {
		return err
	}
	return store(c, x.DType(), shape, ys)
}

func maxRoiPoolGrad(op ops.MaxRoiPoolGrad, c *Call) error {
	x := c.In(1)
	gs, xs, err := floatPair(c.In(0), x)
	if err != nil {
		return err
	}
	dx := make([]float64, len(xs))
	err = roiMaxima(ops.MaxRoiPool(op), x.Shape(), xs, c.In(2), func(y, at int) { dx[at] += gs[y] })
	if err != nil {
		return err
	}
	return store(c, x.DType(), x.Shape(), dx)
}

// roiMaxima calls f for every bin of every region that is not empty, with where its largest element is.
func roiMaxima(op ops.MaxRoiPool, shape []int, xs []float64, rois *tensor.Tensor, f func(y, at int)) error {
	rs, err := rois.Float64s()
	if err != nil {
		return err
	}
	ch, h, w := shape[1], shape[2], shape[3]
	ph, pw := op.PooledShape[0], op.PooledShape[1]
	for r := range rois.Dim(0) {
		batch := int(rs[r*5])
		if batch < 0 || batch >= shape[0] {
			return errs.Errorf("roi %d is in batch entry %d of %d", r, batch, shape[0])
		}
		edge := func(i int) int { return int(math.Round(rs[r*5+i] * op.SpatialScale)) }
		x1, y1, x2, y2 := edge(1), edge(2), edge(3), edge(4)
		binH, binW := float64(max(y2-y1+1, 1))/float64(ph), float64(max(x2-x1+1, 1))/float64(pw)
		for k := range ch {
			for bin := range ph * pw {
				hlo, hhi := binEdges(bin/pw, binH, y1, h)
				wlo, whi := binEdges(bin%pw, binW, x1, w)
				if hhi <= hlo || whi <= wlo {
					continue
				}
				base := (batch*ch + k) * h * w
				best := base + hlo*w + wlo
				for i := hlo; i < hhi; i++ {
					for j := wlo; j < whi; j++ {
						if xs[base+i*w+j] > xs[best] {
							best = base + i*w + j
						}
					}
				}
				f((r*ch+k)*ph*pw+bin, best)
			}
		}
	}
	return nil
}

func binEdges(i int, size float64, start, limit int) (lo, hi int) {
	lo, hi = int(math.Floor(float64(i)*size))+start, int(math.Ceil(float64(i+1)*size))+start
	return min(max(lo, 0), limit), min(max(hi, 0), limit)
}

// roiSample is one sample of a region: up to four elements of a plane with their weights.
type roiSample struct {
	off [4]int
	w   [4]float64
}

// roiBins calls f for every bin of every region with its samples.
func roiBins(op ops.RoiAlign, x []int, rois []float64, f func(roi, bin int, samples []roiSample)) {
	h, w := x[2], x[3]
	offset := 0.5
	if op.CoordinateTransformationMode == "output_half_pixel" {
		offset = 0
	}
	for r := range len(rois) / 4 {
		at := func(i int) float64 { return rois[r*4+i]*op.SpatialScale - offset }
		x1, y1 := at(0), at(1)
		width, height := at(2)-x1, at(3)-y1
		if offset == 0 { // malformed regions count as 1 by 1
			width, height = max(width, 1), max(height, 1)
		}
		binH, binW := height/float64(op.OutputHeight), width/float64(op.OutputWidth)
		gridH, gridW := op.SamplingRatio, op.SamplingRatio
		if gridH == 0 {
			gridH, gridW = max(0, int(math.Ceil(binH))), max(0, int(math.Ceil(binW)))
		}
		for bin := range op.OutputHeight * op.OutputWidth {
			var samples []roiSample
			for s := range gridH * gridW {
				y := y1 + float64(bin/op.OutputWidth)*binH + (float64(s/gridW)+0.5)*binH/float64(gridH)
				xx := x1 + float64(bin%op.OutputWidth)*binW + (float64(s%gridW)+0.5)*binW/float64(gridW)
				samples = append(samples, sampleAt(y, xx, h, w))
			}
			f(r, bin, samples)
		}
	}
}

// sampleAt interpolates at y, x of an h by w plane: nothing beyond one element outside, else the border.
func sampleAt(y, x float64, h, w int) roiSample {
	if !(y >= -1 && y <= float64(h) && x >= -1 && x <= float64(w)) {
		return roiSample{}
	}
	axis := func(v float64, n int) (lo, hi int, f float64) {
		v = max(v, 0)
		if lo = int(v); lo >= n-1 {
			return n - 1, n - 1, 0
		}
		return lo, lo + 1, v - float64(lo)
	}
	y0, y1, fy := axis(y, h)
	x0, x1, fx := axis(x, w)
	return roiSample{
		off: [4]int{y0*w + x0, y0*w + x1, y1*w + x0, y1*w + x1},
		w:   [4]float64{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx},
	}
}

// roiInputs is the data x, the regions at input i, and for each region which of the batch it is of (input i+1).
func roiInputs(c *Call, x *tensor.Tensor, i int) (xs, rs []float64, batch []int, err error) {
	if xs, rs, err = floatPair(x, c.In(i)); err != nil {
		return nil, nil, nil, err
	}
	if batch, err = c.ints(i + 1); err != nil {
		return nil, nil, nil, err
	}
	if len(batch) != len(rs)/4 {
		return nil, nil, nil, errs.Errorf("%d batch indices for %d rois", len(batch), len(rs)/4)
	}
	for _, b := range batch {
		if b < 0 || b >= x.Dim(0) {
			return nil, nil, nil, errs.Errorf("batch index %d of %d", b, x.Dim(0))
		}
	}
	if x.Dim(2)*x.Dim(3) == 0 && len(batch) > 0 {
		return nil, nil, nil, errs.Errorf("regions of empty data %v", x.Shape())
	}
	return xs, rs, batch, nil
}

func roiAlign(op ops.RoiAlign, c *Call) error {
	x := c.In(0)
	xs, rs, batch, err := roiInputs(c, x, 1)
	if err != nil {
		return err
	}
	ch, plane, bins := x.Dim(1), x.Dim(2)*x.Dim(3), op.OutputHeight*op.OutputWidth
	ys := make([]float64, len(batch)*ch*bins)
	roiBins(op, x.Shape(), rs, func(r, bin int, samples []roiSample) {
		for k := range ch {
			data := xs[(batch[r]*ch+k)*plane:][:plane]
			y := &ys[(r*ch+k)*bins+bin]
			if op.Mode == "max" {
				*y, _, _ = roiMax(data, samples)
				continue
			}
			for _, s := range samples {
				for j, o := range s.off {
					*y += s.w[j] * data[o]
				}
			}
			*y /= float64(max(1, len(samples)))
		}
	})
	return store(c, x.DType(), []int{len(batch), ch, op.OutputHeight, op.OutputWidth}, ys)
}

// roiMax is the largest weighted element of all samples, as the specification has it, and where it is.
func roiMax(data []float64, samples []roiSample) (best float64, sample, corner int) {
	sample = -1
	for i, s := range samples {
		for j, o := range s.off {
			if v := s.w[j] * data[o]; sample < 0 || v > best {
				best, sample, corner = v, i, j
			}
		}
	}
	return best, sample, corner
}

func roiAlignGrad(op ops.RoiAlignGrad, c *Call) error {
	x := c.In(1)
	xs, rs, batch, err := roiInputs(c, x, 2)
	if err != nil {
		return err
	}
	gs, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	ch, plane, bins := x.Dim(1), x.Dim(2)*x.Dim(3), op.OutputHeight*op.OutputWidth
	dx := make([]float64, len(xs))
	roiBins(ops.RoiAlign(op), x.Shape(), rs, func(r, bin int, samples []roiSample) {
		for k := range ch {
			base := (batch[r]*ch + k) * plane
			g := gs[(r*ch+k)*bins+bin]
			if op.Mode == "max" {
				if _, s, j := roiMax(xs[base:][:plane], samples); s >= 0 {
					dx[base+samples[s].off[j]] += g * samples[s].w[j]
				}
				continue
			}
			for _, s := range samples {
				for j, o := range s.off {
					dx[base+o] += g * s.w[j] / float64(len(samples))
				}
			}
		}
	})
	return store(c, x.DType(), x.Shape(), dx)
}
