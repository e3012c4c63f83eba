package ref

import (
	"math"

	"github.com/nnrt/nnrt/devices"
	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/ops"
	"github.com/nnrt/nnrt/tensor"
)

func normKernels() []*devices.Kernel {
	return []*devices.Kernel{
		fn(batchNorm),
		fn(batchNormGrad),
		fn(func(op ops.InstanceNormalization, c *Call) error { return groupNorm(c, 0, op.Epsilon, op.Format) }),
		fn(func(op ops.GroupNormalization, c *Call) error {
			return groupNorm(c, op.NumGroups, op.Epsilon, op.Format)
		}),
		fn(layerNorm),
		fn(layerNormGrad),
		fn(rmsNorm),
		fn(func(op ops.LpNormalization, c *Call) error {
			return mapLines(c, op.Axis, func(line []float64) {
				norm := 0.0
				for _, v := range line {
					if op.P == 1 {
						norm += math.Abs(v)
					} else {
						norm += v * v
					}
				}
				if op.P == 2 {
					norm = math.Sqrt(norm)
				}
				for i := range line {
					if norm != 0 {
						line[i] /= norm
					}
				}
			})
		}),
		fn(lrn),
		fn(lrnGrad),
		fn(meanVariance),
	}
}

// moments is the mean and variance of each group of elements; group gives an element's.
func moments(vs []float64, groups int, group func(i int) int) (mean, variance []float64) {
	mean, variance = make([]float64, groups), make([]float64, groups)
	n := float64(len(vs)) / float64(groups)
	for i, v := range vs {
		mean[group(i)] += v
	}
	for g := range mean {
		mean[g] /= n
	}
	for i, v := range vs {
		g := group(i)
		d := v - mean[g]
		variance[g] += d * d
	}
	for g := range variance {
		variance[g] /= n
	}
	return mean, variance
}

func inverseDeviation(variance []float64, eps float64) []float64 {
	inv := make([]float64, len(variance))
	for i, v := range variance {
		inv[i] = 1 / math.Sqrt(v+eps)
	}
	return inv
}

// eachChannel calls f for runs of n elements of one channel, or, where the channels are the last dimension
// (step 1), for runs over all of them from channel 0 on.
func eachChannel(shape []int, last bool, f func(at, n, channel, step int)) {
	channels, inner := channelOf(shape, last)
	total := product(shape)
	if inner == 1 {
		for at := 0; at < total; at += channels {
			f(at, channels, 0, 1)
		}
		return
	}
	for at, ch := 0, 0; at < total; at += inner {
		f(at, inner, ch, 0)
		if ch++; ch == channels {
			ch = 0
		}
	}
}

// channelMoments is the mean and variance of each channel.
func channelMoments(vs []float64, shape []int, last bool) (mean, variance []float64) {
	channels, _ := channelOf(shape, last)
	mean, variance = make([]float64, channels), make([]float64, channels)
	n := float64(len(vs)) / float64(channels)
	eachChannel(shape, last, func(at, n, ch, step int) {
		for _, v := range vs[at : at+n] {
			mean[ch] += v
			ch += step
		}
	})
	for c := range mean {
		mean[c] /= n
	}
	eachChannel(shape, last, func(at, n, ch, step int) {
		for _, v := range vs[at : at+n] {
			d := v - mean[ch]
			variance[ch] += d * d
			ch += step
		}
	})
	for c := range variance {
		variance[c] /= n
	}
	return mean, variance
}

func batchNorm(op ops.BatchNormalization, c *Call) error {
	v, err := floatsOf(c, 0, 1, 2, 3, 4)
	if err != nil {
		return err
	}
	x, scale, bias, mean, variance := v[0], v[1], v[2], v[3], v[4]
	shape, last := c.In(0).Shape(), op.Format == ops.NHWC
	if op.TrainingMode {
		bm, bv := channelMoments(x, shape, last)
		run := func(old, now []float64) []float64 {
			for i := range old {
				old[i] = old[i]*op.Momentum + now[i]*(1-op.Momentum)
			}
			return old
		}
		for i, vs := range [][]float64{run(mean, bm), run(variance, bv), bm, inverseDeviation(bv, op.Epsilon)} {
			if err := c.Out(i + 1).SetFloat64s(vs); err != nil {
				return err
			}
		}
		mean, variance = bm, bv
	}
	inv := inverseDeviation(variance, op.Epsilon)
	eachChannel(shape, last, func(at, n, ch, step int) {
		for i := at; i < at+n; i++ {
			x[i] = (x[i]-mean[ch])*inv[ch]*scale[ch] + bias[ch]
			ch += step
		}
	})
	return c.Out(0).SetFloat64s(x)
}

