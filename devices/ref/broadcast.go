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
	n := 1
	for _, d := range shape {
		n *= d
	}
	idx := make([]int, len(shape))
	off := make([]int, len(strides))
	for i := range n {
		f(i, off)
		for a := len(shape) - 1; a >= 0; a-- {
			idx[a]++
			for s := range strides {
				off[s] += strides[s][a]
			}
			if idx[a] < shape[a] {
				break
			}
			for s := range strides {
				off[s] -= strides[s][a] * shape[a]
			}
			idx[a] = 0
		}
	}
}
