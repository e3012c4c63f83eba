package plan

import (
	"math/rand"
	"testing"
)

// check fails where two buffers overlap in time and place.
func check(t *testing.T, uses []Use, off []int, size int) {
	t.Helper()
	for i, u := range uses {
		if off[i]%64 != 0 || off[i] < 0 || off[i]+u.Size > size {
			t.Fatalf("use %d %+v at %d is outside the arena of %d", i, u, off[i], size)
		}
		for j, v := range uses[:i] {
			if u.Last < v.First || v.Last < u.First || u.Size == 0 || v.Size == 0 {
				continue
			}
			if off[i] < off[j]+v.Size && off[j] < off[i]+u.Size {
				t.Fatalf("uses %d %+v at %d and %d %+v at %d overlap", i, u, off[i], j, v, off[j])
			}
		}
	}
}

func TestAssignRandom(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 300 {
		uses := make([]Use, 1+r.Intn(60))
		for i := range uses {
			first := r.Intn(50)
			uses[i] = Use{Size: r.Intn(5000), First: first, Last: first + r.Intn(10)}
		}
		off, size := Assign(uses, 64)
		check(t, uses, off, size)
	}
}

func TestAssignReuses(t *testing.T) {
	off, size := Assign([]Use{{640, 0, 1}, {640, 1, 2}, {640, 2, 3}}, 64)
	if size != 1280 || off[0] != off[2] {
		t.Fatalf("a chain of three takes two buffers: got offsets %v, size %d", off, size)
	}
}

func FuzzAssign(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, b []byte) {
		var uses []Use
		for ; len(b) >= 3 && len(uses) < 200; b = b[3:] {
			uses = append(uses, Use{Size: int(b[0]) * 7, First: int(b[1]), Last: int(b[1]) + int(b[2]%16)})
		}
		off, size := Assign(uses, 64)
		check(t, uses, off, size)
	})
}
