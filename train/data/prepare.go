package data

import (
	"math"
	"slices"

	"github.com/nnrt/nnrt/internal/errs"
	"github.com/nnrt/nnrt/internal/philox"
	"github.com/nnrt/nnrt/tensor"
)

// ToCategorical is the one-hot form of class numbers, with a new last axis (a last axis of 1 goes). classes
// of 0 means one more than the largest.
func ToCategorical(y *tensor.Tensor, classes int) (*tensor.Tensor, error) {
	vs, err := y.Float64s()
	if err != nil {
		return nil, err
	}
	if classes == 0 {
		for _, v := range vs {
			classes = max(classes, int(v)+1)
		}
	}
	shape := slices.Clone(y.Shape())
	if n := len(shape); n > 1 && shape[n-1] == 1 {
		shape = shape[:n-1]
	}
	out, err := tensor.Make(tensor.Float32, append(shape, classes))
	if err != nil {
		return nil, err
	}
	for i, v := range vs {
		if v < 0 || v != math.Trunc(v) || int(v) >= classes {
			return nil, errs.Errorf("data: element %d is %v, no class in [0, %d)", i, v, classes)
		}
		tensor.As[float32](out)[i*classes+int(v)] = 1
	}
	return out, nil
}

// Normalize is keras.utils.normalize: x over its Euclidean length along an axis (negative: from the end); zeros stay.
func Normalize(x *tensor.Tensor, axis int) (*tensor.Tensor, error) {
	vs, err := x.Float64s()
	if err != nil {
		return nil, err
	}
	if axis < 0 {
		axis += x.Rank()
	}
	if axis < 0 || axis >= x.Rank() {
		return nil, errs.Errorf("data: no axis %d in %v", axis, x.Shape())
	}
	n, inner := x.Dim(axis), 1
	for _, d := range x.Shape()[axis+1:] {
		inner *= d
	}
	out := tensor.New(tensor.Float32, x.Shape()...)
	for first := range vs {
		if first/inner%n != 0 {
			continue
		}
		length := 0.0
		for k := range n {
			length = math.Hypot(length, vs[first+k*inner])
		}
		if length == 0 {
			length = 1
		}
		for k := range n {
			tensor.As[float32](out)[first+k*inner] = float32(vs[first+k*inner] / length)
		}
	}
	return out, nil
}

// ClassWeights are the weights that make all classes count the same: samples / (classes * samples of the class). y holds class
// numbers, or one-hot rows.
func ClassWeights(y *tensor.Tensor) (map[int]float64, error) {
	labels, err := Labels(y)
	if err != nil {
		return nil, err
	}
	count := map[int]int{}
	for _, c := range labels {
		count[c]++
	}
	out := map[int]float64{}
	for c, k := range count {
		out[c] = float64(len(labels)) / float64(len(count)*k)
	}
	return out, nil
}

// Labels is the class of each row of y: the number in it, or the place of the largest of several.
func Labels(y *tensor.Tensor) ([]int, error) {
	vs, err := y.Float64s()
	if err != nil {
		return nil, err
	}
	if y.Rank() == 0 || y.Rank() > 2 || y.Rank() == 2 && y.Dim(1) == 0 {
		return nil, errs.Errorf("data: %v holds no class a sample", y.Shape())
	}
	if y.Rank() == 1 || y.Dim(1) == 1 {
		out := make([]int, len(vs))
		for i, v := range vs {
			if out[i] = int(v); float64(out[i]) != v {
				return nil, errs.Errorf("data: element %d is %v, which is no class", i, v)
			}
		}
		return out, nil
	}
	out := make([]int, y.Dim(0))
	for i := range out {
		row := vs[i*y.Dim(1):][:y.Dim(1)]
		if out[i] = slices.Index(row, slices.Max(row)); out[i] < 0 {
			return nil, errs.Errorf("data: row %d holds NaN", i)
		}
	}
	return out, nil
}

// Normalizer brings features to mean 0 and variance 1: (x - Mean) / sqrt(Variance), one number each for every
// place along the last axis, as Keras' Normalization layer has it.
type Normalizer struct {
	Mean, Variance []float64
}

// Adapt takes mean and (population) variance from data, over all axes but the last.
func (n *Normalizer) Adapt(x *tensor.Tensor) error {
	vs, err := x.Float64s()
	if err != nil {
		return err
	}
	if x.Rank() == 0 || x.Len() == 0 {
		return errs.Errorf("data: a normalizer can't adapt to %v", x.Shape())
	}
	c := x.Dim(-1)
	rows := float64(len(vs) / c)
	n.Mean, n.Variance = make([]float64, c), make([]float64, c)
	for i, v := range vs {
		n.Mean[i%c] += v / rows
	}
	for i, v := range vs {
		d := v - n.Mean[i%c]
		n.Variance[i%c] += d * d / rows
	}
	return nil
}

// Apply is x normalized, as float32. A variance of 0 counts as Keras' epsilon squared.
func (n *Normalizer) Apply(x *tensor.Tensor) (*tensor.Tensor, error) {
	vs, err := x.Float64s()
	if err != nil {
		return nil, err
	}
	if x.Rank() == 0 || x.Dim(-1) != len(n.Mean) {
		return nil, errs.Errorf("data: a normalizer of %d features for %v", len(n.Mean), x.Shape())
	}
	out := tensor.New(tensor.Float32, x.Shape()...)
	c := len(n.Mean)
	for i, v := range vs {
		tensor.As[float32](out)[i] = float32((v - n.Mean[i%c]) / max(math.Sqrt(n.Variance[i%c]), 1e-7))
	}
	return out, nil
}

