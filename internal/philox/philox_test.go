package philox

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The known answers are those of the authors' Random123 distribution (kat_vectors, philox4x32 10).
func TestBlockKnownAnswers(t *testing.T) {
	ones := uint32(0xffffffff)
	require.Equal(t, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, Block([2]uint32{}, [4]uint32{}))
	require.Equal(t, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		Block([2]uint32{ones, ones}, [4]uint32{ones, ones, ones, ones}))
	require.Equal(t, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
		Block([2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}))
}

func TestStreamIsItsPosition(t *testing.T) {
	s := New(7)
	var all []uint32
	for range 11 {
		all = append(all, s.Uint32())
	}
	for i, want := range all {
		r := &Stream{Key: 7, Pos: uint64(i)}
		require.Equal(t, want, r.Uint32())
		require.Equal(t, want, At(7, 0, uint64(i)))
	}
	next := Words(7, 0)
	for _, want := range all {
		require.Equal(t, want, next())
	}
	require.NotEqual(t, s.Fork(0).Uint32(), s.Fork(1).Uint32())
}

func TestNormMoments(t *testing.T) {
	s, n := New(1), 200000
	var sum, sq float64
	for range n {
		v := s.Norm()
		sum += v
		sq += v * v
	}
	require.Less(t, math.Abs(sum/float64(n)), 0.01)
	require.Less(t, math.Abs(sq/float64(n)-1), 0.02)
}

func TestPermHoldsEach(t *testing.T) {
	seen := map[int]bool{}
	for _, i := range New(3).Perm(100) {
		seen[i] = true
	}
	require.Len(t, seen, 100)
}