func batchNormGrad(op ops.BatchNormalizationGrad, c *Call) error {
	v, err := floatsOf(c, 0, 1, 2, 3, 4)
	if err != nil {
		return err
	}
	dy, x, scale, mean, inv := v[0], v[1], v[2], v[3], v[4]
	shape, last := c.In(1).Shape(), op.Format == ops.NHWC
	channels, _ := channelOf(shape, last)
	db, ds := make([]float64, channels), make([]float64, channels)
	eachChannel(shape, last, func(at, n, ch, step int) {
		for i := at; i < at+n; i++ {
			x[i] = (x[i] - mean[ch]) * inv[ch]
			db[ch] += dy[i]
			ds[ch] += dy[i] * x[i]
			ch += step
		}
	})
	share := float64(channels) / float64(len(x))
	eachChannel(shape, last, func(at, n, ch, step int) {
		for i := at; i < at+n; i++ {
			dy[i] = scale[ch] * inv[ch] * (dy[i] - db[ch]*share - x[i]*ds[ch]*share)
			ch += step
		}
	})
	for i, vs := range [][]float64{dy, ds, db} {
		if err := c.Out(i).SetFloat64s(vs); err != nil {
			return err
		}
	}
	return nil
}

// groupNorm normalizes groups of channels of each instance; 0 groups: each channel.
func groupNorm(c *Call, groups int, eps float64, f ops.Format) error {
	v, err := floatsOf(c, 0, 1, 2)
	if err != nil {
		return err
	}
	x, scale, bias := v[0], v[1], v[2]
	shape := c.In(0).Shape()
	channels, inner := channelOf(shape, f == ops.NHWC)
	if groups == 0 {
		groups = channels
	}
	if groups == 0 || channels%groups != 0 {
		return errs.Errorf("%d channels do not divide into %d groups", channels, groups)
	}
	each := max(1, product(shape[1:]))
	group := func(i int) int { return i/each*groups + i/inner%channels/(channels/groups) }
	mean, variance := moments(x, shape[0]*groups, group)
	inv := inverseDeviation(variance, eps)
	for i := range x {
		g, ch := group(i), i/inner%channels
		x[i] = (x[i]-mean[g])*inv[g]*scale[ch] + bias[ch]
	}
	return c.Out(0).SetFloat64s(x)
}

// splitFrom is the number of elements before axis and from it on.
func splitFrom(shape []int, axis int) (outer, inner int, err error) {
	if axis < 0 {
		axis += len(shape)
	}
	if axis < 0 || axis >= len(shape) {
		return 0, 0, errs.Errorf("axis is outside rank %d", len(shape))
	}
	return product(shape[:axis]), product(shape[axis:]), nil
}

// splitRows is the elements of t, with splitFrom of its shape.
func splitRows(t *tensor.Tensor, axis int) (x []float64, outer, inner int, err error) {
	if outer, inner, err = splitFrom(t.Shape(), axis); err == nil {
		x, err = t.Float64s()
	}
	return x, outer, inner, err
}

// broadcastTo reads t as if it had that shape.
func broadcastTo(t *tensor.Tensor, shape []int) ([]float64, error) {
	vs, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	out := make([]float64, product(shape))
	walk(shape, [][]int{broadcastStrides(t.Shape(), shape)}, func(i int, off []int) { out[i] = vs[off[0]] })
	return out, nil
}

func layerNorm(op ops.LayerNormalization, c *Call) error {
	shape := c.In(0).Shape()
	x, outer, inner, err := splitRows(c.In(0), op.Axis)
	if err != nil {
		return err
	}
	group := func(i int) int { return i / inner }
	mean, variance := moments(x, outer, group)
	inv := inverseDeviation(variance, op.Epsilon)
	scale, err := broadcastTo(c.In(1), shape)
	if err != nil {
		return err
	}
	for i := range x {
		x[i] = (x[i] - mean[i/inner]) * inv[i/inner] * scale[i]
	}
	if c.In(2) != nil {
		bias, err := broadcastTo(c.In(2), shape)
		if err != nil {
			return err
		}
		for i := range x {
			x[i] += bias[i]
		}
	}
	for i, vs := range [][]float64{x, mean, inv} {
		if i < c.NOut() {
			if err := c.Out(i).SetFloat64s(vs); err != nil {
				return err
			}
		}
	}
	return nil
}