// PadOptions steers PadSequences. The zero value is Keras' default: as long as the longest, zeros before.
type PadOptions struct {
	MaxLen                int // 0: the longest sequence
	PadAfter, TruncateEnd bool
	Value                 int64
}

// PadSequences makes sequences one length: a matrix of int64.
func PadSequences(seqs [][]int64, o PadOptions) (*tensor.Tensor, error) {
	n := o.MaxLen
	if n == 0 {
		for _, s := range seqs {
			n = max(n, len(s))
		}
	}
	t, err := tensor.Make(tensor.Int64, []int{len(seqs), n})
	if err != nil {
		return nil, err
	}
	out := tensor.As[int64](t)
	for i, s := range seqs {
		row := out[i*n : (i+1)*n]
		for k := range row {
			row[k] = o.Value
		}
		if len(s) > n {
			if o.TruncateEnd {
				s = s[:n]
			} else {
				s = s[len(s)-n:]
			}
		}
		if o.PadAfter {
			copy(row, s)
		} else {
			copy(row[n-len(s):], s)
		}
	}
	return t, nil
}

// Split cuts samples into parts of the given shares (which must not add up to more than 1; the rest is left
// out), after shuffling by seed where shuffle is set.
func (a Arrays) Split(shuffle bool, seed uint64, shares ...float64) ([]Arrays, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	perm := Order{Shuffle: shuffle, Seed: seed}.Perm(a.Len())
	var out []Arrays
	from, total := 0, 0.0
	for _, s := range shares {
		total += s
		if s < 0 || total > 1+1e-9 {
			return nil, errs.Errorf("data: shares %v", shares)
		}
		to := int(math.Round(total * float64(len(perm))))
		b, err := a.Take(perm[from:to])
		if err != nil {
			return nil, err
		}
		out, from = append(out, Arrays{b}), to
	}
	return out, nil
}

// Fold is one split of a k-fold validation.
type Fold struct{ Train, Valid Arrays }

// KFold cuts samples into k folds, each of which is validated on once while the others train. Without shuffle
// the folds are the samples' own order, as in the usual loop over slices.
func (a Arrays) KFold(k int, shuffle bool, seed uint64) ([]Fold, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	n := a.Len()
	if k < 2 || k > n {
		return nil, errs.Errorf("data: %d folds of %d samples", k, n)
	}
	perm := Order{Shuffle: shuffle, Seed: seed}.Perm(n)
	folds := make([]Fold, k)
	for i := range folds {
		lo, hi := i*n/k, (i+1)*n/k
		train, err := a.Take(slices.Concat(perm[:lo], perm[hi:]))
		if err != nil {
			return nil, err
		}
		valid, err := a.Take(perm[lo:hi])
		if err != nil {
			return nil, err
		}
		folds[i] = Fold{Arrays{train}, Arrays{valid}}
	}
	return folds, nil
}

// IteratedKFold is rounds of KFold, shuffled differently each time: what to use where there are few samples.
func (a Arrays) IteratedKFold(rounds, k int, seed uint64) ([]Fold, error) {
	var all []Fold
	for r := range rounds {
		folds, err := a.KFold(k, true, philox.New(seed).Fork(uint64(r)).Uint64())
		if err != nil {
			return nil, err
		}
		all = append(all, folds...)
	}
	return all, nil
}

// WindowOptions steers Windows.
type WindowOptions struct {
	Length     int // time steps in a window
	SampleRate int // steps from one to the next within a window; 0: 1
	Stride     int // steps from one window to the next; 0: 1
	Delay      int // steps from a window's last to its target; 0: the step right after it
	Start, End int // the part of the series; End 0: all
}

// Windows cuts a series (time, features) into overlapping windows (windows, Length, features) with the target
// of each taken from targets (time, ...), as timeseries_dataset_from_array with shifted targets does. targets
// may be nil.
func Windows(series, targets *tensor.Tensor, o WindowOptions) (Arrays, error) {
	rate, stride, delay := max(o.SampleRate, 1), max(o.Stride, 1), o.Delay
	if delay == 0 {
		delay = 1
	}
	if series.Rank() == 0 || o.Length < 1 || o.Start < 0 || delay < 0 || targets != nil && (targets.Rank() == 0 || targets.Dim(0) != series.Dim(0)) {
		return Arrays{}, errs.Errorf("data: windows of %d steps over %v", o.Length, series.Shape())
	}
	end := o.End
	if end == 0 || end > series.Dim(0) {
		end = series.Dim(0)
	}
	span := (o.Length - 1) * rate
	var rows, goals []int
	for i := o.Start; ; i += stride {
		last := i + span
		if targets == nil && last >= end || targets != nil && last+delay >= end {
			break
		}
		for k := range o.Length {
			rows = append(rows, i+k*rate)
		}
		goals = append(goals, last+delay)
	}
	if len(goals) == 0 {
		return Arrays{}, errs.Errorf("data: %d steps hold no window of %d: %w", end-o.Start, span+1, ErrEmpty)
	}
	x, err := Rows(series, rows)
	if err == nil {
		x, err = x.Reshape(append([]int{len(goals), o.Length}, series.Shape()[1:]...)...)
	}
	if err != nil || targets == nil {
		return New(x, nil), err
	}
	y, err := Rows(targets, goals)
	return New(x, y), err
}
