// Package plan places buffers with known lifetimes in one arena. Ints in, ints out.
package plan

import "sort"

// Use is one buffer: Size bytes, alive from step First to step Last, both included.
type Use struct{ Size, First, Last int }

// Assign gives each use an offset, a multiple of align, so that no two that are alive at the same step
// overlap, and the size of the arena. Largest first, each in the smallest gap that the already placed
// leave at its lifetime; the idea is that of XNNPACK's memory planner.
func Assign(uses []Use, align int) (offsets []int, size int) {
	order := make([]int, len(uses))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return uses[order[a]].Size > uses[order[b]].Size })
	offsets = make([]int, len(uses))
	var placed []int // by offset
	for _, i := range order {
		u := uses[i]
		need := roundUp(u.Size, align)
		if need == 0 {
			continue
		}
		best, bestGap, end := -1, 0, 0
		for _, j := range placed {
			v := uses[j]
			if v.Last < u.First || u.Last < v.First {
				continue
			}
			if gap := offsets[j] - end; gap >= need && (best < 0 || gap < bestGap) {
				best, bestGap = end, gap
			}
			end = max(end, offsets[j]+roundUp(v.Size, align))
		}
		if best < 0 {
			best = end
		}
		offsets[i] = best
		size = max(size, best+need)
		at := sort.Search(len(placed), func(k int) bool { return offsets[placed[k]] > best })
		placed = append(placed, 0)
		copy(placed[at+1:], placed[at:])
		placed[at] = i
	}
	return offsets, size
}

func roundUp(n, align int) int { return (n + align - 1) / align * align }
