package ref

import "github.com/nnrt/nnrt/tensor"

// broadcastStrides is the element strides that read a tensor of shape as if it had shape out.
func broadcastStrides(shape, out []int) []int {
	st := make([]int, len(out))
	own := tensor.Strides(shape)
	for i := range out {
		if j := i - (len(out) - len(shape)); j >= 0 && shape[j] != 1 {
			st[i] = own[j]
		}
	}
	return st
}

// walk calls f for each index of shape, in order, with the offsets under each of the stride lists.
func walk(shape []int, strides [][]int, f func(i int, off []int)) {
	own := make([]int, len(strides))
	walkRuns(shape, strides, func(i, n int, off, step []int) {
		copy(own, off)
		for k := range n {
			f(i+k, own)
			for s, d := range step {
				own[s] += d
			}
		}
	})
}

// walkRuns calls f for runs of n indices of shape, from i on, in order: the offsets under each of the
// stride lists start at off and go up by step. f must not change them.
func walkRuns(shape []int, strides [][]int, f func(i, n int, off, step []int)) {
	dims, st := mergeDims(shape, strides)
	if product(shape) == 0 {
		return
	}
	last := len(dims) - 1
	idx, off, step := make([]int, last), make([]int, len(strides)), make([]int, len(strides))
	for s := range st {
		step[s] = st[s][last]
	}
	for i := 0; ; i += dims[last] {
		f(i, dims[last], off, step)
		a := last - 1
		for ; a >= 0; a-- {
			idx[a]++
			for s := range st {
				off[s] += st[s][a]
			}
			if idx[a] < dims[a] {
				break
			}
			for s := range st {
				off[s] -= st[s][a] * dims[a]
			}
			idx[a] = 0
		}
		if a < 0 {
			return
		}
	}
}

// mergeDims is the same walk over fewer dimensions, at least one: those of 1 go, and neighbours that every
// stride list runs through as one are joined.
func mergeDims(shape []int, strides [][]int) (dims []int, st [][]int) {
	st = make([][]int, len(strides))
next:
	for a, d := range shape {
		if d == 1 {
			continue
		}
		if last := len(dims) - 1; last >= 0 {
			joins := true
			for s := range strides {
				joins = joins && st[s][last] == strides[s][a]*d
			}
			if joins {
				dims[last] *= d
				for s := range strides {
					st[s][last] = strides[s][a]
				}
				continue next
			}
		}
		dims = append(dims, d)
		for s := range strides {
			st[s] = append(st[s], strides[s][a])
		}
	}
	if len(dims) == 0 {
		dims = []int{1}
		for s := range st {
			st[s] = []int{0}
		}
	}
	return dims, st
}