func layerNormGrad(op ops.LayerNormalizationGrad, c *Call) error {
	v, err := floatsOf(c, 0, 1, 3, 4)
	if err != nil {
		return err
	}
	dy, x, mean, inv := v[0], v[1], v[2], v[3]
	shape := c.In(1).Shape()
	outer, inner, err := splitFrom(shape, op.Axis)
	if err != nil {
		return err
	}
	scale, err := broadcastTo(c.In(2), shape)
	if err != nil {
		return err
	}
	ds := make([]float64, c.In(2).Len())
	walk(shape, [][]int{broadcastStrides(c.In(2).Shape(), shape)}, func(i int, off []int) {
		x[i] = (x[i] - mean[i/inner]) * inv[i/inner]
		ds[off[0]] += dy[i] * x[i]
	})
	sum, dot := make([]float64, outer), make([]float64, outer)
	for i := range x {
		dy[i] *= scale[i]
		sum[i/inner] += dy[i] / float64(inner)
		dot[i/inner] += dy[i] * x[i] / float64(inner)
	}
	for i := range x {
		g := i / inner
		dy[i] = inv[g] * (dy[i] - sum[g] - x[i]*dot[g])
	}
	if err := c.Out(0).SetFloat64s(dy); err != nil {
		return err
	}
	return c.Out(1).SetFloat64s(ds)
}

func rmsNorm(op ops.RMSNormalization, c *Call) error {
	shape := c.In(0).Shape()
	x, outer, inner, err := splitRows(c.In(0), op.Axis)
	if err != nil {
		return err
	}
	ms := make([]float64, outer)
	for i, v := range x {
		ms[i/inner] += v * v / float64(inner)
	}
	inv := inverseDeviation(ms, op.Epsilon)
	scale, err := broadcastTo(c.In(1), shape)
	if err != nil {
		return err
	}
	for i := range x {
		x[i] *= inv[i/inner] * scale[i]
	}
	return c.Out(0).SetFloat64s(x)
}

// lrnWindow calls f with each element and those in the window around it, itself included.
func lrnWindow(shape []int, size int, last bool, f func(i, j int)) {
	channels, inner := channelOf(shape, last)
	for i := range product(shape) {
		ch := i / inner % channels
		for k := max(0, ch-(size-1)/2); k <= min(channels-1, ch+size/2); k++ {
			f(i, i+(k-ch)*inner)
		}
	}
}

func lrn(op ops.LRN, c *Call) error {
	x, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	s := make([]float64, len(x))
	lrnWindow(c.In(0).Shape(), op.Size, op.Format == ops.NHWC, func(i, j int) { s[i] += x[j] * x[j] })
	for i := range x {
		x[i] /= math.Pow(op.Bias+op.Alpha/float64(op.Size)*s[i], op.Beta)
	}
	return c.Out(0).SetFloat64s(x)
}

func lrnGrad(op ops.LRNGrad, c *Call) error {
	v, err := floatsOf(c, 0, 1)
	if err != nil {
		return err
	}
	dy, x := v[0], v[1]
	a := op.Alpha / float64(op.Size)
	s, sum := make([]float64, len(x)), make([]float64, len(x))
	last := op.Format == ops.NHWC
	lrnWindow(c.In(1).Shape(), op.Size, last, func(i, j int) { s[i] += x[j] * x[j] })
	lrnWindow(c.In(1).Shape(), op.Size, last, func(i, j int) {
		sum[j] += dy[i] * x[i] * math.Pow(op.Bias+a*s[i], -op.Beta-1)
	})
	for i := range x {
		dy[i] = dy[i]*math.Pow(op.Bias+a*s[i], -op.Beta) - 2*a*op.Beta*x[i]*sum[i]
	}
	return c.Out(0).SetFloat64s(dy)
}

func meanVariance(op ops.MeanVarianceNormalization, c *Call) error {
	x, err := c.In(0).Float64s()
	if err != nil {
		return err
	}
	shape := c.In(0).Shape()
	drop, err := ops.ReducedAxes(op.Axes, len(shape), false)
	if err != nil {
		return err
	}
	kept := make([]int, len(shape))
	for i, d := range shape {
		if kept[i] = d; drop[i] {
			kept[i] = 1
		}
	}
	group := make([]int, len(x))
	walk(shape, [][]int{broadcastStrides(kept, shape)}, func(i int, off []int) { group[i] = off[0] })
	mean, variance := moments(x, product(kept), func(i int) int { return group[i] })
	for i := range x {
		x[i] = (x[i] - mean[group[i]]) / (math.Sqrt(variance[group[i]]) + 1e-9)
	}
	return c.Out(0).SetFloat64s(x)
}
